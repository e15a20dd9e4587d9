"""The time that the rest of a run takes, by hand; a busy machine neither refuses nor lets through."""

from __future__ import annotations

from mw_pipeline.train.preflight import Preflight


def preflight(step_seconds: list[float], seconds_left: float | None) -> Preflight:
    return Preflight.measured(
        step_seconds,
        steps_left=100,
        evals_left=4,
        saves_left=2,
        seconds_per_eval=5.0,
        seconds_per_save=1.0,
        seconds_left=seconds_left,
    )


def test_steps_evaluations_and_saving_are_added_up() -> None:
    assert preflight([1.0] * 10, None).expected_seconds == 100 * 1.0 + 4 * 5.0 + 2 * 1.0


def test_one_slow_step_changes_nothing() -> None:
    assert preflight([1.0] * 9 + [60.0], None).expected_seconds == 122.0


def test_a_run_that_fits_is_let_through_and_without_a_limit_every_run_fits() -> None:
    assert preflight([1.0] * 10, 122.0).fits and not preflight([1.0] * 10, 122.0).cannot_fit
    assert preflight([1.0] * 10, None).fits and not preflight([1.0] * 10, None).cannot_fit


def test_a_run_that_cannot_fit_even_at_its_fastest_is_refused() -> None:
    # M42: 60,000 steps into a limit that ends at 59,900.
    found = preflight([1.0] * 10, 121.9)

    assert found.cannot_fit and not found.fits
    assert found.refusal.startswith("the time limit leaves 2m02s and the rest takes about 2m02s (100 steps of 1 s, ")


def test_a_busy_machine_warns_and_does_not_refuse() -> None:
    found = preflight([1.0] * 4 + [3.0] * 6, 200.0)

    assert not found.fits and not found.cannot_fit
