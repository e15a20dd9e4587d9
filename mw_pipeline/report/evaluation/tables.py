"""The tables of an evaluation report, as plain cells: for the HTML page, and as Markdown for the graph's metadata.

Every number, share and direction is computed from the values given (M56); None is shown as a dash.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from mw_pipeline.dataset.tokenized import SPLITS
from mw_pipeline.digest import JSON
from mw_pipeline.labels import STAGE2_TAGS, by_tag
from mw_pipeline.report.cells import NOTHING, Table, change, interval, number, percent, share

AVERAGES = {
    "core_macro_f1": "core macro-F1",
    "macro_f1": "macro-F1, all tags",
    "coarse_f1": "coarse F1",
    "fine_f1": "fine F1",
    "micro_f1": "micro-F1",
    "exact_match": "exact rows",
}
OWN_SET = "project"
"""The corpus's own gold among the gold sets: the one that always gates."""
WHOLE_SLICES = {"without_adversarial": "all but adversarial", "adversarial": "adversarial"}


def score_table(scores: Mapping[str, JSON]) -> Table:
    """Every average with its interval, its ceiling and the tags that it is an average of (M45, M48).

    The policy that was asked for comes first; the other policies stand beside it as plain values."""
    others = [policy for policy in scores["policies"] if policy != scores["policy"]]
    rows = tuple(
        (
            title,
            number(scores[name]),
            interval(scores["intervals"].get(name)),
            number(scores["ceiling"].get(name)),
            *(number(scores["policies"][policy][name]) for policy in others),
            ", ".join(scores["denominators"].get(name, ())) or "all scored tags together",
        )
        for name, title in AVERAGES.items()
    )
    return Table(("score", scores["policy"], "95 % interval", "ceiling", *others, "over"), rows)


def golden_set_table(scores: Mapping[str, JSON], sets: Mapping[str, JSON]) -> Table:
    """One line per gold set, the corpus's own first: averages with their intervals, ceiling and scored tags."""
    names = ("core_macro_f1", "micro_f1", "exact_match")
    rows = tuple(
        (
            title,
            f"{found['rows']:,}",
            f"{found['families']:,}",
            *(cell for name in names for cell in (number(found[name]), interval(found["intervals"].get(name)))),
            number(found["ceiling"].get("core_macro_f1")),
            _tags_in_words(found),
        )
        for title, found in {OWN_SET: scores, **sets}.items()
    )
    averages = tuple(header for name in names for header in (AVERAGES[name], "95 % interval"))
    return Table(("gold set", "rows", "families", *averages, "ceiling", "scored tags"), rows)


def _tags_in_words(scores: Mapping[str, JSON]) -> str:
    """The tags that are scored on a set: by name where its labels are complete for some only."""
    tags = scores["tags"]
    return ", ".join(tags) if len(tags) < len(STAGE2_TAGS) else f"all {len(tags)}"


def set_tag_tables(sets: Mapping[str, JSON]) -> list[Table]:
    """The tag table of each further gold set, with its name, rows and scored tags as caption."""
    return [
        replace(tag_table(found), caption=f"{name}: {found['rows']:,} rows, scored tags: {_tags_in_words(found)}")
        for name, found in sets.items()
    ]


def tag_table(scores: Mapping[str, JSON]) -> Table:
    """Counts, precision, recall and F1 of every tag that gold or prediction holds."""
    rows = tuple(
        (
            tag,
            *(f"{facts[name]:,}" for name in ("support", "tp", "fp", "fn")),
            *(number(facts[name]) for name in ("precision", "recall", "f1")),
            interval(facts.get("interval")),
            number(scores["ceiling"]["per_tag"].get(tag)),
        )
        for tag, facts in by_tag(scores["per_tag"])
        if facts["support"] or facts["fp"]
    )
    headers = ("tag", "gold", "right", "false", "missed", "precision", "recall", "F1", "95 % interval", "ceiling")
    return Table(headers, rows)


def slice_table(scores: Mapping[str, JSON], *, least_rows: int) -> tuple[Table, tuple[str, ...]]:
    """The averages of every slice of the gold with at least that many rows, and the smaller ones by name.

    Slices are the rows without and with only adversarial ones, each country, and each stratum; of countries and strata
    the worst stands first.
    """
    slices = scores["slices"]
    named = {title: slices[name] for name, title in WHOLE_SLICES.items() if name in slices}
    small: list[str] = []
    for group in ("country", "stratum"):
        parts = slices.get(group, {})
        enough = sorted((name for name in parts if parts[name]["rows"] >= least_rows), key=_worst_first(parts))
        named |= {_slice_title(group, name): parts[name] for name in enough}
        rest = [name.replace("_", " ") for name in parts if parts[name]["rows"] < least_rows]
        small += [f"{group} {', '.join(rest)}"] if rest else []
    rows = tuple(
        (
            name,
            f"{part['rows']:,}",
            number(part["core_macro_f1"]),
            interval(part["intervals"].get("core_macro_f1")),
            number(part["macro_f1"]),
            number(part["exact_match"]),
            number(part.get("ece")),
        )
        for name, part in named.items()
    )
    headers = ("slice", "rows", "core macro-F1", "95 % interval", "macro-F1", "exact rows", "ECE")
    return Table(headers, rows), tuple(small)


def _worst_first(parts: Mapping[str, JSON]) -> Callable[[str], float]:
    """A sorting key: the core macro-F1 of a slice, and slices without one at the end."""
    scored = {name: part["core_macro_f1"] for name, part in parts.items()}
    return lambda name: math.inf if scored[name] is None else float(scored[name])


def _slice_title(group: str, name: str) -> str:
    return f"country {name}" if group == "country" else name.replace("/", ": ").replace("_", " ")


def bucket_table(diagnosis: Mapping[str, JSON]) -> Table:
    """Missed and false values by bucket, each with its share of its side, and what the bucket means.

    Buckets stand in the order in which they are tried, since each holds what no earlier one did."""
    totals = diagnosis["totals"]
    rows = tuple(
        (
            bucket.replace("_", " "),
            f"{counts['fn']:,}",
            share(counts["fn"], totals["fn"]),
            f"{counts['fp']:,}",
            share(counts["fp"], totals["fp"]),
            diagnosis["meanings"][bucket],
        )
        for bucket, counts in ((bucket, diagnosis["buckets"][bucket]) for bucket in diagnosis["order"])
    )
    return Table(("bucket", "missed", "of all missed", "false", "of all false", "meaning"), rows)


def example_table(examples: Mapping[str, Sequence[Mapping[str, str]]], most: int) -> Table:
    """At most `most` examples of every bucket, as gold and prediction have them."""
    rows = tuple(
        (bucket.replace("_", " "), miss["tag"], miss["gold"] or NOTHING, miss["predicted"] or NOTHING, miss["raw"])
        for bucket, misses in examples.items()
        for miss in misses[:most]
    )
    return Table(("bucket", "tag", "gold", "predicted", "text"), rows)


def difference_table(regression: Mapping[str, JSON]) -> Table:
    """Every score now and before, the direction computed from both; an interval that holds 0 is no difference."""
    named = [(AVERAGES[name], found) for name, found in regression["differences"].items() if name in AVERAGES]
    named += [(tag, facts["f1"]) for tag, facts in by_tag(regression["per_tag"])]
    rows = tuple(
        (
            name,
            number(found["baseline"]),
            number(found["candidate"]),
            change(found["difference"]),
            interval(found["interval"]),
            found["verdict"],
        )
        for name, found in named
        if found["candidate"] is not None or found["baseline"] is not None
    )
    return Table(("score", "baseline", "now", "change", "95 % interval", "finding"), rows)


def exchange_table(regression: Mapping[str, JSON]) -> Table:
    """Values fixed, broken and still wrong since the baseline, by bucket (M46)."""
    sides = ("fixed", "broken", "still_wrong")
    rows = tuple(
        (bucket.replace("_", " "), *(f"{regression[side][bucket]:,}" for side in sides))
        for bucket in regression["fixed"]
    )
    return Table(("bucket", "fixed", "broken", "still wrong"), rows)


def change_table(changes: Mapping[str, JSON]) -> Table:
    """The keys of a recipe that differ from its base."""
    return Table(
        ("changed key", "value"),
        tuple((key, json.dumps(value, ensure_ascii=False)) for key, value in sorted(changes.items())),
    )


def mix_table(mix: Mapping[str, JSON]) -> Table:
    """Rows, shares and repetitions of every source of a mix."""
    rows = tuple(
        (
            source["name"],
            f"{source['rows']:,}",
            f"{source['weight']:g}",
            percent(source["requested_share"]),
            percent(source["realised_share"]),
            f"{source['repetitions']:.2f}",
        )
        for source in mix["sources"]
    )
    return Table(("source", "rows", "weight", "requested", "realised", "passes per row"), rows)


def split_table(dataset: Mapping[str, JSON]) -> Table:
    """Rows and pieces of every split."""
    splits = {name: dataset["splits"][name] for name in SPLITS if name in dataset["splits"]}
    rows = tuple(
        (split, f"{facts['rows']:,}", f"{facts['pieces']:,}", f"{facts['longest']:,}", facts["digest"][:12])
        for split, facts in splits.items()
    )
    return Table(("split", "rows", "pieces", "longest row", "digest of the rows"), rows)


def survival_table(dataset: Mapping[str, JSON]) -> Table:
    """Gold spans of every tag, and how many of them do not come back from their own labels."""
    rows = tuple(
        (
            tag,
            f"{counts['gold']:,}",
            f"{counts['gold'] - counts['survived']:,}",
            share(counts["survived"], counts["gold"]),
        )
        for tag, counts in by_tag(dataset["survival"])
    )
    return Table(("tag", "spans", "lost in tokenizing", "kept"), rows)
