"""What others write into the columns of a log: nulls, blanks and clocks, and steps that begin anew, late or twice.

Each log that must not pass has a twin that does."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from foreign_logs import (
    EVERY,
    FALLS,
    SCORES,
    STEPS,
    WARMUP,
    WHOLE,
    Records,
    evaluated,
    judge,
    lines,
    of_lines,
    table,
    trained,
)
from hypothesis import given
from hypothesis import strategies as st
from run_logs import line

from mw_pipeline.errors import ArtifactError
from mw_pipeline.verdict.exposure import RunFacts
from mw_pipeline.verdict.judge import verdict
from mw_pipeline.verdict.logfiles import read_log


@pytest.mark.parametrize("column", ["loss", "eval_loss"])
@pytest.mark.parametrize("value", [None, "NaN", "nan", "Infinity", math.nan])
def test_a_loss_that_was_a_number_and_becomes_null_is_not_finite(tmp_path: Path, column: str, value: Any) -> None:
    # M71: what a run that has diverged leaves where JSON has no NaN.
    records = [*trained(), *WHOLE]
    lost = [{**r, column: value} if column in r and r["step"] > 1300 else r for r in records]
    judged = of_lines(tmp_path, lost)

    assert (judged.outcome, judged.rule) == ("fail", "nonfinite")
    assert judged.step == (1308 if column == "loss" else 1350)


def test_columns_that_a_record_does_not_fill_are_not_lost_losses(tmp_path: Path) -> None:
    """One table of all columns, null where a record does not log one, and a first loss that came late."""
    names = dict.fromkeys(name for record in (*trained(), *WHOLE) for name in record)
    records = [{name: record.get(name) for name in names} for record in (*trained(), *WHOLE)]
    records[0]["loss"] = None

    assert of_lines(tmp_path, sorted(records, key=lambda record: record["step"])).outcome == "pass"
    for record in records:
        if record["loss"] is not None and record["step"] > 1200:
            record["loss"] = None
    assert of_lines(tmp_path, sorted(records, key=lambda record: record["step"])).rule == "nonfinite"


def test_a_rate_that_is_logged_apart_from_the_loss_has_lost_none(tmp_path: Path) -> None:
    """As a monitor of rates writes them into a table without blanks: at steps of their own, with the loss null."""
    rates = [{"step": r["step"] + 1, "lr": r["learning_rate"], "loss": None} for r in trained()]
    losses = [{"step": r["step"], "lr": None, "loss": r["loss"]} for r in trained()]
    assert of_lines(tmp_path, sorted([*rates, *losses, *WHOLE], key=lambda r: r["step"])).outcome == "pass"

    lost = [{**r, "loss": None if r["step"] > 1300 else r["loss"]} for r in losses]
    judged = of_lines(tmp_path, sorted([*rates, *lost, *WHOLE], key=lambda r: r["step"]))
    assert (judged.rule, judged.step) == ("nonfinite", 1308)


def wide(until: int = STEPS, scored: int = STEPS) -> Records:
    """One record for each logged step: null after step `until`, and in the columns of an evaluation between these."""
    rows = []
    for r in trained():
        s: int = r["step"]
        judged = {"val_loss": 0.4 if s <= scored else None, "val_f1": SCORES(s)}
        loss = r["loss"] if s <= until else None
        rows.append({**r, "loss": loss, **(judged if s % 120 == 0 else dict.fromkeys(judged))})
    return rows


def test_a_null_between_evaluations_is_no_lost_loss(tmp_path: Path) -> None:
    assert of_lines(tmp_path, wide()).outcome == "pass"

    lost, scored = of_lines(tmp_path, wide(until=1300)), of_lines(tmp_path, wide(scored=1300))
    assert (lost.outcome, lost.rule, lost.step) == ("fail", "nonfinite", 1308)
    assert (scored.outcome, scored.rule, scored.step) == ("fail", "nonfinite", 1320)


def test_a_loss_that_is_logged_at_every_third_rate_is_lost_where_the_next_is_due(tmp_path: Path) -> None:
    def rows(until: int) -> Records:
        apart = [{**r, "loss": r["loss"] if r["step"] % 36 == 0 and r["step"] <= until else None} for r in trained()]
        return [*apart, *WHOLE]

    assert of_lines(tmp_path, rows(STEPS)).outcome == "pass"
    judged = of_lines(tmp_path, rows(1300))
    assert (judged.outcome, judged.rule, judged.step) == ("fail", "nonfinite", 1332)


@pytest.mark.parametrize(("name", "value"), [("timestamp", "2026-01-01T00:00:07"), ("elapsed", "00:01:23")])
def test_a_clock_that_is_no_number_is_left_out_and_named(tmp_path: Path, name: str, value: str) -> None:
    log = read_log(lines(tmp_path / "log.jsonl", [*({**r, name: value} for r in trained()), *WHOLE]))
    assert (judge(log).outcome, log.notes) == (
        "pass",
        (f"step times not checked: {name!r} holds no number of seconds",),
    )

    timed = read_log(lines(tmp_path / "log.jsonl", [*({**r, name: 0.2 * r["step"]} for r in trained()), *WHOLE]))
    assert (judge(timed).outcome, timed.notes, timed.columns["wall_seconds"]) == ("pass", (), name)


@pytest.mark.parametrize("length", [48, 600])
def test_steps_that_count_anew_in_each_epoch_are_refused(tmp_path: Path, length: int) -> None:
    within = [{**r, "epoch": r["step"] // length, "step": 1 + r["step"] % length} for r in trained()]
    with pytest.raises(ArtifactError, match="steps count anew in each epoch"):
        of_lines(tmp_path, [*within, *WHOLE])

    whole = [{**r, "epoch": r["step"] // length} for r in trained()]
    again = [r for r in whole if r["step"] <= 1500] + [r for r in whole if r["step"] > 900]
    assert of_lines(tmp_path, [*again, *WHOLE]).outcome == "pass"


def test_a_blank_cell_was_not_logged(tmp_path: Path) -> None:
    some = [{**r, "loss": "" if r["step"] % 24 == 0 else r["loss"]} for r in trained()]
    assert judge(read_log(table(tmp_path / "log.csv", [*some, *WHOLE]))).outcome == "pass"

    spelled = [{**r, "loss": "nan" if r["step"] == 1200 else r["loss"]} for r in trained()]
    assert judge(read_log(table(tmp_path / "log.csv", [*spelled, *WHOLE]))).rule == "nonfinite"


def test_losses_that_stop_in_the_middle_leave_a_log_that_is_not_whole(tmp_path: Path) -> None:
    history = [{k: v for k, v in r.items() if k != "loss" or r["step"] <= 1500} for r in trained()]
    (tmp_path / "trainer_state.json").write_text(json.dumps({"max_steps": STEPS, "log_history": [*history, *WHOLE]}))
    log = read_log(tmp_path)
    judged = verdict(RunFacts(steps=log.run["max_steps"]), RunFacts("cosine", 4000, WARMUP), log.steps, log.evals)

    assert (judged.outcome, judged.rule) == ("invalid", "log_incomplete")
    assert "it ends at step 1500 of 2400" in judged.reason


def test_rates_that_go_on_without_losses_show_nothing(tmp_path: Path) -> None:
    judged = of_lines(tmp_path, [*(r if r["step"] <= 1500 else _rate_of(r) for r in trained()), *WHOLE])

    assert (judged.outcome, judged.rule) == ("invalid", "log_incomplete")
    assert "it ends at step 1500 of 2400" in judged.reason


def _rate_of(record: dict[str, Any]) -> dict[str, Any]:
    return {"step": record["step"], "learning_rate": record["learning_rate"]}


def test_a_log_that_begins_in_the_middle_is_not_whole(tmp_path: Path) -> None:
    judged = of_lines(tmp_path, [record for record in [*trained(), *WHOLE] if record["step"] > 300])

    assert (judged.outcome, judged.rule) == ("invalid", "log_incomplete")
    assert "it begins at step 312" in judged.reason


def test_what_a_restart_took_back_is_not_judged_though_the_new_steps_are_others(tmp_path: Path) -> None:
    # M85, in a file that a resumed run went on writing to: it diverged, went back to step 900, and logged every 12 + 5.
    before = [r for r in trained(line([(0, 2.9), (700, 0.35), (1000, 0.3), (1400, 5.0)])) if r["step"] <= 1500]
    after = [{**r, "step": r["step"] + 5} for r in trained() if 900 < r["step"] < STEPS - 5]
    fallen = [r for r in evaluated(eval_loss=lambda s: 0.4, eval_f1=FALLS) if r["step"] <= 1500]
    assert of_lines(tmp_path, [*before, *fallen]).rule == "rebound"

    log = read_log(lines(tmp_path / "log.jsonl", [*before, *fallen, *after, *(r for r in WHOLE if r["step"] > 900)]))

    assert judge(log).outcome == "pass"
    assert log.run == {"resumed_from_steps": [916]}
    assert any("were taken back by a restart" in note for note in log.notes)


def test_records_that_are_sorted_in_another_way_are_all_kept(tmp_path: Path) -> None:
    log = read_log(lines(tmp_path / "log.jsonl", [*trained(), *WHOLE][::-1]))

    assert (len(log.steps), log.run, log.notes) == (STEPS // EVERY, {}, ())
    assert judge(log).outcome == "pass"


_CELLS = st.one_of(
    st.none(),
    st.booleans(),
    st.floats(),
    st.integers(-3, 2000),
    st.sampled_from([10**400, "NaN", "", "x", "[0.1, 0.2]", [1, 2], [], {"a": 1}]),
)


_TRAINED = ("step", "loss", "lr", "lr/pg1", "lr/pg2", "grad_norm", "runtime", "")


_SCORED = ("eval_loss", "eval_f1", "eval_ca_loss", "eval_ca_f1", "eval_be_f1")


_NAMES = st.sampled_from([*_TRAINED, *_SCORED])


_RECORDS = st.lists(st.dictionaries(_NAMES, _CELLS, max_size=8), min_size=1, max_size=30)


@given(_RECORDS, st.booleans())
def test_whatever_lies_in_a_log_ends_in_a_verdict_or_in_a_refusal(
    tmp_path_factory: pytest.TempPathFactory, records: list[dict[str, Any]], numbered: bool
) -> None:
    rows = [{**record, "step": 10 * at} if numbered else record for at, record in enumerate(records)]
    path = lines(tmp_path_factory.mktemp("log") / "log.jsonl", rows)
    try:
        judged = judge(read_log(path))
    except ArtifactError as error:
        assert str(path) in str(error)
    else:
        assert judged.outcome in ("fail", "invalid")
        json.dumps(judged.to_json(), allow_nan=False)
