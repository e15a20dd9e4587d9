"""The tables of an audit, as plain cells; every share and difference is computed from the values beside it (M56)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mw_pipeline.dataset.tokenized import SPLITS
from mw_pipeline.digest import JSON
from mw_pipeline.labels import STAGE3_TAGS
from mw_pipeline.report.cells import NOTHING, Table, count, percent, share

_SHOWN = 5
_SHORT = 12

Sources = Sequence[Mapping[str, JSON]]


def volume_table(sources: Sources, unit: str) -> Table:
    """Rows of every source by split, and its pieces or characters."""
    rows = tuple(
        (
            source["name"],
            count(source["counts"]["rows"]),
            *(count(source["counts"]["split"].get(split, 0)) for split in SPLITS),
            count(source["rows"]),
            count(source["amount"]),
            source["digest"][:_SHORT],
        )
        for source in sources
    )
    return Table(("source", "rows", *SPLITS, "to train on", unit, "shards"), rows)


def dose_table(sources: Sources) -> Table:
    """Weight, declared, requested and realised share, the furthest tenth of the run, repetitions, the legacy view."""
    rows = tuple(
        (
            source["name"],
            f"{source['weight']:g}",
            percent(source["declared_share"]),
            percent(source["requested_share"]),
            percent(source["realised_share"]),
            percent(_furthest(source)),
            f"{source['repetitions']:.2f}",
            count(source["shards"]),
            percent(source["legacy_share"]),
        )
        for source in sources
    )
    headers = (
        "source",
        "weight",
        "declared",
        "requested",
        "realised",
        "furthest tenth",
        "repetitions per row",
        "shards",
    )
    return Table((*headers, "shards × weight"), rows)


def place_table(sources: Sources) -> Table:
    """Places of every source, the commonest with its rows, and how often the run draws the one that it draws most."""
    rows = tuple(
        (
            source["name"],
            count(place["places"]),
            place["commonest"] or NOTHING,
            count(place["commonest_rows"]),
            share(place["commonest_rows"], source["rows"]),
            count(round(place["repetitions"])),
            count(place["drawn"]),
            "yes" if place["capped"] else "no",
        )
        for source in sources
        if (place := source["place"]) is not None
    )
    headers = ("source", "places", "the commonest", "its rows", "of the source")
    return Table((*headers, "most repetitions of a place", "in the dry run", "capped"), rows)


def content_table(sources: Sources) -> Table:
    """The most frequent countries, scripts and languages of every source."""
    rows = tuple(
        (
            source["name"],
            *(_largest(source["counts"][key]) for key in ("country", "script", "locale")),
        )
        for source in sources
    )
    return Table(("source", "countries", "scripts", "languages"), rows)


def tag_table(sources: Sources) -> Table:
    """Spans of every tag, one column per source."""
    tags = [tag for tag in STAGE3_TAGS if any(tag in source["counts"]["tag"] for source in sources)]
    rows = tuple((tag, *(count(source["counts"]["tag"].get(tag, 0)) for source in sources)) for tag in tags)
    return Table(("tag", *(source["name"] for source in sources)), rows)


def flow_table(sources: Sources) -> Table:
    """What became of the records and of the rows of every source, every line with its share."""
    rows = [line for source in sources for line in _flow_lines(source)]
    return Table(("source", "what became of it", "records", "of all", "rows", "of all"), tuple(rows))


def _flow_lines(source: Mapping[str, JSON]) -> list[tuple[str, ...]]:
    records, rows = source["waterfall"], source["waterfall"]["rows"]
    lines = [("read", records["read"], rows["read"])]
    for kind in ("filtered", "quarantined"):
        names = sorted({*records[kind], *rows[kind]})
        lines += [(f"{kind}: {name}", records[kind].get(name, 0), rows[kind].get(name, 0)) for name in names]
    lines += [(fate, records[fate], rows[fate]) for fate in ("deduplicated", "kept")]
    return [
        (source["name"], what, count(of), share(of, records["read"]), count(ow), share(ow, rows["read"]))
        for what, of, ow in lines
    ]


def method_table(sources: Sources) -> Table:
    """Source × augmentation: rows chosen, changed, left as they were, and quarantined with it."""
    rows = tuple(
        (
            source["name"],
            name.replace("_", " "),
            *(count(flow[key]) for key in ("asked", "applied", "failed", "quarantined")),
            share(flow["quarantined"], flow["applied"]),
        )
        for source in sources
        for name, flow in sorted(source["waterfall"]["methods"].items())
    )
    return Table(("source", "augmentation", "chosen", "changed", "unchanged", "quarantined", "of the changed"), rows)


def quarantine_table(sources: Sources) -> Table:
    """Reasons of quarantine, the most frequent first."""
    found = [
        (source["name"], what, reason, n, flow["read"])
        for source in sources
        for what, flow in (("records", source["waterfall"]), ("rows", source["waterfall"]["rows"]))
        for reason, n in flow["quarantined"].items()
    ]
    ordered = sorted(found, key=lambda entry: (-entry[3], entry[:3]))
    rows = tuple((name, what, reason, count(n), share(n, of)) for name, what, reason, n, of in ordered)
    return Table(("source", "of its", "reason", "quarantined", "share"), rows)


def licence_table(sources: Sources) -> Table:
    """Licences of the rows of every source, and what it asks to be named."""
    rows = tuple(
        (source["name"], licence, count(n), source["attribution"])
        for source in sources
        for licence, n in source["licences"].items()
    )
    return Table(("source", "licence", "rows", "attribution"), rows)


def change_table(audit: Mapping[str, JSON]) -> Table:
    """Every source with what was and what is, where they differ."""
    changes, now = audit["changes"], {source["name"]: source for source in audit["sources"]}
    rows: list[tuple[str, ...]] = [(name, "removed", NOTHING, NOTHING, NOTHING) for name in changes["removed"]]
    for name in changes["added"]:
        rows.append((name, "added", NOTHING, f"{count(now[name]['rows'])} rows", now[name]["digest"][:_SHORT]))
    for name, facts in changes["changed"].items():
        rows += [
            (name, key.replace("_", " "), _shown(key, before), _shown(key, after), _difference(key, before, after))
            for key, (before, after) in facts.items()
        ]
    rows += [(name, "nothing", NOTHING, NOTHING, NOTHING) for name in changes["unchanged"]]
    return Table(("source", "changed", "before", "now", "difference"), tuple(rows))


def _shown(key: str, value: JSON) -> str:
    if key == "digest":
        return str(value)[:_SHORT]
    if key == "licences":
        return ", ".join(value) or NOTHING
    return percent(value) if key.endswith("_share") else count(value) if key == "rows" else f"{value:.4g}"


def _difference(key: str, before: JSON, after: JSON) -> str:
    if not isinstance(after, int | float):
        return NOTHING
    if key.endswith("_share"):
        return f"{100 * (after - before):+.1f} points".replace("-", "\u2212")
    return (
        f"{after - before:+,.4g}".replace("-", "\u2212")
        if key != "rows"
        else f"{after - before:+,}".replace("-", "\u2212")
    )


def _largest(counts: Mapping[str, int]) -> str:
    """The most frequent values with their share, and how many more there are."""
    whole, ordered = sum(counts.values()), sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    more = f", {len(ordered) - _SHOWN} more" if len(ordered) > _SHOWN else ""
    return ", ".join(f"{name or 'none'} {share(n, whole)}" for name, n in ordered[:_SHOWN]) + more


def _furthest(source: Mapping[str, JSON]) -> float | None:
    """The share in that tenth of the run that is furthest from the requested one."""
    return max(source["window_shares"], key=lambda found: abs(found - source["requested_share"]), default=None)
