"""What must hold of a tokenized dataset on disk, checked by streaming it: types, values, digests, disjoint splits."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandera.pyarrow as pap
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset
from pandera.api.pyarrow.types import PyArrowData
from pandera.errors import SchemaErrors

from mw_pipeline.corpus.census import bounded_connection
from mw_pipeline.dataset.tokenized import SPLITS, TOKENIZED_SCHEMA, TokenizedDataset
from mw_pipeline.digest import JSON
from mw_pipeline.tokenizer import PAD_ID
from mw_pipeline.words import INSIDE, UNREAD, PieceJoints


def dataset_matches_schema(path: Path, summary: Mapping[str, JSON], joints: PieceJoints) -> tuple[str, ...]:
    """Findings on the split files below `path` against what its dataset.json (`summary`) says.

    Every batch goes through the pandera schema: column types, non-empty row ids, ids inside the vocabulary, labels
    inside the label set, a label and a kind for each piece, 1 … max_length of them. Each row must have the words that
    the network will make of its pieces, by the tokenizer's `joints`: of those beyond it would see none. Row counts and
    digests must agree, and training and validation must not be empty: an empty table passes every other check.
    """
    schema = tokenized_schema(summary["vocab_size"], len(summary["labels"]), summary["max_length"])
    findings: list[str] = []
    for split in SPLITS:
        dataset = TokenizedDataset(path, split)
        expected = summary["splits"][split]
        findings += [*_findings_on_batches(dataset, schema), *_miscounted_words(dataset, joints)]
        if len(dataset) == 0 and split != "test":
            findings.append(f"{split}: no row, expected at least one")
        if len(dataset) != expected["rows"]:
            findings.append(f"{split}: {len(dataset)} rows, dataset.json says {expected['rows']}")
        if dataset.digest() != expected["digest"]:
            findings.append(f"{split}: the stored rows do not have the digest that dataset.json gives them")
    return tuple(findings)


def tokenized_schema(vocab_size: int, label_count: int, max_length: int) -> pap.DataFrameSchema:
    """The pandera schema of tokenized rows for one vocabulary, label set and longest row."""
    types = {field.name: field.type for field in TOKENIZED_SCHEMA}
    return pap.DataFrameSchema(
        {
            "row_id": pap.Column(types["row_id"], pap.Check.str_length(min_value=1)),
            "source": pap.Column(types["source"], pap.Check.str_length(min_value=1)),
            "place": pap.Column(types["place"]),
            "words": pap.Column(types["words"], pap.Check.ge(1)),
            "input_ids": pap.Column(
                types["input_ids"],
                [_items_between(PAD_ID + 1, vocab_size), _lengths_between(1, max_length)],
            ),
            "labels": pap.Column(types["labels"], _items_between(0, label_count)),
            "kinds": pap.Column(types["kinds"], _items_between(INSIDE, UNREAD)),
        },
        checks=pap.Check(_as_many_labels_and_kinds, name="as many labels and kinds as pieces"),
        strict=True,
        ordered=True,
    )


def splits_share_no_rows(path: Path) -> tuple[str, ...]:
    """Findings on row ids that stand twice: in two splits (M24), or within one. DuckDB spills what does not fit."""
    every = " union all ".join(f"select row_id, '{split}' as split from {split}" for split in SPLITS)
    with tempfile.TemporaryDirectory() as spill, bounded_connection(Path(spill)) as connection:
        for split in SPLITS:
            connection.register(split, pyarrow.dataset.dataset(path / f"{split}.arrow", format="ipc"))
        total, row_id, splits = connection.execute(
            f"with every_row as ({every}), doubled as (select row_id from every_row group by 1 having count(*) > 1) "
            "select count(*), min(row_id), arg_min(splits, row_id) from ("
            "select row_id, string_agg(split, ' and ' order by split) as splits "
            "from every_row semi join doubled using (row_id) group by row_id)"
        ).fetchall()[0]
    return (f"{total} row ids stand more than once, first {row_id!r} in {splits}",) if total else ()


def _findings_on_batches(dataset: TokenizedDataset, schema: pap.DataFrameSchema) -> list[str]:
    failed: dict[str, tuple[int, str]] = {}
    for batch in dataset.record_batches():
        for rule, rows, example in _failures(pa.Table.from_batches([batch]), schema):
            before, first = failed.get(rule, (0, example))
            failed[rule] = (before + rows, first)
    return [f"{dataset.split}: {rule}: {rows} rows fail, first {first}" for rule, (rows, first) in failed.items()]


def _miscounted_words(dataset: TokenizedDataset, joints: PieceJoints) -> list[str]:
    wrong = 0
    for batch in dataset.record_batches():
        lengths = pc.list_value_length(batch.column("input_ids")).to_numpy(zero_copy_only=False)
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        ids = np.clip(batch.column("input_ids").flatten().to_numpy(), 0, len(joints.leads) - 1)
        begins = joints.begins(ids, offsets)
        words = np.diff(np.concatenate([[0], np.cumsum(begins)])[offsets])
        wrong += int((words != batch.column("words").to_numpy()).sum())
    return [f"{dataset.split}: {wrong} rows have other words than their pieces make"] if wrong else []


def _failures(table: pa.Table, schema: pap.DataFrameSchema) -> list[tuple[str, int, str]]:
    """(rule, failing rows, first failing value) for each rule that a table breaks."""
    try:
        schema.validate(table, lazy=True)
    except SchemaErrors as errors:
        cases = errors.failure_cases
        rules = [f"{c or 'row'} {k}" for c, k in zip(*(cases[n].to_pylist() for n in ("column", "check")), strict=True)]
        examples = [str(value)[:80] for value in cases["failure_case"].to_pylist()]
        bounds = [0, *(i for i, (a, b) in enumerate(pairwise(rules), start=1) if a != b), len(rules)]
        return [(rules[a], b - a, examples[a]) for a, b in pairwise(bounds)]
    return []


def _items_between(low: int, high: int) -> pap.Check:
    """Every item of every list lies in [low, high)."""

    def holds(data: PyArrowData) -> pa.Array:
        column = pa.chunked_array(data.table[data.key].chunks).combine_chunks()
        items = pc.list_flatten(column).to_numpy()
        bad = np.concatenate([[0], np.cumsum((items < low) | (items >= high))])
        ends = np.cumsum(pc.list_value_length(column).to_numpy(zero_copy_only=False))
        return pa.array(np.diff(bad[np.concatenate([[0], ends])]) == 0)

    return pap.Check(holds, name=f"items from {low} to {high - 1}")


def _lengths_between(low: int, high: int) -> pap.Check:
    """Every list has low … high items."""

    def holds(data: PyArrowData) -> pa.ChunkedArray:
        lengths = pc.list_value_length(data.table[data.key])
        return pc.and_(pc.greater_equal(lengths, low), pc.less_equal(lengths, high))

    return pap.Check(holds, name=f"{low} to {high} pieces")


def _as_many_labels_and_kinds(data: PyArrowData) -> pa.ChunkedArray:
    pieces, labels, kinds = (pc.list_value_length(data.table[name]) for name in ("input_ids", "labels", "kinds"))
    return pc.and_(pc.equal(pieces, labels), pc.equal(pieces, kinds))
