"""What a corpus, its mix and an audit say of themselves, as their readers rely on it."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from mw_pipeline.json_shapes import Amount, Count, Counts, Shape, Share


class _SourceCounts(Shape):
    rows: Count
    split: Counts
    licence: Counts
    country: Counts
    script: Counts
    locale: Counts
    tag: Counts


class ShardCounts(_SourceCounts):
    """`counts.json` of a source's shards."""

    source: Counts
    method: Counts


class _Source(Shape):
    digest: str
    counts: _SourceCounts


class _Licences(Shape):
    licences: Counts
    attribution: str


class _Lost(Shape):
    excluded: Counts
    repeats: Counts


class Census(Shape):
    """`census.json` of a corpus."""

    corpus: str
    version: str
    splits: Counts
    excluded: Counts
    sources: dict[str, _Source]
    licences: dict[str, _Licences]
    flow: dict[str, _Lost]


class _Flow(Shape):
    read: Count
    kept: Count
    quarantined: Counts
    filtered: Counts
    deduplicated: Count


class _MethodFlow(Shape):
    asked: Count
    applied: Count
    quarantined: Count


class Waterfall(_Flow):
    """`waterfall.json` of a source."""

    source: str
    adapter: str
    variants: Count
    rows: _Flow
    methods: dict[str, _MethodFlow]
    holdout_records: Count


class _TaughtWord(Shape):
    kind: str
    word: str
    tags: list[str]
    where: str
    rows_by_tag: Counts
    subsets: Count


class ClosedWords(Shape):
    """`closed_words.json` of a recipe."""

    findings: list[str]
    words: list[_TaughtWord]


def _whole(sources: list[MixedSource]) -> list[MixedSource]:
    total = math.fsum(source.requested_share for source in sources)
    if not math.isclose(total, 1, abs_tol=1e-6):
        raise ValueError(f"the requested shares make {total:g} together, expected 1")
    return sources


class _Place(Shape):
    places: Count
    commonest: str
    commonest_rows: Count
    repetitions: Amount
    drawn: Count
    capped: bool


class MixedSource(Shape):
    """A source in `mix.json`."""

    name: str
    rows: Count
    weight: Amount
    declared_share: Share
    requested_share: Share
    realised_share: Share
    window_shares: list[Share]
    repetitions: Amount
    shards: Count
    legacy_share: Share
    place: _Place | None


class SourceMix(Shape):
    """`mix.json` of a recipe."""

    sources: Annotated[list[MixedSource], AfterValidator(_whole)]
    samples: Count
    concentrated: bool
    findings: list[str]
    warnings: list[str]


class _AuditedSource(Shape):
    name: str
    digest: str
    rows: Count
    weight: Amount
    requested_share: Share
    repetitions: Amount
    licences: Counts


class _Since(Shape):
    digest: str | None


class _Changed(Shape):
    rows: Annotated[list[Count], Field(min_length=2, max_length=2)] | None = None
    licences: Annotated[list[list[str]], Field(min_length=2, max_length=2)] | None = None


class _Changes(Shape):
    added: list[str]
    removed: list[str]
    changed: dict[str, _Changed]
    unchanged: list[str]


class Audit(Shape):
    """`audit.json` of a recipe."""

    sources: list[_AuditedSource]
    since: _Since
    changes: _Changes | None
    findings: list[str]
    warnings: list[str]

    @model_validator(mode="after")
    def _names_what_it_was_compared_with(self) -> Audit:
        if self.changes is not None and self.since.digest is None:
            raise ValueError("changes are there, and since names no audit before it")
        return self
