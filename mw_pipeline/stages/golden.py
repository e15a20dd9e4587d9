"""The gold of a corpus as an artifact: its own rows, judged, and the further sets that stand beside them in reports."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mw_pipeline.artifact import Artifact
from mw_pipeline.digest import JSON, write_json_atomically
from mw_pipeline.errors import CorpusError
from mw_pipeline.golden.gold import GoldenSet, load_golden
from mw_pipeline.golden.judge import judge_golden
from mw_pipeline.golden.regions import judged_by_region
from mw_pipeline.recipe import CorpusSpec
from mw_pipeline.sources.registry import get_adapter
from mw_pipeline.stages.evidence import Gold, demand_names, read_evidence
from mw_pipeline.stages.further_gold import read_set
from mw_pipeline.stages.place import Progress
from mw_pipeline.stages.stage import Metrics, Request

GOLDEN_FILE = "rows/golden.jsonl"
FACTS_FILE = "golden.json"
_SETS = "sets/"


@dataclass(frozen=True)
class GoldFiles:
    """The files of a corpus's gold: its own below the folder of the project, and those of every further set below that
    of the raw data, none where they are not there."""

    spec: CorpusSpec
    project: Path
    own: Sequence[Path]
    data: Path
    sets: Mapping[str, Sequence[Path]]


def build_golden(request: Request, out: Path, progress: Progress, *, files: GoldFiles) -> Metrics:
    """The gold rows of a corpus as one file, each further set as one more, and `golden.json`: what is known of them.

    Raises CorpusError when no row of the corpus's own gold can be read; rows that cannot are findings."""
    judged = judged_gold(files)
    for name, golden in judged.golden.items():
        (out / name).parent.mkdir(exist_ok=True)
        (out / name).write_text(golden.as_jsonl(), encoding="utf-8")
    write_json_atomically(out / FACTS_FILE, judged.facts)
    golden = judged.golden[GOLDEN_FILE]
    progress(f"gold: {len(golden.rows):,} rows, and {len(judged.golden) - 1} further sets")
    return {"rows": len(golden.rows), "families": len(golden.families), "hash": golden.hash}


@dataclass(frozen=True)
class JudgedGold:
    """The gold of a corpus as its files have it now: the rows of each file of the artifact, and what `golden.json`
    says of them."""

    golden: Mapping[str, GoldenSet]
    facts: dict[str, JSON]


def judged_gold(files: GoldFiles) -> JudgedGold:
    """The own gold and every further set of a corpus, read and judged. Raises CorpusError as `build_golden` does."""
    judged, regions = judged_by_region(judge_golden(files.own, below=files.project), files.spec.countries)
    if not judged.golden.rows:
        first = judged.findings[0]
        raise CorpusError(f"{first.where}: {first.problem}, and no other row of gold can be read. {first.remedy}")
    further = {name: _judged_set(files, name) for name in files.sets}
    rows = {f"{_SETS}{name}.jsonl": golden for name, (golden, _) in further.items() if golden is not None}
    facts = {**judged.as_json(), "regions": regions, "sets": {name: said for name, (_, said) in further.items()}}
    return JudgedGold({GOLDEN_FILE: judged.golden, **rows}, facts)


def _judged_set(files: GoldFiles, name: str) -> tuple[GoldenSet | None, JSON]:
    """A further set and what is known of it; no set, and why, for an optional one that is not there."""
    spec, paths = files.spec, files.sets[name]
    settings = spec.golden_sets[name]
    if not paths and settings.optional:
        return None, {"skipped": f"{name} is not scored: {settings.input!r} matches no file below MW_DATA"}
    if not paths:
        raise CorpusError(
            f"corpora/{spec.name}.toml: golden_sets.{name}: {settings.input!r} matches no file below MW_DATA. "
            "Put its files there, or say optional = true."
        )
    adapter = None if settings.adapter is None else get_adapter(settings.adapter)
    judged, left_out = read_set(settings, name, paths, adapter, below=files.data)
    if not judged.golden.rows:
        why = left_out or (judged.findings[0] if judged.findings else "its files hold no record")
        raise CorpusError(
            f"corpora/{spec.name}.toml: golden_sets.{name}: no row of {settings.input!r} can be used ({why}). "
            "Name gold files, or a labelled source and its adapter."
        )
    tags = None if settings.tags is None else list(settings.tags)
    return judged.golden, {**judged.as_json(), "left_out": left_out, "tags": tags}


def golden_of(gold: Artifact) -> GoldenSet:
    """The corpus's own gold, read back from its artifact: what its recipes are judged by."""
    return load_golden([gold.file(GOLDEN_FILE)])


def golden_sets_of(gold: Artifact) -> dict[str, GoldenSet]:
    """The further sets of a corpus by name, without those whose files were not there."""
    names = sorted(Path(entry.path).stem for entry in gold.manifest.files if entry.path.startswith(_SETS))
    facts = facts_of(gold, sets=names)["sets"]
    return {name: load_golden([gold.file(f"{_SETS}{name}.jsonl")], tags=facts[name].get("tags")) for name in names}


def gold_texts_and_families(gold: Artifact) -> tuple[list[str], frozenset[str]]:
    """Texts and families of the corpus's own gold and of every further set: what none of its runs may train on."""
    everything = (golden_of(gold), *golden_sets_of(gold).values())
    texts = [text for golden in everything for text in golden.raws]
    return texts, frozenset(family for golden in everything for family in golden.families)


def facts_of(gold: Artifact, *, sets: Iterable[str] = ()) -> dict[str, JSON]:
    """What `golden.json` says: hashes, counts, ceilings, findings by row, and the same of every further set.

    Raises ArtifactError where it is not of that shape, or says nothing of one of `sets`."""
    facts: dict[str, JSON] = read_evidence(gold, FACTS_FILE, Gold)
    demand_names(gold, FACTS_FILE, "sets", facts["sets"], [*sets])
    return facts
