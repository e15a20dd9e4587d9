"""Files of JSON lines: whole lines after a kill at any byte, and the loss is said."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from killed import killed_at_every_file_operation

from mw_pipeline.json_lines import append_line, mend, replace_lines, sync, whole_lines

ROWS = [{"name": "Ménière", "at": 1}, {"name": "鹿児島", "at": 2}]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "log.jsonl"
    for row in ROWS:
        append_line(path, row)
    return path


def read(path: Path) -> list[object]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_kill_at_any_byte_of_an_append_costs_that_line_and_no_other(path: Path) -> None:
    # M80, in the midst of a character too
    content = path.read_bytes()
    first = content.index(b"\n") + 1
    for size in range(first, len(content) + 1):
        path.write_bytes(content[:size])
        whole = size >= len(content) - 1  # all but the line's end
        torn = size > first and not whole

        lines, said = whole_lines(path)
        note = mend(path)
        append_line(path, {"at": 3})

        assert note == said == (torn_note(size - first) if torn else None)
        assert read(path) == [*ROWS[: 1 + whole], {"at": 3}]
        assert len(lines) == 1 + whole


def torn_note(count: int) -> str:
    return f"log.jsonl: the last line was cut short after {count} bytes and was dropped"


def test_a_whole_file_is_left_as_it_is_and_nothing_is_said(path: Path) -> None:
    before, times = path.read_bytes(), path.stat().st_mtime_ns

    assert mend(path) is None and whole_lines(path)[1] is None
    assert path.read_bytes() == before and path.stat().st_mtime_ns == times


def test_a_file_that_is_not_there_or_empty_has_nothing_torn(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"

    assert mend(path) is None and whole_lines(path) == ([], None) and not path.exists()
    path.touch()
    assert mend(path) is None and whole_lines(path) == ([], None) and path.read_bytes() == b""


@given(st.binary(max_size=40).filter(lambda tail: b"\n" not in tail))
def test_whatever_a_crash_left_after_the_last_line_the_lines_before_it_stay(tail: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.jsonl"
        path.write_bytes(b'{"at": 1}\n' + tail)

        mend(path)
        append_line(path, {"at": 2})

        assert read(path)[0] == {"at": 1} and read(path)[-1] == {"at": 2}


def replace(folder: Path) -> None:
    replace_lines(folder / "log.jsonl", [{"at": 7}])


def test_a_kill_at_any_moment_of_a_replacement_leaves_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    found = []
    for folder in killed_at_every_file_operation(replace, start=lambda number: started(tmp_path / str(number))):
        found.append(read(folder / "log.jsonl"))
        replace(folder)

        assert read(folder / "log.jsonl") == [{"at": 7}]
        assert [file.name for file in folder.iterdir()] == ["log.jsonl"]
    assert found[0] == ROWS and found[-1] == [{"at": 7}] and all(rows in (ROWS, [{"at": 7}]) for rows in found)


def started(folder: Path) -> Path:
    folder.mkdir()
    for row in ROWS:
        append_line(folder / "log.jsonl", row)
    return folder


def test_lines_and_the_names_of_their_files_are_on_the_disk_after_a_sync(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No test can cut the power: it can see what is asked of the disk.
    synced = traced(monkeypatch)

    sync(path, path.with_name("absent.jsonl"))
    assert synced == [path.stat().st_ino, path.parent.stat().st_ino]

    synced.clear()
    replace_lines(path, ROWS)
    assert synced == [path.stat().st_ino, path.parent.stat().st_ino]

    synced.clear()
    with path.open("a") as stream:
        stream.write('{"at')
    mend(path)
    assert synced == [path.stat().st_ino]


def traced(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The inodes of the files and folders that are brought to the disk, in order."""
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda number: synced.append(os.fstat(number).st_ino))
    return synced
