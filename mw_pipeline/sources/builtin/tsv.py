"""Rows of the packaged TSV tables."""

from __future__ import annotations

import csv
import functools
import io
from collections.abc import Mapping

from mw_pipeline.sources.builtin.grammar import read_table


@functools.cache
def rows_of(table: str) -> tuple[Mapping[str, str], ...]:
    """The rows of a packaged TSV table by column name."""
    return tuple(csv.DictReader(io.StringIO(read_table(table)), delimiter="\t", quoting=csv.QUOTE_NONE))
