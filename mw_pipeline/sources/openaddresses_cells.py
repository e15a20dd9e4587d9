"""What OpenAddresses sources file in the wrong cell: it goes back to its own, or its row to quarantine.

Some sources put the unit or the whole street line into NUMBER, the number once more into STREET, or the town, the state
and the ZIP code behind the street (M84). A label made of such a cell would teach that all of it is a house number or a
street. American rows are split where the split is safe, as street_line knows their forms; others are only recognised.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mw_pipeline.areas import us_state_of_zip, us_states
from mw_pipeline.records.tables import Rejects
from mw_pipeline.records.text import Mask, mask_of, replaced
from mw_pipeline.sources.street_line import StreetLine, is_street_type, number_and_unit, split_street_line

# words that belong to a house number: 12 bis, 12 ter, 5 and 7, Lot 12, 12 1/2 rear
_NUMBER_WORDS = frozenset(
    (
        "bis",
        "ter",
        "quater",
        "quinquies",
        "sexies",
        "septies",
        "octies",
        "and",
        "und",
        "et",
        "to",
        "lot",
        "rear",
        "half",
    )
)
_WORD = re.compile(r"(?<!\w)[A-Za-z\u00c0-\u024f]{2,}")
_DECIMAL = re.compile(r"[0-9]+\.[0-9]+")
_NUMBER_AND_STREET = re.compile(
    r"(?P<number>[0-9]+[A-Z]?(?:-[0-9]+[A-Z]?)?(?: [1-9]/[1-9])?)\s+(?P<street>.*[A-Z].*)", re.IGNORECASE
)
_ZIP = r"(?P<postcode>[0-9]{5}(?:-[0-9]{4})?)"
_STATE = r"(?P<region>[A-Z]{2}|[A-Z]{4,}(?: [A-Z]{4,}){0,2})"
_WITH_PLACE = re.compile(rf"(?P<street>[^,]+),\s*(?P<city>[^,0-9]+?),?\s+{_STATE}\.?,?\s+{_ZIP}", re.IGNORECASE)
_STATE_AND_ZIP = re.compile(rf".*?\b{_STATE}\.?,?\s+{_ZIP}$", re.IGNORECASE)
_REST_OF_NAME = re.compile(r",\s*(?:JR|SR|II|III|[NSEW]{1,2}|NORTH|SOUTH|EAST|WEST)\b\.?[^,]*$", re.IGNORECASE)


@dataclass(frozen=True)
class Cells:
    """The cells of one row that may hold what belongs into another."""

    NUMBER: str | None
    STREET: str | None
    UNIT: str | None
    CITY: str | None
    REGION: str | None
    POSTCODE: str | None


_CELLS = tuple(field.name for field in fields(Cells))


def corrected_cells(batch: pa.RecordBatch, rejects: Rejects) -> pa.RecordBatch:
    """The batch with what was filed wrongly in its own cells.

    Quarantined: `unit_in_number`, `street_in_number`, `words_in_number`, `decimal_number`, `number_in_street`,
    `place_in_street`, `several_parts`.
    """
    doubtful = _doubtful(batch)
    if not doubtful.any():
        return batch
    rows = batch.filter(pa.array(doubtful)).select(("line", "source_id", "country_code", *_CELLS)).to_pylist()
    found = [corrected(Cells(*(row[name] for name in _CELLS)), american=row["country_code"] == "US") for row in rows]
    for row, cells in zip(rows, found, strict=True):
        if isinstance(cells, str):
            rejects.add(row["line"], row["source_id"], cells, f"NUMBER: {row['NUMBER']!r}, STREET: {row['STREET']!r}")
    kept = [cells if isinstance(cells, Cells) else Cells(*(None,) * len(_CELLS)) for cells in found]
    for name in _CELLS:
        new = pa.array([getattr(cells, name) for cells in kept], pa.string())
        batch = batch.set_column(batch.schema.get_field_index(name), name, replaced(batch[name], doubtful, new))
    refused = doubtful.copy()
    refused[doubtful] = [isinstance(cells, str) for cells in found]
    return batch.filter(pa.array(~refused))


def _doubtful(batch: pa.RecordBatch) -> Mask:
    """(rows,): rows that `corrected` looks at; most are seen to be sound by patterns over whole columns."""
    american = pc.equal(batch["country_code"], "US")
    number = pc.match_substring_regex(batch["NUMBER"], r"\p{L}{2}|[.#]")
    again = pc.and_(pc.is_valid(batch["UNIT"]), pc.match_substring_regex(batch["NUMBER"], r"\p{L}$|/"))
    numbered = pc.match_substring_regex(batch["STREET"], r"^[0-9]+[A-Za-z]?(?:-[0-9]+[A-Za-z]?)?(?:\s|$)")
    with_place = pc.match_substring_regex(batch["STREET"], r",|[0-9]{4}")
    flags = (number, again, pc.and_(american, numbered), with_place)
    doubtful: Mask = np.logical_or.reduce([mask_of(pc.fill_null(flag, False)) for flag in flags])
    return doubtful


def corrected(cells: Cells, *, american: bool) -> Cells | str:
    """The cells, each with its own content, or the reason why nobody can tell."""
    steps = (_whole_number, _street_alone, _without_place) if american else (_no_words_in_number, _no_place_in_street)
    for step in (_unit_once, *steps):
        found = step(cells)
        if isinstance(found, str):
            return found
        cells = found
    return cells


def _unit_once(cells: Cells) -> Cells | str:
    """Cells whose UNIT does not say again what the number says: "A" beside "101A", "2" beside "2/34"."""
    if cells.NUMBER is None or cells.UNIT is None:
        return cells
    unit = re.escape(cells.UNIT)
    behind = rf"[0-9]+[ -]?{unit}" if cells.UNIT.isalpha() else r"(?!)"  # "12-14" is a range, whatever the unit
    again = re.fullmatch(rf"{behind}|{unit}/[0-9]+[A-Z]?", cells.NUMBER, re.IGNORECASE)
    return replace(cells, UNIT=None) if again else cells


def _no_words_in_number(cells: Cells) -> Cells | str:
    """Units, storeys and streets are words of three letters and more, as far as this can be told of any language."""
    return "words_in_number" if any(len(word) > 2 for word in _words(cells.NUMBER)) else cells


def _whole_number(cells: Cells) -> Cells | str:
    """American cells whose NUMBER is a number."""
    number = cells.NUMBER
    if number is None or not any(sign.isdigit() for sign in number):
        return cells
    if _DECIMAL.fullmatch(number) and not number.endswith(".5"):  # a half is what a lot between two has
        return "decimal_number"
    if not _words(number) and "#" not in number:
        return cells
    if unit := number_and_unit(number):
        return _with_unit(replace(cells, NUMBER=unit[0]), unit[1])
    line = split_street_line(number)
    if not isinstance(line, StreetLine) or line.house_number is None or line.street is None:
        return "words_in_number"
    if cells.STREET is not None and not _same(cells.STREET, line.street):
        return "street_in_number"
    found = replace(cells, NUMBER=line.house_number, STREET=line.street)
    return _with_unit(found, line.unit) if line.unit else found


def _with_unit(cells: Cells, unit: str) -> Cells | str:
    """The cells with the unit that stood in NUMBER, once: of "4" and "Apt 4" the one that says more."""
    own = cells.UNIT or unit
    same = _same(own, unit) or _same(own, unit.split()[-1]) or _same(own.split()[-1], unit)
    return replace(cells, UNIT=max(own, unit, key=len)) if same else "unit_in_number"


def _street_alone(cells: Cells) -> Cells | str:
    """American cells whose STREET does not begin with the number of the house."""
    street = cells.STREET
    if street is None:
        return cells
    if street.isdigit() and cells.NUMBER is None:
        return "number_in_street"
    found = _NUMBER_AND_STREET.fullmatch(street)
    if found is None or is_street_type(found["street"]):  # "5 Avenue" is a street
        return cells
    if cells.NUMBER is not None:
        again = _halved(found["number"]) == _halved(cells.NUMBER)
        return replace(cells, NUMBER=found["number"], STREET=found["street"]) if again else cells
    words = found["street"].split()
    return "number_in_street" if len(words) > 1 and is_street_type(words[-1]) else cells


def _without_place(cells: Cells) -> Cells | str:
    """American cells whose STREET names no town, state or ZIP code."""
    if cells.STREET is None:
        return cells
    found = _WITH_PLACE.fullmatch(cells.STREET)
    if found is not None and _is_state_of(found["region"], found["postcode"]):
        stated = {"CITY": found["city"], "REGION": found["region"], "POSTCODE": found["postcode"]}
        own = {name: getattr(cells, name) for name in stated}
        if all(own[name] is None or _same(own[name], stated[name]) for name in stated):
            return replace(cells, STREET=found["street"].strip(), **stated)
        return "place_in_street"
    ending = _STATE_AND_ZIP.fullmatch(cells.STREET)
    if ending is not None and _is_state_of(ending["region"].split()[-1], ending["postcode"]):
        return "place_in_street"
    if isinstance(_no_place_in_street(cells), str):
        return "place_in_street"
    return "several_parts" if "," in _REST_OF_NAME.sub("", cells.STREET) else cells


def _no_place_in_street(cells: Cells) -> Cells | str:
    """Told by the row's own postcode, and by its own town behind a comma."""
    street = (cells.STREET or "").casefold()
    code = (cells.POSTCODE or "").casefold()
    with_code = len(code) > 3 and code in re.split(r"[\s,]+", street)[1:]
    with_town = cells.CITY is not None and re.search(rf",\s*{re.escape(cells.CITY.casefold())}$", street) is not None
    return "place_in_street" if with_code or with_town else cells


def _words(number: str | None) -> list[str]:
    return [word for word in _WORD.findall(number or "") if word.lower() not in _NUMBER_WORDS]


def _halved(number: str) -> str:
    """A house number as it compares: "2300 1/2" is 2300.5."""
    return re.sub(r"\s+1/2$", ".5", number).replace(" ", "").upper()


def _same(one: str, other: str) -> bool:
    return re.sub(r"\W+", "", one).casefold() == re.sub(r"\W+", "", other).casefold()


def _is_state_of(state: str, postcode: str) -> bool:
    """Whether the state, by its code or its name, has this ZIP code: "PR 12345" is a road of Texas."""
    name = us_states().get(state.upper(), state)
    return name.casefold() == (us_state_of_zip(postcode) or "").casefold()
