"""The rules that gold rows are held to, and what a row that breaks one is told."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from mw_pipeline.golden.reach import spans_in
from mw_pipeline.golden.rows import GoldenRow

_POSTCODES = {"US": r"\d{5}(-\d{4})?", "FR": r"\d{5}"}


@dataclass(frozen=True)
class Finding:
    """Something wrong with one row: where, which rule, what was found, and whether it makes the gold invalid."""

    where: str
    rule: str
    detail: str
    blocks: bool

    def __str__(self) -> str:
        return f"{self.where}: {self.rule}: {self.detail}"


def findings_of(rows: Sequence[GoldenRow]) -> tuple[Finding, ...]:
    """Everything that breaks a rule: repeated texts first, then row by row."""
    return (*_repeated(rows), *(finding for row in rows for finding in _row_findings(row)))


def _repeated(rows: Sequence[GoldenRow]) -> list[Finding]:
    """Rows that repeat an earlier text: with the same values it only weighs double, with others it cannot be met."""
    first: dict[str, GoldenRow] = {}
    found = []
    for row in rows:
        known = first.setdefault(row.raw, row)
        if known is row:
            continue
        equal = known.components == row.components
        rule = "repeated_text" if equal else "contradicting_text"
        found.append(Finding(row.where, rule, f"{row.raw!r} stands at {known.where} too", blocks=not equal))
    return found


def _row_findings(row: GoldenRow) -> list[Finding]:
    found = []
    missing = [tag for tag, value in row.components.items() if value not in row.raw]
    if missing:
        detail = f"{missing[0]} {row.components[missing[0]]!r} is not a substring of {row.raw!r}"
        found.append(Finding(row.where, "unreachable_value", detail, blocks=True))
    elif spans_in(row.raw, row.components) is None:
        detail = f"{dict(row.components)!r} cannot stand in {row.raw!r} at word boundaries without overlap"
        found.append(Finding(row.where, "overlapping_values", detail, blocks=True))
    if not row.components:
        found.append(Finding(row.where, "no_values", f"{row.raw!r} has no component", blocks=False))
    return found + [
        Finding(row.where, "unusual_value", f"{tag} {value!r}: {reason}", blocks=False)
        for tag, value in row.components.items()
        if (reason := _oddity(row.country, tag, value))
    ]


def _oddity(country: str, tag: str, value: str) -> str | None:
    """Why a value hardly fits the conventions of its tag, or None."""
    if not (value[0].isalnum() and unicodedata.category(value[-1])[0] in "LNM"):
        return "edges that are no letter or digit"
    if tag == "postcode" and country in _POSTCODES and not re.fullmatch(_POSTCODES[country], value):
        return f"expected the form {_POSTCODES[country]}"
    if tag == "cedex" and not re.fullmatch(r"cedex( \d{1,2})?", value.casefold()):
        return "expected CEDEX and at most two digits"
    if tag == "house_number" and len(value.split()) > 3:
        return "expected a number, a range, or a number with bis, ter or a letter"
    return None
