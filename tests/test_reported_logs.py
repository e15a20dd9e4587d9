"""Logs as people reported them elsewhere, through the command line, where they are there.

Inputs of our own of each kind, each beside a twin that passes, are judged by the tests of rules, exposure, foreign
columns and event files.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mw_pipeline.cli import main


@pytest.fixture(scope="module")
def cases(project: Path) -> Path:
    """The folder of reported logs: `cases/logs` of MW_SHARED, else of `shared` beside the checkout."""
    places = [Path(os.environ.get("MW_SHARED", "shared")), project.parent / "shared"]
    path = next((place / "cases" / "logs" for place in places if (place / "cases" / "logs").is_dir()), None)
    if path is None:
        pytest.skip(f"no reported logs in {' or '.join(map(str, places))}")
    return path


ANSWERS: Mapping[str, tuple[int, str | None, str | None]] = {
    "c00_healthy": (0, "pass", None),
    "c01c_nan_as_null": (1, "fail", "nonfinite"),
    "c03_rounded_small_loss": (0, "pass", None),
    "c04_grad_norm_placeholder": (0, "pass", None),
    "c05_amp_first_grad_nan": (0, "pass", None),
    "c06_two_eval_sets": (0, "pass", None),
    "c13_no_lr": (1, "invalid", "learning_rate"),
    "c13c_one_row_no_lr": (1, "invalid", "learning_rate"),
    "c16_seqeval_overall_f1_collapses": (1, "fail", "collapse"),
    "c21_lightning_param_groups": (0, "pass", None),
    "t1_tb_restart_purge_other_grid": (0, "pass", None),
    "t5_tb_two_runs_one_folder": (2, None, None),
}


def ask(path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any], str]:
    """Exit status, JSON and words of the verdict of the recipe demo on a log."""
    status = main(["verdict", "--recipe", "demo", "--run", str(path)])
    out, err = capsys.readouterr()
    return status, json.loads(out) if out else {}, err


@pytest.mark.parametrize("case", ANSWERS)
def test_a_reported_log_gets_the_right_verdict(cases: Path, capsys: pytest.CaptureFixture[str], case: str) -> None:
    if case.startswith("t"):
        pytest.importorskip("tensorboard")
    status, found, _ = ask(cases / case, capsys)

    assert (status, found.get("outcome"), found.get("rule")) == ANSWERS[case]


def test_every_reported_log_has_an_answer_here(cases: Path) -> None:
    assert {path.name for path in cases.iterdir()} == set(ANSWERS)


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("c03_rounded_small_loss", "the log rounds them to a step of 0.0001"),
        ("c04_grad_norm_placeholder", "the gradient norm is 0 throughout, a placeholder"),
        ("c05_amp_first_grad_nan", "warning: skipped_step at step 10"),
        ("c13_no_lr", "no learning rate was logged that can be read"),
        ("t1_tb_restart_purge_other_grid", "were taken back by a restart and are not judged"),
        ("t5_tb_two_runs_one_folder", "holds the events of several runs"),
    ],
)
def test_a_reported_log_is_told_what_it_cannot_show(
    cases: Path, capsys: pytest.CaptureFixture[str], case: str, words: str
) -> None:
    if case.startswith("t"):
        pytest.importorskip("tensorboard")

    assert words in ask(cases / case, capsys)[2]


def test_both_sets_of_a_reported_log_are_named(cases: Path, capsys: pytest.CaptureFixture[str]) -> None:
    columns = ask(cases / "c06_two_eval_sets", capsys)[1]["log"]["columns"]

    assert (columns["val_macro_f1 of us"], columns["val_macro_f1 of fr"]) == ("eval_us_f1", "eval_fr_f1")
