"""Checks of the gold: whether it can judge anything, and whether training has seen it."""

from __future__ import annotations

from mw_pipeline.corpus import leaks
from mw_pipeline.stages import requests
from mw_pipeline.stages.checks.corpus import all_rows
from mw_pipeline.stages.corpus import EXCLUSIONS_FILE, golden_of
from mw_pipeline.stages.findings import Findings, bullets, found
from mw_pipeline.stages.place import Place


def golden_is_valid(place: Place, partition: str) -> Findings:
    """Every gold value can be reached in its text, conventions hold, and no row contradicts another."""
    golden = golden_of(place, partition)
    blocking = [str(finding) for finding in golden.findings if finding.blocks]
    remarks = [str(finding) for finding in golden.findings if not finding.blocks]
    return found(blocking, f"{len(golden.rows)} gold rows in {len(golden.families)} families", remarks=bullets(remarks))


def golden_is_not_in_train(place: Place, partition: str) -> Findings:
    """No gold row stands in training or validation, neither its text in any case and punctuation nor its family."""
    golden = golden_of(place, partition)
    manifest = requests.manifest(place, partition).demand(place.store)
    files = all_rows(place, partition)
    problems = leaks.golden_is_not_in_train(files, golden.raws, golden.families, manifest.file(EXCLUSIONS_FILE))
    return found(problems, f"none of {len(golden.rows)} gold rows is in training or validation")
