"""The tokenizer's sample: training rows only, every script heard, the same texts every time."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from aligned_rows import address, shard
from hypothesis import given
from hypothesis import strategies as st

from mw_pipeline.dataset.text_sample import root_quotas, sample_texts
from mw_pipeline.errors import CorpusError


def texts_of(path, source, texts, split="train"):
    rows = [
        address(n, source=source, split=split) | {"raw": text, "row_id": f"{source}-{n}"}
        for n, text in enumerate(texts)
    ]
    return shard(path / f"{source}-{split}.parquet", rows)


@pytest.fixture
def files(tmp_path):
    return {
        "ban": [
            texts_of(tmp_path, "ban", [f"{n} rue Haute" for n in range(4000)]),
            texts_of(tmp_path, "ban", [f"held out {n}" for n in range(50)], split="validation"),
        ],
        "names": [
            texts_of(tmp_path, "names", ["東京"] * 90 + ["Москва 1"] * 10 + [f"{n} Main St" for n in range(900)])
        ],
    }


def test_held_out_rows_are_not_sampled(files):
    assert not any("held out" in text for text in sample_texts(files, rows=10_000, seed=0))


def test_excluded_rows_are_not_sampled(files, tmp_path):
    left_out = tmp_path / "excluded.parquet"
    pq.write_table(pa.table({"row_id": [f"ban-{n}" for n in range(3990)]}), left_out)

    texts = sample_texts(files, rows=10_000, seed=0, exclusions=left_out)

    assert len(texts) == 1010
    assert "3989 rue Haute" not in texts
    assert "3990 rue Haute" in texts


def test_everything_is_taken_when_there_is_less_than_asked_for(files):
    assert len(sample_texts(files, rows=10_000, seed=0)) == 5000


def test_a_small_script_is_not_crowded_out(files):
    texts = sample_texts(files, rows=500, seed=0)

    assert len(texts) == 500
    assert texts.count("Москва 1") == 10, "10 rows have a claim on 500·√10/Σ√ = 14"
    assert 40 < texts.count("東京") < 50, "√90 of √4000 + √900 + √90 + √10 is 9 %"


def test_the_sample_depends_on_the_seed_and_not_on_the_order_of_files(files):
    turned = {name: files[name][::-1] for name in reversed(files)}

    assert sample_texts(turned, rows=300, seed=1) == sample_texts(files, rows=300, seed=1)
    assert sample_texts(files, rows=300, seed=2) != sample_texts(files, rows=300, seed=1)


def test_a_path_with_a_quote_is_read(tmp_path):
    folder = tmp_path / "o'brien"
    folder.mkdir()

    assert sample_texts({"ban": [texts_of(folder, "ban", ["12 rue"])]}, rows=5, seed=0) == ["12 rue"]


def test_a_corpus_without_training_rows_is_refused(tmp_path):
    with pytest.raises(CorpusError, match="no row of the train split in the shards of ban, expected at least one"):
        sample_texts({"ban": [texts_of(tmp_path, "ban", ["x"], split="validation")]}, rows=5, seed=0)


@given(
    st.dictionaries(st.tuples(st.text(max_size=3), st.text(max_size=3)), st.integers(1, 10**9), min_size=1, max_size=9),
    st.integers(0, 10**6),
)
def test_quotas_fill_the_sample_and_never_exceed_a_group(counts, total):
    quotas = root_quotas(counts, total)

    assert all(0 <= quotas[group] <= count for group, count in counts.items())
    assert abs(sum(quotas.values()) - min(total, sum(counts.values()))) <= len(counts)


def test_quotas_follow_the_square_root():
    assert root_quotas({("a", ""): 10_000, ("b", ""): 40_000}, 300) == {("a", ""): 100, ("b", ""): 200}
    assert root_quotas({("a", ""): 9, ("b", ""): 40_000}, 300) == {("a", ""): 4, ("b", ""): 296}
