"""Pieces a second of the trainer, against a bare loop over its batches and against padding all rows to the maximum.

    python benchmarks/train.py [RECIPE]

The default recipe is the demo's; its rows come from the built-in source, made in a temporary folder. Step by step the
trainer, the bare loop and, now and then, the padded loop take turns, on one thread, and CPU time is counted: whatever
else the machine does falls on all of them alike. Prints JSON:

    pieces_per_cpu_second   of each
    outside_share           of the trainer's time that is not forward, loss, backward, clipping and optimizer
    over_padded             trainer's rate over that of the bare loop with all rows padded to model.max_length
    padding_share           of the cells of the trainer's batches that hold no piece
    milliseconds            of a bare step, by phase
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch

from mw_pipeline.dataset.batches import Batch
from mw_pipeline.dataset.build import build_dataset
from mw_pipeline.model.checkpoint import Tagger
from mw_pipeline.model.encoder import tensors_of
from mw_pipeline.model.losses import TaggingLoss
from mw_pipeline.model.optimizer import optimizer_of
from mw_pipeline.model.precision import multiplying_in, precision_as_asked
from mw_pipeline.recipe import Recipe, load_corpus_spec, load_recipe
from mw_pipeline.stages.corpus import build_source
from mw_pipeline.tokenizer import Tokenizer, train_tokenizer
from mw_pipeline.train.device import device_as_asked
from mw_pipeline.train.loop import Run
from mw_pipeline.train.plan import RunPlan
from mw_pipeline.train.processes import ALONE

PROJECT = Path(__file__).resolve().parent.parent
RECORDS = 6_000
WARM_STEPS = 4
STEPS = 128  # as many as a pool has batches: what drawing a pool costs is in the trainer's time once
PADDED_EVERY = 32
MANY = 10**9
PHASES = ("forward", "loss", "backward", "optimizer")


class BareLoop:
    """The least that any trainer of a recipe's model can do: its own tagger, and CPU seconds by phase."""

    def __init__(self, recipe: Recipe, tokenizer: Tokenizer, *, label_counts: dict[str, int]) -> None:
        self._config, self._device = recipe.train, device_as_asked(recipe.train.device)
        torch.manual_seed(self._config.seed)
        self._tagger = Tagger(recipe.model, vocab_size=tokenizer.vocab_size, labels=recipe.label_set).to(self._device)
        if recipe.model.positions == "words":
            self._tagger.encoder.know_words(tokenizer.joints)
        self._loss = TaggingLoss(recipe.loss, recipe.label_set, label_counts=label_counts, device=self._device)
        self._tagger.crf.requires_grad_(self._loss.crf_weight > 0)
        self._tagger.log_variances.requires_grad_(self._loss.learns_weights)
        self._optimizer = optimizer_of(self._tagger, self._config)
        self.seconds, self.pieces, self.steps = Counter[str](), 0, 0

    def step(self, batch: Batch) -> None:
        """Forward, loss, backward, clipping and optimizer on one batch."""
        input_ids, tags, mask = tensors_of(batch, self._device)
        tagger, marks = self._tagger, [time.process_time()]
        with multiplying_in(precision_as_asked(self._config.precision, self._device), self._device):
            logits = tagger.encoder(input_ids, mask)
        marks.append(time.process_time())
        extent = self._loss.extent(tags, mask)
        share = self._loss.share(
            logits.float(), tags, mask, tagger.crf, window=extent, log_variances=tagger.log_variances
        )
        marks.append(time.process_time())
        share.total.backward()
        marks.append(time.process_time())
        torch.nn.utils.clip_grad_norm_([p for p in tagger.parameters() if p.requires_grad], self._config.clip_norm)
        self._optimizer.step()
        self._optimizer.zero_grad()
        marks.append(time.process_time())
        for phase, begun, ended in zip(PHASES, marks, marks[1:], strict=False):
            self.seconds[phase] += ended - begun
        self.pieces += int(batch.attention_mask.sum())
        self.steps += 1

    @property
    def rate(self) -> float:
        """Pieces a CPU second."""
        return self.pieces / self.seconds.total()


def main() -> None:
    """Makes the data, lets the three take turns, prints what they did."""
    recipe = load_recipe(Path(sys.argv[1]) if len(sys.argv) > 1 else PROJECT / "recipes" / "demo.toml")
    recipe = recipe.model_copy(update={"mix": recipe.mix.model_copy(update={"weights": {"builtin": 1.0}})})
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        plan = plan_in(Path(folder), recipe)
        plan.out.mkdir()
        run = Run(plan, device_as_asked(plan.recipe.train.device), ALONE, lambda event: None)
        run.open()
        print(json.dumps(take_turns(run)))


def take_turns(run: Run) -> dict[str, object]:
    """Steps of the trainer and of the two bare loops, one after the other; the first few count for none of them."""
    recipe, tokenizer = run.plan.recipe, Tokenizer(run.plan.tokenizer_path)
    loops = [BareLoop(recipe, tokenizer, label_counts=run.data.summary["label_counts"]) for _ in range(2)]
    bare, padded = loops
    seconds, cells = 0.0, 0
    for step in range(WARM_STEPS + STEPS):
        if step == WARM_STEPS:
            seconds, cells = 0.0, 0
            for loop in loops:
                loop.seconds.clear()
                loop.pieces = loop.steps = 0
        begun = time.process_time()
        run.advance()
        seconds += time.process_time() - begun
        batch = run.data.stream.batch(step)
        bare.step(batch)
        cells += batch.input_ids.size
        if step % PADDED_EVERY == 0:
            padded.step(padded_to(recipe.model.max_length, batch))
    rates = {"trainer": bare.pieces / seconds, "bare": bare.rate, "padded": padded.rate}
    return {
        "pieces_per_cpu_second": {name: round(rate) for name, rate in rates.items()},
        "outside_share": round(1 - bare.seconds.total() / seconds, 4),
        "over_padded": round(rates["trainer"] / rates["padded"], 2),
        "padding_share": round(1 - bare.pieces / cells, 4),
        "milliseconds": {phase: round(1000 * bare.seconds[phase] / bare.steps, 1) for phase in PHASES},
    }


def plan_in(folder: Path, recipe: Recipe) -> RunPlan:
    """The recipe on one thread, without evaluations, on rows of the built-in source tokenized into `folder`."""
    spec = load_corpus_spec(PROJECT / "corpora" / "builtin.toml")
    settings = spec.sources["builtin"].model_copy(update={"max_records": RECORDS})
    shards = build_source(
        spec.model_copy(update={"sources": {"builtin": settings}}), "builtin", folder, folder / "rows"
    )
    raws = [raw for path in shards.shards for raw in pq.read_table(path, columns=["raw"])["raw"].to_pylist()]
    train_tokenizer(raws, recipe.tokenizer, folder / "tokenizer.model")
    (folder / "dataset").mkdir()
    build_dataset(
        {"builtin": shards.shards},
        Tokenizer(folder / "tokenizer.model"),
        recipe.label_set,
        recipe.model.max_length,
        folder / "dataset",
    )
    short = {"warmup_steps": 10, "eval_every": MANY, "checkpoint_every": MANY, "eval_rows": 100, "threads": 1}
    timed = recipe.model_copy(update={"train": recipe.train.model_copy(update=short)})
    return RunPlan("full", timed, folder / "dataset", folder / "tokenizer.model", folder / "run", {"code": "0" * 64})


def padded_to(longest: int, batch: Batch) -> Batch:
    """The batch as a trainer sees it that pads every row to the longest that the model takes."""
    room = ((0, 0), (0, longest - batch.input_ids.shape[1]))
    wide = (np.pad(array, room) for array in (batch.input_ids, batch.labels, batch.kinds, batch.attention_mask))
    return Batch(*wide, batch.rows, batch.passes)


if __name__ == "__main__":
    main()
