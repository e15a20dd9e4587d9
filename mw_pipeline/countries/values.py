"""What each value of a country's file must be: a table of checks by key, asked once when the file is read.

A wrong value would else end in a crash while rows are drawn, far from its file, or in draws that nobody meant.
"""

from __future__ import annotations

import functools
import math
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from mw_pipeline.countries.codes import COUNTRY_CODES


class Fault(NamedTuple):
    """What is wrong with a value: where below its key, what was found there, and what was expected."""

    where: str
    found: object
    expected: str


Check = Callable[[Any], Fault | None]


def fault_of(sections: Mapping[str, Any], tags: Sequence[str]) -> Fault | None:
    """The first value of a country's merged sections that is not what its key holds; `tags` stand in every form."""
    for path, check in _checks(tuple(tags)).items():
        value: Any = sections
        for key in path.split("."):
            if not isinstance(value, Mapping) or key not in value:
                return Fault(path.rpartition(".")[0], value, f"a table with {key}")
            value = value[key]
        if fault := check(value):
            return fault._replace(where=f"{path}{fault.where}")
    return _words_fault(sections["words"])


def checked_keys(tags: Sequence[str]) -> tuple[str, ...]:
    """The dotted keys that have a check, but for the tables of words."""
    return tuple(_checks(tuple(tags)))


@functools.cache
def _checks(tags: tuple[str, ...]) -> dict[str, Check]:
    tag = _value_that(f"one of the tags {', '.join(tags)}", lambda value: value in tags)
    shares = (
        "number_turned",
        "number_apart",
        "city_first",
        "large_to_small",
        "country_first",
        "shuffled",
        "postcode_leads",
        "city_leads",
    )
    placed = ("unit", "venue", "postcode", "region", "subregion")
    return {
        "languages": _list_of(_value_that("a language code such as 'en'", _matches("[a-z]{2,3}"))),
        "names": _weighted,
        "alike": _list_of(_COUNTRY),
        "postcode.extension": _weighted,
        "areas.lone_subregion": _value_that("'region' or 'subregion'", lambda value: value in ("region", "subregion")),
        "areas.omitted": _list_of(tag),
        "areas.short": _table_of(_list_of(_TEXT, least=1)),
        "areas.of_other_countries": _list_of(_COUNTRY),
        "areas.iso_regions": _list_of(_TEXT),
        "areas.iso_subregions": _list_of(_TEXT),
        "form.native": functools.partial(_form, tags=tags),
        **{f"order.{name}": _SHARE for name in shares},
        **{f"order.{name}": _weights for name in placed},
        "order.as_in": _as_in,
        "written.country_share": _SHARE,
        "written.shares": _weights,
        **{f"written.{about}": _table_of(_SHARE) for about in ("address", "street", "venue", "place")},
        "brackets.behind_street": _SHARE,
        "brackets.weights": _weights,
        "run_on": functools.partial(_run_on, tag=tag),
        "crossing.joints": _weighted_some,
        "crossing.leads": _weighted,
        "phrases.box_alone_share": _SHARE,
        "phrases.unit": _weighted,
        "phrases.po_box": _weighted,
        "phrases.cedex": _weighted,
        "military.offices": _list_of(_TEXT),
        "military.boxes": _list_of(_TEXT),
        "directions.behind_share": _SHARE,
        "directions.texts": _weighted,
        "people": _people,
        "keyboard.rows": _list_of(_value_that("two or more ASCII letters", _matches("[!-~]{2,}"))),
        "words.hyphenated_saints": _value_that("true or false", lambda value: isinstance(value, bool)),
    }


def _value_that(expected: str, holds: Callable[[Any], bool]) -> Check:
    """A value of which this holds; a value of a kind that cannot be asked is none."""

    def check(value: Any) -> Fault | None:
        return None if isinstance(value, str | int | float) and holds(value) else Fault("", value, expected)

    return check


def _list_of(check: Check, *, least: int = 0) -> Check:
    """A list with at least so many entries, of each of which the check holds."""

    def of_list(values: Any) -> Fault | None:
        if not isinstance(values, list) or len(values) < least:
            return Fault("", values, "a list that is not empty" if least else "a list")
        faults = ((at, check(value)) for at, value in enumerate(values))
        return next((fault._replace(where=f"[{at}]{fault.where}") for at, fault in faults if fault), None)

    return of_list


def _table_of(check: Check) -> Check:
    """A table of whose every value the check holds."""

    def of_table(values: Any) -> Fault | None:
        if not isinstance(values, Mapping):
            return Fault("", values, "a table")
        faults = ((key, check(value)) for key, value in values.items())
        return next((fault._replace(where=f".{key}{fault.where}") for key, fault in faults if fault), None)

    return of_table


def _matches(pattern: str) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_TEXT = _value_that("a text that is not blank", lambda value: isinstance(value, str) and bool(value.strip()))
_COUNTRY = _value_that("an ISO 3166-1 code such as 'FM'", lambda value: value in COUNTRY_CODES)
_FORM_OF = _value_that(
    "'native' or an ISO 3166-1 code such as 'FM'", lambda value: value == "native" or value in COUNTRY_CODES
)
_SHARE = _value_that("a share from 0 to 1", lambda value: _is_number(value) and 0 <= value <= 1)
_WEIGHT = _value_that("a weight from 0 on", lambda value: _is_number(value) and 0 <= value <= sys.float_info.max)


def _no_weight(weights: Sequence[float]) -> Fault | None:
    """The fault of weights by which nothing could be drawn: none is above 0, or their sum is no number any more."""
    if not any(weight > 0 for weight in weights):
        return Fault("", list(weights), "one weight above 0 at least")
    return None if math.isfinite(sum(map(float, weights))) else Fault("", list(weights), "weights with a finite sum")


def _weights(values: Any) -> Fault | None:
    return _table_of(_WEIGHT)(values) or _no_weight(list(values.values()))


def _as_in(values: Any) -> Fault | None:
    """Weights by "native" and codes of countries."""
    return _weights(values) or next((fault for fault in map(_FORM_OF, values) if fault), None)


def _weighted(rows: Any) -> Fault | None:
    """An empty list, or one of weights and texts that can be drawn from; a text may be blank."""
    return _list_of(_weight_and_text)(rows) or (_no_weight([weight for weight, _ in rows]) if rows else None)


def _weighted_some(rows: Any) -> Fault | None:
    return _weighted(rows) or (None if rows else Fault("", rows, "a list that is not empty"))


def _weight_and_text(row: Any) -> Fault | None:
    if not (isinstance(row, list) and len(row) == 2 and isinstance(row[1], str)):
        return Fault("", row, 'a weight and a text, as in [2, "Apt"]')
    fault = _WEIGHT(row[0])
    return fault and fault._replace(where="[0]")


def _form(blocks: Any, *, tags: Sequence[str]) -> Fault | None:
    """Blocks in which every tag stands once: an order moves each of them."""
    if fault := _list_of(_TEXT, least=1)(blocks):
        return fault
    found = [tag for block in blocks for tag in block.split()]
    unlike = [tag for tag in dict.fromkeys((*found, *tags)) if tag not in tags or found.count(tag) != 1]
    counts = {tag: found.count(tag) for tag in unlike}
    return Fault("", f"{blocks!r:.60}", f"each of {', '.join(tags)} once; of {counts} are there") if unlike else None


def _run_on(entries: Any, *, tag: Check) -> Fault | None:
    def entry(value: Any) -> Fault | None:
        if not isinstance(value, Mapping) or set(value) != {"weight", "tags"}:
            return Fault("", value, "a weight and tags")
        weight, tags = _WEIGHT(value["weight"]), _TEXT(value["tags"]) or _list_of(tag)(value["tags"].split())
        fault = weight and weight._replace(where=".weight")
        return fault or (tags and tags._replace(where=f".tags{tags.where}"))

    return _table_of(entry)(entries) or _no_weight([value["weight"] for value in entries.values()])


def _people(table: Any) -> Fault | None:
    """Names that can be drawn from wherever something stands before them."""
    if not isinstance(table, Mapping):
        return Fault("", table, "a table")
    checks: dict[str, Check] = {"initial_share": _SHARE, "before": _weighted}
    name = _TEXT if table["before"] else _value_that("a text", lambda value: isinstance(value, str))
    checks |= {"given": name, "family": name}
    faults = ((key, check(table[key])) for key, check in checks.items())
    return next((fault._replace(where=f".{key}{fault.where}") for key, fault in faults if fault), None)


def _words_fault(words: Mapping[str, Any]) -> Fault | None:
    """The first fault of the tables of words: short forms by full word, by place, by tag."""
    tables = {tag: places for tag, places in words.items() if tag != "hyphenated_saints"}
    fault = _table_of(_table_of(_table_of(_list_of(_TEXT, least=1))))(tables)
    return fault and fault._replace(where=f"words{fault.where}")
