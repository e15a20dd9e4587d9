"""The checks on a tokenized dataset's files, each with the damage that it must see."""

from __future__ import annotations

import copy

import pyarrow as pa
import pytest
from aligned_rows import address, shard, small_tokenizer

from mw_pipeline.dataset.build import build_dataset
from mw_pipeline.dataset.checks import dataset_matches_schema, splits_share_no_rows
from mw_pipeline.dataset.tokenized import TOKENIZED_SCHEMA, TokenizedDataset
from mw_pipeline.labels import STAGE2


@pytest.fixture
def dataset(tmp_path, tokenizer):
    rows = [address(n, split=("validation", "test", "train")[min(n % 10, 2)]) for n in range(100)]
    summary = build_dataset({"ban": [shard(tmp_path / "ban.parquet", rows)]}, tokenizer, STAGE2, 64, tmp_path)
    return tmp_path, summary


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return small_tokenizer(tmp_path_factory.mktemp("tokenizer"))


def rewrite(path, split, change):
    """Stores the rows of a split again after `change` has had its way with them."""
    rows = pa.Table.from_batches(list(TokenizedDataset(path, split).record_batches())).to_pylist()
    table = pa.Table.from_pylist(change(rows), schema=TOKENIZED_SCHEMA)
    with pa.ipc.new_file(path / f"{split}.arrow", TOKENIZED_SCHEMA) as sink:
        sink.write_table(table)


def test_a_built_dataset_matches(dataset, tokenizer):
    path, summary = dataset

    assert dataset_matches_schema(path, summary, tokenizer.joints) == ()
    assert splits_share_no_rows(path) == ()


@pytest.mark.parametrize(
    ("column", "value", "finding"),
    [
        ("row_id", "", "train: row_id str_length(1, None): 1 rows fail"),
        ("input_ids", [0], "train: input_ids items from 1 to 419: 1 rows fail, first [0]"),
        ("input_ids", [420], "train: input_ids items from 1 to 419: 1 rows fail, first [420]"),
        ("input_ids", [], "train: input_ids 1 to 64 pieces: 1 rows fail, first []"),
        ("input_ids", [5] * 65, "train: input_ids 1 to 64 pieces: 1 rows fail"),
        ("labels", [21], "train: labels items from 0 to 20: 1 rows fail, first [21]"),
        ("labels", [1, 2], "train: row as many labels and kinds as pieces: 1 rows fail"),
        ("kinds", [3], "train: kinds items from 0 to 2: 1 rows fail, first [3]"),
        ("kinds", [1, 0], "train: row as many labels and kinds as pieces: 1 rows fail"),
        ("words", 0, "train: words greater_than_or_equal_to(1): 1 rows fail, first 0"),
        ("words", 1, "train: 1 rows have other words than their pieces make"),
    ],
)
def test_a_bad_value_is_found(dataset, tokenizer, column, value, finding):
    path, summary = dataset

    def change(rows):
        rows[7] |= {column: value}
        return rows

    rewrite(path, "train", change)

    assert any(found.startswith(finding) for found in dataset_matches_schema(path, summary, tokenizer.joints))


def test_an_empty_validation_split_does_not_pass_as_clean(dataset, tokenizer):
    """An empty table satisfies every column check, so rows are counted."""
    path, summary = dataset
    rewrite(path, "validation", lambda rows: [])

    findings = dataset_matches_schema(path, summary, tokenizer.joints)

    assert "validation: no row, expected at least one" in findings
    assert "validation: 0 rows, dataset.json says 10" in findings


def other_pieces(rows):
    """What an augmentation leaves: the same row with other pieces."""
    return [{**rows[0], "input_ids": rows[0]["input_ids"][::-1]}, *rows[1:]]


@pytest.mark.parametrize(
    ("change", "also"),
    [
        (lambda rows: [rows[1], rows[0], *rows[2:]], ()),
        (other_pieces, ()),
        (lambda rows: [*rows, rows[0]], ("validation: 11 rows, dataset.json says 10",)),
    ],
    ids=["swapped", "augmented", "weighted"],
)
def test_a_validation_row_that_is_not_as_stored_breaks_its_digest(dataset, tokenizer, change, also):
    """M23: validation is judged on the stored rows or not at all."""
    path, summary = dataset
    rewrite(path, "validation", change)

    findings = dataset_matches_schema(path, summary, tokenizer.joints)

    assert tuple(found for found in findings if "other words" not in found) == (
        *also,
        "validation: the stored rows do not have the digest that dataset.json gives them",
    )


def test_counts_of_another_dataset_do_not_match(dataset, tokenizer):
    path, summary = dataset
    other = copy.deepcopy(summary)
    other["splits"]["test"]["rows"] += 1

    assert dataset_matches_schema(path, other, tokenizer.joints) == ("test: 10 rows, dataset.json says 11",)


def test_a_validation_row_in_training_is_found(dataset):
    """M24."""
    path, _ = dataset

    def change(rows):
        rows[0] |= {"row_id": "ban-validation-10"}
        rows[1] |= {"row_id": rows[2]["row_id"]}
        return rows

    rewrite(path, "train", change)

    assert splits_share_no_rows(path) == ("2 row ids stand more than once, first 'ban-train-4' in train and train",)
