"""Why an address is read as it is, as one self-contained HTML page: a chapter for each span, its rows side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mw_pipeline.digest import JSON
from mw_pipeline.report.cells import NOTHING, Table, change, count, number
from mw_pipeline.report.page import Section, Tile, write_page

_LISTS = {
    "towards": "Rows that pulled towards this reading",
    "against": "Rows that pulled against it",
    "alike": "Rows that look like it to the network",
    "otherwise": "Rows that look like it and say otherwise",
}


def render_why(out: Path, found: Mapping[str, JSON]) -> Path:
    """Writes the page of an answer to `out` and returns it. Nothing is fetched; equal input, equal bytes."""
    spans = found["spans"]
    steps = ", ".join(f"{name} (step {step:,})" for name, step in found["checkpoints"].items())
    return write_page(
        out,
        "why",
        address=found["address"] + (" (longer than what is read of it)" if found["truncated"] else ""),
        recipe=found["recipe"],
        checkpoints=steps,
        tiles=[
            Tile(span["tag"] or "nothing", span["value"], f"confidence {number(span['confidence'], 3)}")
            for span in spans
        ],
        sections=[_section(place, found["address"], span) for place, span in enumerate(spans, 1)],
    )


def _section(place: int, address: str, span: Mapping[str, JSON]) -> Section:
    title = f"{span['value']}: {span['tag'] or 'nothing'}"
    tables = [_source_table(span["sources"]), _shape_table(span["shape"]["says"])]
    tables += [_row_table(_LISTS[name], address, span, rows) for name, rows in span["rows"].items()]
    return Section(f"span-{place}", title, tuple(span["sentences"]), tables=tuple(tables))


def _source_table(sources: Sequence[Mapping[str, JSON]]) -> Table:
    """A line for each source, and below it one for each of its methods where it has several."""
    rows = []
    for source in sources:
        methods = source["methods"]
        every = f"all {len(methods)}" if len(methods) > 1 else methods[0]["method"] or "none"
        rows.append((source["source"], every, *_shares(source)))
        if len(methods) > 1:
            rows += [(source["source"], method["method"] or "none", *_shares(method)) for method in methods]
    headers = ("source", "method", "rows looked at", "of the likest", "towards", "against", "net", "net of all rows")
    return Table(
        headers, tuple(rows), "Who pulled, by draws of the run: the rows that look most like it, and all of them"
    )


def _shares(found: Mapping[str, JSON]) -> tuple[str, ...]:
    shares = (f"{number(100 * found[name], 1)} %" for name in ("towards", "against", "net", "everywhere"))
    return (count(found["rows"]), count(found["likest"]), *shares)


def _shape_table(says: Sequence[Mapping[str, JSON]]) -> Table:
    rows = tuple(
        (
            one["tag"],
            count(one["rows"]),
            "; ".join(f"{g['source']} ({g['method'] or 'no method'}) {g['rows']:,}" for g in one["groups"][:4]),
            one["example"],
        )
        for one in says
    )
    return Table(
        ("as", "rows", "of", "for example"), rows, "What rows of the whole corpus call a value of that shape there"
    )


def _row_table(caption: str, address: str, span: Mapping[str, JSON], rows: Sequence[Mapping[str, JSON]]) -> Table:
    """The address in the first line, and each row below it, with what it says where it is likest or pulls hardest."""
    asked = (_marked(address, span), span["tag"] or "nothing", *[NOTHING] * 7)
    listed = [
        (
            _marked(row["raw"], row),
            row["says"] or "nothing",
            change(row["alignment"]),
            number(row["similarity"], 3),
            row["source"],
            row["method"] or "none",
            row["record"],
            _short(row["shard"]),
            ", ".join([row["adapter"], *([row["raw_files"]] if row["raw_files"] else [])]),
        )
        for row in rows
    ]
    headers = ("text", "says", "alignment", "likeness", "source", "method", "record", "shard", "read by, from")
    return Table(headers, (asked, *listed) if listed else (), caption)


def _short(shard: str) -> str:
    """The name of a shard as `mw-pipeline inspect` and people begin to type it."""
    digest, _, name = shard.partition("/")
    return f"{digest[:12]}… {name}"


def _marked(text: str, span: Mapping[str, JSON]) -> str:
    """The text with its span in brackets."""
    if span["start"] is None:
        return text
    start, end = span["start"], span["end"]
    return f"{text[:start]}[{text[start:end]}]{text[end:]}"
