"""What a delimited format looks like, and where its columns stand in one file."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mw_pipeline.errors import CorpusError
from mw_pipeline.sources.reading import MAX_LINE_BYTES, LineBlock

_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}


@dataclass(frozen=True)
class Layout:
    """What a delimited format looks like.

    `needed` columns must be in the header, at least one of `needed_one_of`, and `optional` ones may be; all others are
    not read. `names` are the columns of a format without a header line. `companion` is a column of the other tables
    that the upstream packs beside this one: a file that has it and lacks what is needed is no address table. Header
    names compare without case and outer blanks.
    """

    title: str
    delimiter: str
    needed: tuple[str, ...]
    needed_one_of: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    companion: str | None = None
    quoted: bool = True
    encoding: str = "utf-8"

    @property
    def wanted(self) -> tuple[str, ...]:
        """Every column that a batch holds."""
        return self.needed + self.needed_one_of + self.optional


@dataclass(frozen=True)
class Header:
    """Where each wanted column stands (None: the file lacks it), and the field counts that a record may have."""

    positions: dict[str, int | None]
    width: int
    min_width: int


def header_of(first: LineBlock | None, label: str, layout: Layout, reasons: Mapping[str, int]) -> Header:
    """The header of a file that begins with these lines; of a format without one, its own names.

    Raises CorpusError for lines of another format, and where there is none, with the reasons why none could be read."""
    if first is None:
        raise CorpusError(_no_line(label, layout, reasons))
    return _fixed_header(first, label, layout) if layout.names else _named_header(first, label, layout)


def is_companion_table(first: LineBlock | None, layout: Layout) -> bool:
    """Whether a file that begins with these lines is one of the other tables of its upstream."""
    if layout.companion is None or first is None:
        return False
    names = [name.strip().casefold() for name in _header_fields(first.lines[0], layout)]
    return layout.companion.casefold() in names and bool(_missing(names, layout))


def _no_line(label: str, layout: Layout, reasons: Mapping[str, int]) -> str:
    if undecoded := reasons.get("invalid_encoding", 0):
        return (
            f"{label}: is not {layout.encoding.upper()}: none of its first {undecoded} lines can be decoded, expected "
            f"{layout.title}. Convert it (Latin-1, perhaps: iconv -f latin1 -t {layout.encoding})."
        )
    return (
        f"{label}: holds no line of text of at most {MAX_LINE_BYTES >> 20} MiB, expected {layout.title}. Check the "
        "input of the source."
    )


def _missing(folded: Sequence[str], layout: Layout) -> list[str]:
    """The needed columns that are not among these names in lower case."""
    missing = [name for name in layout.needed if name.casefold() not in folded]
    if layout.needed_one_of and not any(name.casefold() in folded for name in layout.needed_one_of):
        missing.append(" or ".join(layout.needed_one_of))
    return missing


def _named_header(block: LineBlock, label: str, layout: Layout) -> Header:
    line = block.lines[0]
    names = [name.strip() for name in _header_fields(line, layout)]
    folded = [name.casefold() for name in names]
    missing = _missing(folded, layout)
    if missing:
        raise CorpusError(
            f"{label}: the header has no {', '.join(missing)}: found {_shortened(names)}"
            f"{_delimiter_hint(line, layout)}. Expected {layout.title}."
        )
    _demand_once(names, label, layout)
    width = len(names)
    while names and not names[-1]:
        names.pop()
    positions = {n: folded.index(n.casefold()) if n.casefold() in folded else None for n in layout.wanted}
    return Header(positions, width, len(names))


def _demand_once(names: Sequence[str], label: str, layout: Layout) -> None:
    """Raises CorpusError when a wanted column stands in the header twice: one of the two would be lost unseen."""
    places: dict[str, list[str]] = defaultdict(list)
    for place, name in enumerate(names, start=1):
        places[name.casefold()].append(str(place))
    for name in layout.wanted:
        if len(found := places[name.casefold()]) > 1:
            raise CorpusError(
                f"{label}: the header has {name} {len(found)} times, in columns {' and '.join(found)}, expected it "
                "once. Rename or remove the columns that are not meant."
            )


def _header_fields(line: str, layout: Layout) -> list[str]:
    if not layout.quoted:
        return line.split(layout.delimiter)
    try:
        return next(csv.reader((line,), delimiter=layout.delimiter))
    except csv.Error:
        return [line]


def _shortened(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name[:40]) for name in names[:12])
    return shown if len(names) <= 12 else f"{shown} and {len(names) - 12} more"


def _delimiter_hint(line: str, layout: Layout) -> str:
    """Names another delimiter under which every needed column is there."""
    needed = {name.casefold() for name in layout.needed or layout.needed_one_of}
    for delimiter, word in _DELIMITERS.items():
        if needed <= {name.strip(' "').casefold() for name in line.split(delimiter)} and delimiter != layout.delimiter:
            return f" (split by {word}s; this format splits by {_DELIMITERS[layout.delimiter]}s)"
    return ""


def _fixed_header(block: LineBlock, label: str, layout: Layout) -> Header:
    """The header of a format that has none, provided that some line of the first block has its field count."""
    width = len(layout.names)
    if not any(line.count(layout.delimiter) == width - 1 for line in block.lines):
        fields = block.lines[0].split(layout.delimiter)
        raise CorpusError(
            f"{label}: the first line has {len(fields)} fields split by {_DELIMITERS[layout.delimiter]}s "
            f"({_shortened(fields)}), expected {layout.title}. Check the input of the source."
        )
    return Header({name: layout.names.index(name) for name in layout.wanted}, width, width)
