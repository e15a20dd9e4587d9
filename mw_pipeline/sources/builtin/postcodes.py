"""Plausible postcodes: every ZIP code lies in its state, every French code in its département.

No dependency knows the codes of a town. A state's are made of the prefixes that the Postal Service gave it, a commune's
of its département's number, and a town keeps the ones that it got.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from mw_pipeline.sources.builtin.tsv import rows_of

_ARRONDISSEMENTS = {"Paris": ("75", 20), "Marseille": ("13", 16), "Lyon": ("69", 9)}


def expand_prefixes(text: str) -> list[str]:
    """All prefixes of a list of ranges, each as long as it is written: `005,100-149` names 51 of them."""
    found = []
    for part in text.split(","):
        low, _, high = part.partition("-")
        found += [f"{number:0{len(low)}d}" for number in range(int(low), int(high or low) + 1)]
    return found


def zip_codes(prefixes: Sequence[str], city: Mapping[str, Any], *, whole: bool) -> list[str]:
    """All codes of the prefixes for a city that owns them, else a few by population."""
    if whole:
        return [f"{prefix}{last:02d}" for prefix in prefixes for last in range(1, 100)]
    digits = 5 - len(prefixes[0])
    endings = 10**digits
    count = min(1 + min(city["population"] // 15_000, 12), endings)
    start = (city["geonameid"] * 48_271) % endings
    return [f"{prefixes[0]}{_ending((start + step) % endings, digits)}" for step in range(count)]


def military_codes(prefixes: str) -> list[str]:
    """Every code of these ranges of prefixes."""
    return [
        f"{prefix}{_ending(last, 5 - len(prefix))}"
        for prefix in expand_prefixes(prefixes)
        for last in range(10 ** (5 - len(prefix)))
    ]


def french_codes(city: Mapping[str, Any], number: str) -> list[str]:
    """Real codes for prefectures and the three cities of arrondissements, else one that the département could have."""
    arrondissements = _ARRONDISSEMENTS.get(city["name"])
    if arrondissements and number == arrondissements[0]:
        return [f"{number}0{district:02d}" for district in range(1, arrondissements[1] + 1)]
    if prefecture_code(number) and city["name"] == prefectures()[number]:
        return [prefecture_code(number)]
    if number in ("2A", "2B"):
        return [str((20_100 if number == "2A" else 20_210) + (city["geonameid"] * 48_271 % 9) * 10)]
    mixed = city["geonameid"] * 48_271 >> 3
    tens, last = mixed % 89 + 10, (0, 0, 0, 0, 0, 0, 0, 0, 5, mixed % 10)[(mixed >> 7) % 10]
    return [f"{number}{tens % 9 + 1}{last}" if len(number) == 3 else f"{number}{tens}{last}"]


def prefecture_code(number: str) -> str:
    """The postcode of a département's prefecture: 2A 20000, 2B 20200, 97x 97x00, the others ddd000."""
    return {"2A": "20000", "2B": "20200"}.get(number, f"{number}00" if len(number) == 3 else f"{number}000")


@functools.cache
def prefectures() -> Mapping[str, str]:
    """Département number to the name of its prefecture."""
    return {row["number"]: row["prefecture"] for row in rows_of("fr_departements.tsv")}


def pick(options: Sequence[str], number: int) -> str:
    """One option, chosen by a number in a way that neighbours do not share."""
    return options[(number * 2_654_435_761 >> 7) % len(options)]


def _ending(number: int, digits: int) -> str:
    """The last digits of a code, none where the prefix is whole."""
    return f"{number:0{digits}d}" if digits else ""
