"""Cells and their scores: the share of a cell's rows that are right whole, with its interval. Pure functions."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from mw_pipeline.digest import JSON
from mw_pipeline.errors import ArtifactError, CorpusError
from mw_pipeline.metrics.matching import match_policy
from mw_pipeline.metrics.scores import Components, is_present

ROWS_PER_CELL = 40
"""The fewest rows that a cell says anything on."""
Normal = Callable[[str], str]
Verdict = Literal["seen", "blind", "too few"]

# The 0.975 quantile of the normal distribution.
_Z = 1.959963984540054


@dataclass(frozen=True, order=True)
class CellKey:
    """What all rows of a cell share: a family of properties, and one value of it, or one of each of its two axes."""

    family: str
    values: tuple[str, ...]

    @property
    def name(self) -> str:
        """As a person says it: `region name: Vermont`, `subset × order: street, region × postcode first`."""
        return f"{self.family}: {' × '.join(self.values)}"


@dataclass(frozen=True)
class MatrixRow:
    """An address with its right answer, and the cells that it counts in."""

    raw: str
    components: Components
    keys: tuple[CellKey, ...]


@dataclass(frozen=True)
class Miss:
    """One row that was not read whole."""

    raw: str
    expected: Components
    read: Components


@dataclass(frozen=True)
class Cell:
    """How many rows of a cell were right whole. `low` and `high` bound the share, 95 % (Wilson); None without rows."""

    key: CellKey
    rows: int
    right: int
    low: float | None
    high: float | None
    verdict: Verdict
    miss: Miss | None = None

    @property
    def score(self) -> float | None:
        """The share of its rows that are right whole."""
        return self.right / self.rows if self.rows else None

    def sentence(self) -> str:
        """The cell for a person: its name, its score and the interval."""
        if self.low is None or self.high is None:
            return f"{self.key.name} has no row"
        interval = f"{self.low:.3f} to {self.high:.3f}"
        return f"{self.key.name} is right on {self.right} of {self.rows} rows ({interval})"

    def as_json(self) -> JSON:
        """All of it as JSON."""
        miss = self.miss and {"raw": self.miss.raw, "expected": dict(self.miss.expected), "read": dict(self.miss.read)}
        return {
            "family": self.key.family,
            "values": list(self.key.values),
            "rows": self.rows,
            "right": self.right,
            "score": self.score,
            "low": self.low,
            "high": self.high,
            "verdict": self.verdict,
            "miss": miss,
        }

    @classmethod
    def from_json(cls, value: JSON, *, min_cell: float) -> Cell:
        """The cell whose counts `as_json` wrote; interval and verdict follow from these and `min_cell` alone.

        Raises ArtifactError for counts that no rows have."""
        key = CellKey(value["family"], tuple(value["values"]))
        miss = None if value["miss"] is None else Miss(**value["miss"])
        rows, right = value["rows"], value["right"]
        if not 0 <= right <= rows:
            raise ArtifactError(
                f"cell {key.name!r} of a capability matrix: right on {right!r} of {rows!r} rows, expected no more than "
                "there are. Materialize capability_matrix again."
            )
        return cell_of(key, right=right, rows=rows, min_cell=min_cell, miss=miss)


def wilson(right: int, rows: int) -> tuple[float, float]:
    """The 95 % interval of a share of which `right` of `rows` are seen (Wilson 1927). `rows` is above 0."""
    share, weight = right / rows, _Z**2 / rows
    centre = (share + weight / 2) / (1 + weight)
    half = _Z / (1 + weight) * math.sqrt(share * (1 - share) / rows + weight / (4 * rows))
    return max(0.0, centre - half), min(1.0, centre + half)


def cell_of(key: CellKey, *, right: int, rows: int, min_cell: float, miss: Miss | None = None) -> Cell:
    """A cell with its verdict: blind when even the upper end of its interval lies below `min_cell`."""
    if not rows:
        return Cell(key, 0, 0, None, None, "too few")
    low, high = wilson(right, rows)
    verdict: Verdict = "too few" if rows < ROWS_PER_CELL else "blind" if high < min_cell else "seen"
    return Cell(key, rows, right, low, high, verdict, miss)


def score_cells(
    rows: Sequence[MatrixRow],
    read: Sequence[Components],
    *,
    tags: Sequence[str],
    min_cell: float,
    policy: str,
    keys: Sequence[CellKey] = (),
) -> tuple[Cell, ...]:
    """Every cell of the rows, in the order in which it is met, and those of `keys` that no row is left of.

    `read` has one answer per row; it is right whole when every tag of `tags` is equal under the policy, or absent on
    both sides. A cell keeps its first miss. Raises CorpusError when there are more or fewer answers than rows."""
    if len(rows) != len(read):
        raise CorpusError(f"{len(read)} answers to {len(rows)} rows: expected one for each. Parse every row once.")
    normal = match_policy(policy)
    counts: dict[CellKey, list[int]] = defaultdict(lambda: [0, 0])
    misses: dict[CellKey, Miss] = {}
    for key in keys:
        counts[key] = [0, 0]
    for row, found in zip(rows, read, strict=True):
        is_right = _values(row.components, tags, normal) == _values(found, tags, normal)
        for key in row.keys:
            counts[key][0] += is_right
            counts[key][1] += 1
            if not is_right:
                misses.setdefault(key, Miss(row.raw, row.components, found))
    return tuple(
        cell_of(key, right=right, rows=total, min_cell=min_cell, miss=misses.get(key))
        for key, (right, total) in counts.items()
    )


def _values(components: Components, tags: Sequence[str], normal: Normal) -> Mapping[str, str]:
    return {tag: normal(components[tag]) for tag in tags if is_present(components, tag)}
