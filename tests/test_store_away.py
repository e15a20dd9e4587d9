"""Trainings whose store does not answer: what their child said is kept, and they are tried again."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from object_servers import Machine

from mw_pipeline.bucket import Bucket
from mw_pipeline.errors import StoreError
from mw_pipeline.stages.attempts import saved_step
from mw_pipeline.stages.place import Place
from resources.trainer import Trainer


def away(*arguments: Any, **named: Any) -> None:
    raise StoreError("the bucket is away")


class Training:
    """A stage whose inputs are asked of the store, as all are."""

    name = "smoke_checkpoint"

    def request(self, place: Place, recipe_name: str) -> SimpleNamespace:
        place.store.digests("tokenized_dataset", "")
        return SimpleNamespace(kind=self.name, key=f"key-of-{recipe_name}")


def write_checkpoint(place: Place, step: int) -> None:
    folder = place.store.root / "work" / Training.name / "key-of-demo" / "last"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "checkpoint.json").write_text(json.dumps({"step": step}))


def test_a_training_whose_store_is_away_is_tried_again_and_its_words_reach_the_store_later(
    near_machines: tuple[Machine, Machine], monkeypatch: pytest.MonkeyPatch, project: Path
) -> None:
    store = near_machines[0].store(monkeypatch)
    place = Place(store, project, project).remembering()
    stage: Any = Training()
    answer = {"error": "the store failed at writing", "cure": "retry"}
    context = SimpleNamespace(run_id="run", log=dg.get_dagster_logger())

    def fail(step: int) -> dg.Failure | dg.RetryRequested:
        write_checkpoint(place, step)
        return Trainer()._after(context, stage, place, "demo", answer)  # type: ignore[arg-type]

    assert saved_step(place, stage, "demo") == 0
    with monkeypatch.context() as patch:
        for name in ("get", "put", "folders"):
            patch.setattr(Bucket, name, away)
        moves = [fail(step) for step in (100, 200)]
    assert [type(move) for move in moves] == [dg.RetryRequested, dg.RetryRequested], "steps were gained"
    last = fail(300)

    assert isinstance(last, dg.Failure) and last.description == answer["error"]
    lines = near_machines[1].store(monkeypatch).ledger_path("attempts/smoke_checkpoint-demo.jsonl").read_text()
    assert [json.loads(line)["step"] for line in lines.splitlines()] == [100, 200, 300]
