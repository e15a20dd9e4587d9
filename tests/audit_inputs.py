"""The JSON of an audit, made by hand."""

from __future__ import annotations

from typing import Any

from mw_pipeline.digest import JSON


def flow(read: int, *, deduplicated: int = 0, **losses: dict[str, int]) -> dict[str, JSON]:
    """A line of a waterfall that adds up."""
    lost = deduplicated + sum(n for counts in losses.values() for n in counts.values())
    named = {"quarantined": {}, "filtered": {}, **losses}
    return {"read": read, "kept": read - lost, "deduplicated": deduplicated, **named}


def source(name: str, *, rows: int = 1000, **changes: Any) -> dict[str, JSON]:
    """One source of an audit with a third of the run."""
    counts = {
        "rows": rows + 20,
        "split": {"train": rows, "validation": 12, "test": 8},
        "country": {"US": rows, "FR": 20},
        "script": {"Latin": rows + 20},
        "locale": {"en-US": rows, "fr-FR": 20},
        "licence": {"CC-BY-4.0": rows + 20},
        "tag": {"street": rows, "postcode": 40},
        "credits": [],
    }
    found = {
        "name": name,
        "rows": rows,
        "weight": 1.0,
        "declared_share": 1 / 3,
        "requested_share": 1 / 3,
        "realised_share": 0.333,
        "window_shares": [0.33, 0.34, 0.333],
        "repetitions": 3.25,
        "shards": 2,
        "legacy_share": 0.25,
        "place": {
            "places": 40,
            "commonest": "FR::noumea",
            "commonest_rows": rows // 2,
            "repetitions": 1625.4,
            "drawn": 1630,
            "capped": False,
        },
        "digest": name[0] * 64,
        "counts": counts,
        "licences": counts["licence"],
        "attribution": f"People of {name}",
        "amount": 12_345,
        "waterfall": {
            **flow(1000, quarantined={"no_street": 30}, filtered={"country_not_in_corpus": 100}, deduplicated=5),
            "rows": flow(1730, deduplicated=700, quarantined={"spans_do_not_fit": 10}),
            "source": name,
            "variants": 2,
            "methods": {"case": {"asked": 100, "applied": 80, "failed": 20, "quarantined": 10}},
        },
    }
    return found | changes


def audit(*sources: dict[str, JSON], **changes: Any) -> dict[str, JSON]:
    """An audit of these sources, the recipe's first."""
    found = {
        "recipe": {"name": "us-fr", "digest": "9" * 64, "changes": {}},
        "corpus": {"name": "us-fr", "version": "1", "excluded": {"gold": 12}},
        "samples": 9750,
        "unit": "characters",
        "concentrated": False,
        "effective_sources": 3.0,
        "findings": [],
        "warnings": [],
        "sources": list(sources),
        "inputs": [{"kind": "corpus_manifest", "digest": "c" * 64}],
        "since": {"digest": None, "at": None, "lost": None},
        "changes": None,
    }
    return found | changes
