"""What training rows teach that they should not: labels at odds between sources, numbers mistaken, foreign scripts.

Each lint counts every training row with DuckDB and returns findings for a person to judge: a street named Paris and a
city named Paris are both right, so nothing here blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mw_pipeline.corpus.census import query, rows_in, script_of
from mw_pipeline.corpus.scripts import OTHER_SCRIPT_COUNTRIES

MAX_FINDINGS = 20


def labels_agree(files: Sequence[Path], *, sure_share: float = 0.95, min_rows: int = 50) -> list[str]:
    """Findings: words and word pairs that two sources label differently, each nearly always (M28).

    A label is nearly always given when `sure_share` of the word's occurrences in a source have it, out of at least
    `min_rows`. Numbers and words of up to three letters mean what their neighbours make of them and are left out. The
    pairs of sources with the largest smaller side come first.
    """
    spans = (
        "select source, tag, string_split_regex(trim(lower(value)), '\\s+') as words from (select source, "
        f"unnest(map_keys(components)) as tag, unnest(map_values(components)) as value from {rows_in(files)} "
        "where split = 'train')"
    )
    grams = (
        f"select source, tag, unnest(words) as gram from ({spans}) union all "
        "select source, tag, unnest(list_transform(range(1, len(words)), lambda i: words[i] || ' ' || words[i + 1])) "
        f"from ({spans})"
    )
    counted = (
        f"select source, gram, tag, count(*) as n from ({grams}) "
        "where regexp_matches(gram, '\\p{L}{4}') group by all"
    )
    sure = (
        f"select source, gram, arg_max(tag, n) as tag, sum(n) as n from ({counted}) group by source, gram "
        f"having sum(n) >= {min_rows} and max(n) >= {sure_share} * sum(n)"
    )
    conflicts = (
        f"with sure as ({sure}) select a.gram, a.source, a.tag, a.n, b.source, b.tag, b.n from sure a join sure b "
        "on a.gram = b.gram and a.source < b.source and a.tag <> b.tag "
        f"order by least(a.n, b.n) desc, a.gram, a.source, b.source limit {MAX_FINDINGS}"
    )
    return [
        f"{gram!r} is {tag} in {source} ({int(n)} times) and {other_tag} in {other} ({int(other_n)} times)"
        for gram, source, tag, n, other, other_tag, other_n in query(conflicts)
    ]


def ordinals_are_no_house_numbers(files: Sequence[Path]) -> list[str]:
    """Findings: sources that label an ordinal as a house number, as in "5th Avenue Theatre" (M29).

    A bare e is none: "12e" is a house in one country and an arrondissement in another."""
    numbers = (
        "select source, raw, map_extract(components, 'house_number')[1] as number "
        f"from {rows_in(files)} where split = 'train'"
    )
    ordinals = (
        f"select source, raw from ({numbers}) where regexp_matches(lower(number), '^[0-9]+(st|nd|rd|th|er|ère|ème)$')"
    )
    counted = query(f"select source, count(*), min(raw) from ({ordinals}) group by 1 order by 1")
    return [f"{source}: {rows} house numbers are ordinals, as in {example!r}" for source, rows, example in counted]


def first_number_labels(files: Sequence[Path]) -> dict[str, dict[str, int]]:
    """Per source, what the first number of a training row is: the tag it belongs to, or "none"; rows without one count
    nowhere. A source that gives all of them one tag teaches the place, not the meaning (M29)."""
    first = (
        "select source, span_tags, span_starts, span_ends, length(regexp_extract(raw, '^[^0-9]*')) as place "
        f"from {rows_in(files)} where split = 'train' and regexp_matches(raw, '[0-9]')"
    )
    holder = "list_filter(range(1, len(span_tags) + 1), lambda i: span_starts[i] <= place and place < span_ends[i])[1]"
    labels = f"select source, coalesce(span_tags[{holder}], 'none') as tag from ({first})"
    counts: dict[str, dict[str, int]] = {}
    for source, tag, rows in query(f"select source, tag, count(*) from ({labels}) group by all order by all"):
        counts.setdefault(source, {})[tag] = rows
    return counts


def scripts_are_at_home(files: Sequence[Path], *, foreign_share: float = 0.5, min_share: float = 0.01) -> list[str]:
    """Findings: sources that write the addresses of a country mostly in a script it does not use (M30).

    Countries below `min_share` of a source's rows are left out: a few names in a visitor's script teach no country."""
    foreign = (
        f"select source, country, {script_of('raw')} as script, count(*) over (partition by source) as of_source "
        f"from {rows_in(files)} where split = 'train' "
        f"qualify not list_contains(string_split('{OTHER_SCRIPT_COUNTRIES}', ' '), country)"
    )
    shares = query(
        "select source, country, count(*), count(*) filter (script not in ('Latin', 'none')) as strange, "
        f"mode(script) filter (script not in ('Latin', 'none')) from ({foreign}) group by 1, 2 "
        f"having strange > {foreign_share} * count(*) and count(*) >= {min_share} * any_value(of_source) order by 1, 2"
    )
    return [
        f"{source}: {strange} of {rows} rows of {country} are in a foreign script, most of them {script}"
        for source, country, rows, strange, script in shares
    ]
