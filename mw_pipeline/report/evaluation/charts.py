"""Pictures of an evaluation's scores: F1 of every tag, misses by bucket, calibration."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from mw_pipeline.digest import JSON
from mw_pipeline.labels import by_tag
from mw_pipeline.report.charts import BLUE, GREY, SKY, VERMILION, styled, svg_of


@styled
def tag_scores_svg(per_tag: Mapping[str, Mapping[str, JSON]], ceilings: Mapping[str, float | None]) -> str:
    """F1 of every tag with gold support as a dot, its 95 % interval as a line and its ceiling as a tick.

    Dots, not bars: the axis begins where the lowest interval does, so that scores near 1 can be told apart."""
    tags = [tag for tag, facts in by_tag(per_tag) if facts["support"]]
    figure = Figure(figsize=(7.4, 0.8 + 0.3 * max(1, len(tags))), layout="constrained")
    axes = figure.subplots()
    lows = [min([per_tag[tag]["f1"], *(per_tag[tag].get("interval") or ())]) for tag in tags]
    start = min(0.9, math.floor(10 * min(lows, default=0.0)) / 10)
    for place, tag in enumerate(tags):
        facts = per_tag[tag]
        if facts.get("interval"):
            axes.plot(facts["interval"], [place, place], color=SKY, linewidth=4, solid_capstyle="butt")
        axes.plot(facts["f1"], place, marker="o", markersize=6, color=BLUE)
        ceiling = ceilings.get(tag)
        if ceiling is not None:
            axes.plot([ceiling, ceiling], [place - 0.35, place + 0.35], color=VERMILION, linewidth=1.6)
        axes.annotate(f"{facts['f1']:.3f}", (1.03, place), xycoords=("axes fraction", "data"), va="center")
    axes.set_yticks(range(len(tags)), tags)
    axes.set_xlim(start, 1 + 0.01 * (1 - start))
    axes.invert_yaxis()
    axes.set_xlabel(f"F1 from {start:g} (dot), 95 % interval over families (line), ceiling of this gold (red tick)")
    return svg_of(figure, "tags", "F1 of each tag with its interval and ceiling; the table below holds the numbers.")


@styled
def miss_bars_svg(buckets: Mapping[str, Mapping[str, int]]) -> str:
    """Missed and false values by bucket; `buckets` maps a bucket to its `fn` and `fp` counts."""
    figure = Figure(figsize=(7.4, 0.8 + 0.4 * len(buckets)), layout="constrained")
    axes = figure.subplots()
    for offset, side, label, colour in ((-0.19, "fn", "missed", VERMILION), (0.19, "fp", "false", BLUE)):
        places = [place + offset for place in range(len(buckets))]
        bars = axes.barh(places, [counts[side] for counts in buckets.values()], height=0.36, color=colour, label=label)
        axes.bar_label(bars, padding=3)
    axes.set_yticks(range(len(buckets)), [name.replace("_", " ") for name in buckets])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.margins(x=0.12)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    axes.set_xlabel("tag values")
    return svg_of(figure, "misses", "Missed and false tag values by bucket; the table below holds the numbers.")


@styled
def calibration_svg(buckets: Sequence[Mapping[str, JSON]]) -> str:
    """Share of right spans against their mean confidence, the area of a dot growing with its spans."""
    filled = [bucket for bucket in buckets if bucket["spans"]]
    figure = Figure(figsize=(6.4, 3.9), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="calibrated")
    most = max((bucket["spans"] for bucket in filled), default=1)
    confidence = [bucket["mean_confidence"] for bucket in filled]
    right = [bucket["share_correct"] for bucket in filled]
    axes.vlines(confidence, confidence, right, color=VERMILION, linewidth=1.2, label="gap")
    sizes = [18 + 160 * bucket["spans"] / most for bucket in filled]
    axes.scatter(confidence, right, s=sizes, color=BLUE, alpha=0.85, zorder=3, label="spans (number: how many)")
    for bucket, size in zip(filled, sizes, strict=True):
        place = (bucket["mean_confidence"], bucket["share_correct"])
        offset = (-3 - math.sqrt(size) / 2, -3)
        axes.annotate(f"{bucket['spans']:,}", place, xytext=offset, textcoords="offset points", ha="right", fontsize=8)
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), xlabel="mean confidence", ylabel="share right", aspect="equal")
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.legend(loc="upper left", bbox_to_anchor=(1.02, 1.0))
    return svg_of(figure, "calibration", "Share of right spans against their mean confidence, in ten equal buckets.")
