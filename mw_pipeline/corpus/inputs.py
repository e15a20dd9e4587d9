"""The raw files of a source: what its `input` matches below the data folder, or what lies behind its URL.

Files are checked before anything is read. What a URL holds is named by the `sha256` beside it, so that naming an
artifact never asks the network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from mw_pipeline.corpus.fetch import Fetcher
from mw_pipeline.digest import sha256_remembered
from mw_pipeline.errors import CorpusError
from mw_pipeline.recipe import CorpusSpec

_CACHE = ".fetched"  # below the data folder, for those who build a source without a store


def resolve_inputs(
    spec: CorpusSpec, source: str, data_path: Path, *, fetcher: Fetcher | None = None
) -> tuple[Path, ...]:
    """The files of a source in sorted order, fetched where they are not there; empty when it says no `input`.

    Raises CorpusError as `match_inputs` and `Fetcher.fetch` do, and when `sha256` is not that of its one file."""
    paths = match_inputs(spec, source, data_path)
    if (url := spec.sources[source].url) is not None:
        sha256 = spec.sources[source].sha256
        assert sha256 is not None, "the spec has checked that a URL has one"
        return ((fetcher or Fetcher(data_path / _CACHE)).fetch(url, sha256),)
    wanted = spec.sources[source].sha256
    if paths and wanted is not None and (len(paths) > 1 or sha256_remembered(paths[0]) != wanted):
        raise CorpusError(
            f"{_where(spec, source)}.sha256 is {wanted[:12]}…, but that is not the hash of {paths[0]} "
            f"({sha256_remembered(paths[0])[:12]}…, one of {len(paths)} files). Fetch it again or correct the hash."
        )
    return paths


def input_digests(
    spec: CorpusSpec,
    source: str,
    data_path: Path,
    companions: Callable[[Sequence[Path]], Iterable[Path]] = lambda paths: (),
) -> list[str]:
    """SHA-256 of every file that decides a source's rows, without fetching any: raw files, then those beside them.

    `companions` names what is read beside raw files, as `alameda.json` of `alameda.csv.gz`, which can say its licence.
    Raises CorpusError as `resolve_inputs` does."""
    settings = spec.sources.get(source)
    if settings is not None and settings.url is not None and settings.sha256 is not None:
        return [settings.sha256]
    paths = resolve_inputs(spec, source, data_path)
    return [sha256_remembered(path) for path in (*paths, *sorted({*companions(paths)} - {*paths}))]


def match_inputs(spec: CorpusSpec, source: str, data_path: Path) -> tuple[Path, ...]:
    """The local files that a source's `input` matches, in sorted order, whatever they hold; a URL matches none.

    Raises CorpusError when the source is not in the spec, or its pattern matches nothing."""
    if source not in spec.sources:
        raise CorpusError(
            f"corpora/{spec.name}.toml: {source!r} is not one of its sources: {', '.join(spec.sources)}. "
            "Name one of these."
        )
    settings = spec.sources[source]
    if settings.input is None or settings.url is not None:
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
