"""A campaign as it lies on disk: a folder of recipes that stand on one base, and what each of them changes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mw_pipeline.digest import JSON
from mw_pipeline.errors import RecipeError
from mw_pipeline.recipe import Recipe, base_chain, config_files, differences, load_recipe

JUDGED = ("smoke", "eval", "package")
"""Sections that say how a run is judged and shipped: they cannot make it fail, and are no cause of anything."""


@dataclass(frozen=True)
class Member:
    """One recipe of a campaign. `changes` and `judged` are dotted key → value where they differ from the campaign's
    base: what is trained differently, and what is judged differently."""

    name: str
    path: Path
    recipe: Recipe
    changes: Mapping[str, JSON]
    judged: Mapping[str, JSON]


@dataclass(frozen=True)
class Campaign:
    """The recipes of a folder, in the order that a person reads their names in.

    `base_path` is the nearest file that all of them stand on: one of them, or a file elsewhere."""

    name: str
    folder: Path
    base_path: Path
    base: Recipe
    members: tuple[Member, ...]


def read_campaign(folder: Path, *, name: str | None = None) -> Campaign:
    """The campaign in a folder. Raises RecipeError when it has no recipes, or when they stand on no common base."""
    recipes = (path for path in config_files(folder) if path.parent == folder)
    paths = sorted(recipes, key=_natural_order)
    if not paths:
        raise RecipeError(f"{folder}: holds no recipes. Name a folder of TOML files that share a base.")
    base_path = _common_base(folder, [base_chain(path) for path in paths])
    base = load_recipe(base_path)
    return Campaign(
        name=name or folder.resolve().name,
        folder=folder,
        base_path=base_path,
        base=base,
        members=tuple(_member(path, base) for path in paths),
    )


def _natural_order(path: Path) -> list[tuple[int, str]]:
    """Numbers within a name count as numbers: run 10 comes after run 9."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"([0-9]+)", path.stem)]


def _common_base(folder: Path, chains: Sequence[tuple[Path, ...]]) -> Path:
    """The first file of a chain that is in all of them; it is the same whichever chain is asked."""
    shared = set(chains[0]).intersection(*chains[1:])
    if not shared:
        ends = sorted({chain[-1].name for chain in chains})
        raise RecipeError(
            f"{folder}: its recipes stand on {len(ends)} different bases ({', '.join(ends)}), so their changes cannot "
            "be compared. Give all of them one `base`."
        )
    return next(path for path in chains[0] if path in shared)


def _member(path: Path, base: Recipe) -> Member:
    recipe = load_recipe(path)
    changed = differences(base, recipe)
    judged = {key: value for key, value in changed.items() if key.split(".")[0] in JUDGED}
    trained = {key: value for key, value in changed.items() if key not in judged}
    return Member(path.stem, path, recipe, trained, judged)
