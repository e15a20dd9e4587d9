"""What measured sizes say about one that nobody has measured: a model, its extrapolation, and the page of both."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

TARGET_ROWS = 677_000_000
WORKERS = (1, 8, 64)

WRITTEN = {
    "raw": "raw files",
    "shards": "aligned rows",
    "keys": "their keys",
    "dataset": "the dataset",
    "corpus": "work in progress of the corpus, until its shards are in their place",
    "tokenizing": "work in progress of tokenizing, until the dataset is in its place",
    "spilled": "what the joins spill at once",
}

ASSUMPTIONS = (
    "Seconds are CPU seconds of one core of the machine that measured; another core has another speed.",
    "A stage costs a fixed part and a part for each row, fitted to the sizes above by least relative squares. "
    "Bytes are those of the largest size, in proportion.",
    "Portions of raw files and pieces share out evenly among workers; what is neither (where portions begin, comparing "
    "hashes, putting files together) is done by one process. A packed file is one portion, and the raw files here are "
    "not packed. Joins and checks are counted as if one core did them.",
    "All rows are of one large source and a smaller one that repeats a fourth of its records. Sources can be built and "
    "checked beside each other, which is not counted.",
    "Disks and network keep up: no stage waits for them. What goes beyond `MW_MEMORY` is spilled to a local disk.",
    "What the store adds is not counted: each file is hashed when it is put there and when a process first opens it.",
)


def extrapolated(sizes: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    """`model` of each stage, `flatness`, and hours by workers and bytes at TARGET_ROWS."""
    rows = np.array([found["rows"] for found in sizes.values()], np.float64)
    stages = list(next(iter(sizes.values()))["stages"])
    of_stage = {name: [found["stages"][name] for found in sizes.values()] for name in stages}
    model = {name: fitted(rows, found) for name, found in of_stage.items()}
    last = list(sizes.values())[-1]
    per_row = {name: last["bytes"][name] / last["rows"] for name in WRITTEN}
    return {
        "model": model,
        "flatness": flatness(rows, of_stage),
        "target": {
            "rows": TARGET_ROWS,
            "hours": {workers: {name: hours(found, workers) for name, found in model.items()} for workers in WORKERS},
            "gigabytes": {name: round(each * TARGET_ROWS / 1e9, 1) for name, each in per_row.items()},
        },
    }


def fitted(rows: np.ndarray, found: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The fixed seconds of a stage, those of each million rows, and the share (0..1) that any worker can do."""
    seconds = np.array([each["seconds"] for each in found])
    per_row, fixed = np.polyfit(rows, seconds, 1, w=1 / seconds) if len(rows) > 1 else (seconds[0] / rows[0], 0.0)
    if fixed < 0 or per_row <= 0:
        per_row, fixed = float(np.mean(seconds / rows)), 0.0
    last = found[-1]
    return {
        "fixed_seconds": round(float(fixed), 3),
        "seconds_per_million_rows": round(float(per_row) * 1e6, 3),
        "parallel_share": round(last.get("in_pieces", 0.0) / last["seconds"], 3),
    }


def hours(model: Mapping[str, float], workers: int) -> float:
    """What a stage takes at TARGET_ROWS (Amdahl's law)."""
    seconds = model["fixed_seconds"] + model["seconds_per_million_rows"] * TARGET_ROWS / 1e6
    share = model["parallel_share"]
    return round(seconds * (1 - share + share / workers) / 3600, 2)


def flatness(rows: np.ndarray, of_stage: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, dict[str, float]]:
    """For each stage, seconds per row at the largest size by those at the size before, and the same for memory."""
    found = {}
    for name, each in of_stage.items():
        time = [stage["seconds"] / count for stage, count in zip(each, rows, strict=True)]
        memory = [stage["peak_mib"] for stage in each]
        found[name] = {
            "time": round(time[-1] / time[max(0, len(time) - 2)], 3),
            "memory": round(memory[-1] / memory[max(0, len(memory) - 2)], 3),
        }
    return found


def page_of(figures: Mapping[str, Any]) -> str:
    """docs/scale.md."""
    sizes, target = figures["sizes"], figures["target"]
    stages = list(figures["model"])
    measured = [
        [f"{found['rows']:,}", *(cell(found["stages"][name], found["rows"]) for name in stages)]
        for found in sizes.values()
    ]
    model = [
        [name, f"{m['fixed_seconds']:.1f}", f"{m['seconds_per_million_rows']:.2f}", f"{m['parallel_share']:.2f}"]
        for name, m in figures["model"].items()
    ]
    totals = {workers: sum(each.values()) for workers, each in target["hours"].items()}
    by_stage = [[name, *(f"{target['hours'][w][name]:.1f}" for w in WORKERS)] for name in stages]
    by_stage.append(["all", *(f"{totals[w]:.1f}" for w in WORKERS)])
    written = [[text, f"{target['gigabytes'][name]:,.0f}"] for name, text in WRITTEN.items()]
    speed = figures["speedup"] and (
        f"Tokenizing, by the clock: two workers are {figures['speedup']['2']} times as fast as one on one core, two of "
        f"Ray {figures['speedup']['ray:2']} times. Two processes that share nothing get "
        f"{figures['speedup']['ceiling']} times as much done as one on that machine: no two workers can be faster."
    )
    sections = [
        "# The data side at scale",
        paragraph(
            "`python benchmarks/scale.py --write docs/scale.md` writes this page: from raw files to the files that "
            "training reads, measured at some sizes and extrapolated to 677 million rows."
        ),
        "## Measured",
        paragraph(
            "Microseconds of CPU per row / most memory of the process in MiB, where joins may hold "
            f"{figures['memory_limit_mb']} MB. Memory grows until the joins reach that limit and no further."
        ),
        table(["rows", *stages], measured),
        *([paragraph(speed)] if speed else ()),
        "## The model",
        table(["stage", "fixed seconds", "seconds per million rows", "share that any worker can do"], model),
        "## At 677 million rows",
        "Hours, by how many workers read raw files and do the pieces:",
        table(["stage", *(f"{workers} worker{'s' * (workers > 1)}" for workers in WORKERS)], by_stage),
        "Gigabytes:",
        table(["", "GB"], written),
        "## Assumptions",
        "\n".join(paragraph(f"- {assumption}") for assumption in ASSUMPTIONS),
    ]
    return "\n\n".join(sections) + "\n"


def paragraph(text: str) -> str:
    """A text or an item of a list, in lines of the width of the other pages."""
    return textwrap.fill(text, 120, subsequent_indent="  " if text.startswith("- ") else "", break_on_hyphens=False)


def cell(stage: Mapping[str, Any], rows: int) -> str:
    """Microseconds per row, and memory."""
    return f"{stage['seconds'] / rows * 1e6:.2f} / {stage['peak_mib']}"


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, numbers to the right."""
    lines = [headers, ["---", *["--:"] * (len(headers) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
