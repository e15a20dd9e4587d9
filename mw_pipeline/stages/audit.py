"""The audit of a recipe: what its sources hold, what the sampler draws, what was lost, what changed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from mw_pipeline.artifact import Artifact
from mw_pipeline.corpus import census, waterfall
from mw_pipeline.dataset.tokenized import BATCH_ROWS, SPLITS, TokenizedDataset
from mw_pipeline.digest import JSON, write_json_atomically
from mw_pipeline.errors import ArtifactError
from mw_pipeline.mix.changes import changes_between, sources_stay
from mw_pipeline.recipe import CorpusSpec
from mw_pipeline.report.audit.page import render_audit
from mw_pipeline.stages import line
from mw_pipeline.stages.audit_ledger import AUDIT_FILE, LEDGER, Entry, enter, last_of, ledger_path, read_ledger
from mw_pipeline.stages.corpus import census_of, licence_problems, row_files, shards_of, waterfall_of
from mw_pipeline.stages.dataset import mix_of
from mw_pipeline.stages.evidence import Audit, read_evidence
from mw_pipeline.stages.place import Place, Progress, quiet
from mw_pipeline.stages.stage import Metrics, Request
from mw_pipeline.store import Built

PAGE_FILE = "audit.html"
TABLE_FILE = "mix.md"
_SHORTEST_PREFIX = 8


def build_audit(place: Place, recipe_name: str, *, since: str | None = None, progress: Progress = quiet) -> Built:
    """The audit of a recipe: `audit.json`, `audit.html` for a person, and the small table `mix.md`.

    It is compared with the recipe's last audit in the ledger; nothing new since then, and that one is the answer. With
    `since`, the digest of any audit or at least eight digits of it, it is compared with that one and not entered."""
    recipe = place.recipe(recipe_name)
    stage = line.source_audit
    if since is not None:
        return stage.build(place, recipe, progress=progress, since=_named(place, since))
    subject = stage.request(place, recipe).key
    last = last_of(read_ledger(ledger_path(place)), recipe.name)
    before = _there(place, last.audit) if last is not None else None
    if last is not None and before is not None and last.subject == subject:
        place.store.verify(before)
        return Built(before, reused=True)
    lost = last.audit if last is not None and before is None else None
    built = stage.build(place, recipe, progress=progress, since=before, lost=lost)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    with place.store.ledger(LEDGER) as path:
        enter(path, Entry(recipe.name, built.artifact.digest, subject, now))
    return built


def write_audit(request: Request, out: Path, progress: Progress, *, spec: CorpusSpec) -> Metrics:
    """`audit.json`, `audit.html` and `mix.md` of a recipe, compared with the audit that is among the inputs."""
    progress(f"audit: counting the sources of {request.recipe.name}")
    before = next((artifact for artifact in request.inputs if artifact.kind == request.kind), None)
    found = _facts(request, spec)
    changes = changes_between(read_evidence(before, AUDIT_FILE, Audit), found) if before is not None else None
    found["since"] = _since(before, request.config["lost"])
    found["changes"] = changes
    found["warnings"] += sources_stay(changes) if changes is not None else []
    write_json_atomically(out / AUDIT_FILE, found)
    (out / TABLE_FILE).write_bytes(request.input("source_mix").file("mix.md").read_bytes())
    render_audit(out / PAGE_FILE, found)
    counts = {name: len(found[name]) for name in ("sources", "findings", "warnings")}
    return {**counts, "rows": sum(source["rows"] for source in found["sources"]), "samples": found["samples"]}


def _since(before: Artifact | None, lost: str | None) -> JSON:
    if before is None:
        return {"digest": None, "at": None, "lost": lost}
    return {"digest": before.digest, "at": before.manifest.created_at, "lost": None}


def _facts(request: Request, spec: CorpusSpec) -> dict[str, JSON]:
    """Everything that the page shows, but for the comparison."""
    recipe, manifest = request.recipe, request.input("corpus_manifest")
    flows = {name: waterfall_of(shards) for name, shards in shards_of(manifest).items()}
    held, mix = census_of(manifest), mix_of(request.input("source_mix"), sources=flows)
    unit, amounts = _amounts(request, manifest)
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
        "findings": [*mix["findings"], *_corpus_findings(spec, manifest, flows)],
        "warnings": [*mix["warnings"]],
        "sources": sources,
        "inputs": [{"kind": artifact.kind, "digest": artifact.digest} for artifact in request.inputs],
    }


def _corpus_findings(spec: CorpusSpec, manifest: Artifact, flows: Mapping[str, waterfall.Waterfall]) -> list[str]:
    """What blocks in the corpus itself: rows lost silently or beyond budget, and licences."""
    lost = [
        finding
        for name, flow in flows.items()
        for finding in (
            *waterfall.rows_are_conserved(flow),
            *waterfall.quarantine_within_budget(flow, spec.budgets_of(name)),
        )
    ]
    return [*lost, *licence_problems(spec, manifest)]


def _effective_sources(sources: list[JSON]) -> float:
    """How many equal sources would be as concentrated: 1 / Σ share²."""
    return 1.0 / math.fsum(source["requested_share"] ** 2 for source in sources)


def _amounts(request: Request, manifest: Artifact) -> tuple[str, dict[str, int]]:
    """("pieces" or "characters", how many of them each source has): pieces where the recipe has been tokenized."""
    if any(artifact.kind == "tokenized_dataset" for artifact in request.inputs):
        return "pieces", _pieces(request.input("tokenized_dataset"))
    files = [path for paths in row_files(manifest).values() for path in paths]
    counted = census.query(f"select source, sum(length(raw)) from {census.rows_in(files)} group by 1")
    return "characters", {source: int(characters) for source, characters in counted}


def _pieces(dataset: Artifact) -> dict[str, int]:
    folder, pieces = dataset.folder(), dict[str, int]()
    for split in SPLITS:
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
