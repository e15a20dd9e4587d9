"""Where a run happens: the store, the project folder with its config files, and the raw data."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mw_pipeline.corpus.workers import HERE, Workers
from mw_pipeline.errors import RecipeError
from mw_pipeline.recipe import CorpusSpec, Recipe, load_corpus_spec, load_recipe, with_seed
from mw_pipeline.recipe.reading import CAMPAIGNS_FOLDER
from mw_pipeline.store import Store

Progress = Callable[[str], None]
"""Takes one line for a person."""


def quiet(line: str) -> None:
    """A Progress that shows nothing."""


@dataclass(frozen=True)
class Place:
    """The three folders that a stage needs, and who works there; hyperparameters are in the recipe, never here."""

    store: Store
    project: Path
    data: Path
    workers: Workers = HERE

    @classmethod
    def of(
        cls,
        *,
        store: str | None = None,
        project: str | None = None,
        data: str | None = None,
        workers: str | None = None,
    ) -> Place:
        """What is not given comes from MW_STORE, MW_PROJECT, MW_DATA, MW_WORKERS; then `.mw`, the working folder,
        `data`, and this process alone. Raises CorpusError for workers that nobody understands."""
        home = Path(project or os.environ.get("MW_PROJECT") or ".").absolute()
        url = store or os.environ.get("MW_STORE") or ".mw"
        raw = data or os.environ.get("MW_DATA") or "data"
        at_work = Workers.parsed(workers or os.environ.get("MW_WORKERS") or "1")
        return cls(Store(url if "://" in url else home / url), home, home / raw, at_work)

    def recipe(self, name: str) -> Recipe:
        """The recipe of this name or TOML file; NAME@7 is the same with train.seed = 7.

        Raises RecipeError with the nearest name when there is none."""
        stem, at, seed = name.partition("@")
        if at and seed.isascii() and seed.isdigit():
            return with_seed(self.recipe(stem), int(seed))
        return load_recipe(Path(name) if name.endswith(".toml") else self._config("recipes", name))

    def corpus_spec(self, name: str) -> CorpusSpec:
        """The corpus spec of this name. Raises RecipeError with the nearest name when there is none."""
        return load_corpus_spec(self._config("corpora", name))

    def names(self, folder: str) -> list[str]:
        """Names of all TOML files below `recipes` or `corpora`; the recipes of campaigns are recipes too."""
        root = self.project / folder
        found = [path.relative_to(root).with_suffix("").as_posix() for path in root.rglob("*.toml")]
        if folder == "recipes":
            paths = (self.project / CAMPAIGNS_FOLDER).rglob("*.toml")
            found += [path.relative_to(self.project).with_suffix("").as_posix() for path in paths]
        return sorted(found)

    def campaigns(self) -> list[str]:
        """Names of all folders of recipes below `campaigns`."""
        root = self.project / CAMPAIGNS_FOLDER
        folders = {path.parent for path in root.rglob("*.toml")} - {root}
        return sorted(folder.relative_to(root).as_posix() for folder in folders)

    def campaign_path(self, name: str) -> Path:
        """The folder of a campaign. Raises RecipeError with the nearest name when there is none."""
        if name in (there := self.campaigns()):
            return self.project / CAMPAIGNS_FOLDER / name
        near = difflib.get_close_matches(name, there, n=1, cutoff=0.0)
        hint = f"did you mean {near[0]!r}?" if near else "there is no campaign yet: write a folder of recipes."
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
        """The files of a further gold set below the data folder, sorted; none where they are not there."""
        return sorted(path for path in self.data.glob(spec.golden_sets[name].input) if path.is_file())

    def _config(self, folder: str, name: str) -> Path:
        of_campaign = folder == "recipes" and name.startswith(f"{CAMPAIGNS_FOLDER}/")
        path = (self.project if of_campaign else self.project / folder) / f"{name}.toml"
        if not path.is_file():
            near = difflib.get_close_matches(name, self.names(folder), n=1, cutoff=0.0)
            hint = f"did you mean {near[0]!r}?" if near else f"{self.project / folder} has no TOML files."
            raise RecipeError(f"{path}: there is no such file; {hint}")
        return path
