"""US delivery lines ("12 Main St Ste 4", "P.O. Box 7") split into number, street, unit and box.

The split is made only where it is safe: a number counts when it begins the line, a unit when it ends it with a known
designator and an identifier. Everything else is refused with a reason, because a wrong label in training costs more
than a lost record. Designators follow USPS Publication 28, appendix C2; private mailboxes ("PMB 4") and the boxes of
military mail ("PSC 3 Box 12") count as boxes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace

import pyarrow as pa

from mw_pipeline.records.tables import Rejects


@dataclass(frozen=True)
class StreetLine:
    """The parts of one delivery line; at least one of `street` and `po_box` is there."""

    house_number: str | None = None
    street: str | None = None
    unit: str | None = None
    po_box: str | None = None


_BOX_OWNER = r"P\.?\s*O\.?\s*|POST(?:AL)?\s+OFFICE\s+|CALL(?:ER)?\s+|LOCK\s+|GPO\s+"
_BOX_WORD = rf"(?:{_BOX_OWNER})?(?:BOX|DRAWER)|P\.?\s*O\.?(?=\s*#)|POB|PMB"
_BOX = rf"(?:{_BOX_WORD})\s*(?:NO\.?\s*|\#\s*)?[0-9A-Z][0-9A-Z-]*(?:\s+PMB\s*\#?\s*[0-9]+)?"
_RURAL = rf"(?:RR|R\.R\.|RURAL\s+ROUTE|HCR?|H\.C\.|STAR\s+ROUTE|RT|ROUTE)[\s-]*\#?\s*[0-9]+[A-Z]?,?\s+(?:{_BOX})"
_MILITARY = rf"(?:PSC|CMR|UNIT)\s+[0-9]+,?\s+(?:{_BOX})"
_WHOLE_BOX = re.compile(rf"(?:{_RURAL}|{_MILITARY}|{_BOX})", re.IGNORECASE)
_LAST_BOX = re.compile(
    r"^(?P<rest>.*\S)[\s,;/-]+(?P<box>(?:(?:P\.?\s*O\.?\s*|POST\s+OFFICE\s+)BOX|PMB)\s*\#?\s*[0-9]+)$", re.IGNORECASE
)
_FIRST_BOX = re.compile(
    r"^(?P<box>(?:P\.?\s*O\.?\s*|POST\s+OFFICE\s+)BOX\s*\#?\s*[0-9]+)\s*[,;/-]\s*(?P<rest>.+)$", re.I
)

_UNIT_ID = (
    r"(?:(?:[0-9]+(?:ST|ND|RD|TH)?[A-Z]?|[A-Z]-?[0-9]+[A-Z]?)(?:\s?[-&/]\s?[0-9A-Z]{1,6})?|[A-Z](?:\s?[-&/]\s?[A-Z])?)"
)
_UNIT_WORD = (
    r"(?:APTS?|APARTMENT|BLDG|BUILDING|DEPT|DEPARTMENT|FLOOR|FLR|FL|HANGAR|HNGR|LOT|OFC|OFICINA|PH|PENTHOUSE|RM|"
    r"ROOMS?|SPC|SPACE|STES?|SUITES?|TRLR|TRAILER|UNITS?)"
)
_LONE_UNIT = r"(?:BASEMENT|BSMT|FRNT|LBBY|LOBBY|LOWR|OFC|PENTHOUSE|PH|REAR|UPPR)"
_STOREY = r"(?:[0-9]+(?:ST|ND|RD|TH)|FIRST|SECOND|THIRD|FOURTH|FIFTH|GROUND|LOWER|MAIN|TOP|UPPER)"
_UNIT = rf"(?:{_UNIT_WORD}\.?\s*\#?\s*{_UNIT_ID}|\#\s*{_UNIT_ID}|{_STOREY}\s+(?:FLOOR|FLR|FL)|{_LONE_UNIT})"
_WHOLE_UNITS = re.compile(rf"{_UNIT}(?:[\s,]+{_UNIT})*", re.IGNORECASE)
_LAST_UNITS = re.compile(rf"^(?P<rest>.*?[^\s,])[\s,]+(?P<units>{_UNIT}(?:[\s,]+{_UNIT})*)$", re.IGNORECASE)

_STREET_TYPE = (
    r"(?:ALLEY|AVE|AVENUE|BLVD|BOULEVARD|BROADWAY|BYPASS|CIR|CIRCLE|COURT|CT|DR|DRIVE|EXPRESSWAY|FREEWAY|FRONTAGE|LANE|"
    r"LN|PARKWAY|PIKE|PKWY|PL|PLACE|SQ|SQUARE|ST|STREET|TER|TERRACE|TPKE|TRAIL|TRL|TURNPIKE|WAY)"
)
# "215 B Tuskeena St" is a number with its letter, "306 D St W" and "12 J Harlem Ave" are not
_LETTER = rf"[A-D](?=\s+(?!{_STREET_TYPE}\b)(?:\S{{2,}}|[NSEW])\s+\S)"
_LETTERED = re.compile(rf"(?P<letter>{_LETTER})\s+(?P<street>.+)", re.IGNORECASE)
_GRID = r"(?:[NSEW][0-9]+(?:\s?[NSEW][0-9]+)?|[0-9]+[NSEW][0-9]+)"
# the houses of Puerto Rico's developments go by block and lot: "D24 Calle Cauce"
_BLOCK_AND_LOT = r"[A-Z]{1,2}-?[0-9]+[A-Z]?(?=\s+(?:AVE|AVENIDA|CALLE|CAMINO|PASEO|VIA)\b)"
_NUMBER = re.compile(
    rf"^(?P<number>(?:[0-9]+(?:[A-Z]|\s+{_LETTER})?(?:[-&/][0-9]*[A-Z]?)?(?:[\s-][1-9]/[1-9]|\s?[¼½¾])?"
    rf"|{_GRID}|{_BLOCK_AND_LOT}|ONE(?!\s+MILE\b))),?\s+(?P<street>.+)$",
    re.IGNORECASE,
)
_WHOLE_NUMBER = re.compile(r"[0-9]+[A-Z]?(?:[-&/][0-9]+[A-Z]?)?(?: [1-9]/[1-9])?", re.IGNORECASE)
# words that no street is called by: one that the split leaves in a street has no identifier that it knows
_STRAY_WORD = r"\b(?:APTS?|APARTMENT|BLDG|COND|FLR|OFC|OFICINA|PMB|RM|SPC|STES?|SUITES?|TRLR|UNITS?|URB)\b"
# nine lines of ten: a whole number, then words of which none is a designator
_PLAIN = re.compile(
    rf"(?P<number>[0-9]+) (?!{_LETTER})(?!(?:ND|TH)\b)(?!.*\b(?:BOX|ATTN|DRAWER|ROUTE|RT|{_UNIT_WORD}|{_LONE_UNIT})\b)"
    rf"(?!.*{_STRAY_WORD})"
    r"(?P<street>[0-9 .'-]*[A-Z](?:[A-Z0-9 .'-]*[A-Z0-9.])?)",
    re.IGNORECASE,
)

_SPELLED = re.compile(r"^(?:TWO|THREE|FOUR|FIVE|SIX|SEVEN|EIGHT|NINE|TEN)\b", re.IGNORECASE)
_DIRECTION_TAIL = re.compile(r",\s*(?P<direction>[NS]\.?\s?[EW]?\.?|[EW]\.?|NORTH|SOUTH|EAST|WEST)$", re.IGNORECASE)
_JUNIOR = re.compile(r",\s+(?=JR\b)", re.IGNORECASE)
_REMARK = re.compile(r"\s*\([^()]*\)$")
_CROSSING = re.compile(r"(?:&|@|\bAND\b|\bAT\b|\bCORNER\b|/)", re.IGNORECASE)
_SEVERAL = re.compile(r"[,;#()]|\bBOX\s*\#?\s*[0-9]|\bC/O\b|\bATTN\b|^(?:ND|TH)\b", re.IGNORECASE)
_STRAY_UNIT = re.compile(_STRAY_WORD, re.IGNORECASE)

_HIGHWAY = r"(?:HIGHWAY|HWY|ROUTE|RTE|RT|ROAD|RD|COUNTY|STATE|INTERSTATE|U\.?S|SR|CR|FM|LOOP)\b\.?"
_STREET_WORD = re.compile(rf"\b(?:{_HIGHWAY}|{_STREET_TYPE})\b", re.IGNORECASE)
_NUMBER_INSIDE = re.compile(rf"(?<!\S)[0-9]+\s+(?!{_HIGHWAY}|(?:[NSEW]|NORTH|SOUTH|EAST|WEST)$)\S", re.IGNORECASE)
_NUMBERED_ROAD = re.compile(rf"{_HIGHWAY}\s*[0-9]+", re.IGNORECASE)


PARTS = tuple(part.name for part in fields(StreetLine))


def split_column(batch: pa.RecordBatch, column: str, rejects: Rejects, *, second: str | None = None) -> pa.RecordBatch:
    """The records whose delivery line splits, with a column for each of PARTS; the others go to quarantine.

    `second` names the column of a second line, see `split_two_lines`.
    """
    below = batch[second].to_pylist() if second else [None] * batch.num_rows
    found = [split_two_lines(text, text2) for text, text2 in zip(batch[column].to_pylist(), below, strict=True)]
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


def number_letter(street: str) -> str | None:
    """The letter in front of a street that belongs to the house number: "B" of "B Tuskeena Street"."""
    found = _LETTERED.fullmatch(street)
    return found["letter"] if found else None


def number_and_unit(text: str) -> tuple[str, str] | None:
    """House number and unit of "24047 UNIT 21"; None for anything else."""
    found = _LAST_UNITS.fullmatch(text)
    return (found["rest"], found["units"]) if found and _WHOLE_NUMBER.fullmatch(found["rest"]) else None


def is_street_type(text: str) -> bool:
    """Whether the text is nothing but a word for a kind of street: "AVENUE", "St"."""
    return re.fullmatch(rf"(?:{_STREET_TYPE}|RD|ROAD|HWY|HIGHWAY)\.?", text, re.IGNORECASE) is not None


def written_unit(value: str, designator: str) -> str | None:
    """A unit as people write it: "Apt 3" as it is, the bare "3" behind its designator; None for anything else."""
    if _WHOLE_UNITS.fullmatch(value):
        return value
    return f"{designator} {value}" if re.fullmatch(_UNIT_ID, value, re.IGNORECASE) else None


def split_two_lines(first: str, second: str | None) -> StreetLine | str:
    """The parts of two lines of one address, or the reason why the first cannot be split safely.

    A second line that is a unit or a box adds itself. Where the first does not split ("Department of Surgery") and the
    second does, with a number or a box, the second is the delivery line. Any other second line is left out.
    """
    found = split_street_line(first)
    if second is None:
        return found
    if isinstance(found, str):
        below = split_street_line(second)
        return found if isinstance(below, str) or not (below.house_number or below.po_box) else below
    if _WHOLE_UNITS.fullmatch(second):
        return replace(found, unit=f"{found.unit} {second}" if found.unit else second)
    if found.po_box is None and _WHOLE_BOX.fullmatch(second):
        return replace(found, po_box=second)
    return found


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
    if _SEVERAL.search(street) or _STRAY_UNIT.search(street):
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
