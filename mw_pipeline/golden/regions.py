"""Which regions of a country its gold covers: a closed list, so that a state without a row is named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mw_pipeline.areas import closed_regions, region_of_name, region_of_postcode
from mw_pipeline.digest import JSON
from mw_pipeline.golden.judge import Judgement
from mw_pipeline.golden.rows import GoldenRow
from mw_pipeline.golden.rules import Finding

_REMEDY = "Add rows of real places there; until then no score says anything of them."


@dataclass(frozen=True)
class Coverage:
    """Gold rows of one country by region, every region of its closed list included, and those that no row tells."""

    country: str
    rows: Mapping[str, int]
    elsewhere: int

    @property
    def missing(self) -> tuple[str, ...]:
        """The regions without a row, in the order of the list."""
        return tuple(region for region, count in self.rows.items() if not count)

    @property
    def finding(self) -> Finding | None:
        """A remark that names the regions without a row, or None where each has one."""
        if not self.missing:
            return None
        problem = f"no gold row lies in {len(self.missing)} of its {len(self.rows)} regions: {', '.join(self.missing)}"
        return Finding(self.country, "region_without_row", repr(self.country), problem, _REMEDY, blocks=False)

    def as_json(self) -> dict[str, JSON]:
        """Rows by region, those without one, and how many rows tell no region."""
        return {"rows": dict(self.rows), "missing": list(self.missing), "elsewhere": self.elsewhere}


def coverage_of(rows: Sequence[GoldenRow], countries: Sequence[str] = ()) -> list[Coverage]:
    """The coverage of each country whose regions are known and that has rows, or that is asked for.

    A row lies where its region says, as a name or a code, else where its postcode does."""
    wanted = sorted({row.country for row in rows} | set(countries))
    return [
        _coverage(country, [row for row in rows if row.country == country])
        for country in wanted
        if closed_regions(country)
    ]


def _coverage(country: str, rows: Sequence[GoldenRow]) -> Coverage:
    known = {f"{country}:{region.casefold()}": region for region in closed_regions(country)}
    found = Counter(next((known[key] for key in _keys(country, row) if key in known), "") for row in rows)
    return Coverage(country, {region: found[region] for region in known.values()}, found[""])


def _keys(country: str, row: GoldenRow) -> tuple[str | None, str | None]:
    """What the row's region tells, with or without its full stops, and what its postcode does."""
    region, postcode = (row.components.get(tag) for tag in ("region", "postcode"))
    return (
        region_of_name(country, region.replace(".", "")) if region else None,
        region_of_postcode(country, postcode) if postcode else None,
    )


def judged_by_region(judged: Judgement, countries: Sequence[str] = ()) -> tuple[Judgement, dict[str, JSON]]:
    """The judgement with a remark for each country that has regions without a row, and the coverage by country."""
    found = coverage_of(judged.golden.rows, countries)
    remarks = [coverage.finding for coverage in found if coverage.finding]
    whole = Judgement(judged.golden, (*judged.findings, *remarks))
    return whole, {coverage.country: coverage.as_json() for coverage in found}
