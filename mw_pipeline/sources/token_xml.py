"""Labelled token sequences in XML, `<AddressCollection><AddressString><Tag>token</Tag> …`, one address at a time.

Every address is parsed by itself: sets that people label by hand have slips in them, and a slip costs its address only,
where a parser of the whole file would stop. Nor can a file declare entities that way, which could grow without bound.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree

from mw_pipeline.errors import CorpusError
from mw_pipeline.records.tables import Rejects
from mw_pipeline.sources.reading import line_blocks
from mw_pipeline.sources.streams import ByteStream

# no address is longer; memory stays flat where one is never closed
MAX_ADDRESS = 20_000

_OPEN, _CLOSE = "<AddressString>", "</AddressString>"
_COLLECTION = "<AddressCollection>"
_FRAME = re.compile(r"(?:\s|<\?xml[^>]*\?>|</?AddressCollection>|<!--.*?-->)*")


@dataclass(frozen=True)
class TokenText:
    """One address: the line that it begins on, and its pieces of text in order, each with its tag ("" between tags)."""

    line: int
    pieces: tuple[tuple[str, str], ...]


def check_collection(stream: ByteStream, *, label: str) -> None:
    """Raises CorpusError for a file whose first block of lines opens no address collection."""
    unused = Rejects(source=label)
    first = next(line_blocks(stream, label=label, encoding="utf-8", rejects=unused), None)
    if first is None or not any(_COLLECTION in line for line in first.lines):
        found = repr(first.lines[0][:60]) if first else "no line of text"
        raise CorpusError(
            f"{label}: holds no {_COLLECTION}: begins with {found}. "
            f"Expected XML with one {_OPEN} per address; check the input of the source."
        )


def read_token_texts(stream: ByteStream, *, label: str, rejects: Rejects) -> Iterator[TokenText]:
    """Every address of the file, in flat memory.

    Quarantined: `bad_xml`, `nested_tag` (a tag within a tag), `unclosed_address`, `outside_an_address` (text that
    belongs to none), and what `line_blocks` refuses.
    """
    start, open_text = 0, ""
    for number, line in _numbered_lines(stream, label, rejects):
        rest = line
        while rest:
            if not open_text:
                before, opening, rest = rest.partition(_OPEN)
                if not _FRAME.fullmatch(before):
                    rejects.add(number, f"{label}:{number}", "outside_an_address", repr(before[:80]))
                start, open_text = number, opening
                continue
            inside, closing, after = rest.partition(_CLOSE)
            if _OPEN in inside or len(open_text) > MAX_ADDRESS:
                rejects.add(start, f"{label}:{start}", "unclosed_address", repr(open_text[:80]))
                open_text = ""
                continue
            open_text += inside + closing
            rest = after
            if closing:
                yield from _parsed(open_text, start, label, rejects)
                open_text = ""
        open_text += "\n" if open_text else ""
    if open_text:
        rejects.add(start, f"{label}:{start}", "unclosed_address", repr(open_text[:80]))


def _numbered_lines(stream: ByteStream, label: str, rejects: Rejects) -> Iterator[tuple[int, str]]:
    for block in line_blocks(stream, label=label, encoding="utf-8", rejects=rejects):
        yield from zip(block.numbers, block.lines, strict=True)


def _parsed(text: str, line: int, label: str, rejects: Rejects) -> Iterator[TokenText]:
    """The address, or none where it is quarantined."""
    try:
        address = ElementTree.fromstring(text)  # noqa: S314  one element declares no entity, so none can grow
    except ElementTree.ParseError as error:
        rejects.add(line, f"{label}:{line}", "bad_xml", f"{error.msg}: {text[:150]!r}")
        return
    pieces = [("", address.text or "")]
    for token in address:
        if len(token):
            rejects.add(line, f"{label}:{line}", "nested_tag", repr(text[:150]))
            return
        pieces += [(str(token.tag), token.text or ""), ("", token.tail or "")]
    yield TokenText(line, tuple(pieces))
