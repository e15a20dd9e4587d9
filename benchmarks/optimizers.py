"""What AdamW and Muon learn of a recipe's rows in the same steps, and what a step of each costs.

    python benchmarks/optimizers.py RECIPE [STEPS]

The recipe's dataset must lie in the store (`make demo` leaves it there). Each optimizer trains from the same weights on
the same rows at the recipe's rate, falling as a cosine over STEPS (1000 unless said), with a tenth of them as warmup,
in a folder that is thrown away. Prints JSON: at each quarter the validation loss (nats a piece) and macro-F1 of each,
and CPU seconds of each over those of AdamW.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Literal

from unlicensed import unlicensed

from mw_pipeline.digest import JSON
from mw_pipeline.recipe import Recipe
from mw_pipeline.stages import line
from mw_pipeline.stages.place import Place
from mw_pipeline.tokenizer import MODEL_NAME
from mw_pipeline.train.log import EVALS
from mw_pipeline.train.loop import train
from mw_pipeline.train.plan import RunPlan

STEPS = 1000
OPTIMIZERS: tuple[Literal["adamw", "muon"], ...] = ("adamw", "muon")


def main() -> None:
    """Trains with each optimizer in turn and prints what they reached."""
    name, steps = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else STEPS
    place = Place.of()
    recipe = place.recipe(name)
    dataset = line.tokenized_dataset.demand(place, recipe).folder()
    tokenizer = line.tokenizer.demand(place, recipe).file(MODEL_NAME)
    found: dict[str, JSON] = {"recipe": name, "steps": steps}
    for optimizer in OPTIMIZERS:
        with tempfile.TemporaryDirectory() as folder:
            out, begun = Path(folder, "run"), time.process_time()
            plan = RunPlan("full", _shortened(recipe, optimizer, steps), dataset, tokenizer, out, {"code": "0" * 64})
            train(unlicensed(plan, Path(folder, "permits")))
            seconds = time.process_time() - begun
            rows = [json.loads(line) for line in (out / EVALS).read_text(encoding="utf-8").splitlines()]
        evals = [{key: round(row[key], 4) for key in ("step", "val_loss", "val_macro_f1")} for row in rows]
        found[optimizer] = {"evals": evals, "cpu_seconds": seconds}
    base = found["adamw"]["cpu_seconds"]
    for optimizer in OPTIMIZERS:
        found[optimizer]["cpu_over_adamw"] = round(found[optimizer].pop("cpu_seconds") / base, 3)
    print(json.dumps(found))


def _shortened(recipe: Recipe, optimizer: Literal["adamw", "muon"], steps: int) -> Recipe:
    """The recipe with that optimizer and so many steps."""
    changes = {
        "optimizer": optimizer,
        "steps": steps,
        "schedule": "cosine",
        "warmup_steps": steps // 10,
        "eval_every": steps // 4,
        "checkpoint_every": steps,
    }
    return recipe.model_copy(update={"train": recipe.train.model_copy(update=changes)})


if __name__ == "__main__":
    main()
