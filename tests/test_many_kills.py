"""Thirty kills at random moments of one line of work: dataset, smoke and full run end as if nothing had happened."""

from __future__ import annotations

import json
import multiprocessing
import random
import signal
import time
from collections import Counter
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
from tiny_line import run_stage
from tiny_project import change, copy_project, forget, place_at

from mw_pipeline.stages import line
from mw_pipeline.stages.place import Place

pytestmark = pytest.mark.slow

SEED = 20261121
KILLS = {"tokenized_dataset": 6, "smoke_checkpoint": 13, "full_checkpoint": 11}
LATEST = {"tokenized_dataset": 0.9, "smoke_checkpoint": 0.35, "full_checkpoint": 0.35}  # of the time that all takes

WEIGHTS = ("best/model.safetensors", "last/model.safetensors", "last/optimizer.safetensors")
FOUND = ("step", "pass", "lr", "loss", "grad_norm", "tokens", "rows", "row_hash")
FORKS = multiprocessing.get_context("forkserver")  # with everything imported: a start costs no second


def work(stage: str, folder: str) -> None:
    run_stage(place_at(Path(folder)), stage)


def drafts(place: Place, stage: str) -> set[int]:
    """When the checkpoints were begun that are not in their place: being written, or left by an earlier kill."""
    begun = set()
    for path in (place.store.root / "work" / stage).glob("*/.last.new"):
        with suppress(FileNotFoundError):  # it has come to its place meanwhile
            begun.add(path.stat().st_ctime_ns)
    return begun


def killed_after(place: Place, stage: str, seconds: float) -> str:
    """Kills a stage some seconds after its start; says what it was killed at."""
    left, process = drafts(place, stage), FORKS.Process(target=work, args=(stage, str(place.project)))
    process.start()
    process.join(seconds)
    return kill(process, at="a save" if drafts(place, stage) - left else "work")


def killed_in_a_save(place: Place, stage: str) -> str:
    """Kills a stage as soon as it saves a checkpoint."""
    left, process = drafts(place, stage), FORKS.Process(target=work, args=(stage, str(place.project)))
    process.start()
    while process.is_alive() and not drafts(place, stage) - left:
        time.sleep(0.0005)
    return kill(process, at="a save")


def kill(process: BaseProcess, *, at: str) -> str:
    process.kill()
    process.join()
    return at if process.exitcode == -signal.SIGKILL else "nothing"


def steps_of(folder: Path) -> list[dict[str, Any]]:
    """The rows of a run's log, without what the clock says."""
    rows = (json.loads(line) for line in (folder / "steps.jsonl").read_text().splitlines())
    return [{key: row[key] for key in FOUND} for row in rows]


def test_thirty_kills_lose_nothing_and_change_no_byte(place: Place, tmp_path: Path) -> None:
    # M36, M38, M39
    rng, hits = random.Random(SEED), Counter[str]()
    print(f"seed {SEED}")  # noqa: T201
    FORKS.set_forkserver_preload(["tiny_line"])
    change(place.project, "checkpoint_every = 20", "checkpoint_every = 4")
    forget(place, *KILLS)
    unbroken = copy_project(place.project, tmp_path / "unbroken")

    for stage, kills in KILLS.items():
        begun = time.monotonic()
        run_stage(unbroken, stage)
        longest = LATEST[stage] * (time.monotonic() - begun)
        for number in range(kills):
            saves = number % 3 == 2 and stage != "tokenized_dataset"
            what = killed_in_a_save(place, stage) if saves else killed_after(place, stage, rng.uniform(0.02, longest))
            hits[f"{what} of {stage}"] += 1
        run_stage(place, stage)
    print(dict(hits))  # noqa: T201

    assert sum(number for what, number in hits.items() if "nothing" not in what) >= 20, hits
    assert hits["a save of smoke_checkpoint"] and hits["a save of full_checkpoint"], hits
    ours, theirs = ({name: line.STAGES[name].demand(at, "demo") for name in KILLS} for at in (place, unbroken))
    assert ours["tokenized_dataset"].digest == theirs["tokenized_dataset"].digest
    for stage in ("smoke_checkpoint", "full_checkpoint"):
        place.store.verify(ours[stage])
        for name in WEIGHTS:
            assert ours[stage].file(name).read_bytes() == theirs[stage].file(name).read_bytes(), (stage, name)
        assert steps_of(ours[stage].path) == steps_of(theirs[stage].path), stage
        assert ours[stage].read_json("run.json")["resumed_from_steps"], f"no kill of {stage} left a checkpoint"
    assert not [*(place.store.root / "work").glob("*/*"), *place.store.root.glob("*/.draft-*")]
