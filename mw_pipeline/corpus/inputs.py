"""The raw files of a source: what its `input` matches below the data folder, checked before anything is read."""

from __future__ import annotations

from pathlib import Path

from mw_pipeline.digest import sha256_remembered
from mw_pipeline.errors import CorpusError
from mw_pipeline.recipe import CorpusSpec


def resolve_inputs(spec: CorpusSpec, source: str, data_path: Path) -> tuple[Path, ...]:
    """The files of a source in sorted order; empty when the source says no `input`.

    Raises CorpusError as `match_inputs` does, and when `sha256` is not that of its one file."""
    paths = match_inputs(spec, source, data_path)
    wanted = spec.sources[source].sha256
    if paths and wanted is not None and (len(paths) > 1 or sha256_remembered(paths[0]) != wanted):
        raise CorpusError(
            f"{_where(spec, source)}.sha256 is {wanted[:12]}…, but that is not the hash of {paths[0]} "
            f"({sha256_remembered(paths[0])[:12]}…, one of {len(paths)} files). Fetch it again or correct the hash."
        )
    return paths


def match_inputs(spec: CorpusSpec, source: str, data_path: Path) -> tuple[Path, ...]:
    """The files that a source's `input` matches, in sorted order, whatever they hold.

    Raises CorpusError when the source is not in the spec, or its pattern matches nothing."""
    if source not in spec.sources:
        raise CorpusError(
            f"corpora/{spec.name}.toml: {source!r} is not one of its sources: {', '.join(spec.sources)}. "
            "Name one of these."
        )
    settings = spec.sources[source]
    if settings.input is None:
        return ()
    pattern = Path(settings.input)
    root, relative = (Path("/"), pattern.relative_to("/")) if pattern.is_absolute() else (data_path, pattern)
    paths = tuple(sorted(path for path in root.glob(str(relative)) if path.is_file()))
    if not paths:
        raise CorpusError(
            f"{_where(spec, source)}.input is {settings.input!r}: no such file below {root}. "
            "Put it there, or set MW_DATA to its folder."
        )
    return paths


def _where(spec: CorpusSpec, source: str) -> str:
    return f"corpora/{spec.name}.toml: sources.{source}"
