"""Pictures of training runs and of the verdict on them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from mw_pipeline.digest import JSON
from mw_pipeline.report.charts import BLUE, GREEN, GREY, ORANGE, SKY, VERMILION, styled, svg_of, write_picture
from mw_pipeline.verdict.rules import MEDIAN_POINTS, REBOUND_FACTOR, REBOUND_NATS
from mw_pipeline.verdict.runlog import Row, RunLog

_MOST_POINTS = 2000  # of one line: more than its width in pixels, and a page that still opens at once


@styled
def curves_svg(runs: Mapping[str, RunLog], verdict: Mapping[str, JSON] | None = None, *, judged: str = "smoke") -> str:
    """Losses, validation macro-F1 and learning rate over steps, one column per run ("smoke", "full").

    The verdict's near-peak window is shaded, and its loss floor, rebound threshold and failing step are drawn, in the
    column of the run that it judged.
    """
    last = " and ".join(runs)
    description = f"Training curves of the {last} run: loss, validation macro-F1 and learning rate."
    return svg_of(_curves(runs, verdict, judged), "curves", description)


def write_curves(log: RunLog, verdict: Mapping[str, JSON], path: Path, *, title: str) -> None:
    """Draws one run and the verdict on it into a file; see `write_picture`."""
    description = f"Training curves of the {title} run: loss, validation macro-F1 and learning rate."
    write_picture(lambda: _curves({title: log}, verdict, title), path, name="curves", description=description)


def _curves(runs: Mapping[str, RunLog], verdict: Mapping[str, JSON] | None, judged: str) -> Figure:
    figure = Figure(figsize=(4.6 * len(runs) + 0.4, 6.6), layout="constrained")
    grid = figure.subplots(3, len(runs), squeeze=False, sharex="col")
    for column, (name, log) in enumerate(runs.items()):
        loss, f1, rate = grid[:, column]
        _draw_loss(loss, log)
        _draw_f1(f1, log)
        rate.plot(*_thinned(*_points(log.steps, "lr")), color=GREY)
        rate.set_xlabel("step")
        loss.set_title(name)
        if verdict is not None and name == judged:
            _draw_verdict(loss, f1, rate, verdict)
        if column == 0:
            loss.set_ylabel("loss (nats)")
            f1.set_ylabel("validation macro-F1")
            rate.set_ylabel("learning rate")
        loss.legend(loc="best")
    return figure


def _draw_loss(axes: Axes, log: RunLog) -> None:
    steps, losses = _points(log.steps, "loss")
    axes.plot(*_thinned(steps, losses), color=SKY, linewidth=0.7, alpha=0.8, label="train")
    axes.plot(*_thinned(steps, _running_median(losses)), color=BLUE, label=f"train, median of {MEDIAN_POINTS}")
    axes.plot(*_points(log.evals, "val_loss"), color=ORANGE, marker="o", markersize=2.5, label="validation")
    if losses and min(losses) > 0 and max(losses) > 20 * min(losses):
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_locator(NullLocator())


def _draw_f1(axes: Axes, log: RunLog) -> None:
    steps, values = _points(log.evals, "val_macro_f1")
    axes.plot(steps, values, color=GREEN, marker="o", markersize=2.5)
    if values:
        best = max(range(len(values)), key=values.__getitem__)
        label = f"best {values[best]:.4f} at {steps[best]:,.0f}, last {values[-1]:.4f}"
        axes.plot(steps[best], values[best], marker="o", markersize=7, fillstyle="none", color="black", label=label)
        axes.legend(loc="best")


def _draw_verdict(loss: Axes, f1: Axes, rate: Axes, verdict: Mapping[str, JSON]) -> None:
    evidence = verdict["evidence"]
    window = evidence.get("near_peak_window")
    if window:
        last = evidence.get("last_step") or window[1]
        for axes in (loss, f1, rate):
            axes.axvspan(
                window[0], min(window[1], last), color=ORANGE, alpha=0.13, linewidth=0, label="near-peak window"
            )
        rate.legend(loc="best")
    floor = evidence.get("loss_floor")
    if isinstance(floor, int | float):
        loss.axhline(floor, color=GREY, linewidth=0.9, linestyle=":", label=f"floor {floor:.3g}")
        threshold = max(REBOUND_FACTOR * floor, floor + REBOUND_NATS)
        loss.axhline(threshold, color=VERMILION, linewidth=0.9, linestyle="--", label=f"rebound above {threshold:.3g}")
    if verdict.get("step") is not None:
        for axes in (loss, f1, rate):
            axes.axvline(verdict["step"], color=VERMILION, linewidth=1.2)
        f1.annotate(
            f"{verdict['rule']} at {verdict['step']:,}",
            (verdict["step"], 0.98),
            xycoords=("data", "axes fraction"),
            color=VERMILION,
            fontsize=8,
            va="top",
            xytext=(4, 0),
            textcoords="offset points",
        )


def _points(rows: Sequence[Row], column: str) -> tuple[list[float], list[float]]:
    """Steps and finite values of a column; what is missing or not finite leaves a gap, and the verdict names it."""
    pairs = [(float(row["step"]), float(row[column])) for row in rows if row.get(column) is not None]
    finite = [(step, value) for step, value in pairs if math.isfinite(value)]
    return [step for step, _ in finite], [value for _, value in finite]


def _thinned(steps: Sequence[float], values: Sequence[float]) -> tuple[list[float], list[float]]:
    """At most about `_MOST_POINTS` points: lowest and highest of every stretch, so that no spike is thinned away."""
    stretch = max(1, math.ceil(2 * len(values) / _MOST_POINTS))
    kept: list[int] = []
    for begin in range(0, len(values), stretch):
        places = range(begin, min(begin + stretch, len(values)))
        kept += sorted({min(places, key=values.__getitem__), max(places, key=values.__getitem__)})
    return [steps[i] for i in kept], [values[i] for i in kept]


def _running_median(values: Sequence[float]) -> list[float]:
    """Median of the last five values: what the failure rules look at."""
    return [statistics.median(values[max(0, end - MEDIAN_POINTS) : end]) for end in range(1, len(values) + 1)]
