"""The audit of a recipe as one self-contained HTML page, on screen in light and dark, and on paper."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mw_pipeline.digest import JSON
from mw_pipeline.report import cells
from mw_pipeline.report.audit import charts, tables
from mw_pipeline.report.cells import Table
from mw_pipeline.report.charts import mix_bars_svg
from mw_pipeline.report.page import Section, Tile, write_page


def render_audit(out: Path, audit: Mapping[str, JSON]) -> Path:
    """Writes the page of an audit's JSON to `out` and returns it. Nothing is fetched; equal input gives equal bytes."""
    return write_page(
        out,
        "findings",
        title=f"Audit of {audit['recipe']['name']}",
        kind="Audit of the sources and their mix",
        recipe=audit["recipe"],
        subject=_subject(audit),
        outcome=_outcome(audit["findings"]),
        findings=[cells.sentence(text) for text in audit["findings"]],
        warnings=[cells.sentence(text) for text in audit["warnings"]],
        tiles=_tiles(audit),
        sections=_sections(audit),
    )


def _sections(audit: Mapping[str, JSON]) -> list[Section]:
    return [
        _changes_section(audit),
        _mix_section(audit),
        _places_section(audit),
        _volume_section(audit),
        _losses_section(audit),
        _methods_section(audit),
        _quarantine_section(audit),
        _content_section(audit),
        _licences_section(audit),
        _lineage_section(audit),
    ]


def _subject(audit: Mapping[str, JSON]) -> str:
    corpus, sources = audit["corpus"], audit["sources"]
    rows = sum(source["rows"] for source in sources if source["weight"])
    used = sum(1 for source in sources if source["weight"])
    return (
        f"Corpus {corpus['name']}, version {corpus['version']}: {used} of {len(sources)} sources are in use, with "
        f"{rows:,} rows to train on; the full run draws {audit['samples']:,} of them, repetitions counted."
    )


def _outcome(findings: list[str]) -> str:
    if not findings:
        return "Nothing here keeps a run from starting."
    return f"{len(findings)} {'finding blocks' if len(findings) == 1 else 'findings block'} every run of this recipe:"


def _tiles(audit: Mapping[str, JSON]) -> list[Tile]:
    ranked = sorted(audit["sources"], key=lambda source: -source["requested_share"])
    top, most = ranked[0], max(ranked, key=lambda source: source["repetitions"])
    amounts = [source["amount"] for source in audit["sources"] if source["amount"] is not None]
    return [
        Tile(
            "top source",
            cells.percent(top["requested_share"]),
            f"{top['name']}; {'concentrated' if audit['concentrated'] else 'not concentrated'}",
        ),
        Tile("effective sources", f"{audit['effective_sources']:.1f}", "equal ones that would be as concentrated"),
        Tile("most repetitions", f"{most['repetitions']:.2f}", f"of each row of {most['name']}"),
        Tile(audit["unit"], cells.count(sum(amounts)), _unit_note(audit["unit"])),
    ]


def _unit_note(unit: str) -> str:
    if unit == "pieces":
        return "of this recipe's tokenizer, in the sources in use"
    return "of the rows: this recipe has not been tokenized yet"


def _changes_section(audit: Mapping[str, JSON]) -> Section:
    since, changes = audit["since"], audit["changes"]
    if changes is None:
        lost = since["lost"]
        sentence = (
            f"The last audit, {lost[:12]}, is no longer in the store, so nothing can be compared."
            if lost
            else "This is the first audit of this recipe."
        )
        return Section("changes", "Since the last audit", (sentence,))
    sentence = (
        f"Compared with audit {since['digest'][:12]} of {cells.moment(since['at'])}: {len(changes['added'])} added, "
        f"{len(changes['removed'])} removed, {len(changes['changed'])} changed, {len(changes['unchanged'])} as before."
    )
    return Section("changes", "Since the last audit", (sentence,), tables=(tables.change_table(audit),))


def _mix_section(audit: Mapping[str, JSON]) -> Section:
    sources = audit["sources"]
    sentences = (
        "Shares are counted on a dry run of the sampler that training uses, in each tenth of the full run. The dashed "
        "line is what was requested, the band what is allowed.",
        "“Shards × weight” is what an audit that never ran the sampler would believe.",
    )
    bars = (mix_bars_svg(sources),) if len(sources) > 1 else ()
    pictures = (*bars, charts.window_shares_svg([source for source in sources if source["weight"]]))
    return Section("mix", "What the sampler draws", sentences, pictures, (tables.dose_table(sources),))


def _places_section(audit: Mapping[str, JSON]) -> Section:
    sentence = (
        "A place is a town of a country and region; a row without one counts as one. What repeats a town as if it were "
        "a word of the language teaches that this is the town: mix.max_repetitions_per_place gives its draws to the "
        "other towns of the source."
    )
    return Section("places", "Places", (sentence,), tables=(tables.place_table(audit["sources"]),))


def _volume_section(audit: Mapping[str, JSON]) -> Section:
    excluded = sum(audit["corpus"]["excluded"].values())
    sentences = [
        f"{excluded:,} rows of the corpus are gold, or repeat what is held out or another source: never trained on.",
    ]
    if audit["unit"] == "characters":
        sentences.append("There is no tokenized dataset of this recipe yet: amounts are characters, not pieces.")
    return Section("rows", "Rows", tuple(sentences), tables=(tables.volume_table(audit["sources"], audit["unit"]),))


def _losses_section(audit: Mapping[str, JSON]) -> Section:
    sentence = "Every record that was read, and every row composed from one, is in exactly one of these."
    picture = charts.losses_svg(audit["sources"])
    return Section("losses", "What was lost", (sentence,), (picture,), (tables.flow_table(audit["sources"]),))


def _methods_section(audit: Mapping[str, JSON]) -> Section:
    table = tables.method_table(audit["sources"])
    if not table.rows:
        return Section("methods", "Augmentations", ("No augmentation was asked for.",))
    sentence = (
        "Rows that each augmentation changed, and their share of the rows it was chosen for: a text without an accent "
        "has none to lose. Red where rows with it went to quarantine."
    )
    return Section("methods", "Augmentations", (sentence,), (charts.methods_svg(audit["sources"]),), (table,))


def _quarantine_section(audit: Mapping[str, JSON]) -> Section:
    table = tables.quarantine_table(audit["sources"])
    sentence = "" if table.rows else "Nothing is in quarantine."
    return Section("quarantine", "Quarantine", (sentence,) if sentence else (), tables=(table,))


def _content_section(audit: Mapping[str, JSON]) -> Section:
    sources = audit["sources"]
    shown = (tables.content_table(sources), tables.tag_table(sources))
    return Section("content", "What the rows are", ("The five most frequent; below, spans by tag.",), tables=shown)


def _licences_section(audit: Mapping[str, JSON]) -> Section:
    return Section("licences", "Licences", tables=(tables.licence_table(audit["sources"]),))


def _lineage_section(audit: Mapping[str, JSON]) -> Section:
    rows = [(entry["kind"].replace("_", " "), entry["digest"]) for entry in audit["inputs"]]
    rows += [(f"shards of {source['name']}", source["digest"]) for source in audit["sources"]]
    return Section("lineage", "Lineage", tables=(Table(("what", "SHA-256"), tuple(rows)),))
