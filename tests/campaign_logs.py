"""The reference campaign of ten runs as folders of logs: its recipes, and logs of the shapes that its runs had."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from run_logs import HEALTHY_LOSS, Curve, course, eval_rows, line, run_json, step_rows, write_run

BASE = """
corpus = "builtin"

[mix.weights]
builtin = 1.0

[model]
width = 32
layers = 1
heads = 2
feed_forward = 64

[loss]
crf_reduction = "per_sequence"

[train]
steps = 50000
peak_lr = 1.5e-4
warmup_steps = 1000
batch_size = 128

[smoke]
mode = "cosine"
steps = 3000
"""
CRF = '[loss]\ncrf_reduction = "per_token"\n'
CW = "[loss.class_weights]\nB-cedex = 3.0\nI-cedex = 3.0\n"

STEADY_F1 = line([(0, 0.0), (1500, 0.4)])

RECIPES: Mapping[str, str] = {
    "1-all": f"{CRF}{CW}[train]\npeak_lr = 5e-4\n",
    "2-all-slower": f"{CRF}{CW}[train]\npeak_lr = 3e-4\n",
    "3-all-slowest": f"{CRF}{CW}",
    "4-cw-fast": f"{CW}[train]\npeak_lr = 5e-4\n",
    "5-crf-fast": f"{CRF}[train]\npeak_lr = 5e-4\n",
    "6-source-smoke": "",
    "7-cw-smoke": CW,
    "8-crf-smoke": CRF,
    "9-cw-promoted": CW,
    "10-source": "",
}


def write_recipes(folder: Path, recipes: Mapping[str, str] = RECIPES, *, base: str = BASE) -> Path:
    """A folder of recipes over `base.toml` beside it."""
    folder.mkdir(parents=True)
    (folder.parent / "base.toml").write_text(base)
    for name, change in recipes.items():
        (folder / f"{name}.toml").write_text(f'base = "../base.toml"\n{change}')
    return folder


def _fall(peak: float, low: float, at: int) -> Curve:
    """F1 that rises to its peak and is lost around a step."""
    return line([(0, 0.0), (at * 0.7, peak), (at * 1.2, low)])


def write_logs(folder: Path) -> Path:
    """One folder of logs per recipe, of the shapes of the reference campaign."""
    turning = {"1-all": (5e-4, 750), "2-all-slower": (3e-4, 1000), "3-all-slowest": (1.5e-4, 2000)}
    turning |= {"4-cw-fast": (5e-4, 1000), "5-crf-fast": (5e-4, 1000), "9-cw-promoted": (1.5e-4, 2250)}
    for name, (rate, step) in turning.items():
        _write(folder / name, 50_000, rate, loss=_turn(step), f1=_fall(0.38, 0.11, step), until=4 * step, kind="full")
    _write(folder / "6-source-smoke", 3000, 1.5e-4, f1=line([(0, 0.0), (1500, 0.419), (3000, 0.414)]))
    _write(folder / "7-cw-smoke", 3000, 1.5e-4, f1=line([(0, 0.0), (1500, 0.4279), (3000, 0.4243)]))
    _write(folder / "8-crf-smoke", 3000, 1.5e-4, loss=line([(0, 6.5), (1500, 0.3), (3000, 1.24)]))
    sag = line([(0, 0.0), (2200, 0.42), (50_000, 0.35)])
    _write(folder / "10-source", 50_000, 1.5e-4, f1=sag, kind="full", every=50)
    return folder


def _turn(at: int) -> Curve:
    """Loss that has doubled its floor at a step."""
    return line([(0, 6.5), (at * 0.9, 0.3), (at * 1.0, 0.62), (at * 1.4, 3.3)])


def _write(
    path: Path,
    steps: int,
    rate: float,
    *,
    loss: Curve = HEALTHY_LOSS,
    f1: Curve = STEADY_F1,
    until: int | None = None,
    kind: str = "smoke",
    every: int = 10,
) -> None:
    facts = course("cosine", steps, peak_lr=rate)
    evals = [row for row in eval_rows(facts, f1) if row["step"] <= (until or steps)]
    write_run(path, step_rows(facts, loss, every=every, until=until), evals, run_json(facts, kind=kind))
