"""What others call the columns of a log: scores of seqeval, sets of evaluations, steps, rates of parameter groups.

Each log that must not pass has a twin that does."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from foreign_logs import (
    FALLS,
    PEAK,
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
from run_logs import Curve

from mw_pipeline.verdict.columns import columns_of
from mw_pipeline.verdict.logfiles import read_log


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


def test_a_bare_folder_in_the_words_of_another_trainer_is_read(tmp_path: Path) -> None:
    lines(
        tmp_path / "steps.jsonl", [{("train_loss" if k == "loss" else k): v for k, v in r.items()} for r in trained()]
    )
    lines(tmp_path / "evals.jsonl", evaluated(eval_loss=lambda s: 0.4, eval_overall_f1=SCORES))
    assert judge(read_log(tmp_path)).outcome == "pass"

    lines(tmp_path / "evals.jsonl", evaluated(eval_loss=lambda s: 0.4, eval_overall_f1=FALLS))
    assert judge(read_log(tmp_path)).rule == "collapse"
