"""US delivery lines ("12 Main St Ste 4", "P.O. Box 7") split into number, street, unit and box.

The split is made only where it is safe: a number counts when it begins the line, a unit when it ends it with a known
designator and an identifier. Everything else is refused with a reason, because a wrong label in training costs more
than a lost record. Designators follow USPS Publication 28, appendix C.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields

import pyarrow as pa

from mw_pipeline.corpus.records import Rejects


@dataclass(frozen=True)
class StreetLine:
    """The parts of one delivery line; at least one of `street` and `po_box` is there."""

    house_number: str | None = None
    street: str | None = None
    unit: str | None = None
    po_box: str | None = None


_BOX_WORD = r"(?:P\.?\s*O\.?\s*|POST(?:AL)?\s+OFFICE\s+)?(?:BOX|DRAWER)|P\.?\s*O\.?(?=\s*#)"
_BOX = rf"(?:{_BOX_WORD})\s*(?:NO\.?\s*|\#\s*)?[0-9A-Z][0-9A-Z-]*"
_RURAL = rf"(?:RR|R\.R\.|RURAL\s+ROUTE|HCR?|H\.C\.|STAR\s+ROUTE|RT|ROUTE)\s*\#?\s*[0-9]+[A-Z]?,?\s+(?:{_BOX})"
_WHOLE_BOX = re.compile(rf"(?:{_RURAL}|{_BOX})", re.IGNORECASE)
_LAST_BOX = re.compile(r"^(?P<rest>.*\S)[\s,;/-]+(?P<box>(?:P\.?\s*O\.?\s*|POST\s+OFFICE\s+)BOX\s*\#?\s*[0-9]+)$", re.I)
_FIRST_BOX = re.compile(
    r"^(?P<box>(?:P\.?\s*O\.?\s*|POST\s+OFFICE\s+)BOX\s*\#?\s*[0-9]+)\s*[,;/-]\s*(?P<rest>.+)$", re.I
)

_UNIT_ID = r"(?:[0-9]+(?:ST|ND|RD|TH)?[A-Z]?(?:-[0-9A-Z]+)?|[A-Z]-?[0-9]+[A-Z]?|[A-Z])"
_UNIT_WORD = (
    r"(?:APT|APARTMENT|BLDG|BUILDING|DEPT|DEPARTMENT|FLOOR|FLR|FL|LOT|RM|ROOM|SPC|SPACE|STE|SUITE|TRLR|TRAILER|UNIT)"
)
_UNIT = rf"(?:{_UNIT_WORD}\.?\s*\#?\s*{_UNIT_ID}|\#\s*{_UNIT_ID}|[0-9]+(?:ST|ND|RD|TH)\s+(?:FLOOR|FL))"
_LAST_UNITS = re.compile(rf"^(?P<rest>.*?[^\s,])[\s,]+(?P<units>{_UNIT}(?:[\s,]+{_UNIT})*)$", re.IGNORECASE)

_GRID = r"(?:[NSEW][0-9]+(?:\s?[NSEW][0-9]+)?|[0-9]+[NSEW][0-9]+)"
_NUMBER = re.compile(
    rf"^(?P<number>(?:[0-9]+[A-Z]?(?:[-&/][0-9]*[A-Z]?)?(?:[\s-][1-9]/[1-9])?|{_GRID}|ONE(?!\s+MILE\b))),?\s+(?P<street>.+)$",
    re.IGNORECASE,
)
# nine lines of ten: a whole number, then words of which none is a designator
_PLAIN = re.compile(
    rf"(?P<number>[0-9]+) (?!(?:ND|TH)\b)(?!.*\b(?:BOX|ATTN|DRAWER|ROUTE|RT|{_UNIT_WORD})\b)"
    r"(?P<street>[0-9 .'-]*[A-Z](?:[A-Z0-9 .'-]*[A-Z0-9.])?)",
    re.IGNORECASE,
)

_SPELLED = re.compile(r"^(?:TWO|THREE|FOUR|FIVE|SIX|SEVEN|EIGHT|NINE|TEN)\b", re.IGNORECASE)
_DIRECTION_TAIL = re.compile(r",\s*(?P<direction>[NS]\.?\s?[EW]?\.?|[EW]\.?|NORTH|SOUTH|EAST|WEST)$", re.IGNORECASE)
_JUNIOR = re.compile(r",\s+(?=JR\b)", re.IGNORECASE)
_REMARK = re.compile(r"\s*\([^()]*\)$")
_CROSSING = re.compile(r"(?:&|@|\bAND\b|\bAT\b|\bCORNER\b|/)", re.IGNORECASE)
_SEVERAL = re.compile(r"[,;#()]|\bBOX\s*\#?\s*[0-9]|\bC/O\b|\bATTN\b|\bSUITE\b|^(?:ND|TH)\b", re.IGNORECASE)

_HIGHWAY = r"(?:HIGHWAY|HWY|ROUTE|RTE|RT|ROAD|RD|COUNTY|STATE|INTERSTATE|U\.?S|SR|CR|FM|LOOP)\b\.?"
_STREET_WORD = re.compile(
    rf"\b(?:{_HIGHWAY}|ALLEY|AVE|AVENUE|BLVD|BOULEVARD|BROADWAY|BYPASS|CIR|CIRCLE|COURT|CT|DR|DRIVE|EXPRESSWAY|FREEWAY|"
    r"FRONTAGE|LANE|LN|PARKWAY|PIKE|PKWY|PL|PLACE|SQ|SQUARE|ST|STREET|TER|TERRACE|TPKE|TRAIL|TRL|TURNPIKE|WAY)\b",
    re.IGNORECASE,
)
_NUMBER_INSIDE = re.compile(rf"(?<!\S)[0-9]+\s+(?!{_HIGHWAY}|(?:[NSEW]|NORTH|SOUTH|EAST|WEST)$)\S", re.IGNORECASE)
_NUMBERED_ROAD = re.compile(rf"{_HIGHWAY}\s*[0-9]+", re.IGNORECASE)


PARTS = tuple(part.name for part in fields(StreetLine))


def split_column(batch: pa.RecordBatch, column: str, rejects: Rejects) -> pa.RecordBatch:
    """The records whose delivery line splits, with a column for each of PARTS; the others go to quarantine."""
    found = [split_street_line(text) for text in batch[column].to_pylist()]
    lines = [line for line in found if isinstance(line, StreetLine)]
    if len(lines) < len(found):
        _quarantine(batch, column, found, rejects)
        batch = batch.filter(pa.array([isinstance(line, StreetLine) for line in found]))
    for part in PARTS:
        batch = batch.append_column(part, pa.array([getattr(line, part) for line in lines], pa.string()))
    return batch


def _quarantine(batch: pa.RecordBatch, column: str, found: list[StreetLine | str], rejects: Rejects) -> None:
    for at, reason in enumerate(found):
        if isinstance(reason, str):
            line, source_id = batch["line"][at].as_py(), batch["source_id"][at].as_py()
            rejects.add(line, source_id, reason, f"{column}: {batch[column][at].as_py()!r}")


def split_street_line(line: str) -> StreetLine | str:
    """The parts of a line whose blanks are single, or the reason why it cannot be split safely.

    Reasons: `several_parts` (commas, remarks, numbers or boxes in the middle), `crossing` (two streets),
    `spelled_number` ("Two Main St" may as well be a street called Two Rivers), `not_a_street` (no number in front and
    no word that streets are made of), `no_street` (nothing but digits).
    """
    plain = _PLAIN.fullmatch(line)
    if plain:
        return StreetLine(house_number=plain["number"], street=plain["street"])
    return _split_with_care(line)


def _split_with_care(line: str) -> StreetLine | str:
    text = _JUNIOR.sub(" ", _REMARK.sub("", line).strip(" ,;"))
    text = _DIRECTION_TAIL.sub(r" \g<direction>", text)
    if _WHOLE_BOX.fullmatch(text):
        return StreetLine(po_box=text)
    box = _LAST_BOX.match(text) or _FIRST_BOX.match(text)
    rest = box["rest"] if box else text
    units = _LAST_UNITS.match(rest)
    rest = (units["rest"] if units else rest).strip(" ,;/-")
    number = _NUMBER.match(rest)
    street = number["street"] if number else rest
    reason = _refusal(street, has_number=number is not None)
    if reason:
        return reason
    return StreetLine(
        house_number=number["number"] if number else None,
        street=street,
        unit=units["units"] if units else None,
        po_box=box["box"] if box else None,
    )


def _refusal(street: str, *, has_number: bool) -> str:
    """Why the text is not safely one street; "" when it is."""
    if not re.search(r"[^\W\d_]", street):
        return "no_street"
    if _SEVERAL.search(street):
        return "several_parts"
    return "" if has_number else _refusal_without_number(street)


def _refusal_without_number(street: str) -> str:
    """A line that no number begins may be a street, a crossing, a landmark, or hide its number further in."""
    if _CROSSING.search(street):
        return "crossing"
    if _SPELLED.match(street):
        return "spelled_number"
    if not _STREET_WORD.search(street):
        return "not_a_street"
    return "several_parts" if _NUMBER_INSIDE.search(_NUMBERED_ROAD.sub("", street)) else ""
