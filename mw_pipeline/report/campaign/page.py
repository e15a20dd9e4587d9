"""The report on a campaign as one self-contained HTML page, on screen in light and dark, and on paper."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mw_pipeline.digest import JSON
from mw_pipeline.report.campaign import tables
from mw_pipeline.report.campaign.charts import f1_panels_svg, rates_svg
from mw_pipeline.report.cells import Table, count
from mw_pipeline.report.page import Section, Tile, write_page

_COLOURS = {"explained": "fail", "nothing failed": "pass"}


def render_campaign(out: Path, report: Mapping[str, JSON]) -> Path:
    """Writes the page of a campaign's JSON to `out` and returns it. Nothing is fetched; equal input, equal bytes."""
    sentences = report["attribution"]["sentences"]
    return write_page(
        out,
        "campaign",
        name=report["campaign"],
        base=report["base"],
        outcome=sentences[0],
        colour=_COLOURS.get(report["attribution"]["status"], "invalid"),
        others=[*sentences[1:], *_cleared(report)],
        tiles=_tiles(report),
        sections=_sections(report),
    )


def as_text(report: Mapping[str, JSON]) -> str:
    """Matrix, scores and findings for a terminal, as Markdown."""
    parts = [tables.matrix_table(report).as_markdown()]
    if any(row["steps_spent"] for row in report["rows"]):
        parts.append(tables.score_table(report["rows"]).as_markdown())
    parts.append("\n".join([*report["attribution"]["sentences"], *report["rates"]["sentences"], *_cleared(report)]))
    if report["proposals"]:
        parts.append(tables.proposal_table(report["proposals"]).as_markdown())
    notes = [*report["remarks"], *report["missing"]]
    return "\n\n".join([*parts, *(["\n".join(notes)] if notes else [])])


def _cleared(report: Mapping[str, JSON]) -> list[str]:
    return [report["rates"]["cleared"]] if report["rates"]["cleared"] else []


def _tiles(report: Mapping[str, JSON]) -> list[Tile]:
    rows = report["rows"]
    failed = sum(row["failed"] is True for row in rows)
    unknown = sum(row["failed"] is None for row in rows)
    spent, smokes = sum(row["steps_spent"] for row in rows), sum(row["smoke"] is not None for row in rows)
    return [
        Tile("recipes", str(len(rows)), f"over the base “{report['base']}”"),
        Tile("failed", str(failed), f"{len(rows) - failed - unknown} survived, {unknown} unknown"),
        Tile("changed keys", str(len(report["columns"])), ", ".join(report["columns"]) or "none"),
        Tile(
            "steps spent",
            count(spent),
            f"in {smokes} smokes and {sum(row['full'] is not None for row in rows)} full runs",
        ),
    ]


def _sections(report: Mapping[str, JSON]) -> list[Section]:
    made = any(row["steps_spent"] for row in report["rows"])
    return [
        _matrix_section(report),
        *([_runs_section(report)] if made else []),
        *([_rates_section(report)] if report["rates"]["fits"] else []),
        _next_section(report),
        _lineage_section(report),
    ]


def _matrix_section(report: Mapping[str, JSON]) -> Section:
    sentences = (
        "A value stands where a recipe differs from the base; a dash is the base's own value. A recipe fails or "
        "survives by its full run where there is one, else by its smoke; an invalid smoke has shown neither.",
        *(f"{text[0].upper()}{text[1:]}." for text in report["remarks"]),
    )
    return Section("matrix", "Changes and outcomes", sentences, tables=(tables.matrix_table(report),))


def _runs_section(report: Mapping[str, JSON]) -> Section:
    sentence = (
        "Validation macro-F1 of the smoke (dashed) and of the full run (solid): red failed, blue did not, grey has "
        "shown nothing. The circle is the best value, the dotted line where the failure began."
    )
    picture = f1_panels_svg(report["rows"])
    return Section("runs", "The runs", (sentence,), (picture,), (tables.score_table(report["rows"]),))


def _rates_section(report: Mapping[str, JSON]) -> Section:
    return Section("rates", "Learning rate", tuple(report["rates"]["sentences"]), (rates_svg(report["rates"]["fits"]),))


def _next_section(report: Mapping[str, JSON]) -> Section:
    sentences = [f"{text[0].upper()}{text[1:]}." for text in report["missing"]]
    if not report["proposals"]:
        sentences.append("No further run is needed to tell explanations apart.")
    return Section("next", "What to run next", tuple(sentences), tables=(tables.proposal_table(report["proposals"]),))


def _lineage_section(report: Mapping[str, JSON]) -> Section:
    rows = tuple((row["recipe"], row["digest"]) for row in report["rows"])
    return Section("recipes", "Recipes", tables=(Table(("recipe", "SHA-256"), rows),))
