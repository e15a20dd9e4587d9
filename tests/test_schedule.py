"""Learning-rate schedules against hand-computed shares, and their near-peak stretch against a count by brute force."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mw_pipeline.errors import RecipeError
from mw_pipeline.schedule import SCHEDULES, lr_share, near_peak_end


def near_peak_steps(*, warmup_steps: int, **course: object) -> int:
    end = near_peak_end(warmup_steps=warmup_steps, **course)  # type: ignore[arg-type]
    return end - min(warmup_steps, end)


@pytest.mark.parametrize(
    ("step", "steps", "share"),
    [(2250, 3000, 0.3087), (2750, 3000, 0.0381), (3000, 10_000, 0.8830), (4300, 10_000, 0.7034)],
)
def test_cosine_shares_are_those_of_the_formula(step: int, steps: int, share: float) -> None:
    assert lr_share(step, schedule="cosine", warmup_steps=1000, steps=steps) == pytest.approx(share, abs=5e-5)


@pytest.mark.parametrize(("steps", "last"), [(3000, 1871), (10_000, 4923), (50_000, 22_359)])
def test_cosine_leaves_its_peak_at_the_known_step(steps: int, last: int) -> None:
    assert near_peak_end(schedule="cosine", warmup_steps=1000, steps=steps) == last + 1
    assert near_peak_steps(schedule="cosine", warmup_steps=1000, steps=steps) == last + 1 - 1000


def test_a_constant_schedule_stays_at_its_peak_to_the_end() -> None:
    assert near_peak_steps(schedule="constant", warmup_steps=1000, steps=3000) == 2000


def test_warmup_rises_linearly_and_starts_at_zero() -> None:
    shares = [lr_share(step, schedule="constant", warmup_steps=4, steps=10) for step in range(6)]

    assert shares == [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]


def test_a_cooldown_is_flat_and_then_falls_in_equal_steps() -> None:
    shares = [lr_share(step, schedule="linear_cooldown", warmup_steps=0, steps=8, cooldown_from=4) for step in range(9)]

    assert shares == [1.0, 1.0, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25, 0.0]


def test_a_cooldown_without_a_beginning_falls_from_the_end_of_the_warmup() -> None:
    shares = [lr_share(step, schedule="linear_cooldown", warmup_steps=2, steps=6) for step in range(7)]

    assert shares == [0.0, 0.5, 1.0, 0.75, 0.5, 0.25, 0.0]


def test_a_run_that_ends_within_its_warmup_has_no_near_peak_steps() -> None:
    assert near_peak_steps(schedule="cosine", warmup_steps=1000, steps=800) == 0


def test_an_unknown_schedule_is_refused_by_name() -> None:
    with pytest.raises(RecipeError, match=r"train.schedule is 'step': expected one of cosine, constant"):
        lr_share(0, schedule="step", warmup_steps=0, steps=1)


@st.composite
def courses(draw: st.DrawFn) -> dict[str, object]:
    warmup = draw(st.integers(0, 50))
    steps = draw(st.integers(warmup + 1, warmup + 400))
    schedule = draw(st.sampled_from(SCHEDULES))
    cooldown = draw(st.integers(warmup, steps - 1)) if schedule == "linear_cooldown" else None
    return {"schedule": schedule, "warmup_steps": warmup, "steps": steps, "cooldown_from": cooldown}


@given(courses())
def test_near_peak_steps_equal_a_count_of_all_steps(course: dict[str, object]) -> None:
    warmup, steps = course["warmup_steps"], course["steps"]
    counted = sum(lr_share(step, **course) >= 0.6 for step in range(warmup, steps))

    assert near_peak_steps(**course) == counted


@given(courses())
def test_no_step_jumps_by_more_than_the_steepest_slope_of_the_formula(course: dict[str, object]) -> None:
    # M37: half a turn of the cosine is π/2 times as steep as a line over the same steps.
    warmup, steps = course["warmup_steps"], course["steps"]
    cooldown = course["cooldown_from"] if course["cooldown_from"] is not None else warmup
    shares = [lr_share(step, **course) for step in range(steps + 1)]
    steepest = max(1.5708 / (steps - warmup), 1 / max(1, warmup), 1 / (steps - cooldown))

    assert all(0.0 <= share <= 1.0 for share in shares)
    assert all(abs(b - a) <= steepest + 1e-9 for a, b in itertools.pairwise(shares))
