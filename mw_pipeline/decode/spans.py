"""Spans: from labels to runs of steps, the trim of a value, and one value for each tag. Needs numpy only.

Shape letters: B rows, S steps, N spans.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from mw_pipeline.decode.moves import Ids
from mw_pipeline.decode.steps import Mask


@dataclass(frozen=True)
class LabelSpans:
    """Tagged runs of steps, (N,) int64 each, row by row from left to right; `ends` exclusive.

    `tags` index `LabelSet.tags`."""

    rows: Ids
    tags: Ids
    firsts: Ids
    ends: Ids

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[tuple[int, int, int, int]]:
        """(row, tag, first, end) of each."""
        columns = (self.rows.tolist(), self.tags.tolist(), self.firsts.tolist(), self.ends.tolist())
        yield from zip(*columns, strict=True)


def label_spans(labels: Ids, mask: Mask) -> LabelSpans:
    """The spans of legal label sequences (B, S)."""
    real = labels * mask
    begins, ending = real % 2 == 1, real > 0
    ending[:, :-1] &= begins[:, 1:] | ~ending[:, 1:]
    rows, firsts = begins.nonzero()
    return LabelSpans(rows, (real[rows, firsts] - 1) // 2, firsts, ending.nonzero()[1] + 1)


def trim(raw: str, start: int, end: int) -> tuple[int, int] | None:
    """The range without what is no letter or digit at its ends, in code points; None when nothing is left.

    Letters and digits are the Unicode categories L* and N*, which is what str.isalnum tests. Combining marks (M*) are
    neither, but those that follow the last letter are part of it: the end keeps them, so that no accent or vowel sign
    is cut off its letter."""
    while start < end and not raw[start].isalnum():
        start += 1
    kept = end
    while kept > start and not raw[kept - 1].isalnum():
        kept -= 1
    if kept == start:
        return None
    while kept < end and unicodedata.category(raw[kept])[0] == "M":
        kept += 1
    return start, kept


class Span(NamedTuple):
    """A tagged part of a text: `raw[start:end] == value`, offsets in code points, end exclusive.

    `confidence` is the model's probability (0..1) of exactly this span."""

    tag: str
    value: str
    start: int
    end: int
    confidence: float


def components_of(spans: tuple[Span, ...]) -> dict[str, str]:
    """One value per tag, in order of first appearance: of several spans the most confident, of equals the first."""
    best: dict[str, Span] = {}
    for span in spans:
        if span.tag not in best or span.confidence > best[span.tag].confidence:
            best[span.tag] = span
    return {tag: span.value for tag, span in best.items()}
