"""TOML files that stand on each other by `base`: read along the chain, and refused where it leads nowhere or back."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mw_pipeline.errors import RecipeError
from mw_pipeline.recipe.config_files import config_files_beside

Document = dict[str, Any]
_Chain = dict[str, Path]
"""The files so far, nearest first: what they are called there, by where they really lie."""


def base_chain(path: Path) -> tuple[Path, ...]:
    """The file itself and the files that it stands on, nearest first, resolved. Raises RecipeError as `documents`."""
    return tuple(file.resolve() for file, _ in documents(path))


def documents(path: Path) -> list[tuple[Path, Document]]:
    """The file itself and the files that it stands on, nearest first, each with what it holds beside `base`.

    Raises RecipeError for a file that is not there or no TOML, and for a base that leads back to one before it."""
    return list(_along(path))


def _along(path: Path) -> Iterator[tuple[Path, Document]]:
    chain: _Chain = {}
    while True:
        document = read_toml(path)
        chain[os.path.realpath(path)] = path
        base = document.pop("base", None)
        yield path, document
        if base is None:
            return
        path = _base_path(chain, base)


def _base_path(chain: _Chain, base: Any) -> Path:
    """The file that the last one of a chain names as its base."""
    path, real = _last(chain)
    if not isinstance(base, str) or "\0" in base:
        raise RecipeError(f"{path}: base is {base!r}, expected the path of a TOML file. Put it in quotes.")
    named = path.parent / base
    if not _is_file(path, named):
        raise RecipeError(f"{path}: base is {base!r}, expected a TOML file beside it. {_meant(chain, named)}")
    if os.path.realpath(named) == real:
        raise RecipeError(
            f"{path}: base is {base!r}, which is this file itself. Name the file that it changes, or remove the line."
        )
    if os.path.realpath(named) in chain:
        first = next(iter(chain.values())).parent
        circle = " → ".join(os.path.relpath(one, first) for one in (*chain.values(), named))
        raise RecipeError(
            f"{path}: base is {base!r}, which leads back to a file that stands on this one: {circle}. Name a file "
            "outside this circle, or remove one of these `base` lines."
        )
    return named


def _meant(chain: _Chain, named: Path) -> str:
    """What to write instead of a base that is no file: the nearest that is, but for those that stand on this one."""
    (path, real), whole = _last(chain), named.parent / f"{named.name}.toml"
    if (whole_real := os.path.realpath(whole)) in chain:
        which = "this file itself" if whole_real == real else "a file that stands on this one"
        return f"With .toml it would be {which}: name the file that it changes, or remove the line."
    there = {file.stem: file for file in config_files_beside(named) if os.path.realpath(file) not in chain}
    near = [whole] if _is_file(path, whole) else _nearest(named.stem, there)
    return (
        f"Did you mean {os.path.relpath(near[0], path.parent)!r}?" if near else "Correct the name, or write the file."
    )


def _last(chain: _Chain) -> tuple[Path, str]:
    real, path = next(reversed(chain.items()))
    return path, real


def _nearest(stem: str, there: dict[str, Path]) -> list[Path]:
    return [there[name] for name in difflib.get_close_matches(stem, there, n=1)]


def _is_file(named_in: Path, path: Path) -> bool:
    try:
        return path.is_file()
    except OSError as error:  # a name of more than 255 letters, or a folder of another user
        raise RecipeError(f"{named_in}: base cannot be looked for ({error.strerror}). Name a TOML file.") from None


def read_toml(path: Path) -> Document:
    """What a TOML file holds. Raises RecipeError, with the nearest file where there is none of this name."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        near = _nearest(path.stem, {file.stem: file for file in config_files_beside(path)})
        hint = f"Did you mean {near[0].stem!r}?" if near else "Correct the name, or write the file."
        raise RecipeError(f"{path}: there is no such file. {hint}") from None
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read ({error.strerror}). Name a TOML file.") from None
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"{path}: not readable as TOML: {error}. Correct the file.") from None
