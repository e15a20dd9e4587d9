"""No place of a source is drawn more often than its cap, and nothing else that the sampler promises is lost by it."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mw_pipeline.errors import RecipeError
from mw_pipeline.mix.places import Places, TooManyDrawsError, capped_rounds
from mw_pipeline.mix.plan import plan_mix, sampler_for
from mw_pipeline.mix.sampler import MixSampler
from mw_pipeline.recipe import MixConfig

BLOCK = 65_536


def towns(*counts: int, commonest: str = "FR::noumea") -> Places:
    return Places(np.asarray(counts, np.int64), commonest=commonest)


def drawn_places(
    places: Places, draws: int, cap: int, *, seed: int = 0
) -> tuple[Counter[int], Counter[int], MixSampler]:
    """Draws per place and per row of the first `draws` samples of a sampler with one source under a cap."""
    rows = int(places.counts.sum())
    sampler = sampler_for(
        {"ban": rows}, MixConfig(weights={"ban": 1.0}, max_repetitions_per_place=cap), samples=draws, seed=seed,
        places={"ban": places},
    )  # fmt: skip
    found = sampler.draw(0, draws).row
    order = np.arange(rows) if places.order is None else places.order
    place_of_row = np.empty(rows, np.int64)
    place_of_row[order] = np.repeat(np.arange(len(places.counts)), places.counts)
    return Counter(place_of_row[found].tolist()), Counter(found.tolist()), sampler


@given(
    counts=st.lists(st.integers(1, 400), min_size=1, max_size=30),
    draws=st.integers(1, 4000),
    cap=st.integers(1, 300),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=150, deadline=None)
def test_no_place_is_drawn_more_often_than_its_cap_and_every_draw_is_a_row(counts, draws, cap, seed) -> None:
    places = towns(*counts)
    try:
        of_places, of_rows, _ = drawn_places(places, draws, cap, seed=seed)
    except RecipeError as refused:
        assert "leaves too few draws" in str(refused)
        rooms = [(rounds, sum(min(cap // rounds, rows) for rows in counts)) for rounds in range(1, cap + 1)]
        assert not any(rounds * room >= draws for rounds, room in rooms)
        return
    assert of_places.total() == draws
    assert max(of_places.values()) <= cap
    assert min(of_rows) >= 0 and max(of_rows) < sum(counts)


def test_the_most_draws_that_a_cap_allows_are_given_and_one_more_is_refused() -> None:
    assert capped_rounds(towns(1000, 1000), draws=600, cap=300).rounds == 1
    with pytest.raises(TooManyDrawsError, match="600"):
        capped_rounds(towns(1000, 1000), draws=601, cap=300)


def test_places_below_the_cap_keep_their_proportions_and_share_what_the_others_may_not_take() -> None:
    """By hand: 4000 draws, of which the town of 10,000 rows may have 2000; as many are left to 100 + 200 rows."""
    of_places, _, sampler = drawn_places(towns(10_000, 100, 200), 4000, 2000)

    assert of_places[0] == pytest.approx(2000, abs=60) and of_places[0] <= 2000
    assert of_places[2] / of_places[1] == pytest.approx(2.0, abs=0.1)
    assert sampler.rounds_of("ban").rounds == pytest.approx(2000 / 300, abs=1.5)


def test_a_run_that_is_shorter_than_a_pass_touches_only_places_above_the_cap() -> None:
    """By hand: a pass has 11,000 rows and the run draws 1,100 of them; the town of 10,000 would have 1000 draws."""
    of_places, of_rows, _ = drawn_places(towns(10_000, *[100] * 10), 1100, 300)

    assert of_places[0] == 300
    assert max(of_rows.values()) == 1
    assert [of_places[n] for n in range(1, 11)] == pytest.approx([80] * 10, abs=1)


def test_a_cap_that_nothing_exceeds_changes_no_draw() -> None:
    places = towns(30, 20, 10)
    plain = sampler_for({"ban": 60}, MixConfig(weights={"ban": 1.0}), samples=600, seed=3)
    capped = sampler_for(
        {"ban": 60}, MixConfig(weights={"ban": 1.0}, max_repetitions_per_place=300), samples=600, seed=3,
        places={"ban": places},
    )  # fmt: skip

    assert capped.rounds_of("ban") is None
    assert capped.draw(0, 600).row.tolist() == plain.draw(0, 600).row.tolist()


def test_every_row_of_a_capped_place_is_seen_in_turn() -> None:
    rounds = capped_rounds(towns(1000, *[1] * 50), draws=50 * 40 + 2000, cap=2000)
    _, of_rows, _ = drawn_places(towns(1000, *[1] * 50), 50 * 40 + 2000, 2000)
    seen = [of_rows[row] for row in range(1000)]

    assert rounds is not None and rounds.rounds > 1
    assert min(seen) >= 1
    assert max(seen) - min(seen) <= 1


def test_no_row_comes_twice_in_a_round() -> None:
    places = towns(500, 40, 30, 7, 1, 1)
    _, _, sampler = drawn_places(places, 2000, 900)
    slots = sampler.rounds_of("ban").slots

    for start in range(0, 2000 - slots, slots):
        assert len(set(sampler.draw(start, slots).row.tolist())) == slots


def test_passes_of_a_capped_source_are_counted_as_they_are_drawn() -> None:
    """A run of many passes over a source whose largest town is capped was called unsound: 32 logged, 29.49 counted."""
    _, _, sampler = drawn_places(towns(10_000, 100, 200), 4000, 2000)

    for sample in (500, 1700, 4000):
        assert int(sampler.draw(sample - 1, 1).passes[0]) == int(sampler.passes_of(sample)["ban"] - 1e-9)


@given(start=st.integers(0, 3000), counts=st.lists(st.integers(1, 300), min_size=1, max_size=6))
@settings(max_examples=30, deadline=None)
def test_a_capped_draw_does_not_depend_on_how_the_run_was_cut(start: int, counts: list[int]) -> None:
    config = MixConfig(weights={"ban": 2.0, "other": 1.0}, max_repetitions_per_place=400)
    places = {"ban": towns(800, 100, 50, 10, *[1] * 40), "other": towns(*[1] * 500)}
    sizes = {"ban": 1000, "other": 500}

    def sampler() -> MixSampler:
        return sampler_for(sizes, config, samples=3000, seed=5, places=places)

    whole, cut, at = sampler().draw(start, sum(counts)), [], start
    for count in counts:
        cut.append(sampler().draw(at, count))
        at += count
    assert whole.row.tolist() == np.concatenate([part.row for part in cut]).tolist()
    assert whole.passes.tolist() == np.concatenate([part.passes for part in cut]).tolist()


def test_the_share_of_a_capped_source_is_what_the_recipe_asked() -> None:
    sizes, places = {"ban": 1000, "other": 500}, {"ban": towns(900, *[1] * 100), "other": towns(*[1] * 500)}
    weights = {"ban": 1.0, "other": 3.0}
    config = MixConfig(weights=weights, max_repetitions_per_place=10_000)
    plain = plan_mix(sizes, MixConfig(weights=weights), samples=2 * BLOCK, seed=0, places=places)
    mix = plan_mix(sizes, config, samples=2 * BLOCK, seed=0, places=places)

    assert [s.realised_share for s in mix.sources] == [s.realised_share for s in plain.sources] == [0.25, 0.75]
    assert plain.sources[0].place.repetitions == pytest.approx(0.9 * 0.25 * 2 * BLOCK)
    assert plain.sources[0].place.drawn == pytest.approx(0.9 * 0.25 * 2 * BLOCK, rel=0.01)
    assert mix.sources[0].place.drawn <= 10_000
    assert mix.sources[0].place.repetitions == pytest.approx(10_000, rel=0.1)
    assert mix.sources[0].place.capped and not mix.sources[1].place.capped
    assert mix.findings == ()


def test_rows_are_those_of_the_place_that_their_ids_say() -> None:
    ids = np.asarray([7, 0, 9, 7, 0, 7, 9, 7, 7, 7], np.uint64)
    places = Places.of(ids)

    assert sorted(places.counts.tolist()) == [1, 1, 2, 6]
    _, of_rows, _ = drawn_places(places, 12, 4)
    seven = [row for row in range(10) if ids[row] == 7]
    assert sum(of_rows[row] for row in seven) <= 4
    assert of_rows.total() == 12
    assert max(of_rows[1], of_rows[4]) <= 4


def test_too_few_places_for_the_share_are_refused_by_name_with_what_they_allow() -> None:
    config = MixConfig(weights={"ban": 1.0, "other": 1.0}, max_repetitions_per_place=300)
    places = {"ban": towns(900, 100), "other": towns(*[1] * 500)}

    with pytest.raises(RecipeError, match=r"per_place 300 .*'ban' has 2 places and 65,536 draws, allowed 600\. Raise"):
        sampler_for({"ban": 1000, "other": 500}, config, samples=2 * BLOCK, seed=0, places=places)


def test_a_town_repeated_like_a_word_of_the_language_is_a_warning_until_it_is_capped() -> None:
    """M14: a file of one island town is not a file of a country."""
    sizes = {"ban": 2000, "other": 2000}
    places = {"ban": towns(1000, *[1] * 1000), "other": towns(*[1] * 2000)}
    weights = {"ban": 1.0, "other": 1.0}
    warned = plan_mix(sizes, MixConfig(weights=weights), samples=20_000, seed=0, places=places).warnings
    capped = MixConfig(weights=weights, max_repetitions_per_place=100)
    spread = plan_mix(sizes, capped, samples=20_000, seed=0, places=places)

    assert any(
        warning.startswith("FR::noumea stands in 1,000 rows of 'ban' and is drawn 5,0") and "set mix.max_rep" in warning
        for warning in warned
    )
    assert not any("stands in" in warning for warning in spread.warnings)


def test_a_sampler_that_does_not_keep_the_cap_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mw_pipeline.mix.plan.rounds_under_cap", lambda *args, **others: {})
    config = MixConfig(weights={"ban": 1.0}, max_repetitions_per_place=600)

    mix = plan_mix({"ban": 1000}, config, samples=1000, seed=0, places={"ban": towns(900, *[1] * 100)})

    assert [finding for finding in mix.findings if "max_repetitions_per_place is 600" in finding]
