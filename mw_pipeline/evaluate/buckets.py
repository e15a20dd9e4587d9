"""Buckets of misses: what kind of mistake a wrong, missing or spurious value is. Pure: values in, a name out."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from mw_pipeline.decode import trim

BUCKETS: tuple[str, ...] = ("non_latin", "empty_pred", "case_only", "bio_slip", "num_confused", "other")
MEANINGS: dict[str, str] = {
    "non_latin": "the text holds a letter outside the Latin script",
    "empty_pred": "gold has a value, the prediction has none",
    "case_only": "equal but for upper and lower case",
    "bio_slip": "one value contains the other, or both are equal once their edges are trimmed",
    "num_confused": "two different numbers",
    "other": "anything else; also every spurious value, which has no gold to be held against",
}


def bucket_of(raw: str, gold: str, predicted: str, *, compat: bool = False) -> str:
    """The first bucket that fits a miss; an absent value is "".

    compat: any character above U+007F counts as not Latin. The published tables did so, "Orléans" included (M47)."""
    gold, predicted = gold.strip(), predicted.strip()
    if (not raw.isascii()) if compat else has_non_latin_letter(raw):
        return "non_latin"
    if not predicted:
        return "empty_pred"
    if not gold:
        return "other"
    if gold.casefold() == predicted.casefold():
        return "case_only"
    if gold in predicted or predicted in gold or _is_equal_inside(gold, predicted):
        return "bio_slip"
    if _digits(gold) and _digits(predicted) and _digits(gold) != _digits(predicted):
        return "num_confused"
    return "other"


def _is_equal_inside(gold: str, predicted: str) -> bool:
    cores = [
        None if (kept := trim(value, 0, len(value))) is None else value[slice(*kept)] for value in (gold, predicted)
    ]
    return cores[0] is not None and cores[0] == cores[1]


def _digits(value: str) -> str:
    """The value without hyphens when nothing but digits is left, else nothing."""
    bare = value.replace("-", "")
    return bare if bare.isdecimal() else ""


@lru_cache(maxsize=65536)
def has_non_latin_letter(text: str) -> bool:
    """Whether any letter is of another script than Latin; accents, ligatures and full-width forms are Latin (M47).

    Letters that all scripts share (the modifier letters, the micro sign) belong to none."""
    return not text.isascii() and any(_is_other_script(character) for character in text)


def _is_other_script(character: str) -> bool:
    if character.isascii() or unicodedata.category(character)[0] != "L":
        return False
    name = unicodedata.name(character, "")
    if name.startswith(("MODIFIER LETTER", "MICRO SIGN")):
        return False
    return any(
        "LATIN" not in unicodedata.name(letter, "")
        for letter in unicodedata.normalize("NFKD", character)
        if unicodedata.category(letter)[0] == "L"
    )
