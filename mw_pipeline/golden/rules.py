"""The rules that gold rows are held to, and what a row that breaks one is told.

Legal labels need no rule of their own: values that stand side by side in the text (`overlapping_values`) become whole
BIO spans, and no sequence of whole spans is one that the transition mask forbids.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mw_pipeline.countries import COUNTRY_CODES
from mw_pipeline.digest import JSON
from mw_pipeline.golden.reach import spans_in
from mw_pipeline.golden.rows import ROW_KEYS, GoldenRow, GoldError, text_family

_POSTCODES = {"US": r"\d{5}(-\d{4})?", "FR": r"\d{5}"}

_REMEDIES = {
    "unreachable_value": "Copy the value as it is written in the text, or leave the tag out.",
    "overlapping_values": "Cut each value at word boundaries, from a place of its own in the text.",
    "no_values": "Add the values, or remove the row.",
    "unknown_country": "Write its ISO 3166-1 code in capitals, such as US: each spelling has a score of its own.",
    "unusual_value": "Compare with docs/labels.md: correct the value, or leave it if the text really has it so.",
    "repeated_text": "Remove one of the two rows: together they count twice.",
    "contradicting_text": "Decide which values are right, and remove the other row.",
    "family_in_dev_and_test": "Move all rows of the family to one side.",
}
_SIDES = {"dev": "dev", "val": "dev", "valid": "dev", "validation": "dev", "test": "test"}


@dataclass(frozen=True)
class Finding:
    """Something wrong with one row: where it stands, which rule, which value, in what way, what to do, whether the
    gold is invalid for it."""

    where: str
    rule: str
    value: str
    problem: str
    remedy: str
    blocks: bool

    def __str__(self) -> str:
        return f"{self.where}: {self.rule}: {self.value}: {self.problem}"

    def as_json(self) -> dict[str, JSON]:
        """Its fields, the place taken apart into file and line."""
        file, _, line = self.where.rpartition(":")
        place: dict[str, JSON] = (
            {"file": file, "line": int(line)} if line.isdigit() else {"file": self.where, "line": None}
        )
        return {
            **place,
            "rule": self.rule,
            "value": self.value,
            "problem": self.problem,
            "remedy": self.remedy,
            "blocks": self.blocks,
        }


def finding_of_error(error: GoldError) -> Finding:
    """What could not be read at all, as a finding."""
    return Finding(error.where, error.rule, error.value, error.problem, error.remedy, blocks=True)


def finding_of_unknown_keys(where: str, counts: Mapping[str, int]) -> Finding:
    """The remark that a file has keys that no gold row has, with the rows that have each: they are not read."""
    value = ", ".join(f"{key!r} in {count} rows" for key, count in sorted(counts.items()))
    near = {key: difflib.get_close_matches(key, ROW_KEYS, n=1, cutoff=0.7) for key in sorted(counts)}
    meant = [f"{key!r} may mean {found[0]!r}" for key, found in near.items() if found]
    problem = "; ".join([f"are not keys of a gold row, which has {', '.join(ROW_KEYS)}", *meant])
    return Finding(where, "unknown_key", value, problem, "Rename them or leave them out: they are not read.", False)


def findings_of(rows: Sequence[GoldenRow]) -> tuple[Finding, ...]:
    """Everything that breaks a rule: repeated texts first, then families on both sides, then row by row."""
    return (*_repeated(rows), *_on_both_sides(rows), *(finding for row in rows for finding in _row_findings(row)))


def _finding(row: GoldenRow, rule: str, value: str, problem: str, *, blocks: bool) -> Finding:
    return Finding(row.where, rule, value, problem, _REMEDIES[rule], blocks)


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
        problem = f"stands at {known.where} too" + ("" if equal else " with other values")
        found.append(_finding(row, rule, repr(row.raw), problem, blocks=not equal))
    return found


def _on_both_sides(rows: Sequence[GoldenRow]) -> list[Finding]:
    """Rows whose family or text stands in a dev file and in a test file: what is tuned on dev is not tested (M49)."""
    first: dict[tuple[str, str], GoldenRow] = {}
    found = []
    for row in rows:
        side = side_of(row.where)
        if side is None:
            continue
        other = "test" if side == "dev" else "dev"
        for key in dict.fromkeys((row.family, text_family(row.raw))):
            first.setdefault((side, key), row)
            known = first.get((other, key))
            if known is not None:
                problem = f"stands in {side} here and in {other} at {known.where}"
                found.append(_finding(row, "family_in_dev_and_test", repr(key), problem, blocks=True))
                break
    return found


def side_of(where: str) -> str | None:
    """ "dev" or "test" when a word of the file's name says so, as in `us-dev.jsonl:3` or `test.jsonl:1`."""
    words = re.findall(r"[a-z]+", Path(where.rpartition(":")[0]).stem.lower())
    return next((_SIDES[word] for word in words if word in _SIDES), None)


def _row_findings(row: GoldenRow) -> list[Finding]:
    found = []
    missing = [tag for tag, value in row.components.items() if value not in row.raw]
    for tag in missing:
        value = f"{tag} {row.components[tag]!r}"
        found.append(_finding(row, "unreachable_value", value, f"is no substring of {row.raw!r}", blocks=True))
    if not missing and spans_in(row.raw, row.components) is None:
        problem = f"cannot stand in {row.raw!r} at word boundaries without overlap"
        found.append(_finding(row, "overlapping_values", repr(dict(row.components)), problem, blocks=True))
    if not row.components:
        found.append(_finding(row, "no_values", repr(row.raw), "has no component", blocks=False))
    if row.country and row.country not in COUNTRY_CODES:
        found.append(_finding(row, "unknown_country", repr(row.country), "is no code of a country", blocks=False))
    return found + [
        _finding(row, "unusual_value", f"{tag} {value!r}", reason, blocks=False)
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
