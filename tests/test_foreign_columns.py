"""What others call the columns of a log: scores of seqeval, sets of evaluations, parameter groups, nulls, restarts.

Each log that must not pass has a twin that does."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from run_logs import FULL, Curve, line

from mw_pipeline.errors import ArtifactError
from mw_pipeline.verdict.columns import columns_of
from mw_pipeline.verdict.exposure import RunFacts
from mw_pipeline.verdict.judge import Verdict, verdict
from mw_pipeline.verdict.logfiles import read_log
from mw_pipeline.verdict.runlog import RunLog

PEAK, WARMUP, STEPS, EVERY, EVAL_EVERY = 5e-4, 60, 2400, 12, 150
LEARNS: Curve = line([(0, 2.9), (700, 0.35), (2400, 0.29)])
SCORES: Curve = line([(0, 0.0), (900, 0.81), (2400, 0.86)])
FALLS: Curve = line([(0, 0.0), (900, 0.81), (1500, 0.80), (1650, 0.3), (2400, 0.3)])
Records = list[dict[str, Any]]


def trained(loss: Curve = LEARNS, **others: Callable[[int], Any]) -> Records:
    """Records of steps in the words of Hugging Face, with a loss that is never twice the same."""
    return [
        {"step": s, "loss": loss(s) + 1e-4 * math.sin(s), "learning_rate": PEAK * min(1.0, s / WARMUP)}
        | {name: value(s) for name, value in others.items()}
        for s in range(EVERY, STEPS + 1, EVERY)
    ]


def evaluated(**columns: Curve) -> Records:
    return [
        {"step": s, **{n: value(s) for n, value in columns.items()}} for s in range(EVAL_EVERY, STEPS + 1, EVAL_EVERY)
    ]


def lines(path: Path, records: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def judge(log: RunLog) -> Verdict:
    full = RunFacts(FULL.schedule, 4000, WARMUP, None, PEAK)
    facts = RunFacts(resumed_from=tuple(log.run.get("resumed_from_steps", ())))
    return verdict(facts, full, log.steps, log.evals)


def of_lines(path: Path, records: Sequence[dict[str, Any]]) -> Verdict:
    return judge(read_log(lines(path / "log.jsonl", records)))


WHOLE = evaluated(eval_loss=lambda s: 0.4, eval_f1=SCORES)


def test_the_log_that_all_others_here_are_made_from_passes(tmp_path: Path) -> None:
    assert of_lines(tmp_path, [*trained(), *WHOLE]).outcome == "pass"


NAMES_OF_A_SCORE = (
    "eval_overall_f1",
    "val/overall_f1",
    "dev macro avg f1-score",
    "validation_f1_macro",
    "eval_f1_score",
)


@pytest.mark.parametrize("name", NAMES_OF_A_SCORE)
def test_a_score_by_another_name_is_judged(tmp_path: Path, name: str) -> None:
    assert of_lines(tmp_path, [*trained(), *evaluated(eval_loss=lambda s: 0.4, **{name: SCORES})]).outcome == "pass"
    judged = of_lines(tmp_path, [*trained(), *evaluated(eval_loss=lambda s: 0.4, **{name: FALLS})])

    assert (judged.outcome, judged.rule, judged.step) == ("fail", "collapse", 1650)


def test_the_score_of_a_part_is_not_the_score_over_all(tmp_path: Path) -> None:
    parts = evaluated(
        eval_loss=lambda s: 0.4, eval_overall_f1=SCORES, eval_CEDEX_f1=FALLS, eval_overall_accuracy=SCORES
    )
    log = read_log(lines(tmp_path / "log.jsonl", [*trained(), *parts]))

    assert judge(log).outcome == "pass"
    assert log.columns["val_macro_f1"] == "eval_overall_f1"
    named = "unknown: 'eval_CEDEX_f1', 'eval_overall_accuracy'"
    assert [note for note in log.notes if note.endswith(named)] == list(log.notes)


SETS = {
    "a trainer's": ("eval_ca_loss", "eval_ca_f1", "eval_be_loss", "eval_be_f1"),
    "a trainer's with seqeval": ("eval_ca_loss", "eval_ca_overall_f1", "eval_be_loss", "eval_be_overall_f1"),
    "loaders by number": (
        "val_loss/dataloader_idx_0",
        "val_f1/dataloader_idx_0",
        "val_loss/dataloader_idx_1",
        "val_f1/dataloader_idx_1",
    ),
    "a folder each": ("val/ca/loss", "val/ca/f1", "val/be/loss", "val/be/f1"),
}


@pytest.mark.parametrize("kind", SETS)
@pytest.mark.parametrize("falling", [1, 3])
def test_each_of_several_evaluation_sets_is_judged(tmp_path: Path, kind: str, falling: int) -> None:
    names = SETS[kind]
    columns = {name: SCORES if "f1" in name else (lambda s: 0.4) for name in names}
    one_each = [{k: row[k] for k in ("step", *names[at : at + 2])} for row in evaluated(**columns) for at in (0, 2)]
    assert of_lines(tmp_path, [*trained(), *one_each]).outcome == "pass"

    judged = of_lines(tmp_path, [*trained(), *evaluated(**{**columns, names[falling]: FALLS})])

    assert (judged.rule, judged.step) == ("collapse", 1650)
    assert "fell from its peak" in judged.reason


@pytest.mark.parametrize("names", [("val", "dev"), ("val", "test"), ("dev", "validation")])
@pytest.mark.parametrize("falling", [0, 1])
def test_each_of_two_sets_that_are_called_by_a_side_is_judged(
    tmp_path: Path, names: tuple[str, str], falling: int
) -> None:
    columns = {f"eval_{name}_{n}": SCORES if n == "f1" else (lambda s: 0.4) for name in names for n in ("loss", "f1")}
    assert of_lines(tmp_path, [*trained(), *evaluated(**columns)]).outcome == "pass"

    judged = of_lines(tmp_path, [*trained(), *evaluated(**{**columns, f"eval_{names[falling]}_f1": FALLS})])

    assert (judged.rule, judged.step) == ("collapse", 1650)


def test_a_test_set_that_was_evaluated_once_is_named_and_not_judged(tmp_path: Path) -> None:
    once = {"step": STEPS, "eval_test_loss": 0.4, "eval_test_f1": 0.2}
    log = read_log(lines(tmp_path / "log.jsonl", [*trained(), *WHOLE, once]))

    assert judge(log).outcome == "pass"
    assert log.notes == ("a test set that was evaluated once is not judged: 'eval_test_loss', 'eval_test_f1'",)


def test_a_score_with_a_likelier_one_for_the_same_number_is_named(tmp_path: Path) -> None:
    both = evaluated(eval_loss=lambda s: 0.4, eval_macro_f1=SCORES, eval_micro_f1=SCORES)
    log = read_log(lines(tmp_path / "log.jsonl", [*trained(), *both]))

    assert log.notes == ("evaluation columns with a likelier one for the same number: 'eval_micro_f1'",)
    assert read_log(lines(tmp_path / "log.jsonl", [*trained(), *WHOLE])).notes == ()


@pytest.mark.parametrize("name", ["global_step", "trainer/global_step", "train/global_step"])
def test_a_count_of_log_calls_is_no_step_where_there_is_one(tmp_path: Path, name: str) -> None:
    rows = [*trained(), *WHOLE]
    steps = [{"_step": at, name: r["step"], **{k: v for k, v in r.items() if k != "step"}} for at, r in enumerate(rows)]
    log = read_log(lines(tmp_path / "log.jsonl", steps))

    assert (judge(log).outcome, log.columns["step"], log.steps[-1]["step"]) == ("pass", name, STEPS)
    assert log.notes == (f"steps are those of {name!r}; other numbers stand in '_step'",)
    same = [{**r, name: r["step"]} for r in rows]
    assert read_log(lines(tmp_path / "log.jsonl", same)).notes == ()
    alone = [{("_step" if k == "step" else k): v for k, v in r.items()} for r in rows]
    assert of_lines(tmp_path, alone).outcome == "pass"


def test_the_columns_of_several_sets_are_named() -> None:
    found = columns_of(["step", *SETS["a trainer's"]])

    assert found.renamed == {
        "val_loss of ca": "eval_ca_loss",
        "val_macro_f1 of ca": "eval_ca_f1",
        "val_loss of be": "eval_be_loss",
        "val_macro_f1 of be": "eval_be_f1",
    }


@pytest.mark.parametrize(
    ("names", "sets", "unknown"),
    [
        (["val_loss", "val_f1", "val_crf_loss"], {""}, ("val_crf_loss",)),
        (["val_loss", "val_f1_ca", "val_f1_be"], {"", "ca", "be"}, ()),
        (["eval_ca_loss", "eval_ca_f1"], {""}, ()),
        (["eval_ca_loss", "eval_ca_f1", "eval_be_f1", "eval_ca_CEDEX_f1"], {"ca", "be"}, ("eval_ca_CEDEX_f1",)),
        (["eval_ca_loss", "eval_be_loss"], {"ca", "be"}, ()),
        (["val_loss_epoch", "val_loss_step", "train_f1", "best_f1"], {""}, ("val_loss_step", "train_f1", "best_f1")),
        (["loss_scale", "lr-AdamW-momentum", "samples_per_second"], {""}, ()),
        (["max_lr", "head.perplexity"], {""}, ("max_lr", "head.perplexity")),
    ],
)
def test_what_is_a_set_and_what_only_looks_like_a_number_that_is_known(
    names: list[str], sets: set[str], unknown: tuple[str, ...]
) -> None:
    found = columns_of(["step", *names])

    assert (set(found.sets), found.unknown) == (sets, unknown)


def test_a_train_loss_by_an_unknown_name_is_named_and_the_run_is_invalid(tmp_path: Path) -> None:
    renamed = [{("token_nll" if k == "loss" else k): v for k, v in record.items()} for record in trained()]
    log = read_log(lines(tmp_path / "log.jsonl", [*renamed, *WHOLE]))

    assert (judge(log).outcome, judge(log).rule) == ("invalid", "losses")
    assert log.notes == ("columns that look like a loss, score or rate and are unknown: 'token_nll'",)


def table(path: Path, records: Sequence[dict[str, Any]]) -> Path:
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(dict.fromkeys(name for record in records for name in record)))
        writer.writeheader()
        writer.writerows(records)
    return path


def grouped(second: Curve, names: tuple[str, str] = ("lr-Adam/pg1", "lr-Adam/pg2")) -> Records:
    """As Lightning's monitor writes it: rates and loss of a step in rows of their own."""
    rates = [{"step": r["step"], names[0]: r["learning_rate"], names[1]: second(r["step"])} for r in trained()]
    return [*rates, *({"step": r["step"], "train_loss": r["loss"]} for r in trained()), *WHOLE]


TENTH: Curve = lambda s: PEAK / 10 * min(1.0, s / WARMUP)  # noqa: E731


@pytest.mark.parametrize(
    "names", [("lr-Adam/pg1", "lr-Adam/pg2"), ("lr/encoder", "lr/head"), ("learning_rate_0", "learning_rate_1")]
)
def test_the_rates_of_parameter_groups_are_read(tmp_path: Path, names: tuple[str, str]) -> None:
    log = read_log(table(tmp_path / "log.csv", grouped(TENTH, names)))

    assert judge(log).outcome == "pass"
    assert [row["lr"] for row in log.steps] == pytest.approx([row["learning_rate"] for row in trained()])
    assert log.columns["lr"] == ", ".join(names)


def test_a_step_is_near_the_peak_where_every_group_of_parameters_is(tmp_path: Path) -> None:
    decays: Curve = lambda s: TENTH(s) * (1.0 if s < 600 else 0.3)  # noqa: E731
    judged = judge(read_log(table(tmp_path / "log.csv", grouped(decays))))
    frozen = judge(read_log(table(tmp_path / "log.csv", grouped(lambda s: 0.0))))

    assert (judged.rule, judged.evidence["near_peak_window"][1] <= 601) == ("exposure", True)
    assert frozen.outcome == "pass"


@pytest.mark.parametrize(
    ("written", "outcome"),
    [
        (lambda rate: [rate, rate / 10], "pass"),
        (lambda rate: f"[{rate}, {rate}]", "pass"),
        (lambda rate: f"{rate}", "pass"),
        (lambda rate: "scheduled", "invalid"),
        (lambda rate: {"pg1": rate}, "invalid"),
        (lambda rate: [], "invalid"),
        (lambda rate: None, "invalid"),
        (lambda rate: 0.0, "invalid"),
    ],
)
def test_rates_that_cannot_be_read_make_a_run_invalid(
    tmp_path: Path, written: Callable[[float], Any], outcome: str
) -> None:
    records = [{**record, "learning_rate": written(record["learning_rate"])} for record in trained()]
    judged = of_lines(tmp_path, [*records, *WHOLE])

    assert (judged.outcome, judged.rule) == (outcome, None if outcome == "pass" else "learning_rate")


def test_a_rate_that_is_not_finite_is_no_rate_but_a_failure(tmp_path: Path) -> None:
    records = [{**r, "learning_rate": [math.nan if r["step"] > 1200 else PEAK, PEAK]} for r in trained()]

    assert of_lines(tmp_path, [*records, *WHOLE]).step == 1212


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


def test_a_bare_folder_in_the_words_of_another_trainer_is_read(tmp_path: Path) -> None:
    lines(
        tmp_path / "steps.jsonl", [{("train_loss" if k == "loss" else k): v for k, v in r.items()} for r in trained()]
    )
    lines(tmp_path / "evals.jsonl", evaluated(eval_loss=lambda s: 0.4, eval_overall_f1=SCORES))
    assert judge(read_log(tmp_path)).outcome == "pass"

    lines(tmp_path / "evals.jsonl", evaluated(eval_loss=lambda s: 0.4, eval_overall_f1=FALLS))
    assert judge(read_log(tmp_path)).rule == "collapse"


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
