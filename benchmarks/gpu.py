"""The trainer on a GPU against a bare loop of the same model: a few minutes on one card, nothing to say without one.

    python benchmarks/gpu.py

Rows are those of the built-in source, made in a temporary folder; batches of 512 rows in bf16. In turns of 50 steps the
trainer does all that a run does between two evaluations, and the bare loop forward, loss, backward, clipping and
optimizer on batches that lie on the card already. Prints JSON; `{"gpu": "no GPU"}` where torch finds none. By geometry:

    pieces_per_second      of each, by the clock of the wall
    trainer_over_bare      their ratio: 1 where data, log and loop cost nothing
    outside_kernels_share  of the trainer's time in which no kernel ran, as torch's profiler sees it
    waits                  times that the host waited for the card in 8 steps without a row of the log
    peak_mib               the most memory that tensors of the trainer took
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile
from train import MANY, PROJECT, plan_in

from mw_pipeline.dataset.batches import Batch
from mw_pipeline.model.encoder import tensors_of
from mw_pipeline.model.precision import multiplying_in
from mw_pipeline.recipe import load_recipe
from mw_pipeline.train.loop import Run
from mw_pipeline.train.plan import RunPlan
from mw_pipeline.train.processes import ALONE
from mw_pipeline.train.step import FIRST_STEPS_LOGGED

GEOMETRIES = {
    "128x3": {"width": 128, "layers": 3, "heads": 4, "feed_forward": 512},
    "256x6": {"width": 256, "layers": 6, "heads": 8, "feed_forward": 1024},
}
TRAINED = {"batch_size": 512, "accumulation": 1, "processes": 1, "precision": "bf16", "steps": MANY, "device": "cuda"}
TURNS = 5
TURN_STEPS = 50
UNLOGGED_STEPS = 8
PROFILED_STEPS = 20


class BareLoop:
    """The least that any trainer of a run's model can do, on batches that lie on the device already."""

    def __init__(self, run: Run, device: torch.device, *, batches: int) -> None:
        self._of, self._config, self._device = run.stepper, run.plan.recipe.train, device
        self._reads_words = run.plan.recipe.model.positions == "words"
        self._ready = [run.data.stream.batch(number) for number in range(batches)]
        self._tensors = [tensors_of(batch, device) for batch in self._ready]
        host = torch.device("cpu")
        self._extents = [self._of.loss.extent(*tensors_of(batch, host)[1:]) for batch in self._ready]

    def step(self, number: int) -> int:
        """One of its batches; returns the pieces of it."""
        number %= len(self._ready)
        (ids, tags, mask), extent, tagger = self._tensors[number], self._extents[number], self._of.tagger
        self._of.optimizer.zero_grad()
        with multiplying_in(self._of.precision, self._device):
            logits = tagger.encoder(ids, mask, self._words_of(self._ready[number])).float()
        share = self._of.loss.share(
            logits, tags, mask, tagger.crf, window=extent, own=extent, log_variances=tagger.log_variances
        )
        share.total.backward()
        torch.nn.utils.clip_grad_norm_([p for p in tagger.parameters() if p.requires_grad], self._config.clip_norm)
        self._of.optimizer.step()
        return int(extent.pieces)

    def _words_of(self, batch: Batch) -> int | None:
        return batch.words if self._reads_words else batch.input_ids.shape[1]


def main() -> None:
    """Measures each geometry, or says that there is no GPU."""
    if not torch.cuda.is_available():
        print(json.dumps({"gpu": "no GPU"}))
        return
    device = torch.device("cuda", 0)
    recipe = load_recipe(PROJECT / "recipes" / "demo.toml")
    recipe = recipe.model_copy(update={"mix": recipe.mix.model_copy(update={"weights": {"builtin": 1.0}})})
    found: dict[str, object] = {"gpu": torch.cuda.get_device_name(device), "torch": torch.__version__}
    with tempfile.TemporaryDirectory() as folder:
        plan = plan_in(Path(folder), recipe.model_copy(update={"train": recipe.train.model_copy(update=TRAINED)}))
        for name, geometry in GEOMETRIES.items():
            found[name] = measured(plan_of(plan, Path(folder) / name, geometry), device)
    print(json.dumps(found))


def plan_of(plan: RunPlan, out: Path, geometry: dict[str, int]) -> RunPlan:
    """The same plan with another model, in a folder of its own."""
    out.mkdir()
    model = plan.recipe.model.model_copy(update=geometry)
    return dataclasses.replace(plan, out=out, recipe=plan.recipe.model_copy(update={"model": model}))


def measured(plan: RunPlan, device: torch.device) -> dict[str, object]:
    """What is printed of one geometry."""
    torch.cuda.reset_peak_memory_stats(device)
    run = opened(plan, device)
    alone = {
        "outside_kernels_share": round(outside_kernels_share(run), 3),
        "waits": waits(run),
        "peak_mib": round(torch.cuda.max_memory_allocated(device) / 2**20),
    }
    bare = BareLoop(opened(plan, device), device, batches=128)
    rates = in_turns(run, bare, turns=TURNS, steps=TURN_STEPS, finish=torch.cuda.synchronize)
    return {
        "pieces_per_second": {name: round(rate) for name, rate in rates.items()},
        "trainer_over_bare": round(rates["trainer"] / rates["bare"], 3),
        **alone,
    }


def opened(plan: RunPlan, device: torch.device) -> Run:
    """A run past the steps that it logs one by one."""
    run = Run(plan, device, ALONE, lambda event: None)
    for _ in range(FIRST_STEPS_LOGGED):
        run.advance()
    return run


def in_turns(run: Run, bare: BareLoop, *, turns: int, steps: int, finish: Callable[[], None]) -> dict[str, float]:
    """Pieces a second of trainer and bare loop; `finish` returns when the device has nothing left to do."""
    pieces, seconds = {"trainer": 0, "bare": 0}, {"trainer": 0.0, "bare": 0.0}
    for turn in range(turns):
        for name in pieces:
            finish()
            begun, before = time.perf_counter(), pieces_of(run)
            for number in range(turn * steps, (turn + 1) * steps):
                if name == "bare":
                    pieces[name] += bare.step(number)
                else:
                    run.advance()
            finish()
            seconds[name] += time.perf_counter() - begun
            pieces[name] += pieces_of(run) - before
    return {name: pieces[name] / seconds[name] for name in pieces}


def pieces_of(run: Run) -> int:
    """Pieces that it has trained on so far."""
    return run.state.tokens + sum(outcome.pieces for outcome in run.state.unread)


def outside_kernels_share(run: Run) -> float:
    """The share of some steps in which nothing ran on the card."""
    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CUDA]) as seen:
        begun = time.perf_counter()
        for _ in range(PROFILED_STEPS):
            run.advance()
        torch.cuda.synchronize()
        seconds = time.perf_counter() - begun
    kernels = [
        event for event in seen.events() if event.device_type == DeviceType.CUDA and not event.is_user_annotation
    ]
    return 1 - sum(event.time_range.elapsed_us() for event in kernels) / 1e6 / seconds


def waits(run: Run) -> int:
    """How often steps between two rows of the log made the host wait."""
    while run.state.unread:
        run.advance()
    torch.cuda.set_sync_debug_mode("warn")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for _ in range(UNLOGGED_STEPS):
            run.advance()
    torch.cuda.set_sync_debug_mode("default")
    return sum("synchroniz" in str(warning.message) for warning in told)


if __name__ == "__main__":
    main()
