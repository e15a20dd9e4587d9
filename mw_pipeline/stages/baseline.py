"""What a release is compared with: the package folder that the recipe names, for each of its locales."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mw_pipeline.errors import RecipeError
from mw_pipeline.evaluate.against_baseline import shared_labels
from mw_pipeline.package.layout import LAYOUT, PackageLayout, locale_on_card
from mw_pipeline.recipe import LAST_RELEASE, Recipe
from mw_pipeline.stages.place import Place
from mw_pipeline.stages.releases import last_release, releases_of

NOT_NAMED = "no baseline: the recipe names none"
FIRST_RELEASE = "no baseline: first release"


@dataclass(frozen=True)
class Baseline:
    """The baseline of a recipe: its folder as a person knows it, and the package of each locale that it has one for.

    `without` says of each other locale why it has none. With no package at all, `sentence` says so. `folders` are those
    of the packages, as a person knows them."""

    sentence: str
    packages: Mapping[str, Path] = field(default_factory=dict)
    without: Mapping[str, str] = field(default_factory=dict)
    folders: Mapping[str, str] = field(default_factory=dict)


def baseline_of(place: Place, recipe: Recipe, *, weights: str) -> Baseline:
    """The baseline of a recipe whose full run has the digest `weights`.

    Raises RecipeError for a folder that is not there, or holds no package of any of the recipe's locales; ArtifactError
    for a release that is named as kept and gone."""
    named = recipe.eval.baseline
    if named is None:
        return Baseline(NOT_NAMED)
    if named == LAST_RELEASE:
        return _last_releases(place, recipe, weights=weights)
    folder = place.project / named
    return _in_folder(recipe, folder, shown=_shown(place, folder))


def demand_baseline(place: Place, recipe: Recipe) -> None:
    """Returns when the packages of a recipe's baseline can be compared with its own, as far as they are there by now.

    Known before anything is trained: whatever release is the last one then must be whole too. Raises RecipeError for a
    folder that is not there or holds no package of the recipe's locales, ArtifactError for a damaged package, GateError
    for one without a tag of the recipe's labels."""
    for path in baseline_of(place, recipe, weights="").packages.values():
        shared_labels(recipe.label_set, PackageLayout.read(path).label_set)


def _last_releases(place: Place, recipe: Recipe, *, weights: str) -> Baseline:
    """Of each locale the last release that has it: not every release has all of them."""
    folder, locales = releases_of(place.project, recipe.name), recipe.package.locales
    found = {locale: last_release(folder, weights=weights, locales=(locale,)) for locale in locales}
    known = {locale: last for locale, last in found.items() if last is not None}
    if not known:
        return Baseline(FIRST_RELEASE)
    names = {locale: _shown(place, folder / last.name) for locale, last in known.items()}
    return Baseline(
        " and ".join(dict.fromkeys(names.values())),
        {locale: last.folder / locale for locale, last in known.items()},
        {locale: f"no baseline: no release has a package for {locale}" for locale in locales if locale not in known},
        {locale: f"{name}/{locale}" for locale, name in names.items()},
    )


def _in_folder(recipe: Recipe, folder: Path, *, shown: str) -> Baseline:
    """The packages of a folder: itself, for the locale that its card names or else for all; or one per locale."""
    locales = recipe.package.locales
    by_locale = not any((folder / name).is_file() for name in LAYOUT)
    if not by_locale:
        said = locale_on_card(folder)
        tag = None if said is None else said.lower().replace("_", "-")  # BCP 47: its tags have no case
        packages = {locale: folder for locale in locales if tag in (None, locale)}
        holds = f"the package for {said!r}"
    else:
        packages = {locale: folder / locale for locale in locales if (folder / locale).is_dir()}
        holds = "no package" if folder.is_dir() else "nothing: there is no such folder"
    if not packages:
        raise RecipeError(
            f"recipe {recipe.name!r}: eval.baseline is {recipe.eval.baseline!r}, and {folder} holds {holds}, expected "
            f"one for {' or '.join(locales)}. Name a folder with {', '.join(LAYOUT)}, or with one such folder per "
            "locale; or remove the key."
        )
    absent = {
        locale: f"no baseline: {shown} has no package for {locale}" for locale in locales if locale not in packages
    }
    return Baseline(shown, packages, absent, {locale: shown + f"/{locale}" * by_locale for locale in packages})


def _shown(place: Place, path: Path) -> str:
    return (path.relative_to(place.project) if path.is_relative_to(place.project) else path).as_posix()
