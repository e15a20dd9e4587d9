"""Pictures of a capability matrix as SVG text: heat maps of two axes, and a map of tiles for each list of words."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from mw_pipeline.digest import JSON
from mw_pipeline.report.charts import BLUE, GREY, VERMILION, styled, svg_of

_TILES_ACROSS = 6
MOST_TILES = 60
_LABEL = 24
_NOTHING = "#f2f2f2"


@styled
def heat_map_svg(cells: Sequence[Mapping[str, JSON]], columns: Sequence[str], *, name: str, min_cell: float) -> str:
    """The share right of every pair of values, rows worst first: red below `min_cell`, blue above, framed where blind.

    A pair that nobody asked, because it is no other way of writing or not to be read, stays empty."""
    by_pair = {(cell["values"][0], cell["values"][1]): cell for cell in cells}
    rows = sorted({row for row, _ in by_pair}, key=lambda row: _worst_of(row, by_pair))
    figure = Figure(figsize=(3.6 + 0.62 * len(columns), 1.2 + 0.2 * len(rows)), layout="constrained")
    axes = figure.subplots()
    for place, row in enumerate(rows):
        for column, value in enumerate(columns):
            _draw_tile(axes, column, place, by_pair.get((row, value)), min_cell)
    axes.set_xticks([0.5 + column for column in range(len(columns))], columns, rotation=35, ha="left", fontsize=8)
    axes.set_yticks([0.5 + place for place in range(len(rows))], rows, fontsize=7)
    axes.xaxis.tick_top()
    _bare(axes, len(columns), len(rows))
    return svg_of(figure, name, "Share of rows that are right whole, in per cent; framed cells are blind.")


@styled
def tile_map_svg(cells: Sequence[Mapping[str, JSON]], *, name: str, min_cell: float) -> str:
    """The share right for each value of one family, worst first, at most MOST_TILES of them."""
    shown = sorted(cells, key=worst_first)[:MOST_TILES]
    lines = math.ceil(len(shown) / _TILES_ACROSS)
    figure = Figure(figsize=(7.6, 0.1 + 0.3 * lines), layout="constrained")
    axes = figure.subplots()
    for number, cell in enumerate(shown):
        line, place = divmod(number, _TILES_ACROSS)
        _draw_tile(axes, place, line, cell, min_cell, label=f"{_short(cell['values'][0])} ")
    axes.set_xticks([])
    axes.set_yticks([])
    _bare(axes, _TILES_ACROSS, lines)
    return svg_of(
        figure, name, "Share of rows that are right whole, in per cent, for each word; framed cells are blind."
    )


def worst_first(cell: Mapping[str, JSON]) -> tuple[bool, float, str]:
    """A sorting key: cells by the upper end of their interval, those with too few rows last."""
    few = cell["verdict"] == "too few"
    return few, 1.0 if cell["high"] is None else cell["high"], cell["values"][0]


def _worst_of(row: str, by_pair: Mapping[tuple[str, str], Mapping[str, JSON]]) -> tuple[float, str]:
    return min(cell["high"] or 0.0 for (name, _), cell in by_pair.items() if name == row), row


def _draw_tile(
    axes: Axes, column: int, line: int, cell: Mapping[str, JSON] | None, min_cell: float, label: str = ""
) -> None:
    """One coloured tile with its per cent; grey letters where a cell has too few rows to be judged."""
    if cell is None or cell["score"] is None:
        axes.add_patch(Rectangle((column + 0.02, line + 0.06), 0.96, 0.88, color=_NOTHING, linewidth=0))
        return
    few = cell["verdict"] == "too few"
    colour = _NOTHING if few else _scale(min_cell)(cell["score"])
    axes.add_patch(Rectangle((column + 0.02, line + 0.06), 0.96, 0.88, facecolor=colour, linewidth=0))
    if cell["verdict"] == "blind":
        frame = Rectangle((column + 0.03, line + 0.08), 0.94, 0.84, fill=False, edgecolor="black", linewidth=1.3)
        axes.add_patch(frame)
    text = f"{label}{100 * cell['score']:.0f}{'?' if few else ''}"
    ink = GREY if few else "white" if cell["score"] < min_cell / 2 else "black"
    axes.text(column + 0.5, line + 0.52, text.replace("$", r"\$"), ha="center", va="center", fontsize=7, color=ink)


@functools.cache
def _scale(min_cell: float) -> LinearSegmentedColormap:
    """Red at nothing right, white at `min_cell`, pale blue at all right: made once, and not for every tile."""
    middle = min(max(min_cell, 0.01), 0.99)
    stops = [(0.0, VERMILION), (middle, "#fbf3ee"), (1.0, _PALE_BLUE)]
    return LinearSegmentedColormap.from_list("right", stops)


_PALE_BLUE = f"{BLUE}80"


def _short(text: str) -> str:
    return text if len(text) <= _LABEL else f"{text[: _LABEL - 1]}…"


def _bare(axes: Axes, across: int, down: int) -> None:
    axes.set(xlim=(0, across), ylim=(down, 0))
    axes.grid(visible=False)
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
