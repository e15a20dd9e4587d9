"""What a recipe names beyond itself is there before anything is trained: locales, baseline, gold of its gates."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_project import add_source_without_training_rows, change, place_at, write_project

from assets.plan import commands
from mw_pipeline.campaign.folder import read_campaign
from mw_pipeline.errors import GateError, RecipeError
from mw_pipeline.stages import line
from mw_pipeline.stages.campaign_runs import train_campaign
from mw_pipeline.stages.golden import facts_of
from mw_pipeline.stages.place import Place
from mw_pipeline.stages.recipe_fit import demand_fit
from mw_pipeline.stages.upstream import prepare_dataset

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
        (
            'adapter = "builtin"',
            'adapter = "ban"',
            r"builtin\.toml: sources\.builtin\.input is missing: ban reads files\. Name them, below MW_DATA or by URL",
        ),
        (
            'adapter = "builtin"',
            'adapter = "builtin"\ninput = "places.csv"',
            r"builtin\.toml: sources\.builtin\.input is 'places\.csv', and builtin reads no files\. Remove the line",
        ),
    ],
)
def test_an_adapter_that_nobody_has_or_that_has_nothing_to_read_is_refused_when_the_spec_is_read(
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

    new = 'adapter = "ban"\ninput = "ban.csv"\nlicence = "CC-BY-4.0"'
    change(project.project, 'adapter = "builtin"', new, file="corpora/builtin.toml")

    assert project.corpus_spec("builtin").golden_sets["extra"].adapter == "usaddress-xml"
    assert project.corpus_spec("builtin").sources["builtin"].input == "ban.csv"


def test_a_set_whose_pattern_matches_a_folder_alone_is_refused_even_where_it_may_be_absent(project: Place) -> None:
    change(project.project, '"nowhere/*.jsonl"', '"ex*"', file="corpora/builtin.toml")

    with pytest.raises(
        RecipeError, match=r"golden_sets\.absent\.input is 'ex\*', .*Name the files in it, as in 'extra/\*"
    ):
        line.golden_set.make(project, "builtin")


TYPOS = [
    (
        "builtin = 1.0",
        "builtin = 1.0\nbultin = 0.5",
        r"demo\.toml: mix\.weights\.bultin is no source of corpus 'builtin'; the nearest is 'builtin'\. Correct .*, or "
        r"add \[sources\.bultin\] to corpora/builtin\.toml",
    ),
    ("builtin = 1.0", "builtin = 1.0\nfr = 0", r"mix\.weights\.fr is no source of corpus 'builtin'"),
    (
        "[package]",
        EXTRA_GATE.replace("extra", "extras"),
        r"demo\.toml: eval\.gates\.extras is no golden set of corpus 'builtin'; the nearest is 'extra'\.",
    ),
    ("[package]", EXTRA_GATE.replace("extra", "golden"), r"eval\.gates\.golden is no golden set of corpus 'builtin'"),
    (
        'corpus = "builtin"',
        'corpus = "bultin"',
        r"demo\.toml: corpus is 'bultin', and there is no such corpus; did you mean 'builtin'\?",
    ),
    (
        "[train]",
        "[loss.class_weights]\nB-strete = 2.0\n\n[train]",
        r"demo\.toml: loss\.class_weights\.B-strete is no label of labels = 3; the nearest is 'B-street'\.",
    ),
]


@pytest.mark.parametrize(("old", "new", "message"), TYPOS)
def test_a_recipe_that_names_what_its_corpus_has_not_is_refused_before_anything_is_made(
    project: Place, old: str, new: str, message: str
) -> None:
    change(project.project, old, new)

    asked: list[Callable[[], object]] = [
        lambda: project.recipe("demo"),
        lambda: project.recipe(str(project.project / "recipes" / "demo.toml")),
        lambda: commands(project, "demo"),
        lambda: prepare_dataset(project, "demo"),
        lambda: train_campaign(project, read_campaign(project.project / "recipes"), never),
        *(lambda stage=stage: stage.make(project, "demo") for stage in line.STAGES.values() if stage.per == "recipe"),
    ]
    for ask in asked:
        with pytest.raises(RecipeError, match=message):
            ask()
    assert not project.store.root.exists() or not list(project.store.root.iterdir())


def never(*_: object) -> None:
    raise AssertionError("nothing is trained")


def test_a_source_of_the_corpus_without_a_weight_is_refused_when_the_recipe_is_read(project: Place) -> None:
    """M10."""
    add_source_without_training_rows(project.project)
    change(project.project, "ghost = 1.0", "ghost = 0")
    assert project.recipe("demo").mix.weights == {"builtin": 1.0, "ghost": 0}

    change(project.project, "ghost = 0", "")
    with pytest.raises(
        RecipeError,
        match=r"demo\.toml: mix\.weights lists no ghost of corpus 'builtin'\. Give each .* a weight, 0 to leave it out",
    ):
        project.recipe("demo")


def test_a_gate_on_a_set_of_which_the_labels_have_no_tag_is_refused(project: Place) -> None:
    change(project.project, "[package]", EXTRA_GATE)
    assert commands(project, "demo")

    change(
        project.project, '["house_number", "street", "locality", "postcode"]', '["unit"]', file="corpora/builtin.toml"
    )
    change(project.project, 'corpus = "builtin"', 'corpus = "builtin"\nlabels = 2')
    with pytest.raises(RecipeError, match=r"eval\.gates\.extra would score nothing: the set is complete for unit"):
        commands(project, "demo")


def test_a_locale_of_whose_country_the_corpus_keeps_no_row_is_refused_unless_nothing_is_promised(
    project: Place,
) -> None:
    change(project.project, '["US", "FR"]', '["US"]', file="corpora/builtin.toml")
    assert project.recipe("demo")  # every kind of word is untaught

    change(project.project, '"region name", ', "")
    with pytest.raises(RecipeError, match=r"package\.locales has 'fr-fr', and corpus 'builtin' keeps no row of FR"):
        project.recipe("demo")
    change(project.project, '["US"]', "[]", file="corpora/builtin.toml")
    assert project.recipe("demo")  # a corpus of any country


def test_a_file_from_elsewhere_may_name_a_corpus_that_the_project_lacks(project: Place, tmp_path: Path) -> None:
    change(project.project, 'corpus = "builtin"', 'corpus = "theirs"')
    elsewhere = (project.project / "recipes" / "demo.toml").rename(tmp_path / "demo.toml")

    assert project.recipe(str(elsewhere)).corpus == "theirs"


def test_a_campaign_with_a_typo_in_its_last_recipe_trains_none(project: Place) -> None:
    folder = project.project / "campaigns" / "mine"
    folder.mkdir(parents=True)
    (folder / "0-base.toml").write_text('base = "../../recipes/demo.toml"\n')
    (folder / "1-typo.toml").write_text('base = "0-base.toml"\n[mix.weights]\nbultin = 1.0\n')

    with pytest.raises(RecipeError, match=r"1-typo\.toml: mix\.weights\.bultin"):
        train_campaign(project, read_campaign(folder), never)
    assert not project.store.root.exists()


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


@pytest.mark.parametrize(
    ("allowed", "source", "said"),
    [
        (
            "CC-BY-4.O",
            'adapter = "builtin"',
            "under 'CC-BY-4.0', and licences_allowed has 'CC-BY-4.O', the nearest to it",
        ),
        ("MIT", 'adapter = "builtin"', "under 'CC-BY-4.0', and licences_allowed lists MIT"),
        (
            "Licence Ouvert 2.0",
            'adapter = "ban"\ninput = "ban.csv"',
            "under 'Licence Ouverte 2.0', and licences_allowed has 'Licence Ouvert 2.0', the nearest to it",
        ),
        (
            "MTI",
            'adapter = "usaddress-xml"\ninput = "x"',
            "under 'MIT' or 'ODbL-1.0', and licences_allowed has 'MTI', the nearest to it",
        ),
    ],
)
def test_a_source_whose_rows_no_allowed_licence_lets_in_is_told_when_the_spec_is_read(
    project: Place, allowed: str, source: str, said: str
) -> None:
    change(project.project, 'allowed = ["CC-BY-4.0"]', f'allowed = ["{allowed}"]', file="corpora/builtin.toml")
    change(project.project, 'adapter = "builtin"', source, file="corpora/builtin.toml")

    sentence = (
        f"builtin.toml: sources.builtin: its rows are {said}. Write it there as it is here, or remove the source."
    )
    with pytest.raises(RecipeError, match=re.escape(sentence)):
        project.corpus_spec("builtin")


@pytest.mark.parametrize(
    ("allowed", "source"),
    [
        ('"CC-BY-4.0", "CC0-1.0"', 'adapter = "builtin"'),  # a list may serve many corpora
        ('"ODbL-1.0"', 'adapter = "usaddress-xml"\ninput = "x"'),  # as its files from OpenStreetMap are
        ('"City of Reno terms"', 'adapter = "openaddresses"\ninput = "x"'),  # what its files say is not known yet
        ('"MIT"', 'adapter = "builtin"\nlicence = "MIT"'),
    ],
)
def test_a_source_whose_rows_can_be_allowed_is_read(project: Place, allowed: str, source: str) -> None:
    change(project.project, 'allowed = ["CC-BY-4.0"]', f"allowed = [{allowed}]", file="corpora/builtin.toml")
    change(project.project, 'adapter = "builtin"', source, file="corpora/builtin.toml")

    assert len(project.corpus_spec("builtin").sources) == 1
