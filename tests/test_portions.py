"""Raw files that several workers read give the bytes of one worker, whatever is killed meanwhile."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from build_processes import built, bytes_of, descendants, ended, kill_worker, running, workers_among
from corpus_sources import HandMade, spec_of
from small_portions import BAD_LINES, PORTION_BYTES, SPEC, build, write_raw
from waiting import wait_until

from mw_pipeline.corpus.build import build_from
from mw_pipeline.corpus.pieces import READ
from mw_pipeline.corpus.waterfall import rows_are_conserved
from mw_pipeline.digest import sha256_file
from mw_pipeline.records.tables import ReadRequest
from mw_pipeline.sources.openaddresses import Openaddresses

SCRIPT = "small_portions.py"
QUARANTINE = "quarantine.parquet"


def quarantined(out: Path) -> list[tuple[str, int, str]]:
    """Id, line and reason of all that is in quarantine."""
    rows = pq.read_table(out / QUARANTINE).to_pylist()
    return [(row["source_id"], row["line"], row["reason"]) for row in rows]


def portions_read(folder: Path) -> int:
    return len(list((folder / "work" / READ).glob("*.json")))


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one worker leaves, with its work in progress."""
    folder = tmp_path_factory.mktemp("unbroken")
    build(folder, "1")
    return folder


def test_large_files_are_read_in_stretches_and_small_ones_together(unbroken: Path) -> None:
    request = ReadRequest(tuple(write_raw(unbroken / "raw")), "made", country="US", portion_bytes=PORTION_BYTES)

    asked = list(Openaddresses().portions(request))

    assert sum(len(portion) == 1 and portion[0].end is not None for portion in asked) > 5
    assert len(asked[-1]) == 13
    assert len(asked) == portions_read(unbroken)


def test_portions_leave_the_bytes_of_files_that_are_read_whole(unbroken: Path, tmp_path: Path) -> None:
    paths, out = sorted((unbroken / "raw").iterdir()), tmp_path / "whole"
    summary = build_from(SPEC, "made", Openaddresses(), paths, out, request="small")

    whole, cut = bytes_of(out), bytes_of(unbroken / "out")
    assert rows_are_conserved(summary.waterfall) == []
    assert {name for name in whole if whole[name] != cut[name]} <= {QUARANTINE}, "its order is that of what was read"
    assert sorted(quarantined(out)) == sorted(quarantined(unbroken / "out"))


def test_a_bad_line_in_the_middle_of_a_portion_is_quarantined_by_its_file_and_line(unbroken: Path) -> None:
    assert quarantined(unbroken / "out") == [
        (f"a.csv:{BAD_LINES[0]}", BAD_LINES[0], "ragged"),
        (f"a.csv:{BAD_LINES[1]}", BAD_LINES[1], "bad_quoting"),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["3", "ray:2"])
def test_any_number_of_workers_leaves_the_bytes_of_one(unbroken: Path, tmp_path: Path, workers: str) -> None:
    assert built(tmp_path, workers, SCRIPT) == bytes_of(unbroken / "out")


@pytest.mark.slow
def test_a_worker_that_is_killed_while_it_reads_costs_nothing(unbroken: Path, tmp_path: Path) -> None:
    with running(tmp_path, "2", SCRIPT) as process:
        wait_until(lambda: portions_read(tmp_path) >= 2)
        kill_worker(process, "2")
        ended(process)

    assert bytes_of(tmp_path / "out") == bytes_of(unbroken / "out")


@pytest.mark.slow
def test_a_build_that_is_killed_while_it_reads_goes_on_behind_the_portions_that_are_read(
    unbroken: Path, tmp_path: Path
) -> None:
    with running(tmp_path, "2", SCRIPT) as process:
        wait_until(lambda: portions_read(tmp_path) >= 3)
        below = descendants(process.pid)
        process.kill()
        process.wait()
    wait_until(lambda: not workers_among(below))
    read = {path: path.stat().st_mtime_ns for path in (tmp_path / "work" / READ).glob("*.json")}
    with running(tmp_path, "1", SCRIPT) as process:
        said = ended(process)

    assert 3 <= len(read) <= portions_read(unbroken)
    assert {path: path.stat().st_mtime_ns for path in read} == read
    assert f"made: read: {len(read)} portions are there already" in said
    assert bytes_of(tmp_path / "out") == bytes_of(unbroken / "out")


@pytest.mark.parametrize("name", ["00002.json", "00002.0.arrow", "00002.rejects"])
@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"{")])
def test_a_portion_that_is_damaged_is_read_again(
    unbroken: Path, tmp_path: Path, name: str, damage: Callable[[Path], object]
) -> None:
    shutil.copytree(unbroken / "work", tmp_path / "work")
    path = tmp_path / "work" / READ / name
    others = {file: file.stat().st_mtime_ns for file in path.parent.iterdir() if not file.name.startswith("00002")}
    whole = sha256_file(path)
    damage(path)

    build(tmp_path, "1")

    assert sha256_file(path) == whole
    assert {file: file.stat().st_mtime_ns for file in others} == others
    assert bytes_of(tmp_path / "out") == bytes_of(unbroken / "out")


def test_a_number_of_records_is_read_from_the_front_whatever_the_portions(unbroken: Path, tmp_path: Path) -> None:
    limited = SPEC.model_copy(
        update={"sources": {"made": SPEC.sources["made"].model_copy(update={"max_records": 6_000})}}
    )
    paths = sorted((unbroken / "raw").iterdir())

    summary = build_from(limited, "made", Openaddresses(), paths, tmp_path, portion_bytes=9)

    flow = summary.waterfall.records
    assert flow.read - flow.quarantined.total() == 6_000


def test_a_source_of_nothing_but_rejected_records_has_them_in_quarantine(tmp_path: Path) -> None:
    summary = build_from(spec_of(), "made", HandMade([], unreadable=2_500, unwanted=2), (), tmp_path)

    assert rows_are_conserved(summary.waterfall) == []
    assert (summary.waterfall.records.read, summary.counts["rows"]) == (2_502, 0)
    assert pq.read_table(tmp_path / QUARANTINE)["line"].to_pylist() == list(range(9_000, 11_500))
