"""Tokenizing by whoever is at hand: the same bytes, whatever was killed, and nothing done twice that was done."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from build_processes import built, bytes_of, demand_ray, ended, kill_worker, receipts, running
from small_dataset import PIECE_ROWS, PIECES, build, prepare
from waiting import wait_until

from mw_pipeline.corpus.workers import WorkersLostError
from mw_pipeline.dataset.summary import read_dataset_json
from mw_pipeline.digest import sha256_file
from mw_pipeline.errors import CorpusError

ALL = sum(PIECES.values())
SCRIPT = "small_dataset.py"


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the shards, and the dataset of one process: read only."""
    folder = tmp_path_factory.mktemp("unbroken")
    prepare(folder)
    build(folder, "1")
    return folder


@pytest.fixture
def fresh(unbroken: Path, tmp_path: Path) -> Path:
    """A folder with the same shards, in which nothing is done."""
    shutil.copytree(unbroken / "raw", tmp_path / "raw")
    return tmp_path


@pytest.fixture
def done(unbroken: Path, fresh: Path) -> Path:
    """A folder in which all pieces are done and the dataset is gone."""
    shutil.copytree(unbroken / "work", fresh / "work")
    return fresh


def test_every_row_of_every_piece_is_in_the_dataset(unbroken: Path) -> None:
    assert read_dataset_json(unbroken / "out")["rows"] == ALL * PIECE_ROWS
    assert set(bytes_of(unbroken / "out")) == {"train.arrow", "validation.arrow", "test.arrow", "dataset.json"}


def test_pieces_that_have_a_receipt_are_not_done_again(
    unbroken: Path, done: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    times = {path: path.stat().st_mtime_ns for path in (done / "work").iterdir()}

    build(done, "1")

    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert capsys.readouterr().out == f"tokenizing: {ALL} of {ALL} pieces are there already\n"
    assert bytes_of(done / "out") == bytes_of(unbroken / "out")


@pytest.mark.parametrize("name", ["00003.json", "00003.arrow"])
@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"{")])
def test_a_damaged_piece_is_done_again(
    unbroken: Path, done: Path, name: str, damage: Callable[[Path], object], capsys: pytest.CaptureFixture[str]
) -> None:
    damage(done / "work" / name)

    build(done, "1")

    assert f"tokenized {PIECE_ROWS} rows (piece {ALL} of {ALL})" in capsys.readouterr().out
    assert sha256_file(done / "work" / name) == sha256_file(unbroken / "work" / name)
    assert bytes_of(done / "out") == bytes_of(unbroken / "out")


def test_a_build_that_cannot_end_leaves_no_work_and_lost_workers_and_disks_leave_it(
    done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(*piece: object) -> None:
        raise WorkersLostError("workers died")

    def does_not_answer(*piece: object) -> None:
        raise OSError(errno.EIO, "the disk did not answer")

    (done / "work" / "00002.json").unlink()
    with monkeypatch.context() as patch:
        patch.setattr("mw_pipeline.dataset.build.tokenize_piece", lose)
        with pytest.raises(WorkersLostError):
            build(done, "1")
    assert receipts(done) == ALL - 1
    with monkeypatch.context() as patch:
        patch.setattr("mw_pipeline.dataset.build.tokenize_piece", does_not_answer)
        with pytest.raises(OSError, match="the disk did not answer"):
            build(done, "1")
    assert receipts(done) == ALL - 1

    shutil.copyfile(done / "raw" / "tiger-0.parquet", done / "raw" / "ban-0.parquet")
    (done / "work" / "00003.json").unlink()
    with pytest.raises(CorpusError, match=r"ban-0\.parquet: column source holds \['tiger'\]"):
        build(done, "1")
    assert not (done / "work").exists()


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["2", "ray:2"])
def test_two_workers_leave_the_bytes_of_one(unbroken: Path, fresh: Path, workers: str) -> None:
    assert built(fresh, workers, SCRIPT) == bytes_of(unbroken / "out")


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_tokenizing_that_was_killed_loses_no_piece_that_was_done(unbroken: Path, fresh: Path, workers: str) -> None:
    for least in (1, ALL // 2):
        with running(fresh, workers, SCRIPT) as process:
            wait_until(lambda least=least: receipts(fresh) >= least)  # type: ignore[misc]
            process.kill()
            process.wait()
    there = receipts(fresh)
    with running(fresh, workers, SCRIPT) as process:
        said = ended(process)

    assert f"tokenizing: {there} of {ALL} pieces are there already" in said or there == ALL
    assert said.count("tokenized ") == ALL - there
    assert bytes_of(fresh / "out") == bytes_of(unbroken / "out")


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["2", "ray:2"])
def test_a_killed_worker_of_tokenizing_costs_a_piece_at_most(unbroken: Path, fresh: Path, workers: str) -> None:
    demand_ray(workers)
    with running(fresh, workers, SCRIPT) as process:
        wait_until(lambda: receipts(fresh) >= 2)
        kill_worker(process, workers)
        ended(process)

    assert bytes_of(fresh / "out") == bytes_of(unbroken / "out")
