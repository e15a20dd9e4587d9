"""What the sampler promises (shares in every stretch, each row once per pass, purity) and the mix audit over it."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mw_pipeline.errors import CorpusError, RecipeError
from mw_pipeline.mix import plan as mix_module
from mw_pipeline.mix.permutation import permuted
from mw_pipeline.mix.plan import capped_shares, plan_mix, sampler_for
from mw_pipeline.mix.sampler import Draw, MixSampler, shares_of
from mw_pipeline.recipe import MixConfig

CAMPAIGN = {
    "wof-admin": 2.0,
    "wof-postalcode": 2.0,
    "ban": 3.0,
    "tiger": 4.0,
    "nppes": 2.0,
    "hrsa": 2.0,
    "imls": 2.0,
    "nad": 1.0,
    "ia": 2.0,
    "tx": 1.5,
    "ny": 2.0,
}


def config(weights: dict[str, float], **others: object) -> MixConfig:
    return MixConfig(weights=weights, **others)


def rows_of(draw: Draw, source: int) -> list[int]:
    return draw.row[draw.source == source].tolist()


@given(st.integers(1, 3000), st.integers(0, 2**64 - 1))
@settings(max_examples=60)
def test_a_permutation_holds_every_position_once(size: int, key: int) -> None:
    found = permuted(np.arange(size), size=np.full(size, size), key=np.full(size, key, dtype=np.uint64))

    assert sorted(found.tolist()) == list(range(size))


def test_a_permutation_of_more_than_32_bits_stays_in_range_without_memory() -> None:
    size = 677_000_000_000
    found = permuted(np.arange(1000), size=np.full(1000, size), key=np.full(1000, 7, dtype=np.uint64))

    assert len(set(found.tolist())) == 1000
    assert found.min() >= 0
    assert found.max() > size // 2
    assert found.max() < size


@given(
    rows=st.lists(st.integers(1, 40), min_size=1, max_size=5),
    weights=st.lists(st.floats(0.1, 10), min_size=5, max_size=5),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=40, deadline=None)
def test_every_row_of_a_source_is_seen_once_per_pass(rows: list[int], weights: list[float], seed: int) -> None:
    names = [f"s{index}" for index in range(len(rows))]
    sampler = MixSampler(dict(zip(names, rows, strict=True)), dict(zip(names, weights, strict=False)), seed=seed)
    draw = sampler.draw(0, 2000)

    for source, size in enumerate(rows):
        seen = rows_of(draw, source)
        for number in range(len(seen) // size):
            one_pass = seen[number * size : (number + 1) * size]
            assert sorted(one_pass) == list(range(size))
        assert draw.passes[draw.source == source].tolist() == [turn // size for turn in range(len(seen))]


@given(start=st.integers(0, 200_000), counts=st.lists(st.integers(0, 3000), min_size=1, max_size=4))
@settings(max_examples=25, deadline=None)
def test_a_draw_does_not_depend_on_how_the_run_was_cut(start: int, counts: list[int]) -> None:
    sampler = MixSampler({"a": 7, "b": 900, "c": 0}, {"a": 1, "b": 3}, seed=5)
    whole = sampler.draw(start, sum(counts))
    fresh = MixSampler({"a": 7, "b": 900, "c": 0}, {"a": 1, "b": 3}, seed=5)
    edges = np.cumsum([start, *counts])
    parts = [fresh.draw(int(begin), count) for begin, count in reversed(list(zip(edges, counts, strict=False)))][::-1]

    assert whole.source.tolist() == [s for part in parts for s in part.source.tolist()]
    assert whole.row.tolist() == [r for part in parts for r in part.row.tolist()]
    assert whole.passes.tolist() == [p for part in parts for p in part.passes.tolist()]


@given(st.lists(st.floats(0.05, 20), min_size=1, max_size=8), st.integers(0, 150_000), st.integers(200, 4000))
@settings(max_examples=30, deadline=None)
def test_any_stretch_of_samples_has_the_shares_asked_for(weights: list[float], start: int, count: int) -> None:
    names = [f"s{index}" for index in range(len(weights))]
    sampler = MixSampler(dict.fromkeys(names, 1000), dict(zip(names, weights, strict=True)), seed=1)
    drawn = np.bincount(sampler.draw(start, count).source, minlength=len(weights))

    # One draw of slack at either end of each of the (at most two) blocks that the stretch touches.
    assert np.abs(drawn - count * np.asarray(weights) / sum(weights)).max() <= 4.2


def test_turns_are_what_a_count_over_all_samples_gives() -> None:
    sampler = MixSampler({"a": 3, "b": 50}, {"a": 1, "b": 2}, seed=9)
    counted = np.bincount(sampler.draw(0, 70_000).source)

    assert sampler.turns(70_000) == {"a": counted[0], "b": counted[1]}
    assert sampler.turns(0) == {"a": 0, "b": 0}


def test_two_seeds_draw_different_rows_and_two_passes_different_orders() -> None:
    draws = [MixSampler({"a": 500}, {"a": 1}, seed=seed).draw(0, 1000) for seed in (1, 2)]

    assert draws[0].row.tolist() != draws[1].row.tolist()
    assert draws[0].row[:500].tolist() != draws[0].row[500:].tolist()


def test_an_exhausted_source_starts_its_next_pass_and_never_leaves_the_mix() -> None:
    # M13, M25: 3 rows against 3000, equal weights.
    draw = MixSampler({"small": 3, "large": 3000}, {"small": 1, "large": 1}, seed=0).draw(0, 4000)
    last_tenth = draw.source[-400:]

    assert Counter(last_tenth.tolist())[0] == pytest.approx(200, abs=4)
    assert draw.passes.max() == 2000 // 3


def test_a_source_that_may_not_cycle_ends_the_run_with_an_error() -> None:
    sampler = MixSampler({"small": 3, "large": 3000}, {"small": 1, "large": 1}, seed=0, cycle=False)
    assert len(sampler.draw(0, 4).row) == 4

    with pytest.raises(CorpusError, match=r"'small' ran dry at sample \d: it has 3 rows and mix.cycle is false"):
        sampler.draw(0, 20)


def test_no_weighted_source_with_rows_is_an_error_that_shows_both_tables() -> None:
    with pytest.raises(RecipeError, match=r"no weighted source has rows: weights \{'a': 1\}, rows \{'a': 0, 'b': 4\}"):
        MixSampler({"a": 0, "b": 4}, {"a": 1}, seed=0)


def test_the_share_of_a_source_is_its_weight_over_all_weights() -> None:
    rows = dict.fromkeys(CAMPAIGN, 100)
    changed = {**CAMPAIGN, "nad": 2.0, "wof-admin": 1.0, "wof-postalcode": 1.0}

    assert shares_of(rows, CAMPAIGN)["nad"] == pytest.approx(0.0426, abs=5e-5)
    assert shares_of(rows, changed)["nad"] == pytest.approx(0.0889, abs=5e-5)


def test_a_cap_on_repetitions_gives_the_excess_to_the_others_by_weight() -> None:
    capped = capped_shares(
        {"a": 10, "b": 1000, "c": 1000}, config({"a": 2.0, "b": 1.0, "c": 1.0}, max_repetitions=4.0), samples=400
    )

    assert capped == pytest.approx({"a": 0.1, "b": 0.45, "c": 0.45})


def test_a_cap_that_pushes_another_source_over_it_caps_that_one_too() -> None:
    capped = capped_shares(
        {"a": 10, "b": 30, "c": 1000}, config({"a": 6.0, "b": 2.0, "c": 2.0}, max_repetitions=1.0), samples=100
    )

    assert capped == pytest.approx({"a": 0.1, "b": 0.3, "c": 0.6})


def test_a_cap_that_leaves_too_few_samples_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"max_repetitions 2.0 allows 20 samples of the 100 that train needs"):
        sampler_for({"a": 10}, config({"a": 1.0}, max_repetitions=2.0), samples=100, seed=0)


def test_a_declared_mix_is_delivered_in_every_tenth_of_the_run() -> None:
    mix = plan_mix(dict.fromkeys(CAMPAIGN, 5000), config(CAMPAIGN), samples=60_000, seed=3)
    nad = next(source for source in mix.sources if source.name == "nad")

    assert mix.findings == ()
    assert not mix.concentrated
    assert len(nad.window_shares) == 10
    assert nad.window_shares == pytest.approx([0.04255] * 10, abs=0.002)
    assert nad.repetitions == pytest.approx(60_000 * 0.042553 / 5000, rel=1e-4)


def test_a_weighted_source_without_rows_is_a_finding() -> None:
    # M09
    mix = plan_mix({"a": 10, "b": 0}, config({"a": 1.0, "b": 1.0, "gone": 2.0}), samples=100, seed=0)

    assert [finding.split(",")[0] for finding in mix.findings] == ["mix.weights.b is 1", "mix.weights.gone is 2"]


def test_a_source_of_the_corpus_that_is_not_listed_is_named() -> None:
    # M10
    mix = plan_mix({"a": 10, "b": 77}, config({"a": 1.0}), samples=100, seed=0)

    assert mix.findings == (
        "source 'b' has 77 training rows and is not listed in mix.weights: give it a weight, 0 to leave it out",
    )


def test_a_weight_of_zero_leaves_a_source_out_on_purpose() -> None:
    mix = plan_mix({"a": 10, "b": 77}, config({"a": 1.0, "b": 0.0}), samples=100, seed=0)

    assert mix.findings == ()
    assert [source.realised_share for source in mix.sources] == [1.0, 0.0]


class SamplerThatDropsExhaustedSources(MixSampler):
    """What a careless loader does: a source that has been read once leaves the mix for good."""

    def draw(self, start: int, count: int) -> Draw:
        draw = super().draw(start, count)
        largest = np.int16(np.argmax(self._rows))
        return Draw(np.where(draw.passes > 0, largest, draw.source), draw.row, draw.passes)


def test_a_sampler_that_does_something_else_than_the_weights_say_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    # M11, M13: the first window is as declared, the rest is not.
    rows, weights = {"small": 60, "large": 9000}, {"small": 1.0, "large": 1.0}
    assert plan_mix(rows, config(weights), samples=1000, seed=0).findings == ()

    monkeypatch.setattr(mix_module, "MixSampler", SamplerThatDropsExhaustedSources)
    findings = plan_mix(rows, config(weights), samples=1000, seed=0).findings

    assert (
        "source 'small' gets 0.0% of window 10 of 10, requested 50.0%: the sampler does not deliver the mix" in findings
    )
    assert not any("window 1 of" in finding for finding in findings)


def test_a_source_that_runs_dry_without_cycling_is_a_finding() -> None:
    mix = plan_mix({"a": 10, "b": 900}, config({"a": 1.0, "b": 1.0}, cycle=False), samples=200, seed=0)

    assert len(mix.findings) == 1
    assert "'a' ran dry at sample" in mix.findings[0]


def test_a_source_that_runs_dry_where_the_dry_run_does_not_look_is_a_finding() -> None:
    # Each window of 400,000 samples is drawn to its middle; `a` lasts until the last one is past its own.
    rows = {"a": 1_999_000, "b": 4_000_000}
    mix = plan_mix(rows, config({"a": 1.0, "b": 1.0}, cycle=False), samples=4_000_000, seed=0)

    assert mix.findings == (
        "mix: source 'a' ran dry at sample 3998000: it has 1999000 rows and mix.cycle is false. "
        "Set mix.cycle = true, lower its weight, or train fewer steps.",
    )


def test_the_sample_at_which_a_source_runs_dry_is_the_one_that_drawing_finds() -> None:
    sampler = MixSampler({"a": 70_000, "b": 50_000}, {"a": 1, "b": 1}, seed=3, cycle=False)
    twin = MixSampler({"a": 70_000, "b": 50_000}, {"a": 1, "b": 1}, seed=3)
    first = int(np.argmax(twin.draw(0, 140_000).passes > 0))

    sampler.demand_rows(first)
    with pytest.raises(CorpusError, match=rf"'b' ran dry at sample {first}:"):
        sampler.demand_rows(first + 1)


def test_rows_repeated_far_more_often_than_the_median_are_a_warning() -> None:
    # M14: weight 1.0 on 277 rows.
    rows = {"tiny": 277, "b": 200_000, "c": 200_000, "d": 200_000}
    warned = plan_mix(rows, config(dict.fromkeys(rows, 1.0)), samples=183_000, seed=0).warnings
    fine = plan_mix({**rows, "tiny": 60_000}, config(dict.fromkeys(rows, 1.0)), samples=183_000, seed=0).warnings

    assert warned == (
        "each of the 277 rows of 'tiny' is repeated 165.2 times, 722 × the median source: "
        "lower its weight or set mix.max_repetitions",
    )
    assert fine == ()


def test_a_capped_source_is_named_with_both_shares() -> None:
    rows = {"tiny": 277, "b": 200_000, "c": 200_000, "d": 200_000}
    mix = plan_mix(rows, config(dict.fromkeys(rows, 1.0), max_repetitions=1.0), samples=183_000, seed=0)

    assert "'tiny' is capped at 1 repetitions: its share falls from 25.0% to 0.2%" in mix.warnings
    assert mix.sources[0].repetitions == pytest.approx(1.0)
    assert mix.findings == ()


@pytest.mark.parametrize(
    ("weights", "concentrated"),
    [
        ({"a": 41.0, "b": 30.0, "c": 29.0}, True),
        ({"a": 40.0, "b": 30.0, "c": 30.0}, False),
        ({"a": 31.0, "b": 20.0, "c": 20.0, "d": 29.0}, False),
        ({"a": 31.0, "b": 20.0, "c": 20.0, "d": 20.0, "e": 9.0}, True),
        ({"a": 1.0}, False),
    ],
)
def test_a_mix_is_concentrated_above_40_percent_or_above_three_halves_of_the_next(
    weights: dict[str, float], concentrated: bool
) -> None:
    mix = plan_mix(dict.fromkeys(weights, 1000), config(weights), samples=1000, seed=0)

    assert mix.concentrated is concentrated
    assert any("is concentrated: 'a' has" in warning for warning in mix.warnings) is concentrated


def test_the_legacy_view_multiplies_shards_by_weight() -> None:
    mix = plan_mix({"a": 100, "b": 100}, config({"a": 1.0, "b": 2.0}), samples=100, seed=0, shards={"a": 6, "b": 1})

    assert [source.legacy_share for source in mix.sources] == pytest.approx([0.75, 0.25])
    assert [source.requested_share for source in mix.sources] == pytest.approx([1 / 3, 2 / 3])


def test_a_mix_reads_as_a_table_and_as_json() -> None:
    mix = plan_mix({"a": 1234, "b": 100}, config({"a": 1.0, "b": 1.0}), samples=1000, seed=0)

    assert mix.as_table().splitlines()[2] == "| a | 1,234 | 1 | 50.00% | 50.00% | 50.00% | 0.41 | – | – | 50.00% |"
    assert mix.as_json()["sources"][0]["rows"] == 1234
