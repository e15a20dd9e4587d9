"""Where a run happens: the store, the project folder with its config files, and the raw data."""

from __future__ import annotations

import difflib
import math
import os
import re
import time
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mw_pipeline.capability.habits import locale_problem
from mw_pipeline.corpus.memory_limit import memory_megabytes
from mw_pipeline.corpus.workers import HERE, Workers
from mw_pipeline.errors import CorpusError, RecipeError
from mw_pipeline.recipe import (
    MOST,
    CorpusSpec,
    Recipe,
    SourceSpec,
    config_files,
    corpus_problem,
    length_problem,
    load_corpus_spec,
    load_recipe,
    with_seed,
)
from mw_pipeline.recipe.reading import CAMPAIGNS_FOLDER, CORPORA_FOLDER, RECIPES_FOLDER
from mw_pipeline.records.adapter import licences_of
from mw_pipeline.sources.registry import get_adapter
from mw_pipeline.store import Store
from mw_pipeline.turns import Turns
from mw_pipeline.urls import is_url, meant_url

Progress = Callable[[str], None]
"""Takes one line for a person."""


def quiet(line: str) -> None:
    """A Progress that shows nothing."""


def checkout_of(code: Path) -> Path | None:
    """The nearest folder around a file of code that holds `recipes` and `corpora`, wherever someone stands.

    None where the code was installed without them."""
    around = code.resolve().parents
    return next((f for f in around if (f / RECIPES_FOLDER).is_dir() and (f / CORPORA_FOLDER).is_dir()), None)


def seconds_of(time_limit: str) -> float:
    """A time limit such as 3600, 90m or 1.5h in seconds. Raises RecipeError for anything else."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", time_limit.strip())
    seconds = float(found[1]) * {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}[found[2]] if found else 0.0
    if not 0 < seconds < math.inf:
        raise RecipeError(
            f"the time limit is {time_limit!r}, expected seconds above 0, or as in 90m or 1.5h. Correct it."
        )
    return seconds


@dataclass(frozen=True)
class Place:
    """The three folders that a stage needs, and who works there; hyperparameters are in the recipe, never here.

    Where there are `turns`, trainings of this place wait for each other; where there is a `memory`, whoever asks for a
    recipe or an artifact a second time has the first answer."""

    store: Store
    project: Path
    data: Path
    workers: Workers = HERE
    seconds_allowed: float | None = None
    in_parts: bool = False
    turns: Turns | None = None
    begun: float = field(default_factory=time.monotonic, compare=False, repr=False)
    memory: dict[Hashable, Any] | None = field(default=None, compare=False, repr=False)

    def remembering(self) -> Place:
        """The same place for the length of one command, in which nothing is looked up twice."""
        return self if self.memory is not None else replace(self, memory={})

    def anew(self) -> Place:
        """The same place at the beginning of another command: its time limit counts from now, and nothing is
        remembered."""
        return replace(self, begun=time.monotonic(), memory=None if self.memory is None else {})

    @property
    def seconds_left(self) -> float | None:
        """What is left of the time limit of this place, counted from its making; None without one."""
        return None if self.seconds_allowed is None else self.seconds_allowed - (time.monotonic() - self.begun)

    @property
    def time_is_spent(self) -> bool:
        """Whether less than a tenth of the time limit is left: a run that ended by then has ended because of it."""
        left = self.seconds_left
        return left is not None and self.seconds_allowed is not None and left < 0.1 * self.seconds_allowed

    def turn(self, work: str, progress: Progress) -> AbstractContextManager[None]:
        """Where trainings take turns: holds one for a training, or tells for whom it waits. Elsewhere nothing."""
        return nullcontext() if self.turns is None else self.turns.take(work, say=progress)

    @classmethod
    def of(
        cls,
        *,
        store: str | None = None,
        project: str | None = None,
        data: str | None = None,
        workers: str | None = None,
        time_limit: str | None = None,
        in_parts: bool | None = None,
    ) -> Place:
        """What is not given comes from MW_STORE, MW_PROJECT, MW_DATA, MW_WORKERS, MW_TIME_LIMIT and MW_IN_PARTS; then
        `.mw`, `checkout_of` this code, `data`, this process alone, and no limit. Raises CorpusError for workers, or a
        MW_MEMORY, that nobody understands, RecipeError for such a limit, ArtifactError for a setting of the store."""
        memory_megabytes()
        home = Path(project or os.environ.get("MW_PROJECT") or checkout_of(Path(__file__)) or ".").absolute()
        url = store or os.environ.get("MW_STORE") or ".mw"
        raw = data or os.environ.get("MW_DATA") or "data"
        at_work = Workers.parsed(workers or os.environ.get("MW_WORKERS") or "1")
        limit = time_limit or os.environ.get("MW_TIME_LIMIT") or ""
        return cls(
            Store(url if is_url(url) or meant_url(url) else home / url),
            home,
            home / raw,
            at_work,
            seconds_allowed=seconds_of(limit) if limit else None,
            in_parts=os.environ.get("MW_IN_PARTS", "") not in ("", "0") if in_parts is None else in_parts,
        )

    def recipe(self, name: str) -> Recipe:
        """The recipe of this name or TOML file; NAME@7 is the same with train.seed = 7.

        Raises RecipeError with the nearest name when there is none, for a locale that is not there, and for whatever it
        names that its corpus does not have. A file from elsewhere may name a corpus that this project lacks."""
        memory = {} if self.memory is None else self.memory
        if ("recipe", name) not in memory:
            memory["recipe", name] = self._read_recipe(name)
        recipe: Recipe = memory["recipe", name]
        return recipe

    def _read_recipe(self, name: str) -> Recipe:
        stem, seed = _name_and_seed(name)
        path = self._recipe_path(stem)
        recipe = load_recipe(path)
        _demand_locales(recipe, path)
        self._demand_corpus(recipe, path)
        return recipe if seed is None else with_seed(recipe, seed)

    def _demand_corpus(self, recipe: Recipe, path: Path) -> None:
        there = self.names(CORPORA_FOLDER)
        if recipe.corpus in there:
            if problem := corpus_problem(recipe, self.corpus_spec(recipe.corpus)):
                raise RecipeError(f"{path}: {problem}")
        elif path.resolve().is_relative_to(self.project.resolve()):
            hint = _hint(recipe.corpus, there, f"{self.project / CORPORA_FOLDER} has no TOML files.")
            raise RecipeError(f"{path}: corpus is {recipe.corpus!r}, and there is no such corpus; {hint}")

    def corpus_spec(self, name: str) -> CorpusSpec:
        """The corpus spec of this name. Raises RecipeError with the nearest name when there is none, and for an adapter
        that is not there, has nothing to read, or brings rows under no licence that the spec allows."""
        path = self.config_path("corpora", name)
        spec = load_corpus_spec(path)
        for key, adapter in _adapters_of(spec):
            try:
                get_adapter(adapter)
            except CorpusError as error:
                raise RecipeError(f"{path}: {key}: {error}") from None
        for source, settings in spec.sources.items():
            if problem := _source_problem(source, settings) or _licence_problem(
                source, settings, spec.licences_allowed
            ):
                raise RecipeError(f"{path}: {problem}")
        return spec

    def demand_source(self, corpus: str, name: str) -> None:
        """Returns when a corpus has a source of this name. Raises RecipeError with the nearest name otherwise."""
        if name not in (there := self.corpus_spec(corpus).sources):
            raise RecipeError(f"corpora/{corpus}.toml: has no source {name!r:.80}; {_hint(name, there, '')}")

    def names(self, folder: str) -> list[str]:
        """Names of all config files below `recipes` or `corpora`; the recipes of campaigns are recipes too."""
        root = self.project / folder
        found = {path.relative_to(root).with_suffix("").as_posix() for path in config_files(root)}
        if folder == RECIPES_FOLDER:
            paths = config_files(self.project / CAMPAIGNS_FOLDER)
            found |= {path.relative_to(self.project).with_suffix("").as_posix() for path in paths}
        return sorted(found)

    def recipes_in(self, folder: str) -> list[str]:
        """The recipes in a folder below `recipes`. Raises RecipeError when there are fewer than two to compare."""
        names = [name for name in self.names(RECIPES_FOLDER) if name.rpartition("/")[0] == folder.strip("/")]
        if len(names) < 2:
            raise RecipeError(
                f"{self.project / RECIPES_FOLDER / folder}: holds {len(names)} recipes, expected at least 2 to "
                "compare. Name a folder below recipes/."
            )
        return names

    def campaigns(self) -> list[str]:
        """Names of all folders of recipes below `campaigns`."""
        root = self.project / CAMPAIGNS_FOLDER
        folders = {path.parent for path in config_files(root)} - {root}
        return sorted(folder.relative_to(root).as_posix() for folder in folders)

    def campaign_path(self, name: str) -> Path:
        """The folder of a campaign. Raises RecipeError with the nearest name when there is none."""
        if name in (there := self.campaigns()):
            return self.project / CAMPAIGNS_FOLDER / name
        hint = _hint(name, there, "there is no campaign yet: write a folder of recipes.")
        raise RecipeError(f"{self.project / CAMPAIGNS_FOLDER / name}: there is no such campaign; {hint}")

    def golden_paths(self, spec: CorpusSpec) -> list[Path]:
        """The gold files of a corpus: what its patterns match below the project, or anywhere where they begin with /.

        A folder stands for its .jsonl files. Raises RecipeError when a pattern matches none."""
        found: list[Path] = []
        for pattern in spec.golden:
            root, below = (Path("/"), pattern.lstrip("/")) if pattern.startswith("/") else (self.project, pattern)
            matches = sorted(root.glob(below)) if below else []
            files = [file for path in matches for file in (sorted(path.glob("*.jsonl")) if path.is_dir() else [path])]
            if not files:
                raise RecipeError(
                    f"corpora/{spec.name}.toml: golden pattern {pattern!r} matches no file below {root}. "
                    "Correct the pattern or add the file."
                )
            found += files
        return found

    def golden_set_files(self, spec: CorpusSpec, name: str) -> list[Path]:
        """The files of a further gold set below the data folder, sorted; none where they are not there.

        Raises RecipeError when its pattern matches folders alone."""
        pattern = spec.golden_sets[name].input
        matches = sorted(self.data.glob(pattern))
        files = [path for path in matches if path.is_file()]
        if matches and not files:
            folder = matches[0].relative_to(self.data).as_posix()
            raise RecipeError(
                f"corpora/{spec.name}.toml: golden_sets.{name}.input is {pattern!r}, which matches folder {folder!r} "
                f"and no file. Name the files in it, as in '{folder}/*.jsonl'."
            )
        return files

    def _recipe_path(self, name: str) -> Path:
        return Path(name) if name.endswith(".toml") else self.config_path(RECIPES_FOLDER, name)

    def config_path(self, folder: str, name: str) -> Path:
        """The file of a corpus or recipe. Raises RecipeError with the nearest name when there is none."""
        if problem := length_problem(name):
            raise RecipeError(f"{self.project / folder}: the name {name!r:.80} {problem}. Correct it.")
        of_campaign = folder == "recipes" and name.startswith(f"{CAMPAIGNS_FOLDER}/")
        path = (self.project if of_campaign else self.project / folder) / f"{name}.toml"
        if not path.is_file():
            hint = _hint(name, self.names(folder), f"{self.project / folder} has no TOML files.")
            raise RecipeError(f"{path}: there is no such file; {hint}")
        return path


def _hint(name: str, there: Iterable[str], otherwise: str) -> str:
    near = difflib.get_close_matches(name, [*there], n=1, cutoff=0.0)
    return f"did you mean {near[0]!r}?" if near else otherwise


def _name_and_seed(name: str) -> tuple[str, int | None]:
    """The recipe's own name, and the seed of NAME@SEED, where that is one that a recipe may have."""
    stem, at, seed = name.rpartition("@")
    known = re.fullmatch("[0-9]{1,10}", seed) is not None and int(seed) <= MOST
    return (stem, int(seed)) if at and known else (name, None)


def _demand_locales(recipe: Recipe, path: Path) -> None:
    for locale in recipe.package.locales:
        if problem := locale_problem(locale):
            raise RecipeError(f"{path}: package.locales: {problem}")


def _source_problem(name: str, settings: SourceSpec) -> str | None:
    """Why the adapter of a source could not read it, or would not look at what it names; or None."""
    adapter = get_adapter(settings.adapter)
    if adapter.needs_input and not settings.input:
        return f"sources.{name}.input is missing: {adapter.name} reads files. Name them, below MW_DATA or by URL."
    if settings.input is not None and not adapter.needs_input:
        return f"sources.{name}.input is {settings.input!r:.80}, and {adapter.name} reads no files. Remove the line."
    return None


def _licence_problem(name: str, settings: SourceSpec, allowed: tuple[str, ...]) -> str | None:
    """Why no row of a source could be trained on, as far as that is known before its files are read; or None.

    What a list allows beside is no problem: it may be one for many corpora, and lets nothing in by itself."""
    can_be = licences_of(get_adapter(settings.adapter), settings.licence)
    if not can_be or {*can_be} & {*allowed}:
        return None
    near = difflib.get_close_matches(can_be[0], allowed, n=1)
    listed = f"has {near[0]!r}, the nearest to it" if near else f"lists {', '.join(allowed) or 'nothing'}"
    return (
        f"sources.{name}: its rows are under {' or '.join(map(repr, can_be))}, and licences_allowed {listed}. "
        f"Write it there as it is here, or remove the source."
    )


def _adapters_of(spec: CorpusSpec) -> Iterator[tuple[str, str]]:
    """Every adapter that a spec names, with the key that names it."""
    for source, settings in spec.sources.items():
        yield f"sources.{source}.adapter", settings.adapter
    for name, gold in spec.golden_sets.items():
        if gold.adapter is not None:
            yield f"golden_sets.{name}.adapter", gold.adapter
