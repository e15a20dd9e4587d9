"""One file per country says how people there write an address; `default.toml` says it for all others."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from mw_pipeline.countries.values import fault_of
from mw_pipeline.errors import CorpusError

# Sections whose keys are words or codes, not settings: a country file fills them as it likes.
_OPEN = frozenset({"areas.short", "order.as_in", "run_on"})
WORD_PLACES = ("type", "direction", "first", "inner", "last", "any")
"""Which words of a component a table of words is about: see corpus/swaps.py."""
_WORD_TAGS = ("venue", "street", "unit", "dependent_locality", "locality", "subregion", "region")

KNOWN_COUNTRIES: tuple[str, ...] = tuple(
    sorted(
        path.name.removesuffix(".toml")
        for path in resources.files("mw_pipeline.countries").iterdir()
        if path.name.endswith(".toml") and path.name != "default.toml"
    )
)
"""Codes of the countries that have a file of their own."""


def writer_of(code: str) -> str:
    """Whose file says how a country's addresses are written: its own, one that names it as `alike`, or "default"."""
    return code if code in KNOWN_COUNTRIES else _writers().get(code, "default")


@functools.cache
def _writers() -> Mapping[str, str]:
    return {other: code for code in KNOWN_COUNTRIES for other in country(code)["alike"]}


@functools.cache
def country(code: str) -> Mapping[str, Any]:
    """The sections of a file over those of `default.toml`, which alone serve a country that no file is of.

    Raises CorpusError for a key that `default.toml` does not know, which would change nothing, for a value that is not
    what its key holds, and for a file that is no TOML.
    """
    default = _read("default")
    if code not in KNOWN_COUNTRIES:
        return _checked(default, "countries/default.toml", default)
    own = _read(code)
    return _checked(_merged(default, own, f"countries/{code}.toml", ""), f"countries/{code}.toml", default)


def _checked(sections: dict[str, Any], file: str, default: Mapping[str, Any]) -> Mapping[str, Any]:
    """The sections, each of whose values is what its key holds. Raises CorpusError with the first that is not."""
    tags = [tag for block in default["form"]["native"] for tag in block.split()]
    if fault := fault_of(sections, tags):
        raise _wrong_value(file, fault.where, fault.found, fault.expected)
    return sections


def _wrong_value(file: str, key: str, found: object, expected: str) -> CorpusError:
    return CorpusError(f"{file}: {key} is {found!r:.80}, expected {expected}. Correct the value.")


def _merged(default: Mapping[str, Any], own: Mapping[str, Any], file: str, path: str) -> dict[str, Any]:
    merged = dict(default)
    for key, value in own.items():
        key_path = f"{path}.{key}" if path else key
        known = _known(default, path)
        if known is not None and key not in known:
            raise CorpusError(
                f"{file}: {key_path} is not a key of countries/default.toml. Known here: {', '.join(known)}."
            )
        section = default.get(key, {})
        if isinstance(value, dict) and not isinstance(section, dict):
            raise _wrong_value(file, key_path, value, f"no table but a value such as {section!r:.40}")
        merged[key] = value if _is_leaf(key_path, value) else _merged(section, value, file, key_path)
    return merged


def _is_leaf(path: str, value: object) -> bool:
    """Whether a country's value stands for itself: no section, but a setting, a table of words or what has a code."""
    table_of_words = path == "areas.short" or (path.startswith("words.") and path.count(".") == 2)
    return table_of_words or path.startswith("order.as_in.") or not isinstance(value, dict)


def _known(default: Mapping[str, Any], path: str) -> Sequence[str] | None:
    """The keys that a section may hold; None where it may hold any."""
    if path == "words":
        return (*default, *_WORD_TAGS)
    if path.startswith("words."):
        return WORD_PLACES if path.count(".") == 1 else None
    if path.startswith("run_on."):
        return ("weight", "tags")
    return None if path in _OPEN else tuple(default)


def _read(name: str) -> dict[str, Any]:
    text = resources.files("mw_pipeline.countries").joinpath(f"{name}.toml").read_text(encoding="utf-8")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CorpusError(f"countries/{name}.toml: not readable as TOML: {error}. Correct the file.") from None
