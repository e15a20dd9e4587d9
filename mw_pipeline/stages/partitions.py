"""What the config files of a project give the graph: its partitions, how they hang together, and what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TypeVar

from mw_pipeline.errors import MwError
from mw_pipeline.recipe import as_written, problem_of_name
from mw_pipeline.recipe.reading import CAMPAIGNS_FOLDER
from mw_pipeline.stages.place import Place

Config = TypeVar("Config")


@dataclass(frozen=True)
class Partitions:
    """Corpus → its sources; recipe → its corpus, or "" where its file does not even tell that; campaigns.

    `problems` has a sentence for every file that is broken, whose partition stands all the same and fails with that
    sentence, and for every name that can be no partition (M75)."""

    sources: Mapping[str, tuple[str, ...]]
    corpus_of: Mapping[str, str]
    campaigns: tuple[str, ...]
    problems: tuple[str, ...]

    @property
    def campaign_of(self) -> dict[str, str]:
        """Recipe of a campaign → the campaign."""
        paths = [path for path in map(PurePosixPath, self.corpus_of) if path.parts[0] == CAMPAIGNS_FOLDER]
        named = {path.as_posix(): path.parent.relative_to(CAMPAIGNS_FOLDER).as_posix() for path in paths}
        return {recipe: campaign for recipe, campaign in named.items() if campaign in self.campaigns}

    @property
    def loss_folders(self) -> dict[str, str]:
        """Folder of recipes that differ in their loss alone → their corpus."""
        found: dict[str, str] = {}
        for name, of in self.corpus_of.items():
            if "/losses/" in f"/{name}":
                folder = name.rpartition("/")[0]
                found[folder] = found.get(folder) or of  # a broken recipe names no corpus, and costs no other
        return found


def partitions_of(place: Place) -> Partitions:
    """The partitions of a project. No file in it keeps another from being one."""
    problems: list[str] = []
    corpora = _nameable("corpora", place.names("corpora"), problems)
    recipes = _nameable("recipes", place.names("recipes"), problems)
    sources = {name: _sources_of(place, name, problems) for name in corpora if not _has_colon(name, problems)}
    return Partitions(
        sources=sources,
        corpus_of={name: _corpus_of(place, name, problems) for name in recipes},
        campaigns=tuple(_nameable(CAMPAIGNS_FOLDER, place.campaigns(), problems)),
        problems=tuple(problems),
    )


def _nameable(folder: str, names: list[str], problems: list[str]) -> list[str]:
    bad = {name: problem for name in names if (problem := problem_of_name(name))}
    problems += [f"{folder}: the name {n!r} {problem}: it is no partition. Rename it." for n, problem in bad.items()]
    return [name for name in names if name not in bad]


def _has_colon(name: str, problems: list[str]) -> bool:
    if ":" in name:
        problems.append(f"corpora: the name {name!r} holds ':', which parts corpus and source. Rename it.")
    return ":" in name


def _sources_of(place: Place, name: str, problems: list[str]) -> tuple[str, ...]:
    spec = _read(lambda: place.corpus_spec(name), problems)
    written = as_written(place.config_path("corpora", name)).get("sources") if spec is None else spec.sources
    named = sorted(map(str, written)) if isinstance(written, Mapping) else []
    return tuple(_nameable(f"corpora/{name}.toml: sources", named, problems))


def _corpus_of(place: Place, name: str, problems: list[str]) -> str:
    recipe = _read(lambda: place.recipe(name), problems)
    return recipe.corpus if recipe else str(as_written(place.config_path("recipes", name)).get("corpus", ""))


def _read(read: Callable[[], Config], problems: list[str]) -> Config | None:
    try:
        return read()
    except MwError as error:
        problems += [] if str(error) in problems else [str(error)]  # a broken corpus is told once, not by each recipe
        return None
