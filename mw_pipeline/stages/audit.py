"""The audit of a recipe: what its sources hold, what the sampler draws, what was lost, what changed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from mw_pipeline.artifact import Artifact
from mw_pipeline.corpus import census, waterfall
from mw_pipeline.dataset.tokenized import BATCH_ROWS, TokenizedDataset
from mw_pipeline.digest import JSON, write_json_atomically
from mw_pipeline.errors import ArtifactError
from mw_pipeline.mix.changes import changes_between, sources_stay
from mw_pipeline.recipe import Recipe
from mw_pipeline.report.audit.page import render_audit
from mw_pipeline.stages import checks, line
from mw_pipeline.stages.audit_ledger import AUDIT_FILE, LEDGER, Entry, enter, last_of, ledger_path, read_ledger
from mw_pipeline.stages.corpus import CENSUS_FILE, row_files, waterfall_of
from mw_pipeline.stages.place import Place, Progress, quiet
from mw_pipeline.store import Built

PAGE_FILE = "audit.html"
TABLE_FILE = "mix.md"
_SHORTEST_PREFIX = 8


def build_audit(place: Place, recipe_name: str, *, since: str | None = None, progress: Progress = quiet) -> Built:
    """The audit of a recipe: `audit.json`, `audit.html` for a person, and the small table `mix.md`.

    It is compared with the recipe's last audit in the ledger; nothing new since then, and that one is the answer. With
    `since`, the digest of any audit or at least eight digits of it, it is compared with that one and not entered."""
    recipe = place.recipe(recipe_name)
    if since is not None:
        return _built(place, recipe, _named(place, since), lost=None, progress=progress)
    subject = line.source_audit.request(place, recipe).key
    last = last_of(read_ledger(ledger_path(place)), recipe.name)
    before = _there(place, last.audit) if last is not None else None
    if last is not None and before is not None and last.subject == subject:
        place.store.verify(before)
        return Built(before, reused=True)
    built = _built(
        place, recipe, before, lost=last.audit if last is not None and before is None else None, progress=progress
    )
    now = datetime.now(UTC).isoformat(timespec="seconds")
    with place.store.ledger(LEDGER) as path:
        enter(path, Entry(recipe.name, built.artifact.digest, subject, now))
    return built


def _built(place: Place, recipe: Recipe, before: Artifact | None, *, lost: str | None, progress: Progress) -> Built:
    request = line.source_audit.request(place, recipe, since=before, lost=lost)

    def make(out: Path) -> Mapping[str, JSON]:
        progress(f"audit: counting the sources of {recipe.name}")
        found = _facts(place, recipe, request.inputs)
        changes = changes_between(before.read_json(AUDIT_FILE), found) if before is not None else None
        found["since"] = _since(before, lost)
        found["changes"] = changes
        found["warnings"] += sources_stay(changes) if changes is not None else []
        write_json_atomically(out / AUDIT_FILE, found)
        mix = line.source_mix.demand(place, recipe)
        (out / TABLE_FILE).write_bytes(mix.file("mix.md").read_bytes())
        render_audit(out / PAGE_FILE, found)
        counts = {name: len(found[name]) for name in ("sources", "findings", "warnings")}
        return {**counts, "rows": sum(source["rows"] for source in found["sources"]), "samples": found["samples"]}

    return request.build(place.store, make)


def _since(before: Artifact | None, lost: str | None) -> JSON:
    if before is None:
        return {"digest": None, "at": None, "lost": lost}
    return {"digest": before.digest, "at": before.manifest.created_at, "lost": None}


def _facts(place: Place, recipe: Recipe, inputs: tuple[Artifact, ...]) -> dict[str, JSON]:
    """Everything that the page shows, but for the comparison."""
    by_kind = {artifact.kind: artifact for artifact in inputs}
    manifest, mix = by_kind["corpus_manifest"], by_kind["source_mix"].read_json("mix.json")
    held = manifest.read_json(CENSUS_FILE)
    flows = _waterfalls(place, manifest)
    unit, amounts = _amounts(place, manifest, by_kind.get("tokenized_dataset"))
    sources = [
        {
            **drawn,
            "digest": held["sources"][drawn["name"]]["digest"],
            "counts": held["sources"][drawn["name"]]["counts"],
            **held["licences"][drawn["name"]],
            "amount": amounts.get(drawn["name"]),
            "waterfall": flows[drawn["name"]].as_json(),
        }
        for drawn in mix["sources"]
    ]
    return {
        "recipe": {"name": recipe.name, "digest": recipe.digest, "changes": recipe.changes},
        "corpus": {"name": held["corpus"], "version": held["version"], "excluded": held["excluded"]},
        "samples": mix["samples"],
        "unit": unit,
        "concentrated": mix["concentrated"],
        "effective_sources": _effective_sources(mix["sources"]),
        "findings": [*mix["findings"], *_corpus_findings(place, recipe, flows)],
        "warnings": [*mix["warnings"]],
        "sources": sources,
        "inputs": [{"kind": artifact.kind, "digest": artifact.digest} for artifact in inputs],
    }


def _corpus_findings(place: Place, recipe: Recipe, flows: Mapping[str, waterfall.Waterfall]) -> list[str]:
    """What blocks in the corpus itself: rows lost silently or beyond budget, and licences."""
    spec = place.corpus_spec(recipe.corpus)
    lost = [
        finding
        for name, flow in flows.items()
        for finding in (
            *waterfall.rows_are_conserved(flow),
            *waterfall.quarantine_within_budget(flow, spec.budgets_of(name)),
        )
    ]
    return [*lost, *checks.licences_are_allowed(place, recipe.corpus).problems]


def _waterfalls(place: Place, manifest: Artifact) -> dict[str, waterfall.Waterfall]:
    named = [reference for reference in manifest.manifest.inputs if reference.kind == "corpus_shards"]
    flows = [waterfall_of(place.store.load(reference.kind, reference.digest)) for reference in named]
    return {flow.source: flow for flow in flows}


def _effective_sources(sources: list[JSON]) -> float:
    """How many equal sources would be as concentrated: 1 / Σ share²."""
    return 1.0 / math.fsum(source["requested_share"] ** 2 for source in sources)


def _amounts(place: Place, manifest: Artifact, dataset: Artifact | None) -> tuple[str, dict[str, int]]:
    """("pieces" or "characters", how many of them each source has): pieces where the recipe has been tokenized."""
    if dataset is not None:
        return "pieces", _pieces(dataset)
    files = [path for paths in row_files(place.store, manifest).values() for path in paths]
    counted = census.query(f"select source, sum(length(raw)) from {census.rows_in(files)} group by 1")
    return "characters", {source: int(characters) for source, characters in counted}


def _pieces(dataset: Artifact) -> dict[str, int]:
    folder, pieces = dataset.folder(), dict[str, int]()
    for split in dataset.read_json("dataset.json")["splits"]:
        rows = TokenizedDataset(folder, split)
        for source, (begin, end) in rows.source_ranges.items():
            for start in range(begin, end, BATCH_ROWS):
                lengths = rows.lengths_of(np.arange(start, min(end, start + BATCH_ROWS)))
                pieces[source] = pieces.get(source, 0) + int(lengths.sum())
    return pieces


def _there(place: Place, digest: str) -> Artifact | None:
    """The audit of this digest, or None when someone has removed it from the store."""
    found = place.store.find("source_audit", digest[: len(digest) // 2])
    return found if found is not None and found.digest == digest else None


def _named(place: Place, since: str) -> Artifact:
    """The audit that a person names. Raises ArtifactError when none, or more than one, begins like that."""
    if len(since) < _SHORTEST_PREFIX or not since.isalnum():
        raise ArtifactError(
            f"--since {since!r}: expected the digest of an audit, or its first {_SHORTEST_PREFIX} digits."
        )
    alike = place.store.digests("source_audit", since)
    if len(alike) > 1:
        raise ArtifactError(f"--since {since!r}: begins {len(alike)} audits: {', '.join(alike)}. Give more digits.")
    found = place.store.find("source_audit", since)
    if found is None:
        raise ArtifactError(f"--since {since!r}: the store has no audit of that digest. The ledger lists what it had.")
    return found
