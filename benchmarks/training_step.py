"""Where the milliseconds of a training step go, for the geometry of a recipe.

Run as `python benchmarks/training_step.py [RECIPE]`; the default is the demo's.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path

import torch

from mw_pipeline.model.checkpoint import Tagger
from mw_pipeline.model.losses import TaggingLoss
from mw_pipeline.model.optimizer import adamw_of
from mw_pipeline.recipe import Recipe, load_recipe

PIECES = 13  # of the median row
STEPS = 30
WARM_STEPS = 3
PHASES = ("forward", "loss", "backward", "optimizer")


def step_split(recipe: Recipe, *, precision: str) -> Counter[str]:
    """Milliseconds a step by phase, on random rows of the median length."""
    config = recipe.train
    torch.manual_seed(0)
    torch.set_num_threads(config.threads)
    tagger = Tagger(recipe.model, vocab_size=recipe.tokenizer.vocab_size, labels=recipe.label_set)
    loss, optimizer = TaggingLoss(recipe.loss, recipe.label_set), adamw_of(tagger, config)
    ids = torch.randint(3, recipe.tokenizer.vocab_size, (config.batch_size, PIECES))
    tags = torch.zeros_like(ids)
    window, spent = loss.extent(tags, None), Counter[str]()
    for step in range(WARM_STEPS + STEPS):
        if step == WARM_STEPS:
            spent.clear()
        marks = [time.perf_counter()]
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
            logits = tagger.encoder(ids)
        marks.append(time.perf_counter())
        share = loss.share(logits.float(), tags, None, tagger.crf, window=window)
        marks.append(time.perf_counter())
        share.total.backward()
        marks.append(time.perf_counter())
        torch.nn.utils.clip_grad_norm_(tagger.parameters(), config.clip_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        marks.append(time.perf_counter())
        for phase, begun, ended in zip(PHASES, marks, marks[1:], strict=False):
            spent[phase] += 1000 * (ended - begun) / STEPS
    return spent


def main() -> None:
    """Prints one line for each precision."""
    recipe = load_recipe(Path(sys.argv[1] if len(sys.argv) > 1 else "recipes/demo.toml"))
    for precision in ("bf16", "fp32"):
        spent = step_split(recipe, precision=precision)
        split = "  ".join(f"{phase} {milliseconds:.1f}" for phase, milliseconds in spent.items())
        print(f"{precision}: {sum(spent.values()):.1f} ms a step ({split})")


if __name__ == "__main__":
    main()
