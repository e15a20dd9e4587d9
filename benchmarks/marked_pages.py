"""Pages of the docs of which a part, between two marks, is written by whoever measures it."""

from __future__ import annotations

from pathlib import Path

Marks = tuple[str, str]
"""The lines before and behind that part."""


def write_between(page: Path, marks: Marks, text: str) -> None:
    """Replaces what stands between the marks of a page. Raises ValueError when the page lacks them."""
    begin, end = marks
    before, found_begin, rest = page.read_text(encoding="utf-8").partition(begin)
    _, found_end, after = rest.partition(end)
    if not found_begin or not found_end:
        raise ValueError(f"{page}: has no {begin!r} followed by {end!r}. Put both where the tables shall stand.")
    page.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", encoding="utf-8")
