"""Keys stand for the texts, families and streets of rows, shard by shard, and exclusions are found shard by shard."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from aligned_rows import aligned_row, keys_beside, shard, table_of
from hypothesis import given
from hypothesis import strategies as st

from mw_pipeline.corpus.exclusions import EXCLUSION_SCHEMA, Exclusions, write_excluded
from mw_pipeline.corpus.keys import KEY_SCHEMA, keys_match_rows, keys_of, keys_path, text_keys
from mw_pipeline.corpus.leaks import excluded_training_rows
from mw_pipeline.errors import ArtifactError
from mw_pipeline.records.text import hash64
from mw_pipeline.stages.corpus import key_files, shard_files
from mw_pipeline.store import Store


def row(number: int, *parts: tuple[str, str], **changes: str) -> dict:
    made = aligned_row(f"ban-{number}", list(parts))
    return {**made, "components": [part for part in parts if part[0]], **changes}


ROWS = [
    row(1, ("street", "Rue Haute"), ("", ", "), ("locality", "Lyon"), base_id="f"),
    row(2, ("region", "Vermont"), ("", ", "), ("country", "USA"), base_id="f"),
    row(3, ("intersection_a", "Elm St"), ("", " & "), ("intersection_b", "OAK ST."), base_id="g"),
    row(4, base_id="h"),
    row(5, ("street", "RUE-HAUTE"), ("", ", "), ("locality", "Lyon"), base_id="g"),
]


def keyed(rows: list[dict]) -> list[dict]:
    (batch,) = table_of(rows).to_batches()
    return keys_of(batch).to_pylist()


def test_keys_compare_as_what_they_stand_for():
    first, second, third, fourth, fifth = keyed(ROWS)

    assert first["family"] == second["family"] != third["family"] == fifth["family"]
    assert first["text"] == fifth["text"] and first["raw"] != fifth["raw"]
    assert [key["closed"] for key in (first, second, third, fourth)] == [False, True, False, False]
    assert first["streets"] == fifth["streets"] == text_keys(pa.array(["rue haute"])).to_pylist()
    assert third["streets"] == text_keys(pa.array(["elm st", "oak st"])).to_pylist()
    assert second["streets"] == fourth["streets"] == []
    assert first["raw"] == hash64(pa.array(["Rue Haute, Lyon"]))[0]


@given(st.lists(st.sampled_from(ROWS), max_size=9), st.integers(0, 4))
def test_keys_depend_on_their_row_alone(rows: list[dict], skip: int):
    batch = pa.RecordBatch.from_pylist(rows, schema=table_of([]).schema)

    assert keys_of(batch.slice(skip)).to_pylist() == [keyed([row])[0] for row in rows][skip:]
    assert keys_of(batch).schema.equals(KEY_SCHEMA)


def test_keys_of_other_rows_are_found(tmp_path: Path):
    shards = [shard(tmp_path / f"part-{number}.parquet", ROWS[number:]) for number in range(3)]
    keys = keys_beside(shards)
    assert keys_match_rows(shards, keys) == []

    shard(shards[1], [ROWS[0], *ROWS[2:]])
    assert keys_match_rows(shards, keys) == ["part-1.parquet: its keys are not those of its rows"]

    shard(shards[1], ROWS[2:])
    assert keys_match_rows(shards, keys) == ["part-1.parquet: its keys are not those of its rows"]
    assert keys_match_rows(shards[:2], keys)[-1] == ("3 files of keys lie beside 2 shards, expected one of each name")


@pytest.mark.parametrize("batch_rows", [1, 3, 100])
def test_the_excluded_rows_of_each_shard_are_read_alone(tmp_path: Path, batch_rows: int):
    counts = {("a", "part-0.parquet"): 3, ("a", "part-7.parquet"): 1, ("b", "part-0.parquet"): 5}
    rows = [
        {"row_id": f"{source}:{part}:{n}", "source": source, "part": part, "split": split, "reason": "gold"}
        for (source, part), count in counts.items()
        for n, split in enumerate(["train", "test"] * count)
    ]
    table = pa.Table.from_pylist(rows, schema=EXCLUSION_SCHEMA)

    write_excluded(tmp_path / "excluded.parquet", table.to_batches(max_chunksize=batch_rows))

    exclusions = Exclusions(tmp_path / "excluded.parquet")
    for (source, part), count in counts.items():
        found = exclusions.of(source, Path("anywhere", part)).to_pylist()
        assert found == [f"{source}:{part}:{n}" for n in range(2 * count)]
    assert exclusions.of("b", Path("part-7.parquet")).to_pylist() == []
    assert pq.read_table(tmp_path / "excluded.parquet").equals(table)
    assert Counter(excluded_training_rows(tmp_path / "excluded.parquet")) == {"a": 4, "b": 5}


def test_no_excluded_rows_are_an_empty_file(tmp_path: Path):
    write_excluded(tmp_path / "excluded.parquet", [])

    assert Exclusions(tmp_path / "excluded.parquet").of("a", Path("part-0.parquet")).to_pylist() == []
    assert excluded_training_rows(tmp_path / "excluded.parquet") == {}


def test_the_shards_of_an_artifact_and_their_keys_are_whole_and_in_one_order(tmp_path: Path):
    def make(out: Path) -> dict[str, int]:
        for folder in ("keys", "shards"):
            (out / folder).mkdir()
            for part in range(3):
                (out / folder / f"part-{part}.parquet").write_text(f"{folder} {part}")
        return {}

    artifact = Store(tmp_path / "store").build("corpus_shards", make=make).artifact

    assert [path.read_text() for path in shard_files(artifact)] == ["shards 0", "shards 1", "shards 2"]
    assert list(map(keys_path, shard_files(artifact))) == key_files(artifact)

    key_files(artifact)[1].write_text("other keys")
    with pytest.raises(ArtifactError, match=r"part-1\.parquet"):
        key_files(artifact)
