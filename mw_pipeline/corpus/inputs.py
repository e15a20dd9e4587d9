"""The raw files of a source: what its `input` matches below the data folder, checked before anything is read."""

from __future__ import annotations

from pathlib import Path

from mw_pipeline.digest import sha256_file
from mw_pipeline.errors import CorpusError
from mw_pipeline.recipe import CorpusSpec


def resolve_inputs(spec: CorpusSpec, source: str, data_path: Path) -> tuple[Path, ...]:
    """The files of a source in sorted order; empty when the source says no `input`.

    Raises CorpusError when the source is not in the spec, its pattern matches nothing, or `sha256` is not that of its
    one file."""
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
    where = f"corpora/{spec.name}.toml: sources.{source}"
    if not paths:
        raise CorpusError(
            f"{where}.input is {settings.input!r}: no such file below {root}. "
            "Put it there, or set MW_DATA to its folder."
        )
    if settings.sha256 is not None and (len(paths) > 1 or sha256_file(paths[0]) != settings.sha256):
        raise CorpusError(
            f"{where}.sha256 is {settings.sha256[:12]}…, but that is not the hash of {paths[0]} "
            f"({sha256_file(paths[0])[:12]}…, one of {len(paths)} files). Fetch the file again or correct the hash."
        )
    return paths
