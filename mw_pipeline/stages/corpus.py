"""The corpus as artifacts: shards per source, and the manifest over them and over the gold that judges them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from pathlib import Path

from mw_pipeline.artifact import Artifact
from mw_pipeline.corpus.build import SourceSummary, build_from
from mw_pipeline.corpus.census import licence_counts, licences_are_allowed
from mw_pipeline.corpus.exclusions import Exclusions
from mw_pipeline.corpus.fetch import Fetcher
from mw_pipeline.corpus.inputs import resolve_inputs
from mw_pipeline.corpus.keys import KEYS_FOLDER
from mw_pipeline.corpus.leaks import excluded_training_rows, exclusion_counts, write_exclusions
from mw_pipeline.corpus.waterfall import Waterfall
from mw_pipeline.corpus.workers import Run, Workers, in_process
from mw_pipeline.digest import JSON, write_json_atomically
from mw_pipeline.licences import share_alike_is_allowed
from mw_pipeline.recipe import CorpusSpec, SourceSpec
from mw_pipeline.sources.registry import get_adapter
from mw_pipeline.stages import evidence
from mw_pipeline.stages.evidence import demand_names, read_evidence
from mw_pipeline.stages.golden import gold_texts_and_families
from mw_pipeline.stages.place import Progress, quiet
from mw_pipeline.stages.stage import Metrics, Request

CENSUS_FILE = "census.json"
EXCLUSIONS_FILE = "excluded.parquet"
SHARDS_FOLDER = "shards"


def build_shards(
    request: Request,
    out: Path,
    progress: Progress,
    *,
    spec: CorpusSpec,
    data: Path,
    fetched: Path,
    workers: Workers,
    work: Path,
) -> Metrics:
    """Canonical and aligned rows of one source as Parquet, with quarantine, `waterfall.json` and `counts.json`.

    A build that was killed goes on where it stopped; the workers do it, and leave no trace in it."""
    source, fetcher = request.config["source"], Fetcher(fetched, progress)
    with workers.started(progress) as run:
        summary = build_source(
            spec, source, data, out, progress, fetcher=fetcher, work=work, request=request.key, run=run
        )
    records = summary.waterfall.records
    return {"rows": summary.counts["rows"], "records_read": records.read, "records_kept": records.kept}


def build_source(
    spec: CorpusSpec,
    source: str,
    data_path: Path,
    out: Path,
    progress: Progress = quiet,
    *,
    fetcher: Fetcher | None = None,
    work: Path | None = None,
    request: str = "",
    run: Run = in_process,
) -> SourceSummary:
    """One source of a spec, read by its adapter from the files that the spec names, written into a folder.

    `work`, `request` and `run` are those of `build_from`. Raises CorpusError for an unknown adapter, a missing input,
    and whatever the adapter refuses."""
    adapter = get_adapter(spec.sources[source].adapter)
    paths = resolve_inputs(spec, source, data_path, fetcher=fetcher)
    return build_from(spec, source, adapter, paths, out, progress, work=work, request=request, run=run)


def build_manifest(request: Request, out: Path, progress: Progress, *, spec: CorpusSpec) -> Metrics:
    """What the corpus holds, by source (`census.json`), and the rows no one may train on (`excluded.parquet`)."""
    shards = _by_source(request.inputs)
    progress(f"manifest: comparing the rows of {len(shards)} sources with each other and with the gold")
    sources = {name: _counted(artifact) for name, artifact in shards.items()}
    licences = {
        name: {
            "licences": found["counts"]["licence"],
            "attribution": _attribution(spec.sources[name], found["counts"]["credits"]),
        }
        for name, found in sources.items()
    }
    splits = sum((Counter(found["counts"]["split"]) for found in sources.values()), Counter[str]())
    texts, families = gold_texts_and_families(request.input("golden_set"))
    keys = [file for artifact in shards.values() for file in key_files(artifact)]
    excluded = write_exclusions(keys, out / EXCLUSIONS_FILE, gold_texts=texts, gold_families=families)
    lost = exclusion_counts(out / EXCLUSIONS_FILE)
    facts: JSON = {
        "corpus": spec.name,
        "version": spec.version,
        "sources": sources,
        "licences": licences,
        "splits": dict(splits),
        "excluded": excluded,
        "flow": {name: _flow(found["counts"]["rows"], lost.get(name, {})) for name, found in sources.items()},
    }
    write_json_atomically(out / CENSUS_FILE, facts)
    counts = {f"{split}_rows": n for split, n in splits.items()}
    return {"sources": len(sources), "rows": splits.total(), **counts, "excluded_rows": sum(excluded.values())}


def row_files(manifest: Artifact, sources: Container[str] | None = None) -> dict[str, list[Path]]:
    """Source → Parquet files of its rows, for every source of a corpus manifest, or those of it that are asked for."""
    return {source: shard_files(artifact) for source, artifact in shards_of(manifest, sources).items()}


def shard_files(artifact: Artifact) -> list[Path]:
    """The Parquet files of rows in a corpus_shards artifact, in order."""
    return _files_in(artifact, SHARDS_FOLDER)


def key_files(artifact: Artifact) -> list[Path]:
    """The files of keys in a corpus_shards artifact, one for each of its shards, in order."""
    return _files_in(artifact, KEYS_FOLDER)


def _files_in(artifact: Artifact, folder: str) -> list[Path]:
    """All at once: each by its name would be looked for among all others."""
    artifact.folder(folder)
    return [artifact.path / entry.path for entry in artifact.manifest.files if entry.path.startswith(f"{folder}/")]


def shards_of(manifest: Artifact, sources: Container[str] | None = None) -> dict[str, Artifact]:
    """Source → its corpus_shards artifact, for every source of a corpus manifest, or those of it that are asked for."""
    found = _by_source(manifest.inputs("corpus_shards"))
    return {source: artifact for source, artifact in found.items() if sources is None or source in sources}


def _by_source(artifacts: Iterable[Artifact]) -> dict[str, Artifact]:
    return {found.manifest.config["source"]: found for found in artifacts if found.kind == "corpus_shards"}


def exclusions_of(manifest: Artifact) -> Exclusions:
    """The rows of a corpus that no one may train on: gold, repeats of what is held out or of another source."""
    return Exclusions(manifest.file(EXCLUSIONS_FILE))


def training_rows(manifest: Artifact) -> dict[str, int]:
    """Source → rows of its train split without the excluded ones, from a corpus manifest."""
    census, lost = census_of(manifest), excluded_training_rows(manifest.file(EXCLUSIONS_FILE))
    return {
        name: found["counts"]["split"].get("train", 0) - lost.get(name, 0) for name, found in census["sources"].items()
    }


def census_of(manifest: Artifact) -> JSON:
    """What `census.json` of a corpus manifest says. Raises ArtifactError where it is not of that shape, or leaves out
    one of the sources that it was made of."""
    census, sources = read_evidence(manifest, CENSUS_FILE, evidence.Census), [*shards_of(manifest)]
    for key in ("sources", "licences", "flow"):
        demand_names(manifest, CENSUS_FILE, key, census[key], sources)
    return census


def waterfall_of(artifact: Artifact) -> Waterfall:
    """The row-loss waterfall of a corpus_shards artifact."""
    return Waterfall.from_json(read_evidence(artifact, "waterfall.json", evidence.Waterfall))


def licence_problems(spec: CorpusSpec, manifest: Artifact) -> list[str]:
    """A sentence for each licence of a source that the corpus does not allow, or that binds what is made from it, and
    for each source of whose rows `census.json`, which cards quote, says others: rows are counted again."""
    census, counted = census_of(manifest), licence_counts(row_files(manifest))
    return [
        f"{name}: {problem}"
        for name, licences in counted.items()
        for problem in (
            *licences_are_allowed({"licence": licences}, spec.licences_allowed),
            *share_alike_is_allowed(licences, allowed=spec.sources[name].share_alike_allowed),
            *_misquoted(census["licences"][name]["licences"], licences),
        )
    ]


def _misquoted(said: Mapping[str, int], counted: Mapping[str, int]) -> list[str]:
    if said == counted:
        return []
    return [
        f"{CENSUS_FILE} says its licences are {said}, its rows are under {counted}: materialize corpus_manifest again"
    ]


def census_table(manifest: Artifact) -> str:
    """Rows per source and split, and how many of them are left out, as a Markdown table."""
    census = census_of(manifest)
    lines = [
        "| source | train | validation | test | of these left out | because another source has them | licences |",
        "|---|--:|--:|--:|--:|---|---|",
    ]
    for name, found in census["sources"].items():
        split = found["counts"]["split"]
        rows = " | ".join(f"{split.get(part, 0):,}" for part in ("train", "validation", "test"))
        flow = census["flow"][name]
        others = ", ".join(f"{other}: {count:,}" for other, count in flow["repeats"].items()) or "none"
        lost = f"{sum(flow['excluded'].values()):,} | {others}"
        lines.append(f"| {name} | {rows} | {lost} | {', '.join(found['counts']['licence'])} |")
    return "\n".join(lines)


def _flow(rows: int, lost: Mapping[str, Mapping[str, int]]) -> JSON:
    """A source's line of the corpus: rows read = kept + excluded by reason; `repeats` says which sources have them."""
    excluded = dict(lost.get("excluded", {}))
    return {
        "read": rows,
        "kept": rows - sum(excluded.values()),
        "excluded": excluded,
        "repeats": dict(lost.get("repeats", {})),
    }


def _counted(artifact: Artifact) -> JSON:
    return {"digest": artifact.digest, "counts": read_evidence(artifact, "counts.json", evidence.ShardCounts)}


def _attribution(source: SourceSpec, named_by_files: Sequence[str]) -> str:
    """What the source asks to be said wherever its rows, or weights made from them, go; its files' own words last."""
    return "; ".join([source.attribution or get_adapter(source.adapter).attribution, *named_by_files])
