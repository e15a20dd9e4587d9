"""Milliseconds of a training step by how long its threads look for work before they sleep, on idle cores and busy ones.

    python benchmarks/threads.py [RECIPE]

Each setting is timed in a process of its own, for the library reads it when it loads: 0 sleeps at once, "unset" is what
it does by itself. They take turns, twice, alone and then beside a process for each core that does nothing but count.
The default recipe is the demo's, on rows of the built-in source. Nothing else should run. Prints JSON, the better of
both.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from train import PROJECT, plan_in

from mw_pipeline.native import SETTINGS
from mw_pipeline.recipe import Recipe, load_recipe
from mw_pipeline.train.data import TrainingData
from mw_pipeline.train.plan import RunPlan
from mw_pipeline.train.processes import ALONE
from mw_pipeline.train.step import Stepper

NAME = "GOMP_SPINCOUNT"
TRIED = ("0", "1000", SETTINGS.get(NAME, "2000"), "10000", "unset")
ROUNDS = 2
WARM_STEPS, STEPS = 10, 50
CORES = os.cpu_count() or 1


def main() -> None:
    """Makes the data, and has every setting timed."""
    recipe = load_recipe(Path(sys.argv[1]) if len(sys.argv) > 1 else PROJECT / "recipes" / "demo.toml")
    recipe = recipe.model_copy(update={"mix": recipe.mix.model_copy(update={"weights": {"builtin": 1.0}})})
    with tempfile.TemporaryDirectory() as folder:
        plan = plan_in(Path(folder), recipe)
        (plan.out.parent / "recipe.json").write_text(plan.recipe.model_dump_json())
        print(json.dumps({"cores": CORES, "idle": best_of_rounds(folder), "busy": busy_rounds(folder)}))


def best_of_rounds(folder: str) -> dict[str, float]:
    """Setting → milliseconds of a step."""
    rounds = [{tried: timed(folder, tried) for tried in TRIED} for _ in range(ROUNDS)]
    return {tried: min(found[tried] for found in rounds) for tried in TRIED}


def busy_rounds(folder: str) -> dict[str, float]:
    """The same while every core has another process to serve."""
    with contextlib.ExitStack() as stack:
        for _ in range(CORES):
            stack.enter_context(counting())
        return best_of_rounds(folder)


@contextlib.contextmanager
def counting() -> Iterator[None]:
    """A process that counts as long as this is open."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def timed(folder: str, tried: str) -> float:
    """Milliseconds of a step in a process with this setting."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    environment |= {name: value for name, value in SETTINGS.items() if name != NAME}
    environment |= {} if tried == "unset" else {NAME: tried}
    command = [sys.executable, __file__, "--steps-of", folder]
    return float(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)


def time_steps(folder: Path) -> float:
    """Milliseconds of a step on all cores."""
    recipe = Recipe.model_validate_json((folder / "recipe.json").read_text())
    torch.set_num_threads(CORES)
    plan = RunPlan("full", recipe, folder / "dataset", folder / "tokenizer.model", folder / "run", {"code": "0" * 64})
    stepper = Stepper(plan, TrainingData.open(plan), device=torch.device("cpu"), processes=ALONE)
    for step in range(1, WARM_STEPS + 1):
        stepper.take(step)
    begun = time.perf_counter()
    for step in range(WARM_STEPS + 1, WARM_STEPS + STEPS + 1):
        stepper.take(step)
    return round(1000 * (time.perf_counter() - begun) / STEPS, 1)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--steps-of"]:
        print(time_steps(Path(sys.argv[2])))
    else:
        main()
