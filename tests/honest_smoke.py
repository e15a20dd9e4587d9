"""A smoke that was really trained, on the toy corpus, as the artifacts that the lock is shown."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toy_run import build_toy, toy_recipe

from mw_pipeline.artifact import Artifact
from mw_pipeline.digest import JSON, write_json_atomically
from mw_pipeline.recipe import Recipe
from mw_pipeline.store import Store
from mw_pipeline.train.loop import train
from mw_pipeline.train.plan import RunPlan
from mw_pipeline.verdict.binding import BINDING_SECTIONS, VERDICT_FILE, demand_verdict, judge_smoke
from mw_pipeline.verdict.judge import Verdict

TRAIN_MODULES = ("mw_pipeline.train.loop",)


def small_recipe(**changes: dict[str, Any]) -> Recipe:
    """A recipe whose full run is short and whose smoke can license it; `changes` are laid over its tables."""
    tables: dict[str, dict[str, Any]] = {
        "train": {"steps": 160, "warmup_steps": 30, "log_every": 2},
        "smoke": {"steps": 160, "eval_every": 20},
    }
    for name, values in changes.items():
        tables[name] = {**tables.get(name, {}), **values}
    return toy_recipe(**tables).model_copy(update={"name": "small"})


@dataclass(frozen=True)
class Lock:
    """Everything that the gate is shown."""

    store: Store
    recipe: Recipe
    dataset: Artifact
    smoke: Artifact | None
    verdict_artifact: Artifact | None
    train_code_digest: str

    @property
    def tokenizer_path(self) -> Path:
        return self.store.root / "tokenizer.model"

    @property
    def plan(self) -> RunPlan:
        """The plan of the smoke, in the folder of its artifact."""
        assert self.smoke is not None
        digests = {"data": self.dataset.digest}
        return RunPlan("smoke", self.recipe, self.dataset.path, self.tokenizer_path, self.smoke.path, digests)

    def open(self) -> Verdict:
        return demand_verdict(
            self.store,
            recipe=self.recipe,
            dataset=self.dataset,
            smoke=self.smoke,
            verdict_artifact=self.verdict_artifact,
            train_code_digest=self.train_code_digest,
        )


def trained_lock(folder: Path) -> Lock:
    """Corpus, dataset, smoke and verdict in a store of their own, each made as the stages make it."""
    store, recipe, toy = Store(folder / "store"), small_recipe(), build_toy(folder)
    store.root.mkdir()
    shutil.copyfile(toy.tokenizer, store.root / "tokenizer.model")

    def tokenize(out: Path) -> dict[str, JSON]:
        shutil.copytree(toy.dataset, out, dirs_exist_ok=True)
        return {}

    dataset = store.build("tokenized_dataset", make=tokenize).artifact

    def smoke(out: Path) -> dict[str, JSON]:
        work = folder / "work"
        train(RunPlan("smoke", recipe, dataset.path, toy.tokenizer, work, {"data": dataset.digest}))
        shutil.copytree(work, out, dirs_exist_ok=True)
        return {}

    sections = recipe.slice(*BINDING_SECTIONS)
    trained = store.build("smoke_checkpoint", make=smoke, inputs=[dataset], config=sections, modules=TRAIN_MODULES)
    return judged(store, recipe, dataset, trained.artifact)


def judged(store: Store, recipe: Recipe, dataset: Artifact, smoke: Artifact) -> Lock:
    """The lock before a smoke, with the verdict that its logs have earned."""

    def make(out: Path) -> dict[str, JSON]:
        write_json_atomically(out / VERDICT_FILE, judge_smoke(recipe, dataset=dataset, smoke=smoke).to_json())
        return {}

    verdict = store.build("smoke_verdict", make=make, inputs=[smoke, dataset]).artifact
    return Lock(store, recipe, dataset, smoke, verdict, train_code_digest=smoke.manifest.code_digest)


def copied(lock: Lock, folder: Path) -> Lock:
    """The same in a store of its own, for a test to forge."""
    store = Store(shutil.copytree(lock.store.root, folder / "copy"))
    assert lock.smoke is not None and lock.verdict_artifact is not None
    dataset, smoke, verdict = (
        store.load(artifact.kind, artifact.digest) for artifact in (lock.dataset, lock.smoke, lock.verdict_artifact)
    )
    return Lock(store, lock.recipe, dataset, smoke, verdict, lock.train_code_digest)
