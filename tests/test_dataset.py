"""Aligned rows to a tokenized dataset: nothing lost silently, nothing mislabelled, flat memory."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from aligned_rows import address, aligned_row, shard, small_tokenizer, table_of
from yardstick import in_yardsticks

from mw_pipeline.corpus.exclusions import nothing_excluded
from mw_pipeline.dataset.build import build_dataset, label_entropy
from mw_pipeline.dataset.summary import dropped_rows, labels_survive_tokenizing, read_dataset_json
from mw_pipeline.dataset.tokenized import TOKENIZED_SCHEMA, TokenizedDataset
from mw_pipeline.dataset.tokenizing import tokenize_rows
from mw_pipeline.errors import ArtifactError, CorpusError
from mw_pipeline.labels import STAGE2, STAGE3
from mw_pipeline.tokenizer import Pieces


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return small_tokenizer(tmp_path_factory.mktemp("tokenizer"))


def build(tmp_path, tokenizer, files, **options):
    return build_dataset(files, tokenizer, STAGE2, options.pop("max_length", 64), tmp_path, **options)


def two_sources(tmp_path, rows=100):
    """ban with two shards, tiger with one; every tenth row is for validation, every tenth plus one for testing."""

    def split(n):
        return {0: "validation", 1: "test"}.get(n % 10, "train")

    ban = [address(n, split=split(n)) for n in range(rows)]
    tiger = [address(n, source="tiger", split=split(n)) for n in range(rows // 2)]
    return {
        "tiger": [shard(tmp_path / "tiger.parquet", tiger)],
        "ban": [shard(tmp_path / "ban-0.parquet", ban[:30]), shard(tmp_path / "ban-1.parquet", ban[30:])],
    }


def decoded(tokenizer, ids, labels, raw):
    """tag → text, read back from one tokenized row."""
    pieces = tokenizer.encode([raw])
    assert pieces.ids.tolist() == ids
    found: dict[str, tuple[int, int]] = {}
    for label, start, end in zip(labels, pieces.starts.tolist(), pieces.ends.tolist(), strict=True):
        if label:
            tag = STAGE2.labels[label][2:]
            found[tag] = (found.get(tag, (start, end))[0], end)
    return {tag: raw[start:end] for tag, (start, end) in found.items()}


def test_a_row_reads_back_as_its_components(tokenizer):
    row = aligned_row("r", [("house_number", "12 bis"), ("", " "), ("street", "rue de la Paix"), ("", " 🏠")])
    table, losses = tokenize_rows(table_of([row]), tokenizer, STAGE2, 64)

    (found,) = table.to_pylist()
    assert table.schema.equals(TOKENIZED_SCHEMA)
    assert decoded(tokenizer, found["input_ids"], found["labels"], row["raw"]) == {
        "house_number": "12 bis",
        "street": "rue de la Paix",
    }
    assert losses.survival() == {
        "house_number": {"gold": 1, "survived": 1},
        "street": {"gold": 1, "survived": 1},
    }


def test_rows_that_cannot_be_used_are_counted_by_reason(tokenizer):
    overlapping = address(1) | {"row_id": "overlap", "span_starts": [0, 0, 1, 2]}
    outside = address(2) | {"row_id": "outside", "span_ends": [1, 2, 3, 900]}
    unpaired = address(3) | {"row_id": "unpaired", "span_ends": [1]}
    empty = aligned_row("empty", [])
    long = aligned_row("long", [("street", "xq " * 40)])
    kept = address(4)

    table, losses = tokenize_rows(table_of([overlapping, outside, kept, unpaired, empty, long]), tokenizer, STAGE2, 64)

    assert table.column("row_id").to_pylist() == [kept["row_id"]]
    assert losses.dropped == {"bad_spans": 3, "empty": 1, "too_long": 1}


def test_a_row_whose_value_ends_inside_a_word_is_left_out_and_counted(tokenizer):
    """M67: no decoder that knows words can find it, and a model that learns it learns half words."""
    half = aligned_row("half", [("venue", "MERIDIAN HAL"), ("", "LORAN"), ("", " "), ("street", "rue")])
    glued = aligned_row("glued", [("house_number", "12"), ("street", "rue")])
    other = aligned_row(
        "other", [("", "12"), ("unit", "bis"), ("", " "), ("street", "rue")]
    )  # no tag of stage 2 is cut
    whole = aligned_row("whole", [("venue", "MERIDIAN"), ("", " d'"), ("street", "Assas"), ("", ", "), ("unit", "5")])

    table, losses = tokenize_rows(table_of([half, glued, other, whole]), tokenizer, STAGE2, 64)

    assert table.column("row_id").to_pylist() == ["other", "whole"]
    assert losses.dropped == {"span_inside_word": 2}
    assert losses.survival() == {
        "house_number": {"gold": 1, "survived": 0},
        "street": {"gold": 4, "survived": 3},
        "venue": {"gold": 2, "survived": 1},
    }


def test_a_row_with_two_words_in_one_piece_is_left_out_and_counted(tmp_path):
    """M67: the piece `d'As` belongs to Assas, which begins in it, and to d, which ends in it."""
    row = aligned_row("r", [("", "d'"), ("street", "Assas")])

    class TwoInOne:
        def encode(self, texts):
            starts, ends = np.array([[0, 4], [4, 7]], dtype=np.int32)
            return Pieces(np.full(2, 2, dtype=np.int32), np.array([0, 2]), starts, ends)

        def words_of(self, pieces):
            return np.ones(len(pieces), dtype=np.int64)

    table, losses = tokenize_rows(table_of([row]), TwoInOne(), STAGE2, 64)

    assert table.num_rows == 0
    assert losses.dropped == {"piece_across_words": 1}
    assert losses.survival() == {"street": {"gold": 1, "survived": 0}}


def test_what_was_left_out_for_its_words_is_counted_even_when_that_is_nothing(tmp_path, tokenizer):
    files = two_sources(tmp_path)
    half = aligned_row("half", [("venue", "HAL"), ("", "LORAN")], source="tiger")
    with_half = {**files, "tiger": [*files["tiger"], shard(tmp_path / "half.parquet", [half])]}

    clean = dropped_rows(build(tmp_path, tokenizer, files))

    assert clean == {"span_inside_word": 0, "piece_across_words": 0}
    assert dropped_rows(build(tmp_path, tokenizer, with_half)) == clean | {"span_inside_word": 1}


def test_values_that_end_inside_words_are_a_finding(tmp_path, tokenizer):
    """M67. A clean dataset has none: `test_tokenized_addresses_survive`."""
    files = two_sources(tmp_path)
    halves = [aligned_row(f"half{n}", [("street", "rue HAL"), ("", "LORAN")], source="tiger") for n in range(3)]
    files["tiger"].append(shard(tmp_path / "half.parquet", halves))

    findings = labels_survive_tokenizing(build(tmp_path, tokenizer, files))

    assert findings == ("street: 150 of 153 spans survive (98.04%), expected at least 99.5%",)


def test_illegal_labels_drop_their_row(tokenizer, monkeypatch):
    """M31. Labels from spans are legal by construction, so the labeller itself is broken here."""
    monkeypatch.setattr(
        "mw_pipeline.dataset.tokenizing.labels_of",
        lambda texts, pieces, spans: np.full(len(pieces.ids), 2, dtype=np.uint8),
    )
    table, losses = tokenize_rows(table_of([address(1), address(2)]), tokenizer, STAGE2, 64)

    assert table.num_rows == 0
    assert losses.dropped == {"illegal_labels": 2}


def test_a_tag_of_another_stage_is_outside_in_this_one(tokenizer):
    rows = table_of([aligned_row("r", [("street", "rue"), ("", " "), ("unit", "Apt 5")])])

    stage2, losses2 = tokenize_rows(rows, tokenizer, STAGE2, 64)
    stage3, losses3 = tokenize_rows(rows, tokenizer, STAGE3, 64)

    assert max(stage2.column("labels")[0].as_py()) <= STAGE2.index("I-street")
    assert STAGE3.index("B-unit") in stage3.column("labels")[0].as_py()
    assert (set(losses2.gold), set(losses3.gold)) == ({"street"}, {"street", "unit"})


def test_a_table_without_rows_stays_without_rows(tokenizer):
    table, losses = tokenize_rows(table_of([]), tokenizer, STAGE2, 64)

    assert (table.num_rows, table.schema, losses.dropped) == (0, TOKENIZED_SCHEMA, {})


def test_sources_lie_side_by_side_in_the_order_asked_for(tmp_path, tokenizer):
    summary = build(tmp_path, tokenizer, two_sources(tmp_path))

    train = TokenizedDataset(tmp_path, "train")
    assert train.source_ranges == {"tiger": (0, 40), "ban": (40, 120)}
    assert summary["splits"]["train"]["sources"] == {"tiger": [0, 40], "ban": [40, 120]}
    assert [len(TokenizedDataset(tmp_path, split)) for split in ("validation", "test")] == [15, 15]
    ids = train.row_ids(np.arange(120))
    assert ids[:2] == ["tiger-train-2", "tiger-train-3"]
    assert ids[-1] == "ban-train-99"


def test_dataset_json_says_what_was_built(tmp_path, tokenizer):
    summary = build(tmp_path, tokenizer, two_sources(tmp_path))

    assert read_dataset_json(tmp_path) == summary
    assert (summary["labels"], summary["label_hash"]) == (list(STAGE2.labels), STAGE2.hash)
    assert (summary["tokenizer_sha256"], summary["vocab_size"]) == (tokenizer.sha256, 420)
    train = TokenizedDataset(tmp_path, "train")
    everything = train.rows(np.arange(len(train)))
    assert sum(summary["label_counts"].values()) == len(everything.ids) == summary["splits"]["train"]["pieces"]
    assert list(summary["label_counts"].values()) == np.bincount(everything.labels, minlength=21).tolist()
    assert summary["label_counts_by_source"]["tiger"] == (
        np.bincount(train.rows(np.arange(40)).labels, minlength=21).tolist()
    )
    assert summary["splits"]["train"]["longest"] == train.lengths_of(np.arange(len(train))).max()


def test_every_row_is_kept_or_counted(tmp_path, tokenizer):
    files = two_sources(tmp_path)
    files["tiger"].append(shard(tmp_path / "long.parquet", [aligned_row("l", [("", "é " * 99)], source="tiger")] * 3))

    said: list[str] = []
    summary = build(tmp_path, tokenizer, files, progress=said.append)

    assert said[-1] == "tokenized 153 rows (piece 4 of 4)"
    assert summary["rows"] + 3 == 153
    assert summary["dropped"] == {"tiger": {"too_long": 3}, "ban": {}}


def test_excluded_rows_are_dropped_and_counted(tmp_path, tokenizer):
    """M21: gold, and training repeats of held-out rows, are kept out by id."""
    excluded = pa.array(["ban-train-2", "tiger-validation-10", "nobody"])
    summary = build(tmp_path, tokenizer, two_sources(tmp_path), excluded=lambda source, shard: excluded)

    ids = {i for split in ("train", "validation") for i in row_ids(TokenizedDataset(tmp_path, split))}
    assert not ids & set(excluded.to_pylist())
    assert summary["dropped"] == {"tiger": {"excluded": 1}, "ban": {"excluded": 1}}
    assert summary["rows"] == 148


def row_ids(dataset):
    return dataset.row_ids(np.arange(len(dataset)))


def test_nothing_excluded_is_nothing_counted(tmp_path, tokenizer):
    summary = build(tmp_path, tokenizer, two_sources(tmp_path), excluded=nothing_excluded)

    assert summary["dropped"] == {"tiger": {}, "ban": {}}


def test_the_digest_is_of_rows_and_not_of_how_they_were_cut(tmp_path, tokenizer):
    """M23: the validation rows of every run are these, by digest."""
    files = two_sources(tmp_path)
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
    first = build(tmp_path / "one", tokenizer, files)
    rows = [address(n, split={0: "validation", 1: "test"}.get(n % 10, "train")) for n in range(100)]
    whole = build(tmp_path / "two", tokenizer, {**files, "ban": [shard(tmp_path / "ban.parquet", rows)]})
    rows[10] = address(11, split="validation")
    changed = build(tmp_path / "three", tokenizer, {**files, "ban": [shard(tmp_path / "ban.parquet", rows)]})

    digests = [s["splits"]["validation"]["digest"] for s in (first, whole, changed)]
    assert digests[0] == digests[1] != digests[2]
    assert TokenizedDataset(tmp_path / "one", "validation").digest() == digests[0]
    assert first["splits"]["train"]["digest"] == changed["splits"]["train"]["digest"]


def test_large_splits_are_cut_into_batches_and_read_back_whole(tmp_path, tokenizer, monkeypatch):
    monkeypatch.setattr("mw_pipeline.dataset.tokenized.BATCH_ROWS", 7)
    monkeypatch.setattr("mw_pipeline.dataset.pieces.BATCH_ROWS", 11)
    files = two_sources(tmp_path)
    build(tmp_path, tokenizer, files)

    train = TokenizedDataset(tmp_path, "train")
    assert max(batch.num_rows for batch in train.record_batches()) == 7
    rng = np.random.default_rng(0)
    picks = rng.integers(0, len(train), 50)
    found = train.rows(picks)
    everything = pa.Table.from_batches(train.record_batches()).to_pylist()
    for k, pick in enumerate(picks):
        here = slice(found.offsets[k], found.offsets[k + 1])
        assert found.ids[here].tolist() == everything[pick]["input_ids"]
        assert found.labels[here].tolist() == everything[pick]["labels"]
    assert train.lengths_of(np.arange(len(train))).tolist() == [len(row["labels"]) for row in everything]
    assert train.row_ids(picks) == [everything[pick]["row_id"] for pick in picks]
    assert len(train.rows(np.empty(0, dtype=np.int64))) == 0


def test_a_source_whose_rows_are_all_dropped_keeps_an_empty_range(tmp_path, tokenizer):
    files = two_sources(tmp_path)
    files["nad"] = [shard(tmp_path / "nad.parquet", [aligned_row("n", [], source="nad")])]
    summary = build(tmp_path, tokenizer, files)

    assert summary["splits"]["train"]["sources"]["nad"] == [120, 120]
    assert summary["dropped"]["nad"] == {"empty": 1}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"source": "nad"},
            r"ban-1\.parquet: column source holds \['nad'\], expected ban\. Rebuild the corpus shard\.",
        ),
        ({"split": "dev"}, r"column split holds \['dev'\], expected train or validation or test"),
    ],
)
def test_a_shard_with_rows_of_something_else_is_refused(tmp_path, tokenizer, change, message):
    files = two_sources(tmp_path)
    shard(tmp_path / "ban-1.parquet", [address(1), address(2) | change])

    with pytest.raises(CorpusError, match=message):
        build(tmp_path, tokenizer, files)


def test_an_empty_validation_split_is_refused(tmp_path, tokenizer):
    with pytest.raises(CorpusError, match="split 'validation' has no row after tokenizing, expected at least one"):
        build(tmp_path, tokenizer, {"ban": [shard(tmp_path / "ban.parquet", [address(1)])]})


def test_a_corpus_may_have_no_test_rows(tmp_path, tokenizer):
    summary = build(
        tmp_path, tokenizer, {"ban": [shard(tmp_path / "b.parquet", [address(1), address(2, split="validation")])]}
    )

    assert summary["splits"]["test"]["rows"] == 0
    assert len(TokenizedDataset(tmp_path, "test")) == 0


def test_survival_of_a_tag_below_the_line_is_a_finding():
    summary = {
        "survival": {"street": {"gold": 1000, "survived": 995}, "venue": {"gold": 1000, "survived": 994}},
        "dropped": {"ban": {"too_long": 3}},
    }

    assert labels_survive_tokenizing(summary) == ("venue: 994 of 1000 spans survive (99.40%), expected at least 99.5%",)


def test_nothing_labelled_is_a_finding():
    assert labels_survive_tokenizing({"survival": {}, "dropped": {}}) == (
        "no gold span was counted: nothing is labelled",
    )


def test_illegal_labels_are_a_finding():
    """M31."""
    summary = {"survival": {"street": {"gold": 1, "survived": 1}}, "dropped": {"ban": {"illegal_labels": 2}, "nad": {}}}

    assert labels_survive_tokenizing(summary) == ("2 rows have labels that the transition mask forbids",)


def test_tokenized_addresses_survive(tmp_path, tokenizer):
    assert labels_survive_tokenizing(build(tmp_path, tokenizer, two_sources(tmp_path))) == ()


@pytest.mark.parametrize(
    ("counts", "nats"),
    [([1, 1], math.log(2)), ([5, 0, 0], 0.0), ([2, 1, 1], 1.5 * math.log(2)), ([0, 0], 0.0)],
)
def test_label_entropy_is_in_nats(counts, nats):
    assert label_entropy(counts) == pytest.approx(nats)


def test_a_folder_without_dataset_json_is_named(tmp_path):
    with pytest.raises(CorpusError, match=r"no readable dataset\.json .*Point at the folder that build_dataset wrote"):
        read_dataset_json(tmp_path)


def test_a_missing_split_is_named(tmp_path):
    with pytest.raises(ArtifactError, match=r"train\.arrow: no readable split of a tokenized dataset"):
        TokenizedDataset(tmp_path, "train")


def test_a_truncated_split_is_refused(tmp_path, tokenizer):
    build(tmp_path, tokenizer, two_sources(tmp_path))
    path = tmp_path / "train.arrow"
    path.write_bytes(path.read_bytes()[:-100])

    with pytest.raises(ArtifactError, match="no readable split of a tokenized dataset"):
        TokenizedDataset(tmp_path, "train")


def test_a_split_with_other_columns_is_refused(tmp_path):
    table = pa.table({"ids": [[1]]})
    with pa.ipc.new_file(tmp_path / "train.arrow", table.schema) as sink:
        sink.write_table(table)

    with pytest.raises(
        ArtifactError,
        match=r"its columns are \['ids'\], expected row_id, source, place, words, input_ids, "
        "labels and kinds",
    ):
        TokenizedDataset(tmp_path, "train")


@pytest.mark.slow
def test_tokenizing_keeps_up_with_the_corpus(tmp_path, tokenizer):
    rows = table_of([address(n) for n in range(2000)])
    table = pa.concat_tables([rows] * 30).combine_chunks()
    tokenize_rows(rows, tokenizer, STAGE2, 64)

    assert in_yardsticks(lambda: tokenize_rows(table, tokenizer, STAGE2, 64)) < 60  # a third of that when written
