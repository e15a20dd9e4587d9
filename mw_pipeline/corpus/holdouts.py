"""How far a holdout reaches into each source, and that nothing of a held-out place is trained on (M20, M22)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mw_pipeline.corpus.census import rows_in, streamed
from mw_pipeline.corpus.splits import SPLITS, TRAIN, in_holdout, place_fold

MAX_EXAMPLES = 5

# A place key is COUNTRY:REGION:NAME, and no part of it holds a colon.
_NAME = "split_part(place, ':', 3)"
# What the record is said to lie in, and apart from that what its plain row writes: two ways to the same town.
_TOWNS = f"""
    select country, {_NAME} as town, case when method is null then components['locality'] end as written, split,
        count(*) as rows, min(row_id) as example
    from {{rows}} group by all order by all
"""


def held_out_places_stay_out(files: Sequence[Path], share: float, exclusions: Path | None = None) -> list[str]:
    """Findings: rows of held-out places in a split that comes before the one that the place is kept for.

    `share` is the corpus spec's `holdout_places_share`. Rows that write such a town where their record lies elsewhere,
    or has no place, are found too. Excluded rows are left aside."""
    rows, examples = Counter[str](), dict[str, list[str]]()
    for batch in streamed(_TOWNS.format(rows=rows_in(files, but=exclusions))):
        folds = [place_fold(batch["country"], batch[column], share) for column in ("town", "written")]
        early = pc.index_in(batch["split"], value_set=pa.array(SPLITS)).to_numpy() < np.maximum(*folds)
        for found in batch.filter(pa.array(early)).to_pylist():
            rows[found["split"]] += found["rows"]
            examples.setdefault(found["split"], []).append(
                f"{found['example']!r} in {found['written'] or found['town']!r}"
            )
    return [
        f"{count} rows of held-out places are in {split}: {', '.join(examples[split][:MAX_EXAMPLES])}"
        for split, count in sorted(rows.items())
    ]


@dataclass
class Coverage:
    """How far the holdouts reach into a source: its rows, those that say a region, those that say a place, and how many
    regions, places and rows are held out."""

    source: str
    rows: int = 0
    with_region: int = 0
    with_place: int = 0
    places: int = 0
    places_held_out: int = 0
    held_out: int = 0
    regions: set[str] = field(default_factory=set)


def holdout_coverage(
    files: Sequence[Path], *, holdout_regions: Sequence[str] = (), places_share: float = 0.0
) -> list[Coverage]:
    """One entry per source, by name: of a source whose rows say no region, or no place, none can be held out (M22)."""
    found: dict[str, Coverage] = {}
    grouped = f"select source, country, region_key, place, {_NAME} as town, count(*) as rows from {rows_in(files)}"
    for batch in streamed(f"{grouped} group by all order by all"):
        in_region = in_holdout(batch["region_key"], holdout_regions)
        in_place = place_fold(batch["country"], batch["town"], places_share) != TRAIN
        flags = zip(batch.to_pylist(), in_region, in_place, strict=True)
        for group, region_held, place_held in flags:
            coverage = found.setdefault(group["source"], Coverage(group["source"]))
            coverage.rows += group["rows"]
            coverage.with_region += group["rows"] * bool(group["region_key"])
            coverage.with_place += group["rows"] * bool(group["place"])
            coverage.places += bool(group["place"])
            coverage.places_held_out += int(place_held)
            coverage.held_out += group["rows"] * int(region_held or place_held)
            coverage.regions |= {group["region_key"]} - {""}
    return list(found.values())


def holdout_is_covered(
    coverage: Sequence[Coverage], *, holdout_regions: Sequence[str] = (), places_share: float = 0.0
) -> list[str]:
    """Warnings: sources none of whose rows say a region, or a place, so that none could be held out of them (M22), and
    regions in which no row of any source lies, so that naming them holds nothing out."""
    met = pa.array(sorted({region for found in coverage for region in found.regions}), pa.string())
    unmet = [
        f"holdout_regions: no row of any source lies in {region!r}, so it holds nothing out: compare its spelling with "
        "the region_key of the rows, or leave it out"
        for region in holdout_regions
        if not in_holdout(met, (region,)).any()
    ]
    regions = [
        f"{found.source}: none of its {found.rows} rows has a region, "
        f"so {', '.join(holdout_regions)} cannot be held out of it"
        for found in coverage
        if holdout_regions and not found.with_region
    ]
    return (
        unmet
        + regions
        + [
            f"{found.source}: none of its {found.rows} rows has a place, so no place can be held out of it"
            for found in coverage
            if places_share and not found.with_place
        ]
    )
