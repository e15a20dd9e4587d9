"""Pictures of a campaign as SVG text: macro-F1 of every run, and the step of failure against the learning rate."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from mw_pipeline.digest import JSON
from mw_pipeline.report.charts import BLUE, GREY, ORANGE, VERMILION, styled, svg_of

_COLUMNS = 3
_COLOURS = {True: VERMILION, False: BLUE, None: GREY}


@styled
def f1_panels_svg(rows: Sequence[Mapping[str, JSON]]) -> str:
    """One small panel per recipe: validation macro-F1 of its smoke (dashed) and its full run (solid) over the steps.

    Red failed, blue did not, grey has shown nothing; a circle marks the best value, a vertical line the failure."""
    shown = [row for row in rows if row["smoke"] or row["full"]]
    lines = max(1, math.ceil(len(shown) / _COLUMNS))
    columns = min(_COLUMNS, max(1, len(shown)))
    figure = Figure(figsize=(2.7 * columns + 0.4, 1.9 * lines + 0.5), layout="constrained")
    panels = list(figure.subplots(lines, columns, squeeze=False, sharey=True).flat)
    for axes, row in zip(panels, shown, strict=False):
        axes.set_title(row["recipe"])
        for kind, style in (("full", "-"), ("smoke", "--")):
            if row[kind] is not None:
                _draw_run(axes, row[kind], style)
    for axes in panels[len(shown) :]:
        axes.set_axis_off()
    figure.supxlabel("step (logarithmic)", fontsize=9)
    figure.supylabel("validation macro-F1", fontsize=9)
    return svg_of(figure, "f1", "Validation macro-F1 of every run of the campaign; the tables hold the numbers.")


def _draw_run(axes: Axes, run: Mapping[str, JSON], style: str) -> None:
    colour = _COLOURS[run["failed"]]
    if run["f1"]:
        axes.plot([step for step, _ in run["f1"]], [f1 for _, f1 in run["f1"]], style, color=colour, linewidth=1.2)
        axes.plot(run["best_step"], run["best_f1"], marker="o", markersize=5, fillstyle="none", color=colour)
    if run["step"]:
        axes.axvline(run["step"], color=ORANGE, linewidth=1.0, linestyle=":")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


@styled
def rates_svg(fits: Sequence[Mapping[str, JSON]]) -> str:
    """The step of failure against the learning rate, both logarithmic, with the line fitted through each group."""
    figure = Figure(figsize=(6.4, 3.9), layout="constrained")
    axes = figure.subplots()
    for fit, colour in zip(fits, (VERMILION, BLUE, ORANGE, GREY) * len(fits), strict=False):
        rates, steps = [rate for _, rate, _ in fit["points"]], [step for _, _, step in fit["points"]]
        line = np.geomspace(min(rates) / 1.2, max(rates) * 1.2, 50)
        label = f"{', '.join(sorted(fit['changes'])) or 'base'}: step ∝ rate^{fit['slope']:.2f}"
        axes.plot(line, np.exp(fit["intercept"] + fit["slope"] * np.log(line)), color=colour, linewidth=1.0)
        axes.plot(rates, steps, "o", color=colour, label=label)
    axes.set(xscale="log", yscale="log", xlabel="peak learning rate", ylabel="step of failure")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda rate, _: f"{rate:g}"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))
    axes.xaxis.set_minor_formatter(FuncFormatter(lambda rate, _: f"{rate:g}"))
    axes.yaxis.set_minor_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))
    axes.legend(loc="upper left", bbox_to_anchor=(0, -0.2))
    return svg_of(figure, "rates", "Step of failure against peak learning rate, with a fitted power law.")
