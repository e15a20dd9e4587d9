"""What a recipe names beyond itself is there before anything is trained: locales, baseline, gold of its gates."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_project import change, place_at, write_project

from assets.plan import commands
from mw_pipeline.errors import GateError, RecipeError
from mw_pipeline.stages import line
from mw_pipeline.stages.golden import facts_of
from mw_pipeline.stages.place import Place
from mw_pipeline.stages.recipe_fit import demand_fit
from mw_pipeline.stages.upstream import prepare_corpus, prepare_dataset

EXTRA_GATE = "[eval.gates.extra]\nmin_exact_match = 0.5\n\n[package]"


@pytest.fixture
def project(tmp_path: Path) -> Place:
    """A tiny project of which nothing is made yet."""
    return place_at(write_project(tmp_path / "p", golden=Path(__file__).resolve().parent.parent / "golden"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "[package]",
            '[package]\nlocales = ["en-us", "de-de"]',
            r"demo\.toml: package\.locales: locale 'de-de': the capability matrix has rows of .*US.* only\. Write the",
        ),
        (
            "[package]",
            '[package]\nlocales = ["xx-yy"]',
            r"demo\.toml: package\.locales: locale 'xx-yy'",
        ),
    ],
)
def test_a_recipe_that_names_what_is_not_there_is_refused_when_it_is_read(
    project: Place, old: str, new: str, message: str
) -> None:
    change(project.project, old, new)

    with pytest.raises(RecipeError, match=message):
        project.recipe("demo")


def test_a_recipe_whose_locales_are_there_is_read(project: Place) -> None:
    change(project.project, "[package]", '[package]\nlocales = ["fr-fr"]')

    assert project.recipe("demo@7").train.seed == 7


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            'adapter = "builtin"',
            'adapter = "bultin"',
            r"builtin\.toml: sources\.builtin\.adapter: 'bultin' is not an adapter: .*did you mean 'builtin'\?",
        ),
        (
            'input = "extra/*.jsonl"',
            'adapter = "usadress-xml"\ninput = "extra/*.xml"',
            r"golden_sets\.extra\.adapter: 'usadress-xml' is not an adapter: .*did you mean 'usaddress-xml'\?",
        ),
    ],
)
def test_an_adapter_that_nobody_has_is_refused_when_the_spec_is_read(
    project: Place, old: str, new: str, message: str
) -> None:
    change(project.project, old, new, file="corpora/builtin.toml")

    with pytest.raises(RecipeError, match=message):
        project.corpus_spec("builtin")


def test_a_set_of_an_adapter_that_is_there_is_read(project: Place) -> None:
    change(
        project.project,
        'input = "extra/*.jsonl"',
        'adapter = "usaddress-xml"\ninput = "x"',
        file="corpora/builtin.toml",
    )

    assert project.corpus_spec("builtin").golden_sets["extra"].adapter == "usaddress-xml"


def test_a_set_whose_pattern_matches_a_folder_alone_is_refused_even_where_it_may_be_absent(project: Place) -> None:
    change(project.project, '"nowhere/*.jsonl"', '"ex*"', file="corpora/builtin.toml")

    with pytest.raises(
        RecipeError, match=r"golden_sets\.absent\.input is 'ex\*', .*Name the files in it, as in 'extra/\*"
    ):
        line.golden_set.make(project, "builtin")


GATES = [
    (
        EXTRA_GATE.replace("extra", "extras"),
        r"recipe 'demo': eval\.gates\.extras names no golden set of corpus 'builtin': it has extra, absent\. Name one",
    ),
    (
        EXTRA_GATE.replace("extra", "golden"),
        r"eval\.gates\.golden names no golden set of corpus 'builtin'",
    ),
]


@pytest.mark.parametrize(("gate", "message"), GATES)
def test_a_gate_on_a_set_that_the_corpus_does_not_name_is_refused_before_anything_is_made(
    project: Place, gate: str, message: str
) -> None:
    change(project.project, "[package]", gate)

    with pytest.raises(RecipeError, match=message):
        commands(project, "demo")
    with pytest.raises(RecipeError, match=message):
        prepare_dataset(project, "demo")
    assert not project.store.root.exists() or not list(project.store.root.iterdir())


def test_a_gate_on_a_set_of_which_the_labels_have_no_tag_is_refused(project: Place) -> None:
    change(project.project, "[package]", EXTRA_GATE)
    assert commands(project, "demo")

    change(
        project.project, '["house_number", "street", "locality", "postcode"]', '["unit"]', file="corpora/builtin.toml"
    )
    change(project.project, 'corpus = "builtin"', 'corpus = "builtin"\nlabels = 2')
    with pytest.raises(RecipeError, match=r"eval\.gates\.extra would score nothing: the set is complete for unit"):
        commands(project, "demo")


def with_country(place: Place, code: str, *, file: str = "extra/hand.jsonl") -> None:
    """One more gold row in a file, of that country."""
    path = place.project / file
    row = {"raw": "9 Elm Street, Reno", "components": {"locality": "Reno"}, "country": code}
    path.write_text(path.read_text() + json.dumps(row) + "\n")


@pytest.mark.parametrize(
    ("asks", "file", "key"),
    [
        (("[package]", EXTRA_GATE), "extra/hand.jsonl", r"eval\.gates\.extra"),
        (("[eval]", "[eval]\nmin_core_macro_f1 = 0.1"), "golden/us.jsonl", r"eval\.min_core_macro_f1"),
    ],
)
def test_a_row_of_no_known_country_in_gold_that_a_gate_asks_is_refused(
    project: Place, asks: tuple[str, str], file: str, key: str
) -> None:  # M78
    with_country(project, "USA", file=file)
    line.golden_set.make(project, "builtin")
    demand_fit(project, project.recipe("demo"))  # nobody asks

    change(project.project, *asks)

    message = rf"{key} asks gold of which 1 rows are of no country .*'USA' at {file}:\d+\. Write its ISO 3166-1 code"
    with pytest.raises(GateError, match=message):
        demand_fit(project, project.recipe("demo"))


@pytest.mark.parametrize("code", ["US", ""])
def test_rows_of_a_country_or_of_none_said_are_gold_that_a_gate_may_ask(project: Place, code: str) -> None:
    with_country(project, code)
    change(project.project, "[package]", EXTRA_GATE)
    line.golden_set.make(project, "builtin")

    demand_fit(project, project.recipe("demo"))
    assert facts_of(line.golden_set.demand(project, "builtin"))["sets"]["extra"]["findings"] == []


def test_the_first_stage_of_a_recipe_refuses_what_its_gates_cannot_ask(project: Place) -> None:
    change(project.project, "max_records = 3000", "max_records = 60", file="corpora/builtin.toml")
    prepare_corpus(project, "builtin")
    change(project.project, "[package]", GATES[0][0])

    with pytest.raises(RecipeError, match=GATES[0][1]):
        line.source_mix.make(project, "demo")
