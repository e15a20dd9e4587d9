"""One file per country says how people there write an address; `default.toml` says it for all others."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from importlib import resources
from typing import Any

from mw_pipeline.errors import CorpusError

# Sections whose keys are words, not settings: a country file fills them as it likes.
_OPEN = frozenset({"areas.short", "words", "run_on"})

KNOWN_COUNTRIES: tuple[str, ...] = tuple(
    sorted(
        path.name.removesuffix(".toml")
        for path in resources.files("mw_pipeline.countries").iterdir()
        if path.name.endswith(".toml") and path.name != "default.toml"
    )
)
"""Codes of the countries that have a file of their own."""


@functools.cache
def country(code: str) -> Mapping[str, Any]:
    """The sections of a country's file over those of `default.toml`, which alone serve a country without a file.

    Raises CorpusError for a key that `default.toml` does not know: it would change nothing.
    """
    default = _read("default")
    return default if code not in KNOWN_COUNTRIES else _over(default, _read(code), f"countries/{code}.toml", "")


def _over(default: Mapping[str, Any], own: Mapping[str, Any], file: str, path: str) -> dict[str, Any]:
    merged = dict(default)
    for key, value in own.items():
        here = f"{path}.{key}" if path else key
        if key not in default and path not in _OPEN and not path.startswith("words."):
            known = ", ".join(default)
            raise CorpusError(f"{file}: {here} is not a key of countries/default.toml. Known here: {known}.")
        known_section = isinstance(value, dict) and isinstance(default.get(key), dict) and here != "areas.short"
        merged[key] = _over(default[key], value, file, here) if known_section else value
    return merged


def _read(name: str) -> dict[str, Any]:
    text = resources.files("mw_pipeline.countries").joinpath(f"{name}.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)
