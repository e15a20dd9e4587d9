"""How many rows of each country an augmentation has changed, counted in the rows themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mw_pipeline.corpus.augment import METHODS
from mw_pipeline.corpus.census import query, rows_in
from mw_pipeline.corpus.conventions import crossing_leads, directions, postcode_joints
from mw_pipeline.corpus.phrases import people, phrases

MIN_COUNTRY_SHARE = 0.05
"""A country with fewer of the corpus's rows is there for its names: its towns have no streets to abbreviate."""
MIN_EXPECTED_ROWS = 50
"""Where the dose would change fewer rows than these, none at all may be chance."""

# Habits of some countries alone; where a country's conventions do not have one, its rows are right to lack it.
_HABITS: Mapping[str, Callable[[str], object | None]] = {
    "cedex": lambda country: phrases(country, "cedex"),
    "corner": crossing_leads,
    "direction": directions,
    "person": people,
    "po_box": lambda country: phrases(country, "po_box"),
    "unit": lambda country: phrases(country, "unit"),
    "zip4": postcode_joints,
}


@dataclass(frozen=True)
class Applied:
    """One augmentation in one country: rows that it changed, of `rows` among which `dose` were to be changed."""

    country: str
    method: str
    dose: float
    rows: int
    changed: int

    @property
    def is_missing(self) -> bool:
        """Whether it changed nothing where it should have changed something."""
        return self.changed == 0 and self.dose * self.rows >= MIN_EXPECTED_ROWS


def applied_methods(files: Sequence[Path], doses: Mapping[str, float]) -> list[Applied]:
    """Every dosed augmentation in every country that the corpus is about and that has the habit, by country."""
    table = rows_in(files)
    rows = dict(query(f"select country, count(*) from {table} group by all order by 2 desc, 1"))
    named = f"select country, unnest(string_split(method, '+')) as name from {table} where method is not null"
    changed = query(f"select country, name, count(*) from ({named}) group by all")
    counts = {(country, name): count for country, name, count in changed}
    total = sum(rows.values())
    return [
        Applied(country, name, doses[name], count, counts.get((country, name), 0))
        for country, count in rows.items()
        if count >= MIN_COUNTRY_SHARE * total
        for name in METHODS
        if doses.get(name) and _has_habit(country, name)
    ]


def methods_apply(applied: Sequence[Applied]) -> list[str]:
    """Findings: augmentations that the corpus asks for and that changed no row of a whole country (M76)."""
    return [
        f"{found.method}: changed none of the {found.rows:,} rows of {found.country}, "
        f"where its dose of {found.dose:g} asks for {found.dose * found.rows:,.0f}"
        for found in applied
        if found.is_missing
    ]


def _has_habit(country: str, method: str) -> bool:
    return method not in _HABITS or _HABITS[method](country) is not None
