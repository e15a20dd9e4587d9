"""Pictures of an audit as SVG text: shares over the run, where records and rows went, what each method did."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from mw_pipeline.digest import JSON
from mw_pipeline.mix.plan import TOLERANCE_SHARE
from mw_pipeline.report.charts import BLUE, GREEN, GREY, ORANGE, SKY, VERMILION, styled, svg_of

_COLUMNS = 3
_DEDUPLICATED = "deduplicated"
_LOSSES = (ORANGE, VERMILION, "#cc79a7", "#7a5fa8", "#8c5a2b", GREEN)  # more are not told apart in a thin bar


@styled
def window_shares_svg(sources: Sequence[Mapping[str, JSON]]) -> str:
    """One small panel per source: its share in each tenth of the run as steps, the requested one as a line.

    The band is what the check allows. Panels have axes of their own: 2 % is read as easily as 60 %."""
    lines = max(1, math.ceil(len(sources) / _COLUMNS))
    columns = min(_COLUMNS, max(1, len(sources)))
    figure = Figure(figsize=(2.6 * columns + 0.4, 1.55 * lines + 0.5), layout="constrained")
    panels = list(figure.subplots(lines, columns, squeeze=False).flat)
    for axes, source in zip(panels, sources, strict=False):
        _draw_windows(axes, source)
    for axes in panels[len(sources) :]:
        axes.set_axis_off()
    figure.supxlabel("tenth of the run", fontsize=9)
    return svg_of(figure, "windows", "Share of every source in each tenth of the run, against the requested share.")


@styled
def losses_svg(sources: Sequence[Mapping[str, JSON]]) -> str:
    """What was lost of the records of every source (left) and of the rows composed from them (right), as shares.

    A colour stands for one fate throughout: deduplicated, and the six filters and reasons of quarantine that took the
    largest share anywhere; the others are grey together. What was kept is a number at the right edge: as a bar it
    would leave no room for the losses."""
    flows = [source["waterfall"] for source in sources]
    fates = _fates(flows)
    figure = Figure(figsize=(8.4, 1.0 + 0.34 * max(1, len(sources)) + 0.2 * math.ceil(len(fates) / 3)))
    figure.set_layout_engine("constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for axes, title, lines in ((left, "records", flows), (right, "rows", [flow["rows"] for flow in flows])):
        _draw_fates(axes, lines, fates)
        axes.set_title(f"lost {title}")
    left.set_yticks(range(len(sources)), [source["name"] for source in sources])
    left.invert_yaxis()
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=3)
    return svg_of(figure, "losses", "What became of the records and rows of every source; the table holds the numbers.")


@styled
def methods_svg(sources: Sequence[Mapping[str, JSON]]) -> str:
    """Augmentation × source: how many of the rows chosen for it an augmentation changed, and their share.

    The darker a cell the larger the share; red where rows with the augmentation went to quarantine."""
    names = sorted({name for source in sources for name in source["waterfall"]["methods"]})
    figure = Figure(figsize=(1.7 + 0.95 * max(1, len(sources)), 0.8 + 0.27 * max(1, len(names))), layout="constrained")
    axes = figure.subplots()
    for column, source in enumerate(sources):
        for line, name in enumerate(names):
            flow = source["waterfall"]["methods"].get(name)
            if flow is not None and flow["asked"]:
                _draw_method(axes, (column, line), flow)
    axes.set_xticks(range(len(sources)), [source["name"] for source in sources], rotation=20, ha="right")
    axes.set_yticks(range(len(names)), [name.replace("_", " ") for name in names])
    axes.set(xlim=(-0.6, len(sources) - 0.4), ylim=(len(names) - 0.5, -0.5))
    axes.grid(visible=False)
    return svg_of(figure, "methods", "Rows changed by each augmentation, by source; the table below holds the numbers.")


def _draw_method(axes: Axes, place: tuple[int, int], flow: Mapping[str, JSON]) -> None:
    column, line = place
    changed = flow["applied"] / flow["asked"]
    axes.fill_between(
        [column - 0.47, column + 0.47], line - 0.44, line + 0.44, color=BLUE, alpha=0.1 + 0.5 * changed, linewidth=0
    )
    colour = VERMILION if flow["quarantined"] else "black"
    axes.annotate(f"{flow['applied']:,} · {changed:.0%}", place, ha="center", va="center", fontsize=7, color=colour)


def _draw_windows(axes: Axes, source: Mapping[str, JSON]) -> None:
    shares, requested = source["window_shares"], source["requested_share"]
    axes.axhspan(requested - TOLERANCE_SHARE, requested + TOLERANCE_SHARE, color=GREY, alpha=0.15, linewidth=0)
    axes.axhline(requested, color=GREY, linewidth=0.9, linestyle="--")
    axes.step(range(1, len(shares) + 1), shares, where="mid", color=BLUE)
    low, high = min([requested, *shares]), max([requested, *shares])
    axes.set_ylim(max(0.0, low - 2 * TOLERANCE_SHARE), min(1.03, high + 2 * TOLERANCE_SHARE))
    axes.set_title(f"{source['name']}  {requested:.1%}", fontsize=8.5)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.yaxis.set_major_locator(MaxNLocator(3))
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))


def _draw_fates(axes: Axes, flows: Sequence[Mapping[str, JSON]], fates: Sequence[_Fate]) -> None:
    starts = [0.0] * len(flows)
    for fate in fates:
        widths = [sum(_share(flow, loss) for loss in fate.losses) for flow in flows]
        axes.barh(range(len(flows)), widths, left=starts, height=0.7, color=fate.colour, label=fate.title)
        starts = [start + width for start, width in zip(starts, widths, strict=True)]
    for place, flow in enumerate(flows):
        kept = f"{flow['kept'] / flow['read']:.1%} kept" if flow["read"] else "none read"
        axes.annotate(kept, (1.0, place), xycoords=("axes fraction", "data"), ha="right", va="center", fontsize=8)
    axes.set_xlim(0, 1.4 * max(0.005, *starts) if starts else 1)
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.grid(visible=False, axis="y")


@dataclass(frozen=True)
class _Fate:
    """One colour of the losses: its title in the legend, and what it stands for, as `_count` takes it."""

    title: str
    colour: str
    losses: tuple[str, ...]


def _fates(flows: Sequence[Mapping[str, JSON]]) -> list[_Fate]:
    """Every fate that some record or row met; filters before reasons of quarantine, the smallest last as one."""
    lines = [line for flow in flows for line in (flow, flow["rows"])]
    named = {kind: sorted({name for line in lines for name in line[kind]}) for kind in ("filtered", "quarantined")}
    losses = [f"{kind}: {name}" for kind, names in named.items() for name in names]
    by_size = sorted(losses, key=lambda loss: max(_share(line, loss) for line in lines), reverse=True)
    large, small = by_size[: len(_LOSSES)], by_size[len(_LOSSES) :]
    shown = [loss for loss in losses if loss in large]
    fates = [_Fate(_DEDUPLICATED, SKY, (_DEDUPLICATED,))]
    fates += [_Fate(loss, colour, (loss,)) for loss, colour in zip(shown, _LOSSES, strict=False)]
    return fates + ([_Fate(f"{len(small)} smaller, in the table", GREY, tuple(small))] if small else [])


def _share(flow: Mapping[str, JSON], fate: str) -> float:
    return _count(flow, fate) / flow["read"] if flow["read"] else 0.0


def _count(flow: Mapping[str, JSON], fate: str) -> int:
    kind, _, name = fate.partition(": ")
    return int(flow[kind].get(name, 0) if name else flow[kind])
