"""The gates of a release: lower ends of intervals, each locale on its own rows, and gold that others labelled."""

from __future__ import annotations

import math
from typing import Any

import pytest

from mw_pipeline.recipe import EvalConfig, SetGate
from mw_pipeline.stages.release_gates import badly_calibrated, gates_of, reached, unasked

LOCALES = ("en-us", "fr-fr")
SKIPPED = {"skipped": "real is not scored: 'x' matches no file below MW_DATA"}


def part(value: float | None, low: float | None = None, *, exact: float = 1.0) -> dict[str, Any]:
    bounds = {"core_macro_f1": None if low is None else [low, 1.0], "exact_match": [exact - 0.1, 1.0]}
    return {"core_macro_f1": value, "exact_match": exact, "intervals": bounds, "rows": 100}


def gate_config(**values: Any) -> EvalConfig:
    return EvalConfig(min_core_macro_f1=0.9, **values)


def refusals(config: EvalConfig, metrics: dict[str, Any]) -> list[str]:
    return [str(found) for found in reached(config, metrics) if not found.passes]


def test_a_score_above_its_gate_with_a_lower_end_below_it_does_not_pass() -> None:  # M78
    (problem,) = refusals(gate_config(), {"en-us": {"golden, US rows": part(0.95, 0.89)}})

    assert problem == (
        "en-us: core macro-F1 0.9500 (0.8900 … 1.0000) on 100 rows of golden, "
        "eval.min_core_macro_f1 asks a lower end of 0.90"
    )
    assert refusals(gate_config(), {"en-us": {"golden, US rows": part(0.95, 0.90)}}) == []


def test_each_locale_is_judged_by_its_own_rows() -> None:  # M78
    everything = {"golden": part(0.99, 0.98), "golden, US rows": part(0.99, 0.98), "golden, FR rows": part(0.7, 0.6)}

    problems = refusals(gate_config(), dict.fromkeys(LOCALES, everything))

    assert [problem.split(":")[0] for problem in problems] == ["fr-fr"]
    assert refusals(gate_config(), {"en-us": everything}) == []


def test_a_further_set_gates_what_the_recipe_asks_of_it() -> None:  # M86
    config = gate_config(gates={"real": SetGate(min_core_macro_f1=0.5, min_exact_match=0.8)})
    own = {"golden, US rows": part(0.99, 0.98)}

    low = refusals(config, {"en-us": {**own, "real, US rows": part(0.78, 0.75, exact=0.85)}})
    high = refusals(config, {"en-us": {**own, "real, US rows": part(0.78, 0.75, exact=0.95)}})

    assert low == [
        "en-us: exact match 0.8500 (0.7500 … 1.0000) on 100 rows of real, "
        "eval.gates.real.min_exact_match asks a lower end of 0.80"
    ]
    assert high == []
    assert [gate.key for gate in gates_of(config)] == [
        "eval.min_core_macro_f1",
        "eval.gates.real.min_core_macro_f1",
        "eval.gates.real.min_exact_match",
    ]


@pytest.mark.parametrize(("value", "low"), [(math.nan, 0.95), (0.95, math.nan), (-0.2, 0.95), (0.95, None)])
def test_no_number_and_too_few_families_for_an_interval_pass_no_gate(value: float, low: float | None) -> None:
    assert len(refusals(gate_config(), {"en-us": {"golden, US rows": part(value, low)}})) == 1


def test_a_gate_of_nothing_is_passed_without_an_interval() -> None:
    assert refusals(EvalConfig(), {"en-us": {"golden, US rows": part(0.1)}}) == []


def questions(config: EvalConfig, sets: dict[str, Any], metrics: dict[str, Any]) -> tuple[list[str], list[str]]:
    return unasked(config, sets, reached(config, metrics), LOCALES)


OWN = {"en-us": {"golden, US rows": part(0.99, 0.98)}, "fr-fr": {"golden, FR rows": part(0.99, 0.98)}}


def test_a_gate_on_an_optional_set_that_is_not_there_is_not_asked_and_says_so() -> None:
    config = gate_config(gates={"real": SetGate(min_exact_match=0.5)})

    problems, remarks = questions(config, {"real": SKIPPED}, OWN)

    assert problems == []
    assert remarks == [f"eval.gates.real was not asked: {SKIPPED['skipped']}"]


def test_a_set_without_a_row_of_any_locale_judges_nothing_and_blocks() -> None:
    config = gate_config(gates={"real": SetGate(min_exact_match=0.5)})
    measured = {**OWN, "en-us": {**OWN["en-us"], "real, US rows": part(0.99, 0.98)}}

    assert questions(config, {"real": {}}, measured) == ([], [])
    assert questions(config, {"real": {}}, OWN)[0] == [
        "eval.gates.real.min_exact_match judges nothing of en-us, fr-fr: real has no scored row of theirs"
    ]


def test_a_locale_that_no_row_of_the_own_gold_judges_blocks_where_the_recipe_asks_something() -> None:  # M78
    half = {"en-us": OWN["en-us"], "fr-fr": {"golden": part(0.99, 0.98)}}

    assert questions(gate_config(), {}, half)[0] == [
        "eval.min_core_macro_f1 judges nothing of fr-fr: golden has no scored row of theirs"
    ]
    assert questions(gate_config(), {}, OWN) == ([], [])
    assert questions(EvalConfig(), {}, half) == ([], [])


def calibrated(ece: float | None, rows: int = 100) -> dict[str, Any]:
    return {"golden, FR rows": {"ece": ece, "rows": rows}}


@pytest.mark.parametrize("ece", [0.0501, math.nan, None, 1.0])
def test_confidences_that_are_off_by_more_than_five_points_refuse_the_release(ece: float | None) -> None:
    (problem,) = badly_calibrated(
        EvalConfig(), {"en-us": {"golden, US rows": {"ece": 0.05, "rows": 9}}, "fr-fr": calibrated(ece)}
    )

    assert problem.startswith("fr-fr: the confidences of spans are off by ")
    assert problem.endswith("over ten buckets) on 100 rows of golden, eval.max_ece is 0.05")


def test_confidences_within_five_points_pass_and_a_recipe_may_ask_less_or_nothing() -> None:
    assert badly_calibrated(EvalConfig(), {"fr-fr": calibrated(0.05)}) == []
    assert badly_calibrated(EvalConfig(max_ece=0.2), {"fr-fr": calibrated(0.2)}) == []
    assert badly_calibrated(EvalConfig(max_ece=1.0), {"fr-fr": calibrated(None)}) == []


def test_a_further_set_is_asked_for_its_calibration_where_its_gate_says_so() -> None:
    metrics = {"fr-fr": {**calibrated(0.01), "real, FR rows": {"ece": 0.06, "rows": 30}}}

    assert badly_calibrated(EvalConfig(gates={"real": SetGate(min_exact_match=0.5)}), metrics) == []
    (problem,) = badly_calibrated(EvalConfig(gates={"real": SetGate(min_exact_match=0.5, max_ece=0.05)}), metrics)
    assert problem.endswith("on 30 rows of real, eval.gates.real.max_ece is 0.05")


def test_a_locale_is_judged_by_the_confidences_of_its_own_rows_alone() -> None:  # M78
    everything = {"golden": {"ece": 0.01, "rows": 9}, "golden, US rows": {"ece": 0.01, "rows": 9}, **calibrated(0.2)}

    assert [found[:5] for found in badly_calibrated(EvalConfig(), dict.fromkeys(LOCALES, everything))] == ["fr-fr"]
