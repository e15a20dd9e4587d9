"""What training rows teach that they should not: labels at odds between sources, numbers mistaken, foreign scripts.

Each lint counts every training row with DuckDB and returns what it found as values, each of which reads as a sentence:
they are for a person to judge, since a street named Paris and a city named Paris are both right.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mw_pipeline.corpus.census import query, rows_in, script_of
from mw_pipeline.corpus.scripts import OTHER_SCRIPT_COUNTRIES

MAX_CONFLICTS = 20

_ORDINAL = "[0-9]+(st|nd|rd|th|er|ère|ème)"


@dataclass(frozen=True)
class Conflict:
    """A word or word pair that two sources label differently, each nearly always, with a row of either."""

    words: str
    source: str
    tag: str
    times: int
    other_source: str
    other_tag: str
    other_times: int
    example: str = ""
    other_example: str = ""

    def __str__(self) -> str:
        return (
            f"{self.words!r} is {self.tag} in {self.source} ({self.times} times) "
            f"and {self.other_tag} in {self.other_source} ({self.other_times} times)"
        )


@dataclass(frozen=True)
class OrdinalNumbers:
    """How many rows of a source have an ordinal as house number, with one of them."""

    source: str
    rows: int
    example: str

    def __str__(self) -> str:
        return f"{self.source}: {self.rows} house numbers are ordinals, as in {self.example!r}"


@dataclass(frozen=True)
class FirstNumber:
    """Rows of a source whose first number has this form and place and is labelled so, with one of them."""

    source: str
    context: str
    tag: str
    rows: int
    example: str


@dataclass(frozen=True)
class ScriptShare:
    """Rows of a source in one country, language and script, and their share (0..1) of the source."""

    source: str
    country: str
    language: str
    script: str
    rows: int
    share: float


@dataclass(frozen=True)
class ForeignScript:
    """A country whose rows a source writes mostly in a script that is not at home there."""

    source: str
    country: str
    rows: int
    foreign_rows: int
    script: str

    def __str__(self) -> str:
        return (
            f"{self.source}: {self.foreign_rows} of {self.rows} rows of {self.country} are in a foreign script, "
            f"most of them {self.script}"
        )


def label_conflicts(files: Sequence[Path], *, sure_share: float = 0.95, min_rows: int = 50) -> list[Conflict]:
    """Words and word pairs that two sources label differently, each nearly always (M28), at most MAX_CONFLICTS.

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
        f"select source, gram, arg_max(tag, n) as tag, sum(n)::bigint as n from ({counted}) group by source, gram "
        f"having sum(n) >= {min_rows} and max(n) >= {sure_share} * sum(n)"
    )
    conflicts = (
        f"with sure as ({sure}) select a.gram, a.source, a.tag, a.n, b.source, b.tag, b.n from sure a join sure b "
        "on a.gram = b.gram and a.source < b.source and a.tag <> b.tag "
        f"order by least(a.n, b.n) desc, a.gram, a.source, b.source limit {MAX_CONFLICTS}"
    )
    return [_with_examples(files, Conflict(*row)) for row in query(conflicts)]


def _with_examples(files: Sequence[Path], conflict: Conflict) -> Conflict:
    """The conflict with the first row of either side: the scan ends where it finds one."""
    first = (
        f"select raw from {rows_in(files)} where split = 'train' and source = ? and contains(' ' || "
        "regexp_replace(lower(map_extract(components, ?)[1]), '\\s+', ' ', 'g') || ' ', ' ' || ? || ' ') limit 1"
    )
    ((example,),) = query(first, [conflict.source, conflict.tag, conflict.words])
    ((other,),) = query(first, [conflict.other_source, conflict.other_tag, conflict.words])
    return dataclasses.replace(conflict, example=example, other_example=other)


def ordinal_house_numbers(files: Sequence[Path]) -> list[OrdinalNumbers]:
    """Sources that label an ordinal as a house number, as in "5th Avenue Theatre" (M29).

    A bare e is none: "12e" is a house in one country and an arrondissement in another."""
    numbers = (
        "select source, raw, map_extract(components, 'house_number')[1] as number "
        f"from {rows_in(files)} where split = 'train'"
    )
    ordinals = f"select source, raw from ({numbers}) where regexp_matches(lower(number), '^{_ORDINAL}$')"
    counted = query(f"select source, count(*), min(raw) from ({ordinals}) group by 1 order by 1")
    return [OrdinalNumbers(*row) for row in counted]


def first_numbers(files: Sequence[Path]) -> list[FirstNumber]:
    """What the first number of a training row is, by source and by what it looks like and where it stands.

    The tag is that of the span which holds it, or "none"; rows without a number count nowhere. A source that gives all
    numbers of one context one tag teaches the context, not the meaning (M29)."""
    word = "regexp_extract(raw, '[0-9][\\p{L}0-9]*')"
    form = (
        f"case when regexp_matches(lower({word}), '^{_ORDINAL}$') then 'ordinal' "
        f"when regexp_matches({word}, '^[0-9]{{5}}$') then 'five digits' "
        f"when regexp_matches({word}, '^[0-9]+$') then 'number' else 'number with letters' end"
    )
    first = (
        f"select source, raw, span_tags, span_starts, span_ends, {form} as form, "
        "length(regexp_extract(raw, '^[^0-9]*')) as place "
        f"from {rows_in(files)} where split = 'train' and regexp_matches(raw, '[0-9]')"
    )
    holder = "list_filter(range(1, len(span_tags) + 1), lambda i: span_starts[i] <= place and place < span_ends[i])[1]"
    labels = (
        f"select source, form || if(place = 0, ' at the start', ' after words') as context, raw, "
        f"coalesce(span_tags[{holder}], 'none') as tag from ({first})"
    )
    counted = query(f"select source, context, tag, count(*), min(raw) from ({labels}) group by all order by all")
    return [FirstNumber(*row) for row in counted]


def script_shares(files: Sequence[Path], *, most: int = 60) -> list[ScriptShare]:
    """How each source writes each country: rows by language (of the row's locale) and script, the `most` largest."""
    profile = (
        f"select source, country, split_part(locale, '-', 1) as language, {script_of('raw')} as script "
        f"from {rows_in(files)} where split = 'train'"
    )
    grouped = f"select source, country, language, script, count(*) as n from ({profile}) group by all"
    counted = query(
        f"select *, n / sum(n) over (partition by source) from ({grouped}) "
        f"order by n desc, source, country, language, script limit {most}"
    )
    return sorted((ScriptShare(*row) for row in counted), key=lambda row: row.source)


def foreign_scripts(
    files: Sequence[Path], *, foreign_share: float = 0.5, min_share: float = 0.01
) -> list[ForeignScript]:
    """Sources that write the addresses of a country mostly in a script it does not use (M30).

    Countries below `min_share` of a source's rows are left out: a few names in a visitor's script teach no country."""
    profile = (
        f"select source, country, {script_of('raw')} as script, count(*) as n "
        f"from {rows_in(files)} where split = 'train' group by all"
    )
    is_foreign = "script not in ('Latin', 'none')"
    shares = query(
        f"with profile as ({profile}), totals as (select source, sum(n) as of_source from profile group by 1) "
        "select source, country, sum(n)::bigint as of_country, "
        f"(sum(n) filter ({is_foreign}))::bigint as strange, arg_max(script, n) filter ({is_foreign}) "
        "from profile join totals using (source) "
        f"where not list_contains(string_split('{OTHER_SCRIPT_COUNTRIES}', ' '), country) group by 1, 2 "
        f"having strange > {foreign_share} * of_country and of_country >= {min_share} * any_value(of_source) "
        "order by 1, 2"
    )
    return [ForeignScript(*row) for row in shares]
