"""Addresses that are to be asked, and how they are written: by the composition that training rows are written with."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mw_pipeline.capability.cells import CellKey, MatrixRow
from mw_pipeline.capability.orders import PLAIN, Order, Style
from mw_pipeline.capability.stock import Values
from mw_pipeline.corpus.compose import Draft, native_draft
from mw_pipeline.corpus.conventions import separators
from mw_pipeline.corpus.lines import write_lines

_COMMA, _SPACE = ", ", " "


@dataclass(frozen=True)
class Address:
    """One address: its components, how it is written, the cell that it was made for, and the others it counts in.

    order     None where its script decides
    crossing  index of what stands between crossing streets, in the table of the country
    """

    values: Values
    key: CellKey
    order: Order | None = None
    style: Style = PLAIN
    also: tuple[CellKey, ...] = ()
    crossing: int = 0


def write_rows(country: str, addresses: Sequence[Address]) -> list[MatrixRow]:
    """The rows of some addresses of a country, in their order."""
    if not addresses:
        return []
    lines = write_lines(_draft(country, addresses))
    return [
        MatrixRow(raw, dict(components), (one.key, *one.also))
        for raw, components, one in zip(lines.raw.to_pylist(), lines.components().to_pylist(), addresses, strict=True)
    ]


def _draft(country: str, addresses: Sequence[Address]) -> Draft:
    """The addresses as a draft of the composition: native where nothing else is asked, without drawing anything."""
    tags = list(dict.fromkeys(tag for address in addresses for tag in address.values))
    columns = {tag: _column(tag, addresses) for tag in tags}
    draft = native_draft(country, columns, np.random.default_rng(0))
    comma, space = _index_of(_COMMA), _index_of(_SPACE)
    between = [comma if address.style.commas else space for address in addresses]
    order, block = draft.order.copy(), draft.block.copy()
    for row, address in enumerate(addresses):
        if address.order is not None:
            order[row], block[row] = _columns(address.order)
        else:
            between[row] = int(draft.between[row])
    crossing = np.array([address.crossing for address in addresses], np.int64)
    return replace(draft, order=order, block=block, between=np.array(between, np.int64), crossing=crossing)


@functools.cache
def _columns(order: Order) -> npt.NDArray[np.int64]:
    """(2, positions): tags and blocks of an order; there are a few dozen orders."""
    return np.array(order).T


def _column(tag: str, addresses: Sequence[Address]) -> pa.StringArray:
    """(N,): one component as it is written, "" where an address has none."""
    return pa.array([one.style.written(one.values[tag]) if tag in one.values else "" for one in addresses], pa.string())


def _index_of(separator: str) -> int:
    return int(separators()[0].texts.to_pylist().index(separator))


def distinct(rows: Iterable[MatrixRow]) -> Iterator[MatrixRow]:
    """The rows whose text has not stood before in the cell that they were made for."""
    seen: set[tuple[CellKey, str]] = set()
    for row in rows:
        mark = (row.keys[0], row.raw)
        if mark not in seen:
            seen.add(mark)
            yield row
