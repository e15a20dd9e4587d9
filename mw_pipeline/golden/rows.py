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


def json_lines(path: Path) -> list[tuple[int, JSON]]:
    """Line number and value of every line that is not blank. Raises CorpusError for what is no JSON lines file."""
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(f"{path}: not readable ({error}). Name a UTF-8 file of JSON lines.") from None
    values = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                values.append((number, json_value(line)))
            except ValueError as error:
                raise CorpusError(
                    f"{path}:{number}: not JSON ({error}) in {line[:60]!r}. Write one object per line."
                ) from None
    return values


def row_of(value: JSON, *, where: str, stratum: str) -> GoldenRow:
    """The gold row of a decoded JSON object; `stratum` is for rows that name none. Raises CorpusError otherwise."""
    raw, components = raw_and_components(value, where=where)
    for tag, text in components.items():
        if tag not in STAGE3_TAGS:
            raise CorpusError(f"{where}: components.{tag} is not a tag. Use one of {', '.join(STAGE3_TAGS)}.")
        if not text.strip():
            raise CorpusError(f"{where}: components.{tag} is {text!r}, expected a value. Leave the tag out.")
    plain = {key: _text(value, key, where) for key in ("country", "source", "notes", "base_id", "stratum")}
    family = plain.pop("base_id") or "text:" + " ".join(re.findall(r"\w+", normalised(raw)))
    plain["stratum"] = plain["stratum"] or stratum
    return GoldenRow(raw=raw, components=components, family=family, where=where, **plain)


def raw_and_components(value: JSON, *, where: str) -> tuple[str, dict[str, str]]:
    """The two fields that gold and predictions share; tags whose value is null are absent. Raises CorpusError."""
    if not isinstance(value, dict) or not isinstance(value.get("raw"), str):
        raise CorpusError(
            f"{where}: found {value!r:.60}, expected an object with a text under 'raw'. Correct the line."
        )
    components = value.get("components")
    if not isinstance(components, dict):
        raise CorpusError(f"{where}: components is {components!r:.60}, expected an object of tag and text. Correct it.")
    for tag, text in components.items():
        if text is not None and not isinstance(text, str):
            raise CorpusError(f"{where}: components.{tag} is {text!r:.60}, expected a text. Put it in quotes.")
    found = {tag: text for tag, text in components.items() if text is not None}
    for text in (value["raw"], *found.values()):
        if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
            raise CorpusError(
                f"{where}: {text!r:.60} holds half of a surrogate pair, expected whole characters. Correct it."
            )
    return value["raw"], found


def _text(value: Mapping[str, JSON], key: str, where: str) -> str:
    text = value.get(key) or ""
    if not isinstance(text, str):
        raise CorpusError(f"{where}: {key} is {text!r:.60}, expected a text. Put it in quotes.")
    return text
