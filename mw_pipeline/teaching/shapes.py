"""How many training rows of a corpus have a value of one shape in one place, and what they call it there.

The shape of a value is its runs of letters and its digits one by one ("221b" and "100a" are `999w`), its place is the
tag before it and the tag after it. Counted once over all rows, by DuckDB, which keeps to its memory and spills.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from mw_pipeline.corpus.census import bounded_connection
from mw_pipeline.digest import JSON

SHAPES_FILE = "shapes.parquet"
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_FORM = (
    r"regexp_replace(regexp_replace(regexp_replace({value}, '[\p{{L}}\p{{M}}]+', 'w', 'g'), '\p{{Nd}}', '9', 'g'), "
    r"'w(?:[^w9]+w)+', 'w+', 'g')"
)


@dataclass(frozen=True)
class Shape:
    """The form of a value, and the tags of the values before and after it; "" at either end of the text."""

    form: str
    before: str
    after: str

    @classmethod
    def of(cls, value: str, before: str, after: str) -> Shape:
        """The shape of a value that stands between values of these tags."""
        (form,) = duckdb.execute(f"select {_FORM.format(value='?')}", [value]).fetchone() or ("",)
        return cls(form, before, after)

    def __str__(self) -> str:
        """What rows of that shape do: `begin with five digits and a street`."""
        what = _in_words(self.form)
        if not self.before:
            return f"begin with {what} and {_a(self.after)}" if self.after else f"are {what} alone"
        if not self.after:
            return f"end with {_a(self.before)} and {what}"
        return f"have {what} between {_a(self.before)} and {_a(self.after)}"


def write_shapes(files: Sequence[Path], out: Path, *, excluded: Path) -> int:
    """Counts the shapes of all training rows of some Parquet files into a Parquet file; returns how many there are.

    A line is a shape, a tag, a source and a method, with its rows and one of their texts. Rows whose id is in the file
    `excluded` do not count."""
    named = ", ".join(map(_quoted, files))
    value = _FORM.format(value="raw[first + 1 : last]")
    counted = f"""
        with spans as (
            select source, coalesce(method, '') as method, raw,
                unnest(span_tags) as tag, unnest(span_starts) as first, unnest(span_ends) as last,
                unnest(list_prepend('', span_tags[:-2])) as before, unnest(list_append(span_tags[2:], '')) as after
            from read_parquet([{named}])
            where split = 'train' and row_id not in (select row_id from read_parquet({_quoted(excluded)}))
        )
        select {value} as form, before, after, tag, source, method, count(*) as rows, min(raw) as example
        from spans group by all order by all
    """
    with tempfile.TemporaryDirectory() as spill, bounded_connection(Path(spill)) as connection:
        connection.execute(f"copy ({counted}) to {_quoted(out)} (format parquet, compression zstd)")
    with pq.ParquetFile(out) as written:
        return int(written.metadata.num_rows)


def counts_of(path: Path, shape: Shape) -> list[dict[str, JSON]]:
    """What training rows call a value of that shape: tag, rows, example, and rows by source and method; most first."""
    wanted = [(name, "=", getattr(shape, name)) for name in ("form", "before", "after")]
    tags: dict[str, list[dict[str, JSON]]] = {}
    for line in pq.read_table(path, filters=wanted).to_pylist():
        tags.setdefault(line["tag"], []).append(line)
    found = [_of_tag(tag, lines) for tag, lines in tags.items()]
    return sorted(found, key=lambda one: (-one["rows"], one["tag"]))


def _of_tag(tag: str, lines: Sequence[Mapping[str, JSON]]) -> dict[str, JSON]:
    lines = sorted(lines, key=lambda line: (-line["rows"], line["source"], line["method"]))
    groups = [{"source": line["source"], "method": line["method"] or None, "rows": line["rows"]} for line in lines]
    return {"tag": tag, "rows": sum(line["rows"] for line in lines), "example": lines[0]["example"], "groups": groups}


def shape_sentence(value: str, tag: str, shape: Shape, counts: Sequence[Mapping[str, JSON]]) -> str:
    """One sentence: how a value is read, how many rows teach that in its place, and how many say otherwise."""
    others = [
        f"{found['rows']:,} {_have(found['rows'])} {_a(found['tag'])} there" for found in counts if found["tag"] != tag
    ]
    mine = next((found for found in counts if found["tag"] == tag), None)
    taught = "no rows" if mine is None else f"{mine['rows']:,} rows"
    most = "" if mine is None else f", {_most_of(mine['groups'])}"
    otherwise = ", ".join(others) or "none say otherwise"
    return f"`{value}` is read as {_a(tag)}: {taught} {shape} and call it so{most}; {otherwise}."


def _most_of(groups: Sequence[Mapping[str, JSON]]) -> str:
    first = groups[0]
    how = f" (method {first['method']})" if first["method"] else ""
    part = "all" if len(groups) == 1 else f"{first['rows']:,}"
    return f"{part} of them of {first['source']}{how}"


def _have(rows: int) -> str:
    return "has" if rows == 1 else "have"


def _in_words(form: str) -> str:
    if form == "w":
        return "one word"
    if form == "w+":
        return "words"
    if re.fullmatch("9+", form):
        count = _NUMBERS[len(form)] if len(form) < len(_NUMBERS) else str(len(form))
        return f"{count} digit{'s' if len(form) > 1 else ''}"
    return f"a value like `{form}`"


def _a(tag: str) -> str:
    return f"{'an' if tag[0] in 'aeio' else 'a'} {_plain(tag)}"


def _plain(tag: str) -> str:
    return tag.replace("_", " ")


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"
