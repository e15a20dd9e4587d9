"""Files of JSON lines that grow while a process works: whole lines, and an end that a kill may have torn (M80).

A kill, a full disk or a power cut leaves at most one line that is not whole, the last: it is cut off before anything is
added, else the next line would be glued to it, and the file would be damaged in its midst.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from mw_pipeline.digest import JSON, json_value, sync_folder


def append_line(path: Path, value: Mapping[str, JSON]) -> None:
    """Adds one line; it has reached the kernel, not the disk, when this returns. NaN and infinity stay what they are.

    `mend` the file first where another process may have died while it wrote."""
    with path.open("a", encoding="utf-8") as stream:
        stream.write(_line(value))


def replace_lines(path: Path, values: Iterable[Mapping[str, JSON]]) -> None:
    """Makes a file of these lines: after a kill or a power cut at any moment it is the old one or the new, whole."""
    draft = path.with_name(f".{path.name}.new")
    with draft.open("w", encoding="utf-8") as stream:
        stream.writelines(_line(value) for value in values)
        stream.flush()
        os.fsync(stream.fileno())
    draft.replace(path)
    sync_folder(path.parent)


def sync(*paths: Path) -> None:
    """Returns when every line of these files, as far as they exist, is on the disk."""
    there = [path for path in paths if path.exists()]
    for path in there:
        with path.open("rb") as stream:
            os.fsync(stream.fileno())
    for folder in {path.parent for path in there}:
        sync_folder(folder)


def whole_lines(path: Path) -> tuple[list[bytes], str | None]:
    """All lines of a file but a torn one at its end, and the sentence that says so; none where there is no file."""
    lines, torn = _split(path)
    return lines, _said(path, torn) if torn else None


def mend(path: Path) -> str | None:
    """Cuts a torn last line off, on the disk too, and returns the sentence that says so; None when all is whole.

    A line that lacks nothing but its end gets it."""
    lines, torn = _split(path)
    size = sum(len(line) + 1 for line in lines)
    if not torn and (not lines or path.stat().st_size == size):
        return None
    with path.open("r+b") as stream:
        if torn:
            stream.truncate(size)
        else:
            stream.seek(0, os.SEEK_END)
            stream.write(b"\n")
        stream.flush()
        os.fsync(stream.fileno())
    return _said(path, torn) if torn else None


def _split(path: Path) -> tuple[list[bytes], bytes]:
    """(whole lines, what a kill left of the one after them). A line is whole when it ends, or is an object to its last
    bracket: half of one never is."""
    if not path.is_file():
        return [], b""
    *lines, last = path.read_bytes().split(b"\n")
    return ([*lines, last], b"") if _is_object(last) else (lines, last)


def _said(path: Path, torn: bytes) -> str:
    return f"{path.name}: the last line was cut short after {len(torn)} bytes and was dropped"


def _line(value: Mapping[str, JSON]) -> str:
    return json.dumps(value, ensure_ascii=False) + "\n"


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json_value(line), dict)
    except ValueError:
        return False
