"""Gold as the JavaScript client hands it to the network, with its values where they were: what its users get."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from mw_pipeline.client.recasing import recased
from mw_pipeline.golden.gold import GoldenSet
from mw_pipeline.golden.reach import spans_in
from mw_pipeline.golden.rows import GoldenRow


def as_client_reads(golden: GoldenSet) -> GoldenSet:
    """All rows, those of one case written anew as the client writes them."""
    return GoldenSet(tuple(_recased_row(row, recased) for row in golden.rows), golden.tags)


def typed_in_one_case(golden: GoldenSet) -> GoldenSet:
    """The rows of ASCII alone, as the client reads them after someone typed them in capitals, or in small letters."""
    ascii_rows = (row for row in golden.rows if row.raw.isascii())
    return GoldenSet(tuple(_recased_row(row, lambda text: recased(text.upper())) for row in ascii_rows), golden.tags)


def _recased_row(row: GoldenRow, recase: Callable[[str], str]) -> GoldenRow:
    """The row with another case. A value that has no place in the text, which nobody can score, stays as it is."""
    raw = recase(row.raw)
    spans = spans_in(row.raw, row.components) or {}
    values = {tag: raw[start:end] for tag, (start, end) in spans.items()}
    return replace(row, raw=raw, components={**row.components, **values})
