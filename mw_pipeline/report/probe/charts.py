"""Pictures of what the probes found, in the style of all pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter

from mw_pipeline.digest import JSON
from mw_pipeline.labels import by_tag
from mw_pipeline.report.charts import BLUE, GREEN, GREY, ORANGE, SKY, VERMILION, styled, svg_of, write_picture
from mw_pipeline.report.probe.tables import probe_sentence, term_name

_STATUS_COLOURS = {"agrees": BLUE, "suspect": ORANGE, "diverged": VERMILION}
_WIDTH_INCHES = 7.6


def probe_svg(found: Mapping[str, JSON]) -> str:
    """The picture of any probe's result as an `<svg>` element."""
    draw = _PICTURES[found["probe"]]
    return styled(lambda: svg_of(draw(found), found["probe"], probe_sentence(found)))()


def write_probe(found: Mapping[str, JSON], path: Path) -> None:
    """Draws any probe's result into a file: .svg or .png. Raises ArtifactError for another suffix."""
    draw = _PICTURES[found["probe"]]
    write_picture(lambda: draw(found), path, name=found["probe"], description=probe_sentence(found))


def _gradients(found: Mapping[str, JSON]) -> Figure:
    sources = found["sources"]
    heights = (2.4, 0.7 + 0.28 * len(sources))
    figure = Figure(figsize=(_WIDTH_INCHES, 1.0 + sum(heights)), layout="constrained")
    terms, norms = figure.subplots(2, 1, height_ratios=heights)
    _draw_terms(terms, found["terms"])
    _draw_sources(norms, sources)
    return figure


def _draw_terms(axes: Axes, terms: Mapping[str, JSON] | None) -> None:
    """Weighted ratio of every batch over the bands, raw and per-token ratio beside it."""
    if terms is None:
        axes.set_axis_off()
        axes.text(0.5, 0.5, "this loss has one term", ha="center", transform=axes.transAxes)
        return
    first, second = term_name(terms, "first"), term_name(terms, "second")
    axes.set_title(f"Gradient of {second} against {first}, batch by batch")
    rows = (("raw", GREY), ("per_token", SKY), ("weighted", BLUE))
    for place, (key, colour) in enumerate(rows):
        values = [row[key] for row in terms["per_batch"] if row[key]]
        axes.scatter(values, [place] * len(values), s=26, color=colour, alpha=0.75, zorder=3)
        median = terms["median"][key]
        if median:
            axes.plot([median, median], [place - 0.3, place + 0.3], color="black", linewidth=1.6, zorder=4)
            axes.annotate(f"{median:.3g}", (1.01, place), xycoords=("axes fraction", "data"), va="center")
    axes.set_yticks(range(len(rows)), ["raw", "per token", f"weighted (λ = {terms['weight']:.3g})"])
    axes.set_ylim(-0.6, len(rows) - 0.1)
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, 0.002) if low > 0 else 0.002, max(high, 10.0))  # below 0 where there is nothing to draw
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    for left, right, name, colour in _bands(*axes.get_xlim(), second):
        axes.fill_between([left, right], len(rows) - 1.5, len(rows) - 0.1, color=colour, alpha=0.16, linewidth=0)
        axes.text((left * right) ** 0.5, len(rows) - 0.15, name, ha="center", va="top", fontsize=8)
    axes.set_xlabel("ratio of gradient norms: a dot for each batch, a tick and a number for the median")


def _bands(low: float, high: float, second: str) -> list[tuple[float, float, str, str]]:
    return [
        (low, 0.01, "collapsed", VERMILION),
        (0.01, 0.5, "leaning", ORANGE),
        (0.5, 2.0, "balanced", GREEN),
        (2.0, 4.0, "leaning", ORANGE),
        (4.0, high, f"{second} dominates", VERMILION),
    ]


def _draw_sources(axes: Axes, sources: Mapping[str, Mapping[str, JSON]]) -> None:
    """Mean gradient norm of every source with one standard deviation over its batches."""
    axes.set_title("Gradient norm of each source by itself")
    known = {name: facts for name, facts in sorted(sources.items()) if facts["mean_norm"] is not None}
    for place, facts in enumerate(known.values()):
        spread = (facts["variance"] or 0.0) ** 0.5
        colour = VERMILION if facts["outlier"] else BLUE
        axes.errorbar(facts["mean_norm"], place, xerr=spread, fmt="o", markersize=5, color=colour, capsize=3)
        share = "outlier" if facts["outlier"] else f"{100 * (facts['share'] or 0.0):.0f} %"
        axes.annotate(share, (1.01, place), xycoords=("axes fraction", "data"), va="center", color=colour)
    axes.set_yticks(range(len(known)), list(known))
    axes.set_ylim(max(1, len(known)) - 0.5, -0.5)
    axes.set_xlim(left=0.0)
    axes.set_xlabel("mean norm (dot) ± standard deviation over batches; right: share of all, or outlier (z > 3)")


def _activations(found: Mapping[str, JSON]) -> Figure:
    """Standard deviation of every stage, beside the reference's where there is one, in the colour of its status."""
    stages, tokens, compared = found["trace"]["stages"], found["tokens"], found["comparison"]
    figure = Figure(figsize=(_WIDTH_INCHES, 1.4 + 0.19 * len(stages)), layout="constrained")
    axes = figure.subplots()
    reference = {row["stage"]: row for row in compared["stages"]} if compared else {}
    odd = {row["stage"] for row in found["outliers"]}
    for place, stage in enumerate(stages):
        name, std = stage["name"], stage["stats"][tokens]["std"]
        row = reference.get(name)
        status = row["status"] if row else ("suspect" if name in odd else "agrees")
        if row and row["reference_std"] and std:
            axes.plot([row["reference_std"], std], [place, place], color=_STATUS_COLOURS[status], linewidth=1.2)
            axes.plot(row["reference_std"], place, marker="|", markersize=9, color="black", markeredgewidth=1.4)
        if std:
            axes.plot(std, place, marker="o", markersize=5, color=_STATUS_COLOURS[status])
        if compared and name == compared["origin"]:
            axes.axhspan(place - 0.5, place + 0.5, color=VERMILION, alpha=0.13, linewidth=0)
            axes.annotate("first", (1.01, place), xycoords=("axes fraction", "data"), va="center", color=VERMILION)
    axes.set_yticks(range(len(stages)), [stage["name"] for stage in stages], fontsize=8)
    axes.set_ylim(max(1, len(stages)) - 0.5, -0.5)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    words = {"all": "all pieces", "first": "the first piece of each row", "rest": "all pieces but the first"}
    axes.set_xlabel(f"standard deviation over {words[tokens]}")
    axes.set_title("Activations, stage by stage")
    axes.legend(handles=_trace_legend(compared), loc="upper left", bbox_to_anchor=(0.0, -0.07), ncols=4)
    return figure


def _trace_legend(compared: Mapping[str, JSON] | None) -> list[Line2D]:
    names = _STATUS_COLOURS if compared else {"like the other layers": BLUE, "stands apart": ORANGE}
    dots = [Line2D([], [], marker="o", linestyle="", color=colour, label=name) for name, colour in names.items()]
    tick = Line2D([], [], marker="|", markersize=9, linestyle="", color="black", label="reference")
    return [*dots, *([tick] if compared else [])]


def _separation(found: Mapping[str, JSON]) -> Figure:
    """Mean p outside and inside the spans of every label that occurs, with its AUROC."""
    labels = {tag: facts for tag, facts in by_tag(found["labels"]) if facts["collapsed"] is not None}
    figure = Figure(figsize=(_WIDTH_INCHES, 1.3 + 0.3 * max(1, len(labels))), layout="constrained")
    axes = figure.subplots()
    for place, facts in enumerate(labels.values()):
        colour = VERMILION if facts["collapsed"] else BLUE
        ends = facts["mean_outside"], facts["mean_inside"]
        axes.plot(ends, [place, place], color=SKY if colour == BLUE else colour, linewidth=3, solid_capstyle="butt")
        low, high = (ends[0] + bound for bound in facts["interval"])
        axes.plot([low, high], [place, place], color="black", linewidth=1, marker="|", markersize=7)
        axes.plot(ends[0], place, marker="o", markersize=6, markerfacecolor="white", color=GREY)
        axes.plot(ends[1], place, marker="o", markersize=6, color=colour)
        word = "collapsed" if facts["collapsed"] else f"AUROC {facts['auroc']:.3f}"
        axes.annotate(word, (1.01, place), xycoords=("axes fraction", "data"), va="center", color=colour)
    axes.set_yticks(range(len(labels)), list(labels))
    axes.set_ylim(max(1, len(labels)) - 0.5, -0.5)
    axes.set_xlim(-0.02, 1.02)
    axes.set_title("What each label gives to the pieces of its spans, and to all others")
    axes.set_xlabel(
        f"mean p outside (ring) and inside (dot) its spans, 95 % interval of the difference (line); "
        f"{found['split']} rows"
    )
    return figure


_PICTURES: dict[str, Callable[[Mapping[str, JSON]], Figure]] = {
    "gradients": _gradients,
    "activations": _activations,
    "separation": _separation,
}
