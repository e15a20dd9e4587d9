"""The ground that every table of a config file stands on: strict, frozen models and the kinds of numbers they hold."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from mw_pipeline.labels import STAGE3_TAGS

MOST = 2**31 - 1
"""No count in a config file is larger: what is has slipped a digit, and would end in a crash far from its key."""

MOST_AT_ONCE = 2**16
"""No size of what memory, threads or processes are made for is larger."""

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Weight = Annotated[float, Field(ge=0.0)]
Positive = Annotated[int, Field(gt=0, le=MOST)]
Size = Annotated[int, Field(gt=0, le=MOST_AT_ONCE)]
NotNegative = Annotated[int, Field(ge=0, le=MOST)]

MOST_NAME_BYTES = 100
"""No name, and no part of one between slashes, is longer: files and folders are called by it, with more around it."""


def length_problem(name: str) -> str | None:
    """Why a name is too long to call a file by, or None."""
    longest = max(len(part.encode("utf-8", "surrogateescape")) for part in name.split("/"))
    if longest <= MOST_NAME_BYTES:
        return None
    return f"has {longest} bytes, expected {MOST_NAME_BYTES} characters at most, or fewer where they are not ASCII"


def _short(name: str) -> str:
    if problem := length_problem(name):
        raise ValueError(f"the name {problem}")
    if not name.isprintable():
        raise ValueError("the name holds a character that cannot be shown, expected letters, digits and signs")
    return name


Name = Annotated[str, Field(min_length=1), AfterValidator(_short)]


def _source_name(name: str) -> str:
    if not re.fullmatch(r"[^\W_][\w.-]*", name):
        raise ValueError("expected a letter or digit, then letters, digits, hyphens, dots and underscores")
    return _short(name)


SourceName = Annotated[str, Field(min_length=1), AfterValidator(_source_name)]
"""Names a source: its folder, a partition and a line of every table."""


def _set_name(name: str) -> str:
    if not re.fullmatch("[a-z0-9][a-z0-9-]*", name):
        raise ValueError("expected small letters, digits and hyphens, as in 'real-us'")
    return _short(name)


SetName = Annotated[str, AfterValidator(_set_name)]
"""Names a gold set: a file and a line of a report."""


class Section(BaseModel):
    """A table of a config file: frozen, typed, and every unknown key refused (M07, M08)."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def tuple_of(value: object) -> object:
    """TOML arrays arrive as lists; the models hold tuples so that they can be frozen."""
    return tuple(value) if isinstance(value, list) else value


def each_once(values: tuple[str, ...]) -> tuple[str, ...]:
    """The values, none of which stands twice. Raises ValueError otherwise."""
    twice = next((value for value in values if values.count(value) > 1), None)
    if twice is not None:
        raise ValueError(f"{twice!r} stands twice, expected each once")
    return values


def known_tags(values: tuple[str, ...]) -> tuple[str, ...]:
    """The values, each of them a tag, and none twice. Raises ValueError otherwise."""
    unknown = next((value for value in values if value not in STAGE3_TAGS), None)
    if unknown is not None:
        raise ValueError(f"{unknown!r} is not a tag: the tags are {', '.join(STAGE3_TAGS)}")
    return each_once(values)
