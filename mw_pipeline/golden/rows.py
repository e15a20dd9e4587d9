"""One gold row and how it is read from JSON lines; prediction rows share the reader."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mw_pipeline.digest import JSON, json_value
from mw_pipeline.errors import CorpusError
from mw_pipeline.labels import STAGE3_TAGS
from mw_pipeline.metrics.matching import normalised

ADVERSARIAL = "adversarial"
_OPTIONAL_TEXTS = ("country", "source", "notes", "base_id", "stratum")
ROW_KEYS = ("raw", "components", *_OPTIONAL_TEXTS)
"""What a gold row may hold; other keys are not read."""


@dataclass(frozen=True)
class GoldenRow:
    """One gold row. `family` is its base_id, else its normalised text; `where` is file:line."""

    raw: str
    components: Mapping[str, str]
    country: str
    source: str
    notes: str
    family: str
    stratum: str
    where: str

    @property
    def is_adversarial(self) -> bool:
        """Whether the row was written to be hard: its stratum is `adversarial` or begins with `adversarial/`."""
        return self.stratum.split("/")[0] == ADVERSARIAL


class GoldError(CorpusError):
    """What is no gold: where, which rule it breaks, the value that breaks it, in what way, and what to do."""

    def __init__(self, where: str, rule: str, value: str, problem: str, remedy: str) -> None:
        super().__init__(f"{where}: {problem}. {remedy}")
        self.where, self.rule, self.value, self.problem, self.remedy = where, rule, value, problem, remedy


def json_lines(path: Path) -> list[tuple[int, JSON]]:
    """Line number and value of every line that is not blank. Raises CorpusError for what is no JSON lines file."""
    return [(number, value_of(line, where=f"{path}:{number}")) for number, line in text_lines(path)]


def text_lines(path: Path) -> list[tuple[int, str]]:
    """Number and text of every line that is not blank; a byte order mark and CR LF do no harm.

    Raises CorpusError for what is no UTF-8 file."""
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except OSError as error:
        raise CorpusError(f"{path}: not readable ({error.strerror}). Name a UTF-8 file of JSON lines.") from None
    except UnicodeDecodeError as error:
        raise CorpusError(f"{path}: not readable ({error}). Name a UTF-8 file of JSON lines.") from None
    return [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]


def value_of(line: str, *, where: str) -> JSON:
    """The value of one line. Raises GoldError for what is no JSON, and for an object that gives a key twice."""
    try:
        return json_value(line, pairs=_with_each_key_once)
    except ValueError as error:
        excerpt = repr(line.strip()[:60])
        raise GoldError(
            where, "not_json", excerpt, f"not JSON ({error}) in {excerpt}", "Write one object per line, each key once."
        ) from None


def row_of(value: JSON, *, where: str, stratum: str) -> GoldenRow:
    """The gold row of a decoded JSON object; `stratum` is for rows that name none. Raises GoldError otherwise."""
    raw, components = raw_and_components(value, where=where)
    for tag, text in components.items():
        if tag not in STAGE3_TAGS:
            problem, remedy = f"components.{tag} is not a tag", f"Use one of {', '.join(STAGE3_TAGS)}."
            raise GoldError(where, "unknown_tag", repr(tag), problem, remedy)
        if not text.strip():
            problem = f"components.{tag} is {text!r}, expected a value"
            raise GoldError(where, "blank_value", repr(text), problem, "Leave the tag out.")
    plain = {key: _text(value, key, where) for key in _OPTIONAL_TEXTS}
    family = plain.pop("base_id") or text_family(raw)
    plain["stratum"] = plain["stratum"] or stratum
    return GoldenRow(raw=raw, components=components, family=family, where=where, **plain)


def text_family(raw: str) -> str:
    """The family of a row that names none: its text without case and punctuation."""
    return "text:" + " ".join(re.findall(r"\w+", normalised(raw)))


def raw_and_components(value: JSON, *, where: str) -> tuple[str, dict[str, str]]:
    """The two fields that gold and predictions share; tags whose value is null are absent. Raises GoldError."""
    if not isinstance(value, dict) or not isinstance(value.get("raw"), str):
        found = f"{value!r:.60}"
        problem = f"found {found}, expected an object with a text under 'raw'"
        raise GoldError(where, "no_text", found, problem, "Correct the line.")
    components = value.get("components")
    if not isinstance(components, dict):
        found = f"{components!r:.60}"
        problem = f"components is {found}, expected an object of tag and text"
        raise GoldError(where, "no_components", found, problem, "Correct it.")
    for tag, text in components.items():
        if text is not None and not isinstance(text, str):
            raise _not_a_text(where, f"components.{tag}", text)
    found_values = {tag: text for tag, text in components.items() if text is not None}
    for text in (value["raw"], *found_values.values()):
        if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
            problem = f"{text!r:.60} holds half of a surrogate pair, expected whole characters"
            raise GoldError(where, "broken_text", f"{text!r:.60}", problem, "Correct it.")
    return value["raw"], found_values


def _text(value: Mapping[str, JSON], key: str, where: str) -> str:
    text = "" if value.get(key) is None else value[key]
    if not isinstance(text, str):
        raise _not_a_text(where, key, text)
    return text


def _not_a_text(where: str, key: str, value: JSON) -> GoldError:
    found = f"{value!r:.60}"
    return GoldError(where, "wrong_type", found, f"{key} is {found}, expected a text", "Put it in quotes.")


def _with_each_key_once(pairs: list[tuple[str, JSON]]) -> dict[str, JSON]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"key {twice!r} stands twice")
    return found
