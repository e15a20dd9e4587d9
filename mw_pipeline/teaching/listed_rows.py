"""The rows of an index that are shown beside a span, each with what it says there and where it comes from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from mw_pipeline.digest import JSON
from mw_pipeline.labels import LabelSet
from mw_pipeline.teaching.index import Ids, TeachingIndex
from mw_pipeline.teaching.influence import SpanEvidence


@dataclass(frozen=True)
class RowList:
    """Lists rows of an index; `lineage` says of each source which adapter read it from which raw files."""

    index: TeachingIndex
    labels: LabelSet
    lineage: Mapping[str, Mapping[str, JSON]]

    def of(self, evidence: SpanEvidence, tag: str, *, rows: int) -> dict[str, JSON]:
        """`rows` rows each: `towards` and `against` the reading by alignment, `alike` by similarity, and `otherwise`,
        the likest that say another tag."""
        rising = np.argsort(evidence.alignment, kind="stable")
        likest = np.argsort(-evidence.similarity, kind="stable")
        chosen: dict[str, tuple[Iterable[int], Ids]] = {
            "towards": ([row for row in rising[::-1][:rows].tolist() if evidence.alignment[row] > 0], evidence.pulling),
            "against": ([row for row in rising[:rows].tolist() if evidence.alignment[row] < 0], evidence.pulling),
            "alike": (likest[:rows].tolist(), evidence.alike),
            "otherwise": (self._saying_otherwise(likest, evidence.alike, tag)[:rows], evidence.alike),
        }
        return {
            name: [self._row(row, int(pieces[row]), evidence) for row in numbers]
            for name, (numbers, pieces) in chosen.items()
        }

    def tags_at(self, pieces: Ids) -> list[str]:
        """The tag of each of these pieces; "" for those that are nothing."""
        names = ["", *(tag for tag in self.labels.tags for _ in "BI")]
        return [names[label] for label in self.index.labels[pieces].tolist()]

    def _saying_otherwise(self, rows: Ids, pieces: Ids, tag: str) -> list[int]:
        said = self.tags_at(pieces[rows])
        return [row for row, other in zip(rows.tolist(), said, strict=True) if other != tag]

    def _row(self, row: int, piece: int, evidence: SpanEvidence) -> dict[str, JSON]:
        (stored,) = self.index.rows.slice(row, 1).to_pylist()
        (tag,) = self.tags_at(np.array([piece]))
        start, end = self._span_at(stored, row, piece) if tag else (None, None)
        return {
            "row_id": stored["row_id"],
            "raw": stored["raw"],
            "says": tag or None,
            "value": stored["raw"][start:end] if tag else None,
            "start": start,
            "end": end,
            "alignment": round(float(evidence.alignment[row]), 6),
            "similarity": round(float(evidence.similarity[row]), 6),
            **{name: stored[name] for name in ("source", "method", "license", "shard")},
            "record": stored["source_id"],
            **self.lineage[stored["source"]],
        }

    def _span_at(self, stored: Mapping[str, JSON], row: int, piece: int) -> tuple[int, int]:
        """Where the span of a labelled piece lies: the n-th that the label set knows begins with the n-th B- label."""
        before = self.index.labels[self.index.offsets[row] : piece + 1]
        known = [number for number, tag in enumerate(stored["span_tags"]) if tag in self.labels.tags]
        number = known[int((before % 2 == 1).sum()) - 1]
        return stored["span_starts"][number], stored["span_ends"][number]
