"""What AdamW and Muon learn of a recipe's rows in the same steps, and what a step of each costs.

    python benchmarks/optimizers.py RECIPE [STEPS]
    GOMP_SPINCOUNT=2000 python benchmarks/optimizers.py --threads [RECIPE]

The recipe's dataset must lie in the store (`make demo` leaves it there). Each optimizer trains from the same weights on
the same rows at the recipe's rate, falling as a cosine over STEPS (1000 unless said), with a tenth of them as warmup,
in a folder that is thrown away. Prints JSON: at each quarter the validation loss (nats a piece) and macro-F1 of each,
and CPU seconds of each over those of AdamW.

`--threads` needs no dataset: it times steps of Muon and AdamW on the recipe's network (demo unless said) by themselves,
by turns, and prints JSON: milliseconds of the fastest step with one thread, with two in each product, with halves side
by side on one thread each, and on one thread with torch's own Muon, which counts in bf16; and what these are of the
first.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Literal

import torch
from unlicensed import unlicensed

from mw_pipeline.digest import JSON
from mw_pipeline.model.checkpoint import Tagger
from mw_pipeline.model.optimizer import TaggerOptimizer, optimizer_of
from mw_pipeline.model.threads import threads_of_torch
from mw_pipeline.recipe import Recipe
from mw_pipeline.stages import line
from mw_pipeline.stages.place import Place
from mw_pipeline.tokenizer import MODEL_NAME
from mw_pipeline.train.log import EVALS
from mw_pipeline.train.loop import train
from mw_pipeline.train.plan import RunPlan

STEPS = 1000
TIMED_STEPS = 60
OPTIMIZERS: tuple[Literal["adamw", "muon"], ...] = ("adamw", "muon")


def main() -> None:
    """Trains with each optimizer in turn and prints what they reached, or times steps on threads."""
    if sys.argv[1] == "--threads":
        print(json.dumps(step_times(Place.of().recipe(sys.argv[2] if len(sys.argv) > 2 else "demo"))))
        return
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


def step_times(recipe: Recipe) -> dict[str, JSON]:
    """Milliseconds of a step of Muon and AdamW on a recipe's network by how its threads divide the work."""
    torch.manual_seed(0)
    tagger = Tagger(recipe.model, vocab_size=recipe.tokenizer.vocab_size, labels=recipe.label_set)
    for parameter in tagger.parameters():
        parameter.grad = torch.randn_like(parameter)
    optimizer = optimizer_of(tagger, recipe.train.model_copy(update={"optimizer": "muon"}))
    of_torch = TaggerOptimizer([optimizer.parts[0], *map(_of_torch, optimizer.parts[1:])])
    ways = {
        "one_thread": (1, _step, optimizer),
        "two_in_each_product": (2, _step_each, optimizer),
        "side_by_side": (2, _step, optimizer),
        "torchs_own": (1, _step, of_torch),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(TIMED_STEPS):
        for name, (threads, step, stepping) in ways.items():
            with threads_of_torch(threads):
                begun = time.perf_counter()
                step(stepping)
                times[name].append(1000 * (time.perf_counter() - begun))
    least = {name: round(min(found), 2) for name, found in times.items()}
    of_one = {name: round(found / least["one_thread"], 3) for name, found in least.items() if name != "one_thread"}
    return {"milliseconds": least, "of_one_thread": of_one}


def _of_torch(ours: torch.optim.Optimizer) -> torch.optim.Optimizer:
    """torch's Muon over the same matrices at the same rate."""
    (group,) = ours.param_groups
    rate, decay = group["lr"], group["weight_decay"]
    return torch.optim.Muon(group["params"], lr=rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw")


def _step(optimizer: TaggerOptimizer) -> None:
    optimizer.step(halt=torch.zeros(()))


def _step_each(optimizer: TaggerOptimizer) -> None:
    """One after the other, each on as many threads as torch has."""
    for part in optimizer.parts:
        part.step()


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
