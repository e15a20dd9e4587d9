"""Each check of the graph passes on a tiny project as it is, and fails once its artifact says something it must not."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny_line import made, problems, remade_release
from tiny_project import add_source_without_training_rows, change, edit_json, place_at, rewrite

from mw_pipeline.digest import JSON
from mw_pipeline.errors import ArtifactError, RecipeError
from mw_pipeline.stages import checks, line
from mw_pipeline.stages.checks import release
from mw_pipeline.stages.findings import Check
from mw_pipeline.stages.lock import unlock
from mw_pipeline.stages.package_scores import scores_of_package
from mw_pipeline.stages.place import Place
from mw_pipeline.stages.upstream import prepare_corpus
from mw_pipeline.verdict.evidence import Evidence

pytestmark = pytest.mark.slow

OF_A_SOURCE: list[Check] = [checks.rows_match_schema, checks.rows_are_conserved, checks.quarantine_within_budget]
OF_A_CORPUS: list[Check] = [
    checks.splits_are_disjoint,
    checks.licences_are_allowed,
    checks.golden_is_valid,
    checks.golden_is_not_in_train,
    checks.labels_agree,
    checks.ordinals_are_no_house_numbers,
    checks.scripts_are_at_home,
]
OF_A_RECIPE: list[Check] = [
    checks.mix_is_as_declared,
    checks.mix_is_not_concentrated,
    checks.recipe_changes_one_thing,
    checks.tokenizer_round_trips,
    checks.labels_survive_tokenizing,
    checks.dataset_matches_schema,
    checks.smoke_verdict,
    checks.run_is_sound,
    checks.eval_is_comparable,
    checks.package_matches_checkpoint,
    checks.quantisation_costs_little,
    checks.release_beats_its_gates,
    checks.no_cell_is_blind,
]


@pytest.mark.parametrize(
    ("check", "partition"),
    [
        *((check, "builtin:builtin") for check in OF_A_SOURCE),
        *((check, "builtin") for check in OF_A_CORPUS),
        *((check, "demo") for check in OF_A_RECIPE),
    ],
)
def test_the_tiny_project_passes_every_check(tiny_line: Path, check: Check, partition: str) -> None:
    found = check(place_at(tiny_line), partition)

    assert found.problems == ()
    assert found.summary


def test_a_weighted_source_without_rows_is_found(place: Place) -> None:
    # M09
    add_source_without_training_rows(place.project)
    prepare_corpus(place, "builtin")
    line.source_mix.make(place, "demo")

    assert "ghost" in problems(checks.mix_is_as_declared, place)


def test_a_mix_that_says_of_itself_that_it_is_as_declared_is_drawn_again(place: Place) -> None:
    # M68: a whole artifact, whose mix.json has no finding
    assert checks.mix_is_as_declared(place, "demo").problems == ()
    add_source_without_training_rows(place.project)
    prepare_corpus(place, "builtin")
    forged = rewrite(line.source_mix.make(place, "demo").artifact, "mix.json", edit_json(findings=[]))

    found = checks.mix_is_as_declared(place, "demo").problems

    assert found[0] == f"mix.json is not what the sampler draws: delete {forged.path} and plan the mix again"
    assert "ghost" in found[1]


def test_a_recipe_that_changes_two_things_at_once_is_found(place: Place) -> None:
    # M05
    text = 'base = "demo.toml"\n\n[train]\npeak_lr = 1e-3\n\n[model]\nlayers = 2\n'
    (place.project / "recipes" / "two.toml").write_text(text)

    assert "changes model, train at once" in problems(checks.recipe_changes_one_thing, place, "two")


def test_spans_lost_to_the_tokenizer_are_found(place: Place) -> None:
    lost = edit_json(survival__locality={"gold": 1000, "survived": 900})
    rewrite(made(place, "tokenized_dataset"), "dataset.json", lost)

    assert "locality" in problems(checks.labels_survive_tokenizing, place)


def test_a_dataset_that_is_not_what_its_summary_counts_is_found(place: Place) -> None:
    rewrite(made(place, "tokenized_dataset"), "dataset.json", edit_json(splits__train__rows=7))

    assert "7" in problems(checks.dataset_matches_schema, place)


def test_a_run_of_many_passes_over_few_rows_is_found(place: Place) -> None:
    # M27
    change(place.project, "steps = 240", "steps = 24000")

    assert problems(checks.data_is_enough, place)


@pytest.mark.parametrize(
    ("forged", "found"),
    [
        ({"precision": "bf16"}, "precision 'bf16', recipe and data have 'fp32'"),
        ({"threads": 2}, "threads 2, recipe and data have 1"),
        ({"compiled_by": "g++ 12"}, "compiled_by 'g++ 12', recipe and data have None"),
    ],
)
def test_a_part_of_a_run_that_claims_another_kind_than_the_recipe_has_is_found(
    place: Place, forged: dict[str, JSON], found: str
) -> None:
    """Two kinds of parts are held to a thousand times the tolerance of one kind."""

    def second_part(path: Path) -> None:
        run = json.loads(path.read_text())
        parts = [*run["parts"], {**run["parts"][0], "from_step": 100, **forged}]
        path.write_text(json.dumps({**run, "parts": parts, "resumed_from_steps": [100]}))

    rewrite(made(place, "full_checkpoint"), "run.json", second_part)

    assert problems(checks.run_is_sound, place) == f"part 2 of run.json has {found}"


def test_a_full_run_that_ended_before_its_steps_is_found(place: Place) -> None:
    rewrite(made(place, "full_checkpoint"), "run.json", edit_json(status="BUDGET_EXHAUSTED", step=100))

    assert "the run ended as 'BUDGET_EXHAUSTED' at step 100 of 240" in problems(checks.run_is_sound, place)


@pytest.mark.parametrize(
    ("forged", "name"),
    [
        ({"pool_batches": 127}, "pool_batches 127, recipe and data have 128"),
        ({"accumulation": 2, "batch_size": 8}, "accumulation 2, recipe and data have 1"),
        ({"patience_evals": 3}, "patience_evals 3, recipe and data have None"),
        ({"device_asked": "cuda"}, "device_asked 'cuda', recipe and data have"),
        ({"initial_weights": "c0ffee"}, "initial_weights 'c0ffee', recipe and data have 'random'"),
        ({"label_entropy": 0.5}, "label_entropy 0.5, recipe and data have"),
        ({"digests__code": "0" * 64}, "digests {"),
    ],
)
def test_a_full_run_that_says_otherwise_than_recipe_and_data_is_found(
    place: Place, forged: dict[str, JSON], name: str
) -> None:
    rewrite(made(place, "full_checkpoint"), "run.json", edit_json(**forged))

    assert f"run.json has {name}" in problems(checks.run_is_sound, place)


def test_a_full_run_in_another_precision_than_its_smoke_is_found(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    # M68, as where the recipe leaves it to the machine and another one has made the smoke.
    read = Evidence.read

    def smoked_in_bf16(folder: Path, *, smoke: Path) -> Evidence:
        found = read(folder, smoke=smoke)
        return replace(found, smoke=replace(found.smoke, run={**found.smoke.run, "precision": "bf16"}))

    monkeypatch.setattr(Evidence, "read", smoked_in_bf16)

    assert "run.json has precision 'fp32', its smoke had 'bf16'" in problems(checks.run_is_sound, place)


@pytest.mark.parametrize("forged", [{"pool_batches": 10**15}, {"accumulation": 1.5}, {"accumulation": 0}])
def test_a_fact_that_no_run_could_have_stops_its_check(place: Place, forged: dict[str, JSON]) -> None:
    rewrite(made(place, "full_checkpoint"), "run.json", edit_json(**forged))

    with pytest.raises(ArtifactError, match=rf"run\.json: {next(iter(forged))} is .*Repair it, or remove it"):
        checks.run_is_sound(place, "demo")


@pytest.mark.parametrize("name", ["gold", "labels"])
def test_scores_on_other_gold_or_labels_are_found(place: Place, name: str) -> None:
    # M44
    rewrite(made(place, "eval_report"), "scores.json", edit_json(**{f"hashes__{name}": "0" * 64}))

    assert f"scores.json names {name} '{'0' * 64}', this recipe's is '" in problems(checks.eval_is_comparable, place)


def test_an_export_with_other_logits_is_found(place: Place) -> None:
    edit = edit_json(fp32_against_checkpoint__max_logit_difference=0.01)
    rewrite(made(place, "packaged_weights"), checks.PARITY_FILE, edit)

    assert "allowed 0.001" in problems(checks.package_matches_checkpoint, place)


def test_int8_bytes_that_decode_otherwise_are_found(place: Place) -> None:
    # M53
    change(place.project, "min_label_agreement = 0.0", "min_label_agreement = 0.95")
    remade_release(place)
    edit = edit_json(int8_against_checkpoint__label_agreement_share=0.9)
    rewrite(made(place, "packaged_weights"), checks.PARITY_FILE, edit)

    assert "of labels, eval.min_label_agreement is 95.00%" in problems(checks.quantisation_costs_little, place)


@pytest.fixture
def measure(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, dict[str, JSON]], None]:
    """Lets the bytes of a locale's package score something else; `a__b` is the key b of the table a."""
    instead: dict[str, dict[str, JSON]] = {}

    def scores(folder: Path, *, locale: str, **given: Any) -> dict[str, JSON]:
        found = scores_of_package(folder, locale=locale, **given)
        for key, value in instead.get(locale, {}).items():
            *tables, last = key.split("__")
            functools.reduce(dict.__getitem__, tables, found)[last] = value
        return found

    monkeypatch.setattr(release, "scores_of_package", scores)
    return instead.__setitem__


@pytest.mark.parametrize("score", [-0.2, math.nan])
def test_packages_that_lost_too_much_or_score_no_number_are_found(
    place: Place, measure: Callable[[str, dict[str, JSON]], None], score: float
) -> None:
    # M51: what counts is what the packaged bytes score.
    measure("en-us", {"golden__core_macro_f1": score, "golden, US rows__core_macro_f1": score})

    assert "int8 costs" in problems(checks.quantisation_costs_little, place)
    assert "asks a lower end of 0.00" in problems(checks.release_beats_its_gates, place)


@pytest.mark.parametrize("name", ["golden", "golden, FR rows"])
def test_a_card_that_quotes_what_its_bytes_do_not_score_is_found(place: Place, name: str) -> None:
    # M51
    assert checks.release_beats_its_gates(place, "demo").problems == ()

    edit = edit_json(**{f"metrics__{name}__core_macro_f1": 1.0})
    rewrite(made(place, "packaged_weights"), "fr-fr/model-card.json", edit)

    found = problems(checks.release_beats_its_gates, place)
    assert found.startswith(f"fr-fr: its card quotes what its bytes do not score ({name}: 1.0 for 0.")


def test_files_of_a_package_that_are_not_as_its_sums_say_are_found(place: Place) -> None:
    rewrite(made(place, "packaged_weights"), "fr-fr/README.md", lambda path: path.write_text("lies"))

    assert "fr-fr: README.md" in problems(checks.package_matches_checkpoint, place)


def test_a_release_above_its_gate_whose_interval_begins_below_it_is_refused(
    place: Place, measure: Callable[[str, dict[str, JSON]], None]
) -> None:
    # M78
    change(place.project, "[eval]", "[eval]\nmin_core_macro_f1 = 0.9")
    remade_release(place)

    def measured(locale: str, country: str, low: float) -> None:
        own = f"golden, {country} rows"
        measure(locale, {f"{own}__core_macro_f1": 0.97, f"{own}__intervals__core_macro_f1": [low, 0.99]})

    measured("en-us", "US", 0.95)
    measured("fr-fr", "FR", 0.88)
    assert "fr-fr: core macro-F1 0.9700 (0.8800 … 0.9900)" in problems(checks.release_beats_its_gates, place)

    measured("fr-fr", "FR", 0.91)
    assert "asks a lower end" not in problems(checks.release_beats_its_gates, place)


def test_a_further_set_that_the_recipe_names_gates_the_release_and_one_that_is_absent_is_not_asked(
    place: Place, measure: Callable[[str, dict[str, JSON]], None]
) -> None:
    # M86
    gates = "[eval.gates]\nextra.min_exact_match = 0.9\nabsent.min_exact_match = 0.9\n\n[eval]"
    change(place.project, "[eval]", gates)
    remade_release(place)

    refused = problems(checks.release_beats_its_gates, place)
    assert "on 1 rows of extra, eval.gates.extra.min_exact_match asks a lower end of 0.90" in refused
    assert "absent" not in refused

    for locale, country in (("en-us", "US"), ("fr-fr", "FR")):
        own = f"extra, {country} rows"
        measure(locale, {f"{own}__exact_match": 0.95, f"{own}__intervals__exact_match": [0.91, 1.0]})
    found = checks.release_beats_its_gates(place, "demo")
    assert not any("extra.min_exact_match asks" in problem for problem in found.problems)
    assert "eval.gates.absent was not asked: absent is not scored: 'nowhere/*.jsonl' matches no file" in found.summary


def test_a_gate_on_a_set_that_the_corpus_does_not_name_is_refused_by_the_lock(place: Place) -> None:
    change(place.project, "[eval]", "[eval.gates.ekstra]\nmin_exact_match = 0.1\n\n[eval]")

    with pytest.raises(
        RecipeError, match=r"eval\.gates\.ekstra is no golden set of corpus 'builtin'; the nearest is 'extra'"
    ):
        unlock(place, "demo")


def test_a_gate_on_a_set_that_the_corpus_names_opens_the_lock(place: Place) -> None:
    change(place.project, "[eval]", "[eval.gates.extra]\nmin_exact_match = 0.1\n\n[eval]")

    assert unlock(place, "demo").outcome == "pass"


def test_the_report_scores_a_set_on_the_tags_that_its_labels_are_complete_for(tiny_line: Path) -> None:
    scores = made(place_at(tiny_line), "eval_report").read_json("golden_sets.json")["scores"]["extra"]

    assert scores["tags"] == ["locality", "postcode", "street", "house_number"]
    assert set(scores["denominators"]["core_macro_f1"]) == set(scores["tags"])


def test_a_tag_that_no_row_holds_is_named(place: Place) -> None:
    taught = {tag: {"gold": 9, "survived": 9} for tag in place.recipe("demo").label_set.tags}
    rewrite(made(place, "tokenized_dataset"), "dataset.json", edit_json(survival=taught))
    assert checks.every_tag_is_taught(place, "demo").problems == ()

    del taught["cedex"]
    rewrite(made(place, "tokenized_dataset"), "dataset.json", edit_json(survival=taught))
    assert problems(checks.every_tag_is_taught, place) == "no row of corpus 'builtin' holds cedex"


def test_a_check_shows_numbers_as_numbers_and_tables_as_tables(tiny_line: Path) -> None:
    found = checks.rows_are_conserved(place_at(tiny_line), "builtin:builtin")

    assert found.evidence["kept"] > 0
    assert "| kept |" in found.evidence["waterfall"]
