"""Checks of the audit of a recipe."""

from __future__ import annotations

from mw_pipeline.mix import changes
from mw_pipeline.stages.audit_ledger import AUDIT_FILE, demand_last_audit
from mw_pipeline.stages.evidence import Audit, read_evidence
from mw_pipeline.stages.findings import Findings, found
from mw_pipeline.stages.place import Place


def sources_stay(place: Place, partition: str) -> Findings:
    """Since the last audit no source vanished, lost more than a tenth of its rows, or came under another licence."""
    audit = read_evidence(demand_last_audit(place, partition), AUDIT_FILE, Audit)
    if audit["changes"] is None:
        return found([], "there is no audit before this one to compare with")
    counts = {name: len(audit["changes"][name]) for name in ("added", "removed", "changed", "unchanged")}
    since = audit["since"]["digest"]
    return found(changes.sources_stay(audit["changes"]), f"as in audit {since[:12]}, or close", since=since, **counts)
