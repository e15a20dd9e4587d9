"""Two processes of torchrun on one run: the same rows and losses as one, a clean end when one dies, and a resume in
another number of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from toy_run import Toy, rows, toy_plan, toy_recipe

from mw_pipeline.model.checkpoint import load_checkpoint
from mw_pipeline.train.loop import train

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).with_name("toy_run.py")
CHANGES: dict[str, dict[str, Any]] = {
    "train": {"steps": 100, "batch_size": 8, "processes": 2, "eval_every": 50, "warmup_steps": 50, "peak_lr": 1e-3}
}


def two_ranks(toy: Toy, out: Path, *, more: Mapping[str, str] = {}, **train: Any) -> subprocess.Popen[str]:
    changes = {"train": {**CHANGES["train"], **train}}
    request = {"dataset": str(toy.dataset), "tokenizer": str(toy.tokenizer), "out": str(out), "changes": changes}
    request |= more
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return subprocess.Popen(
        [*launcher, str(SCRIPT), json.dumps(request)],
        env=os.environ | {"PYTHONPATH": str(SCRIPT.parent.parent), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_two_ranks_take_the_rows_and_the_losses_of_one(toy: Toy, tmp_path: Path) -> None:
    with two_ranks(toy, tmp_path / "two") as launcher:
        out, err = launcher.communicate(timeout=240)
    train(toy_plan(toy, tmp_path / "one", recipe=toy_recipe(**CHANGES)))

    assert launcher.returncode == 0 and "COMPLETED" in out, err
    assert "left at the end" not in err  # a thread of the group that meets the end of the interpreter may abort it
    one, two = (rows(tmp_path / name / "steps.jsonl") for name in ("one", "two"))
    assert len(one) == len(two) == 100
    for ours, theirs in zip(one, two, strict=True):
        assert (ours["row_hash"], ours["rows"], ours["pass"]) == (theirs["row_hash"], theirs["rows"], theirs["pass"])
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-5)
    for name, keys in (
        ("evals.jsonl", ("step", "val_loss", "val_macro_f1", "pieces")),
        ("row_losses.jsonl", ("nats",)),
    ):
        one, two = (rows(tmp_path / run / name) for run in ("one", "two"))
        assert len(one) == len(two) == 2
        for ours, theirs in zip(one, two, strict=True):
            assert [ours[key] for key in keys] == [pytest.approx(theirs[key], rel=1e-3) for key in keys]


def test_ranks_that_choose_another_precision_are_told_and_none_waits_for_the_other(toy: Toy, tmp_path: Path) -> None:
    with two_ranks(toy, tmp_path / "mixed", more={"bf16_rank": "1"}, precision="auto") as launcher:
        _, err = launcher.communicate(timeout=60)

    assert launcher.returncode != 0
    assert "Name one in the recipe, and smoke in it" in err
    assert not (tmp_path / "mixed" / "run.json").exists()


def test_the_death_of_a_rank_ends_the_other_cleanly_and_one_rank_goes_on(toy: Toy, tmp_path: Path) -> None:
    """The same effective batch in another number of processes: the losses of a run that was never broken."""
    train(toy_plan(toy, tmp_path / "whole", recipe=toy_recipe(**CHANGES)))
    out = tmp_path / "broken"
    with two_ranks(toy, out) as launcher:
        deadline = time.monotonic() + 120
        while not (out / "steps.jsonl").is_file() or (out / "steps.jsonl").read_bytes().count(b"\n") < 30:
            assert time.monotonic() < deadline and launcher.poll() is None
            time.sleep(0.01)
        owner = int(json.loads((out / "run.json").read_text())["owner"].split()[1])
        (other,) = set(children_of(launcher.pid)) - {owner}
        os.kill(other, signal.SIGKILL)
        begun = time.monotonic()
        launcher.communicate(timeout=60)

    run = json.loads((out / "run.json").read_text())
    assert launcher.returncode != 0 and time.monotonic() - begun < 60
    assert run["status"] == "INTERRUPTED" and 30 <= run["step"] < 100
    assert load_checkpoint(out / "last").step == run["step"]
    assert train(toy_plan(toy, out, recipe=toy_recipe(**CHANGES))).resumed_from_step == run["step"]
    for ours, theirs in zip(rows(out / "steps.jsonl"), rows(tmp_path / "whole" / "steps.jsonl"), strict=True):
        assert (ours["step"], ours["lr"], ours["row_hash"]) == (theirs["step"], theirs["lr"], theirs["row_hash"])
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-5)
