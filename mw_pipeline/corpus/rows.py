"""From admitted records to aligned rows: one call per variant, every row checked against its own spans."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mw_pipeline.corpus.align import Misfit, align
from mw_pipeline.corpus.augment import Tally, augment
from mw_pipeline.corpus.compose import native_draft
from mw_pipeline.corpus.conventions import LINE_TAGS
from mw_pipeline.corpus.lines import Lines, trimmed_lines, write_lines
from mw_pipeline.corpus.places import place_keys
from mw_pipeline.corpus.spans import unsound_rows
from mw_pipeline.corpus.subsets import as_mailed
from mw_pipeline.countries import writer_of
from mw_pipeline.records.tables import ROW_SCHEMA, TAG_COLUMNS
from mw_pipeline.records.text import kept, mask_of

SPANS_DO_NOT_FIT = "spans_do_not_fit"


@dataclass(frozen=True)
class Composed:
    """The rows made from some records, in their order; `unfit` holds index, reason and detail of those without one."""

    rows: pa.Table
    tallies: Mapping[str, Tally]
    unfit: tuple[tuple[int, str, str], ...]


def compose_rows(
    records: pa.Table, *, source: str, variant: int, doses: Mapping[str, float], rng: np.random.Generator
) -> Composed:
    """One row per record, all written by one country's file. Variant 0 is the plain native row, later ones take doses.

    records   RECORD_SCHEMA columns and `split`, all of countries with the same writer
    Every row has passed the round trip of its spans; one that does not is unfit, with the methods it had (M17).
    """
    codes = records["country_code"].combine_chunks()
    columns = {tag: records[tag].combine_chunks() for tag in LINE_TAGS}
    pool = records["split"].combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64)
    draft = native_draft(writer_of(codes[0].as_py()), columns, rng, pool, codes)
    if variant == 0:
        draft = as_mailed(draft, np.ones(draft.rows, np.bool_), rng)
        methods, tallies = pa.nulls(len(records), pa.string()), dict[str, Tally]()
    else:
        draft, methods, tallies = augment(draft, doses, rng)
    lines = write_lines(draft)
    components = lines.components()
    unsound = unsound_rows(lines.raw, components, lines.tags, lines.starts, lines.ends)
    rows = _table(records, source, variant, lines, methods)
    unfit = tuple((int(row), SPANS_DO_NOT_FIT, methods[row].as_py() or "") for row in np.flatnonzero(unsound))
    return Composed(kept(rows, ~unsound), tallies, unfit)


def labelled_rows(records: pa.Table, *, source: str) -> Composed:
    """One row per labelled record: its own text as it came, aligned to its components. Where they do not fit, none."""
    labelled = records.select(["raw", *TAG_COLUMNS]).to_pylist()
    spans, unfit = [], []
    for index, record in enumerate(labelled):
        raw = record.pop("raw")
        found = align(raw, {tag: value for tag, value in record.items() if value is not None})
        if isinstance(found, Misfit):
            unfit.append((index, found.reason, found.detail))
        else:
            spans.append((index, raw, found))
    flat = [(raw, span) for _, raw, row in spans for span in row]
    lines = trimmed_lines(
        raw=pa.array([raw for _, raw, _ in spans], pa.string()),
        offsets=pa.array(np.cumsum([0, *(len(row) for _, _, row in spans)]), pa.int32()),
        tags=pa.array([span.tag for _, span in flat], pa.string()),
        texts=pa.array([raw[span.start : span.end] for raw, span in flat], pa.string()),
        starts=np.array([span.start for _, span in flat], np.int64),
    )
    fitting = records.take(pa.array([index for index, _, _ in spans], pa.int64()))
    return Composed(_table(fitting, source, 0, lines, pa.nulls(len(spans), pa.string())), {}, tuple(unfit))


def labelled_mask(records: pa.Table) -> npt.NDArray[np.bool_]:
    """(N,): records that came with their own text."""
    return mask_of(pc.is_valid(records["raw"]).combine_chunks())


def _table(records: pa.Table, source: str, variant: int, lines: Lines, methods: pa.StringArray) -> pa.Table:
    columns = {
        "row_id": pc.binary_join_element_wise(source, records["source_id"], str(variant), ":"),
        "raw": lines.raw,
        "components": lines.components(),
        "country": records["country_code"],
        "source": pa.array([source]).take(pa.array(np.zeros(len(records), np.int64))),
        "method": methods,
        "place": place_keys(*(records[name].combine_chunks() for name in ("country_code", "region_key", "locality"))),
        "span_tags": lines.tags,
        "span_starts": lines.starts,
        "span_ends": lines.ends,
    }
    shared = {name: records[name] for name in ROW_SCHEMA.names if name not in columns}
    return pa.table({**shared, **columns}).select(ROW_SCHEMA.names).cast(ROW_SCHEMA)
