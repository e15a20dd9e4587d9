"""A small corpus that a tiny model learns in seconds, tokenized by the real tokenizer, and runs on it."""

from __future__ import annotations

import json
import os
import random
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from mw_pipeline.dataset.build import build_dataset
from mw_pipeline.digest import JSON, sha256_file
from mw_pipeline.labels import STAGE2
from mw_pipeline.model.precision import precision_as_asked
from mw_pipeline.recipe import Recipe, TokenizerConfig
from mw_pipeline.store import Store
from mw_pipeline.tokenizer import Tokenizer, train_tokenizer
from mw_pipeline.train.loop import train
from mw_pipeline.train.permit import KIND, MODULES, bound_facts, write_permit
from mw_pipeline.train.plan import Permit, RunPlan

STREETS = ("Main St", "Oak Ave", "rue de la Paix", "Elm Road", "quai Voltaire", "Hill Lane")
CITIES = ("Paris", "Lyon", "Dayton", "Austin", "Salem", "Nantes", "Boise")


@dataclass(frozen=True)
class Toy:
    """A tokenized dataset and its tokenizer."""

    dataset: Path
    tokenizer: Path


def build_toy(path: Path, *, rows: int = 600) -> Toy:
    """Addresses of house number, street, locality and postcode from two sources, in `path`."""
    rng = random.Random(0)
    table = [toy_row(rng, source, i) for source in ("alpha", "beta") for i in range(rows // 2)]
    tokenizer = path / "tokenizer.model"
    train_tokenizer([row["raw"] for row in table], TokenizerConfig(vocab_size=340, sample_rows=rows), tokenizer)
    files = {}
    for source in ("alpha", "beta"):
        files[source] = [path / f"{source}.parquet"]
        pq.write_table(pa.Table.from_pylist([row for row in table if row["source"] == source]), files[source][0])
    dataset = path / "dataset"
    dataset.mkdir()
    build_dataset(files, Tokenizer(tokenizer), STAGE2, 32, dataset)
    return Toy(dataset, tokenizer)


def toy_row(rng: random.Random, source: str, number: int) -> dict[str, Any]:
    """An address with its spans; those of source beta end with the street."""
    parts = [
        ("house_number", str(rng.randint(1, 999))),
        ("street", rng.choice(STREETS)),
        ("postcode", f"{rng.randint(10000, 99999)}"),
        ("locality", rng.choice(CITIES)),
    ]
    if source == "beta":
        parts = [*parts[2:], *parts[:2]]
    raw, spans = "", []
    for tag, value in parts:
        raw += " " if raw else ""
        spans.append((tag, len(raw), len(raw) + len(value)))
        raw += value
    return {
        "row_id": f"{source}-{number}",
        "raw": raw,
        "source": source,
        "place": f"US::{dict(parts)['locality'].lower()}",
        "split": "validation" if number % 5 == 0 else "train",
        "span_tags": [tag for tag, _, _ in spans],
        "span_starts": [start for _, start, _ in spans],
        "span_ends": [end for _, _, end in spans],
    }


def toy_recipe(**changes: dict[str, Any]) -> Recipe:
    """A recipe for the toy corpus; `changes` are laid over its tables."""
    tables: dict[str, Any] = {
        "name": "toy",
        "corpus": "toy",
        "labels": 2,
        "mix": {"weights": {"alpha": 2.0, "beta": 1.0}},
        "model": {"width": 32, "layers": 2, "heads": 2, "feed_forward": 64, "dropout": 0.1},
        "loss": {"kind": "ce+crf", "crf_weight": 0.1},
        "train": {
            "steps": 60,
            "peak_lr": 5e-3,
            "warmup_steps": 10,
            "batch_size": 16,
            "log_every": 1,
            "eval_every": 20,
            "eval_rows": 100,
            "checkpoint_every": 15,
            "threads": 1,
        },
        "smoke": {"steps": 40, "eval_every": 10},
    }
    for table, values in changes.items():
        tables[table] = {**tables.get(table, {}), **values}
    return Recipe.model_validate(tables)


def toy_plan(toy: Toy, out: Path, *, kind: str = "full", recipe: Recipe | None = None, **changes: Any) -> RunPlan:
    """A plan on the toy corpus; code is named by a constant, as no test edits it."""
    plan = RunPlan(kind, recipe or toy_recipe(), toy.dataset, toy.tokenizer, out, {"code": "0" * 64})  # type: ignore[arg-type]
    return permitted(replace(plan, **changes), Store(toy.dataset.parent / "permits"))


def permitted(plan: RunPlan, store: Store) -> RunPlan:
    """The plan with a permit under the key of these tests, so that they train without a smoke; a smoke needs none."""
    if plan.kind == "smoke" or plan.permit is not None:
        return plan
    precision = precision_as_asked(plan.recipe.train.precision, torch.device("cpu"))
    paths = {"dataset_path": plan.dataset_path, "tokenizer_path": plan.tokenizer_path}
    facts = bound_facts(plan.recipe, **paths, device="cpu", precision=precision)

    def make(out: Path) -> dict[str, JSON]:
        write_permit(out, facts, inputs=(), measured={})
        return {}

    # Every rank of a run asks for it at once.
    made = store.build(KIND, make=make, config=facts, modules=MODULES, patience_seconds=60).artifact
    return replace(plan, permit=Permit(store.url, made.digest))


def rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a log."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def measured(path: Path) -> list[dict[str, Any]]:
    """The rows of a log without what the clock says, and which process wrote them."""
    left_out = {"wall_seconds", "tokens_per_second", "seconds", "part"}
    return [{key: value for key, value in row.items() if key not in left_out} for row in rows(path)]


def weights(out: Path, name: str = "last") -> str:
    """The hash of a checkpoint's weights."""
    return sha256_file(out / name / "model.safetensors")


def main() -> None:
    """Trains the plan that one JSON argument describes: the child process of the tests that kill it. With `bf16_rank`
    the processor of that rank alone has instructions for bf16."""
    request = json.loads(sys.argv[1])
    if "bf16_rank" in request:
        has_it = os.environ["RANK"] == request["bf16_rank"]
        torch.cpu.get_capabilities = lambda: {"avx512_bf16": has_it}
    toy = Toy(Path(request["dataset"]), Path(request["tokenizer"]))
    plan = toy_plan(toy, Path(request["out"]), recipe=toy_recipe(**request["changes"]))
    sys.stdout.write(train(plan).status)
    sys.stderr.write("".join(f"left at the end: {name}\n" for name in threads_of_gloo()))


def threads_of_gloo() -> list[str]:
    """The names of the threads of this process that serve a process group, where the system tells them."""
    names = [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]
    return [name for name in names if "gloo" in name]


if __name__ == "__main__":
    main()
