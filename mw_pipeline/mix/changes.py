"""What changed between two audits of a mix, source by source."""

from __future__ import annotations

from collections.abc import Mapping

from mw_pipeline.digest import JSON

LOST_SHARE = 0.10
"""A source that lost more of its training rows than this since the last audit is worth a look."""

_COMPARED = ("digest", "rows", "weight", "requested_share", "repetitions", "licences")


def changes_between(before: Mapping[str, JSON], now: Mapping[str, JSON]) -> dict[str, JSON]:
    """Names of sources added, removed and unchanged; under `changed`, per source, each fact as [before, now].

    Both are the JSON of an audit. A source of which nothing but its digest differs has changed too: its rows are
    others, though they are as many."""
    old, new = _by_name(before), _by_name(now)
    changed = {
        name: {key: pair for key in _COMPARED if (pair := [_fact(old[name], key), _fact(new[name], key)])[0] != pair[1]}
        for name in new
        if name in old
    }
    return {
        "added": [name for name in new if name not in old],
        "removed": [name for name in old if name not in new],
        "changed": {name: facts for name, facts in changed.items() if facts},
        "unchanged": [name for name, facts in changed.items() if not facts],
    }


def sources_stay(changes: Mapping[str, JSON]) -> list[str]:
    """Warnings: sources that vanished, lost more than a tenth of their training rows, or changed their licence."""
    findings = [f"source {name!r} is gone since the last audit" for name in changes["removed"]]
    for name, facts in changes["changed"].items():
        before, now = facts.get("rows", (0, 0))
        if now < (1 - LOST_SHARE) * before:
            findings.append(f"source {name!r} fell from {before:,} to {now:,} training rows since the last audit")
        if "licences" in facts:
            was, is_now = (", ".join(licences) or "no licence" for licences in facts["licences"])
            findings.append(f"source {name!r} was under {was} and is under {is_now}")
    return findings


def _by_name(audit: Mapping[str, JSON]) -> dict[str, JSON]:
    return {source["name"]: source for source in audit["sources"]}


def _fact(source: Mapping[str, JSON], key: str) -> JSON:
    """A fact as it is compared: of licences their names, for their rows change with every row."""
    return sorted(source[key]) if key == "licences" else source[key]
