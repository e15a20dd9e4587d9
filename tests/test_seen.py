from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mw_pipeline.corpus import seen


def marked(folder: Path, batches: list[list[int]]) -> list[list[bool]]:
    """Where each batch has a number for the first time, after it went through the files."""
    files = [folder / f"{number:05d}.hashes" for number in range(len(batches))]
    for path, batch in zip(files, batches, strict=True):
        seen.write_hashes(path, np.array(batch, np.uint64))
    seen.mark_repeats(files, folder / "repeats")
    return [seen.first_seen(folder / "repeats", f.stem, seen.rows_hashed(f)).tolist() for f in files]


def first_times(batches: list[list[int]]) -> list[list[bool]]:
    known, expected = set[int](), []
    for batch in batches:
        expected.append([value not in known and not known.add(value) for value in batch])  # type: ignore[func-returns-value]
    return expected


@pytest.mark.parametrize("partition", [500_000, 7, 1])
@given(st.lists(st.lists(st.integers(0, 30).map(lambda n: n * 2**59 + n // 3), max_size=20), max_size=12))
def test_a_hash_is_new_once(tmp_path_factory: pytest.TempPathFactory, partition: int, batches: list[list[int]]):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(seen, "PARTITION_HASHES", partition)
        patch.setattr(seen, "SPILLED_AT_ONCE", 2 * partition)

        assert marked(tmp_path_factory.mktemp("hashes"), batches) == first_times(batches)


def test_the_ends_of_the_hash_range_belong_to_a_partition(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(seen, "PARTITION_HASHES", 2)
    batches = [[0, 2**64 - 1, 2**63], [2**63 - 1, 2**63, 0], [2**64 - 1, 1]]

    assert marked(tmp_path, batches) == first_times(batches)


def test_what_a_kill_left_half_marked_is_marked_anew(tmp_path: Path):
    (tmp_path / ".repeats").mkdir()
    (tmp_path / ".repeats" / "00000").write_bytes(b"half")

    assert marked(tmp_path, [[1, 2], [2, 3]]) == [[True, True], [False, True]]


def test_each_file_is_read_once_whatever_their_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    opened: list[str] = []
    from_file = np.fromfile
    monkeypatch.setattr(seen, "PARTITION_HASHES", 2)
    monkeypatch.setattr(seen.np, "fromfile", lambda path, dtype: opened.append(path.suffix) or from_file(path, dtype))
    batches = [[number, number + 1] for number in range(200)]

    assert marked(tmp_path, batches) == first_times(batches)
    assert opened.count(".hashes") == 200
