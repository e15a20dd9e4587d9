"""The gold of a corpus as an artifact: its own rows, judged, and the further sets that stand beside them in reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mw_pipeline.artifact import Artifact
from mw_pipeline.digest import JSON, write_json_atomically
from mw_pipeline.errors import CorpusError
from mw_pipeline.golden.gold import GoldenSet, load_golden
from mw_pipeline.golden.judge import judge_golden
from mw_pipeline.golden.regions import judged_by_region
from mw_pipeline.sources.registry import get_adapter
from mw_pipeline.stages import line
from mw_pipeline.stages.golden_sets import read_set
from mw_pipeline.stages.place import Place, Progress, quiet
from mw_pipeline.store import Built

GOLDEN_FILE = "rows/golden.jsonl"
FACTS_FILE = "golden.json"
_SETS = "sets/"


def build_golden(place: Place, corpus: str, *, progress: Progress = quiet) -> Built:
    """The gold rows of a corpus as one file, each further set as one more, and `golden.json`: what is known of them.

    Raises CorpusError when no row of the corpus's own gold can be read; rows that cannot are findings."""

    def make(out: Path) -> Mapping[str, JSON]:
        judged = judged_gold(place, corpus)
        for name, golden in judged.golden.items():
            (out / name).parent.mkdir(exist_ok=True)
            (out / name).write_text(golden.as_jsonl(), encoding="utf-8")
        write_json_atomically(out / FACTS_FILE, judged.facts)
        golden = judged.golden[GOLDEN_FILE]
        progress(f"gold: {len(golden.rows):,} rows, and {len(judged.golden) - 1} further sets")
        return {"rows": len(golden.rows), "families": len(golden.families), "hash": golden.hash}

    return line.golden_set.request(place, corpus).build(place.store, make)


@dataclass(frozen=True)
class JudgedGold:
    """The gold of a corpus as its files have it now: the rows of each file of the artifact, and what `golden.json`
    says of them."""

    golden: Mapping[str, GoldenSet]
    facts: dict[str, JSON]


def judged_gold(place: Place, corpus: str) -> JudgedGold:
    """The own gold and every further set of a corpus, read and judged. Raises CorpusError as `build_golden` does."""
    spec = place.corpus_spec(corpus)
    judged, regions = judged_by_region(judge_golden(place.golden_paths(spec), below=place.project), spec.countries)
    if not judged.golden.rows:
        first = judged.findings[0]
        raise CorpusError(f"{first.where}: {first.problem}, and no other row of gold can be read. {first.remedy}")
    sets = {name: _judged_set(place, corpus, name) for name in spec.golden_sets}
    rows = {f"{_SETS}{name}.jsonl": golden for name, (golden, _) in sets.items() if golden is not None}
    facts = {**judged.as_json(), "regions": regions, "sets": {name: said for name, (_, said) in sets.items()}}
    return JudgedGold({GOLDEN_FILE: judged.golden, **rows}, facts)


def _judged_set(place: Place, corpus: str, name: str) -> tuple[GoldenSet | None, JSON]:
    """A further set and what is known of it; no set, and why, for an optional one that is not there."""
    spec = place.corpus_spec(corpus)
    settings, paths = spec.golden_sets[name], place.golden_set_files(spec, name)
    if not paths and settings.optional:
        return None, {"skipped": f"{name} is not scored: {settings.input!r} matches no file below MW_DATA"}
    if not paths:
        raise CorpusError(
            f"corpora/{corpus}.toml: golden_sets.{name}: {settings.input!r} matches no file below MW_DATA. "
            "Put its files there, or say optional = true."
        )
    adapter = None if settings.adapter is None else get_adapter(settings.adapter)
    judged, left_out = read_set(settings, name, paths, adapter, below=place.data)
    if not judged.golden.rows:
        why = left_out or (judged.findings[0] if judged.findings else "its files hold no record")
        raise CorpusError(
            f"corpora/{corpus}.toml: golden_sets.{name}: no row of {settings.input!r} can be used ({why}). "
            "Name gold files, or a labelled source and its adapter."
        )
    tags = None if settings.tags is None else list(settings.tags)
    return judged.golden, {**judged.as_json(), "left_out": left_out, "tags": tags}


def golden_of(place: Place, corpus: str) -> GoldenSet:
    """The corpus's own gold, read back from its artifact: what its recipes are judged by."""
    return load_golden([line.golden_set.demand(place, corpus).file(GOLDEN_FILE)])


def golden_sets_of(place: Place, corpus: str) -> dict[str, GoldenSet]:
    """The further sets of a corpus by name, without those whose files were not there."""
    artifact = line.golden_set.demand(place, corpus)
    facts = artifact.read_json(FACTS_FILE)["sets"]
    return {
        name: load_golden([artifact.file(f"{_SETS}{name}.jsonl")], tags=facts[name]["tags"])
        for name in _sets_in(artifact)
    }


def gold_texts_and_families(place: Place, corpus: str) -> tuple[list[str], frozenset[str]]:
    """Texts and families of the corpus's own gold and of every further set: what none of its runs may train on."""
    everything = (golden_of(place, corpus), *golden_sets_of(place, corpus).values())
    texts = [text for golden in everything for text in golden.raws]
    return texts, frozenset(family for golden in everything for family in golden.families)


def facts_of(place: Place, corpus: str) -> dict[str, JSON]:
    """What `golden.json` says: hashes, counts, ceilings, findings by row, and the same of every further set."""
    facts: dict[str, JSON] = line.golden_set.demand(place, corpus).read_json(FACTS_FILE)
    return facts


def _sets_in(artifact: Artifact) -> list[str]:
    paths = (Path(entry.path) for entry in artifact.manifest.files if entry.path.startswith(_SETS))
    return sorted(path.stem for path in paths)
