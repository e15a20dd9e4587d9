"""The source mix: which share of training each source gets, and what that means for every row of it.

The audit does not predict the sampler, it runs it (M11): `plan_mix` and training build the same `MixSampler`.
"""

from __future__ import annotations

import dataclasses
import itertools
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from mw_pipeline.digest import JSON
from mw_pipeline.errors import CorpusError, RecipeError
from mw_pipeline.mix.place_doses import PlaceDose, PlaceTally, over_cap, rounds_under_cap, top_places
from mw_pipeline.mix.places import Places
from mw_pipeline.mix.sampler import MixSampler, shares_of
from mw_pipeline.recipe import MixConfig

WINDOWS = 10
TOLERANCE_SHARE = 0.02
TOP_SHARE = 0.40
TOP_OVER_NEXT = 1.5
REPETITIONS_OVER_MEDIAN = 8.0
_SHARD_ROWS = 65_536
_DRY_RUN_SAMPLES = 200_000  # per window: enough to see 0.1 points of share, and seconds instead of hours


@dataclass(frozen=True)
class SourceShare:
    """One source of the mix. Shares are 0..1.

    declared_share is w_i / Σw; requested_share is that after `mix.max_repetitions`; window_shares is what the dry run
    drew in each tenth of the run; repetitions is how often the run sees each row; legacy_share is shards × weight.
    place says what the run teaches of its towns; None where nobody counted them.
    """

    name: str
    rows: int
    weight: float
    declared_share: float
    requested_share: float
    realised_share: float
    window_shares: tuple[float, ...]
    repetitions: float
    shards: int
    legacy_share: float
    place: PlaceDose | None = None


@dataclass(frozen=True)
class Mix:
    """The mix of a run of `samples` samples. `findings` block, `warnings` are for a person to weigh."""

    sources: tuple[SourceShare, ...]
    samples: int
    concentrated: bool
    findings: tuple[str, ...]
    warnings: tuple[str, ...]

    def as_json(self) -> JSON:
        """All of it, as stored in the artifact."""
        return dataclasses.asdict(self)

    def as_table(self) -> str:
        """A Markdown table with one line per source."""
        lines = [
            "| source | rows | weight | requested | realised | worst window | repetitions | places | of one place "
            "| shards × weight |",
            "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
        ]
        for s in self.sources:
            worst = max(s.window_shares, key=lambda share: abs(share - s.requested_share), default=0.0)
            lines.append(
                f"| {s.name} | {s.rows:,} | {s.weight:g} | {s.requested_share:.2%} | {s.realised_share:.2%} "
                f"| {worst:.2%} | {s.repetitions:.2f} | {s.place.as_cells() if s.place else '– | –'} "
                f"| {s.legacy_share:.2%} |"
            )
        return "\n".join(lines)


def plan_mix(
    rows_per_source: Mapping[str, int],
    config: MixConfig,
    *,
    samples: int,
    seed: int,
    batch_rows: int = 8192,
    shards: Mapping[str, int] | None = None,
    places: Mapping[str, Places] = MappingProxyType({}),
) -> Mix:
    """The mix that a run of `samples` samples will see, counted on a dry run of its sampler.

    `rows_per_source` counts selectable training rows; `shards` the Parquet shards that the legacy view multiplies by
    weight (default: one per 65,536 rows); `places` are those of each source, its rows counted by them. Raises
    RecipeError when no weighted source has rows, or when a cap on repetitions leaves too few samples.
    """
    sampler = sampler_for(rows_per_source, config, samples=samples, seed=seed, places=places)
    tally = PlaceTally(sampler, places)
    windows, dry = _dry_run(sampler, tally, samples=samples, batch_rows=batch_rows)
    doses = tally.doses(samples)
    sources = _table(rows_per_source, config, sampler, windows, samples=samples, shards=shards, doses=doses)
    concentrated = _is_concentrated([s.requested_share for s in sources])
    return Mix(
        sources=sources,
        samples=samples,
        concentrated=concentrated,
        findings=(
            *_undeclared(rows_per_source, config),
            *dry,
            *_undelivered(sources, samples),
            *over_cap(doses, config.max_repetitions_per_place),
        ),
        warnings=(
            *_concentration(sources, concentrated),
            *_repetition(sources),
            *top_places(doses, samples=samples),
            *_caps(sources, config),
        ),
    )


def _dry_run(
    sampler: MixSampler, tally: PlaceTally, *, samples: int, batch_rows: int
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """(windows, sources) shares drawn in each tenth of the run, and the error of a source that runs dry, if any."""
    edges = np.linspace(0, samples, min(WINDOWS, samples) + 1).astype(int).tolist()
    shares: list[NDArray[np.float64]] = []
    dry: tuple[str, ...] = ()
    try:
        for begin, end in itertools.pairwise(edges):
            drawn = range(begin, min(end, begin + _DRY_RUN_SAMPLES))
            shares.append(_shares_in(sampler, tally, drawn, batch_rows=batch_rows))
        sampler.demand_rows(samples)  # a source may run dry in the part of a window that was not drawn
    except CorpusError as error:
        dry = (str(error),)
    return np.asarray(shares).reshape(-1, len(sampler.sources)), dry


def _shares_in(sampler: MixSampler, tally: PlaceTally, drawn: range, *, batch_rows: int) -> NDArray[np.float64]:
    counts = np.zeros(len(sampler.sources))
    for start in drawn[::batch_rows]:
        draw = sampler.draw(start, min(batch_rows, drawn.stop - start))
        counts += np.bincount(draw.source, minlength=len(sampler.sources))
        tally.add(draw)
    return counts / len(drawn)


def _table(
    rows_per_source: Mapping[str, int],
    config: MixConfig,
    sampler: MixSampler,
    windows: NDArray[np.float64],
    *,
    samples: int,
    shards: Mapping[str, int] | None,
    doses: Mapping[str, PlaceDose],
) -> tuple[SourceShare, ...]:
    declared = shares_of(rows_per_source, config.weights)
    requested = capped_shares(rows_per_source, config, samples=samples)
    shards = shards or {name: -(-rows // _SHARD_ROWS) for name, rows in rows_per_source.items()}
    legacy = {name: shards.get(name, 0) * weight for name, weight in config.weights.items()}
    legacy_total = sum(legacy.values()) or 1.0
    turns = sampler.turns(samples)
    return tuple(
        SourceShare(
            name=name,
            rows=rows,
            weight=config.weights.get(name, 0.0),
            declared_share=declared.get(name, 0.0),
            requested_share=requested.get(name, 0.0),
            realised_share=turns[name] / samples,
            window_shares=tuple(windows[:, index].tolist()),
            repetitions=requested.get(name, 0.0) * samples / rows if rows else 0.0,
            shards=shards.get(name, 0),
            legacy_share=legacy.get(name, 0.0) / legacy_total,
            place=doses.get(name),
        )
        for index, (name, rows) in enumerate(rows_per_source.items())
    )


def _undeclared(rows_per_source: Mapping[str, int], config: MixConfig) -> list[str]:
    """Weights without rows (M09) and rows without a weight (M10)."""
    empty = [name for name, weight in config.weights.items() if weight > 0 and not rows_per_source.get(name)]
    unlisted = [name for name, rows in rows_per_source.items() if rows and name not in config.weights]
    return [
        f"mix.weights.{name} is {config.weights[name]:g}, but the source has no selectable training rows: "
        "remove the weight or repair the source"
        for name in empty
    ] + [
        f"source {name!r} has {rows_per_source[name]} training rows and is not listed in mix.weights: "
        "give it a weight, 0 to leave it out"
        for name in unlisted
    ]


def _undelivered(sources: tuple[SourceShare, ...], samples: int) -> list[str]:
    """Sources whose drawn share leaves what was asked for in some window (M11, M13)."""
    # A window of n samples resolves no share finer than one sample at either of its ends.
    tolerance = max(TOLERANCE_SHARE, 2 * WINDOWS / samples)
    return [
        f"source {s.name!r} gets {share:.1%} of window {window + 1} of {len(s.window_shares)}, requested "
        f"{s.requested_share:.1%}: the sampler does not deliver the mix"
        for s in sources
        for window, share in enumerate(s.window_shares)
        if abs(share - s.requested_share) > tolerance
    ]


def _is_concentrated(shares: list[float]) -> bool:
    """Top share above 40 %, or above 1.5 × the next. Never for a single source: there is nothing to choose."""
    top = sorted((share for share in shares if share > 0), reverse=True)
    return len(top) > 1 and (top[0] > TOP_SHARE or top[0] > TOP_OVER_NEXT * top[1])


def _concentration(sources: tuple[SourceShare, ...], concentrated: bool) -> list[str]:
    if not concentrated:
        return []
    top, following = sorted(sources, key=lambda s: -s.requested_share)[:2]
    return [
        f"the mix is concentrated: {top.name!r} has {top.requested_share:.1%}, the next source {following.name!r} "
        f"{following.requested_share:.1%}"
    ]


def _repetition(sources: tuple[SourceShare, ...]) -> list[str]:
    """Rows that the run repeats far more often than those of other sources (M14)."""
    weighted = [s for s in sources if s.requested_share > 0]
    median = statistics.median(s.repetitions for s in weighted)
    return [
        f"each of the {s.rows} rows of {s.name!r} is repeated {s.repetitions:.1f} times, "
        f"{s.repetitions / median:.0f} × the median source: lower its weight or set mix.max_repetitions"
        for s in weighted
        if s.repetitions > REPETITIONS_OVER_MEDIAN * median
    ]


def _caps(sources: tuple[SourceShare, ...], config: MixConfig) -> list[str]:
    return [
        f"{s.name!r} is capped at {config.max_repetitions:g} repetitions: its share falls from {s.declared_share:.1%} "
        f"to {s.requested_share:.1%}"
        for s in sources
        if config.max_repetitions is not None and s.requested_share < s.declared_share - 1e-9
    ]


def sampler_for(
    rows_per_source: Mapping[str, int],
    config: MixConfig,
    *,
    samples: int,
    seed: int,
    places: Mapping[str, Places] = MappingProxyType({}),
) -> MixSampler:
    """The sampler of a recipe, its caps on repetitions applied. `samples` is what the full run draws, in a smoke too:
    a smoke that derived the cap from its own length would train on another mix.

    Under `mix.max_repetitions_per_place` it needs the `places` of every weighted source."""
    weights = capped_shares(rows_per_source, config, samples=samples)
    sampler = MixSampler(rows_per_source, weights, seed=seed, cycle=config.cycle)
    if config.max_repetitions_per_place is None:
        return sampler
    unknown = [name for name, share in weights.items() if share > 0 and name not in places]
    assert not unknown, f"the places of {unknown} are needed by mix.max_repetitions_per_place"
    rounds = rounds_under_cap(sampler, places, samples=samples, cap=config.max_repetitions_per_place)
    return MixSampler(rows_per_source, weights, seed=seed, cycle=config.cycle, rounds=rounds)


def capped_shares(rows_per_source: Mapping[str, int], config: MixConfig, *, samples: int) -> dict[str, float]:
    """Shares under `mix.max_repetitions`: a source at the cap gives its excess to the others by weight.

    Raises RecipeError when all sources at their cap cannot fill `samples`.
    """
    shares = shares_of(rows_per_source, config.weights)
    if config.max_repetitions is None:
        return shares
    room = {name: config.max_repetitions * rows_per_source[name] / samples for name in shares}
    if sum(room.values()) < 1:
        raise RecipeError(
            f"mix.max_repetitions {config.max_repetitions!r} allows {int(sum(room.values()) * samples)} samples of "
            f"the {samples} that train needs. Raise it, train fewer steps, or add rows."
        )
    capped: set[str] = set()
    while over := {name for name, share in shares.items() if share > room[name] and name not in capped}:
        capped |= over
        left = 1 - sum(room[name] for name in capped)
        free = {name: config.weights[name] for name in shares if name not in capped}
        shares = {name: room[name] if name in capped else left * free[name] / sum(free.values()) for name in shares}
    return shares
