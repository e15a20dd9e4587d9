"""Further gold sets of a corpus: gold files, or the judging half of a labelled source.

A labelled source (one whose records carry their text) can teach and judge at once, if both keep to their streets: half
of them, by a hash of street and place that is the same everywhere, is gold with its base ids as families, and the
manifest of a corpus that names the set leaves these families and texts out of training and validation, whatever source
they come from.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from mw_pipeline.corpus.splits import judging_half
from mw_pipeline.golden.gold import GoldenSet
from mw_pipeline.golden.judge import Judgement, judge_golden
from mw_pipeline.golden.reach import spans_in
from mw_pipeline.golden.rows import GoldenRow, row_of
from mw_pipeline.recipe import GoldenSetSpec
from mw_pipeline.records.adapter import Adapter, read_records
from mw_pipeline.records.tables import TAG_COLUMNS, ReadRequest, Rejects
from mw_pipeline.records.text import normalised_text


def read_set(
    settings: GoldenSetSpec, name: str, paths: Sequence[Path], adapter: Adapter | None, *, below: Path | None = None
) -> tuple[Judgement, dict[str, int]]:
    """The rows of a further set with what is wrong with them, and how many were left out for which reason.

    Without an adapter these are gold files, judged as the corpus's own, and named as they lie `below` a folder. Of a
    labelled source these are left out: `without_text`, `other_half`, `unreachable_value`, `repeated_text`, and what its
    adapter turned away, by reason."""
    if adapter is None:
        judged = judge_golden(paths, below=below)
        return Judgement(dataclasses.replace(judged.golden, tags=settings.tags), judged.findings), {}
    rejects = Rejects(name)
    request = ReadRequest(tuple(paths), name, country=settings.country, share_alike_allowed=True)
    left_out: Counter[str] = Counter()
    rows: dict[str, GoldenRow] = {}
    for batch in read_records(adapter, request, rejects):
        for row in _held_out(batch, name, left_out):
            if row.raw in rows:
                left_out["repeated_text"] += 1
            rows.setdefault(row.raw, row)
    golden = GoldenSet(tuple(rows.values()), settings.tags)
    return Judgement(golden, golden.findings), dict(sorted((left_out + rejects.counts + rejects.filters).items()))


def _held_out(batch: pa.RecordBatch, name: str, left_out: Counter[str]) -> Iterator[GoldenRow]:
    """The judging half of a batch of labelled records as gold, with the base id as family."""
    judging = judging_half(_streets(batch))
    for record, judges in zip(batch.to_pylist(), judging, strict=True):
        components = {tag: record[tag] for tag in TAG_COLUMNS if record[tag] is not None}
        if record["raw"] is None:
            left_out["without_text"] += 1
        elif not judges:
            left_out["other_half"] += 1
        elif not components or spans_in(record["raw"], components) is None:
            left_out["unreachable_value"] += 1
        else:
            facts = {"raw": record["raw"], "components": components, "country": record["country_code"], "source": name}
            facts["base_id"] = record["base_id"]
            yield row_of(facts, where=f"{name}:{record['line']}", stratum="real")


def _streets(batch: pa.RecordBatch) -> pa.StringArray:
    """The street and place of each record, as texts are compared: all addresses of one street are of one half.

    Without a street the first of crossing, box, venue and text stands for it; the place is its locality, else its
    postcode."""
    street = pc.coalesce(*(batch[name] for name in ("street", "intersection_a", "po_box", "venue", "raw", "base_id")))
    place = pc.coalesce(batch["locality"], batch["postcode"], pa.scalar(""))
    return normalised_text(pc.binary_join_element_wise(street, place, " "))
