"""Pieces a second of the trainer, against a bare loop over its batches and against padding all rows to the maximum.

    python benchmarks/train.py [RECIPE] [ROUNDS]

The default recipe is the demo's; its rows come from the built-in source, made in a temporary folder. In every round the
three take turns on the same steps, on one thread, and CPU time is counted: whatever else the machine does falls on all
of them alike. Prints JSON, and each round on stderr:

    pieces_per_cpu_second   of each, the median over rounds
    outside_share           of the trainer's step time that is not forward, loss, backward, clipping and optimizer
    over_padded             trainer's rate over that of the bare loop with all rows padded to model.max_length
    padding_share           of the cells of the trainer's batches that hold no piece
    milliseconds            of a bare step, by phase
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from torch import Tensor

from mw_pipeline.dataset.batches import Batch
from mw_pipeline.dataset.build import build_dataset
from mw_pipeline.model.checkpoint import Tagger
from mw_pipeline.model.encoder import tensors_of
from mw_pipeline.model.losses import TaggingLoss
from mw_pipeline.model.optimizer import adamw_of
from mw_pipeline.recipe import Recipe, load_corpus_spec, load_recipe
from mw_pipeline.stages.corpus import build_source
from mw_pipeline.tokenizer import Tokenizer, train_tokenizer
from mw_pipeline.train.data import TrainingData
from mw_pipeline.train.loop import train
from mw_pipeline.train.plan import RunPlan

PROJECT = Path(__file__).resolve().parent.parent
RECORDS = 6_000
WARM_STEPS = 16
STEPS = 64  # a whole pool of batches is drawn among them: what that costs is in the trainer's time
PADDED_STEPS = 4
MANY = 10**9
PHASES = ("forward", "loss", "backward", "optimizer")

Micro = tuple[Tensor, Tensor, Tensor | None]


def main() -> None:
    """Makes the data, lets the three take turns, prints what they did."""
    recipe = load_recipe(Path(sys.argv[1]) if len(sys.argv) > 1 else PROJECT / "recipes" / "demo.toml")
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    recipe = recipe.model_copy(update={"mix": recipe.mix.model_copy(update={"weights": {"builtin": 1.0}})})
    with tempfile.TemporaryDirectory() as folder:
        plan = plan_in(Path(folder), recipe)
        data = TrainingData.open(plan)
        batches = [data.stream.batch(index) for index in range(WARM_STEPS, WARM_STEPS + STEPS)]
        found = []
        for _ in range(rounds):
            found.append(one_round(plan, data, batches))
            print(found[-1], file=sys.stderr, flush=True)
    cells = sum(batch.input_ids.size for batch in batches)
    rates = {name: statistics.median(rate[name] for rate, _ in found) for name in found[0][0]}
    print(
        json.dumps(
            {
                "pieces_per_cpu_second": {name: round(rate) for name, rate in rates.items()},
                "outside_share": round(statistics.median(1 - r["trainer"] / r["bare"] for r, _ in found), 4),
                "over_padded": round(statistics.median(r["trainer"] / r["padded"] for r, _ in found), 2),
                "padding_share": round(1 - pieces_of(batches) / cells, 4),
                "milliseconds": {
                    phase: round(statistics.median(split[phase] for _, split in found), 1) for phase in PHASES
                },
                "rounds": rounds,
            }
        )
    )


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


def trainer_seconds(plan: RunPlan, steps: int) -> float:
    """CPU seconds of a whole run of so many steps: opening, steps with their log, one evaluation, saving."""
    with tempfile.TemporaryDirectory() as out:
        recipe = plan.recipe.model_copy(update={"train": plan.recipe.train.model_copy(update={"steps": steps})})
        begun = time.process_time()
        train(RunPlan(plan.kind, recipe, plan.dataset_path, plan.tokenizer_path, Path(out), plan.digests))
        return time.process_time() - begun


def one_round(plan: RunPlan, data: TrainingData, batches: list[Batch]) -> tuple[dict[str, float], Counter[str]]:
    """Pieces a CPU second of trainer, bare loop and padded loop, and milliseconds of a bare step by phase.

    The difference of a long and a short run is the trainer's steps alone, whatever opening and saving cost."""
    seconds = trainer_seconds(plan, WARM_STEPS + STEPS) - trainer_seconds(plan, WARM_STEPS)
    device = torch.device(plan.recipe.train.device)
    split = bare_loop(plan.recipe, data, [tensors_of(batch, device) for batch in batches])
    longest = plan.recipe.model.max_length
    few = batches[:: STEPS // PADDED_STEPS]
    padded = bare_loop(plan.recipe, data, [tensors_of(padded_to(longest, batch), device) for batch in few])
    rates = {
        "trainer": pieces_of(batches) / seconds,
        "bare": 1000 * pieces_of(batches) / STEPS / split.total(),
        "padded": 1000 * pieces_of(few) / len(few) / padded.total(),
    }
    return rates, split


def bare_loop(recipe: Recipe, data: TrainingData, window: list[Micro]) -> Counter[str]:
    """Milliseconds of a step by phase: the least that any trainer of this model over these batches can do."""
    config = recipe.train
    torch.manual_seed(config.seed)
    tagger = Tagger(recipe.model, vocab_size=data.summary["vocab_size"], labels=recipe.label_set).train()
    tagger.to(torch.device(config.device))
    loss = TaggingLoss(recipe.loss, recipe.label_set, label_counts=data.summary["label_counts"])
    tagger.crf.requires_grad_(loss.crf_weight > 0)
    tagger.log_variances.requires_grad_(loss.learns_weights)
    optimizer, spent = adamw_of(tagger, config), Counter[str]()
    for input_ids, tags, mask in [window[0], *window]:  # the first one only warms up
        if input_ids is window[0][0]:
            spent.clear()
        marks = [time.process_time()]
        with torch.autocast(config.device, dtype=torch.bfloat16, enabled=config.precision == "bf16"):
            logits = tagger.encoder(input_ids, mask)
        marks.append(time.process_time())
        extent = loss.extent(tags, mask)
        share = loss.share(logits.float(), tags, mask, tagger.crf, window=extent, log_variances=tagger.log_variances)
        marks.append(time.process_time())
        share.total.backward()
        marks.append(time.process_time())
        torch.nn.utils.clip_grad_norm_([p for p in tagger.parameters() if p.requires_grad], config.clip_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        marks.append(time.process_time())
        for phase, begun, ended in zip(PHASES, marks, marks[1:], strict=False):
            spent[phase] += 1000 * (ended - begun) / len(window)
    return spent


def padded_to(longest: int, batch: Batch) -> Batch:
    """The batch as a trainer sees it that pads every row to the longest that the model takes."""
    room = ((0, 0), (0, longest - batch.input_ids.shape[1]))
    wide = (np.pad(array, room) for array in (batch.input_ids, batch.labels, batch.attention_mask))
    return Batch(*wide, batch.rows, batch.passes)


def pieces_of(batches: Iterable[Batch]) -> int:
    """Real pieces of some batches."""
    return sum(int(batch.attention_mask.sum()) for batch in batches)


if __name__ == "__main__":
    main()
