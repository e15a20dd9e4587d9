"""The capability matrix as one self-contained HTML page: the worst cells first, then heat maps of all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path

from mw_pipeline.digest import JSON
from mw_pipeline.report.capability.charts import MOST_TILES, heat_map_svg, tile_map_svg, worst_first
from mw_pipeline.report.cells import Table, count, interval, number, share
from mw_pipeline.report.page import Section, Tile, write_page

_SHOWN = 40
_GRID = " × "
_TRAINING_UNKNOWN = (
    "The training rows were not known to whoever measured this: no row was left out for standing in training."
)


def render_capability(out: Path, matrix: Mapping[str, JSON]) -> Path:
    """Writes the page of a matrix's JSON to `out` and returns it. Nothing is fetched; equal input, equal bytes."""
    return write_page(
        out,
        "capability",
        locale=matrix["locale"],
        model=matrix["measured_on"],
        seed=matrix["seed"],
        outcome=_outcome(matrix),
        colour="fail" if matrix["blind"] else "pass",
        tiles=_tiles(matrix),
        sections=_sections(matrix),
    )


def worst_table(matrix: Mapping[str, JSON], most: int = _SHOWN) -> Table:
    """The worst cells with rows enough, each with its interval and one row that was read wrongly."""
    judged = [cell for cell in matrix["matrix"] if cell["verdict"] != "too few"]
    rows = tuple(
        (
            cell_name(cell),
            cell["verdict"],
            share(cell["right"], cell["rows"]),
            interval([cell["low"], cell["high"]], 3),
            *_example(cell["miss"]),
        )
        for cell in sorted(judged, key=worst_first)[:most]
        if cell["right"] < cell["rows"]
    )
    return Table(("cell", "verdict", "right", "95 % interval", "for example", "expected", "read"), rows)


def cell_name(cell: Mapping[str, JSON]) -> str:
    """As a person says it: `region name: Vermont`."""
    return f"{cell['family']}: {_GRID.join(cell['values'])}"


def _example(miss: Mapping[str, JSON] | None) -> tuple[str, str, str]:
    """The text of a miss, and where expected and read values differ."""
    if miss is None:
        return ("", "", "")
    expected, read = miss["expected"], miss["read"]
    tags = [tag for tag in dict.fromkeys([*expected, *read]) if expected.get(tag) != read.get(tag)]
    sides = [", ".join(f"{tag} {side[tag]!r}" for tag in tags if tag in side) or "nothing" for side in (expected, read)]
    return (miss["raw"], *sides)


def _outcome(matrix: Mapping[str, JSON]) -> str:
    blind = [cell_name(cell) for cell in sorted(matrix["matrix"], key=worst_first) if cell["verdict"] == "blind"]
    judged = matrix["cells"] - matrix["too_few"]
    if not blind:
        return f"No cell of {judged:,} is certainly below {matrix['min_cell']:g}."
    named = "; ".join(blind[:5])
    more = f"; and {len(blind) - 5:,} more" if len(blind) > 5 else ""
    return f"{len(blind):,} of {judged:,} cells are blind, certainly below {matrix['min_cell']:g}: {named}{more}."


def _tiles(matrix: Mapping[str, JSON]) -> list[Tile]:
    cells = [cell for cell in matrix["matrix"] if cell["rows"]]
    whole = sum(cell["right"] == cell["rows"] for cell in cells)
    return [
        Tile("cells", count(matrix["cells"]), f"{matrix['too_few']:,} of them with too few rows to be judged"),
        Tile("blind", count(matrix["blind"]), f"certainly below {number(matrix['min_cell'], 2)}"),
        Tile("without a miss", count(whole), "cells all of whose rows are right whole"),
        Tile("rows", count(matrix["rows"]), f"{matrix['left_out']:,} more left out: training has met them"),
    ]


def _sections(matrix: Mapping[str, JSON]) -> list[Section]:
    families = {family: list(cells) for family, cells in groupby(sorted(matrix["matrix"], key=_family), key=_family)}
    grids = [family for family in families if _GRID in family]
    plain = sorted((family for family in families if family not in grids), key=lambda name: _worst(families[name]))
    return [
        _worst_section(matrix),
        *(_grid_section(family, families, matrix["min_cell"]) for family in grids),
        *(_tile_section(family, families[family], matrix["min_cell"]) for family in plain),
        _not_asked_section(matrix),
    ]


def _family(cell: Mapping[str, JSON]) -> str:
    return str(cell["family"])


def _worst(cells: Sequence[Mapping[str, JSON]]) -> tuple[bool, float, str]:
    return min(map(worst_first, cells))


def _worst_section(matrix: Mapping[str, JSON]) -> Section:
    sentences = [
        "A cell is the rows that share one property; its score is the share of them that are right whole. Rows are "
        "made of places held out and of rare streets, so that a cell tells of its word or order and not of memory.",
        matrix["places"],
        *([] if matrix["training_known"] else [_TRAINING_UNKNOWN]),
    ]
    return Section("worst", "What it reads worst", tuple(sentences), tables=(worst_table(matrix),))


def _grid_section(family: str, families: Mapping[str, Sequence[Mapping[str, JSON]]], min_cell: float) -> Section:
    """A heat map of two properties, with the plain way of writing as the first column where it is a family's own."""
    cells = list(families[family])
    if family.endswith("order"):
        plain = [{**cell, "values": [cell["values"][0], "native"]} for cell in families["subset"]]
        asked = {cell["values"][0] for cell in cells}
        cells += [cell for cell in plain if cell["values"][0] in asked]
    columns = list(dict.fromkeys(cell["values"][1] for cell in cells))
    columns.sort(key=lambda name: name != "native")
    sentence = (
        "Per cent of rows right whole; rows worst first, blind cells framed. An empty place is no row of its own."
    )
    picture = heat_map_svg(cells, columns, name=_anchor(family), min_cell=min_cell)
    return Section(_anchor(family), family.capitalize(), (sentence,), (picture,))


def _tile_section(family: str, cells: Sequence[Mapping[str, JSON]], min_cell: float) -> Section:
    blind = sum(cell["verdict"] == "blind" for cell in cells)
    shown = f"The worst {MOST_TILES} of {len(cells)}" if len(cells) > MOST_TILES else f"All {len(cells)}"
    sentence = f"{shown}, {blind} of them blind. A question mark stands where there are too few rows to judge."
    picture = tile_map_svg(cells, name=_anchor(family), min_cell=min_cell)
    return Section(_anchor(family), family.capitalize(), (sentence,), (picture,))


def _not_asked_section(matrix: Mapping[str, JSON]) -> Section:
    rows = tuple(matrix["not_asked"].items())
    sentence = "No row could be made for these that a person would read with certainty, or the labels cannot say."
    return Section("not-asked", "What was not asked", (sentence,), tables=(Table(("cell", "why"), rows),))


def _anchor(family: str) -> str:
    return family.replace(_GRID, "-by-").replace(" ", "-")
