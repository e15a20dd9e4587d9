"""What is said of a size that nobody measured follows from the sizes that were."""

from __future__ import annotations

from typing import Any

import pytest
from scale_model import ASSUMPTIONS, TARGET_ROWS, WRITTEN, extrapolated, page_of


def figures_of(*, fixed: float, per_row: float, share: float, sizes: tuple[int, ...]) -> dict[int, dict[str, Any]]:
    """Sizes at which one stage took exactly so long."""
    found = {}
    for rows in sizes:
        seconds = fixed + per_row * rows
        stage = {"seconds": seconds, "in_pieces": share * seconds, "peak_mib": 200}
        written = dict.fromkeys(WRITTEN, 100 * rows)
        found[rows] = {"rows": rows, "stages": {"corpus": stage}, "bytes": written}
    return found


def test_the_model_finds_the_costs_that_made_the_figures():
    found = extrapolated(figures_of(fixed=3.0, per_row=2e-5, share=0.9, sizes=(10_000, 100_000, 1_000_000)))

    assert found["model"]["corpus"] == {
        "fixed_seconds": pytest.approx(3.0),
        "seconds_per_million_rows": pytest.approx(20.0),
        "parallel_share": 0.9,
    }
    assert found["flatness"]["corpus"] == {"time": pytest.approx((3e-6 + 2e-5) / (3e-5 + 2e-5)), "memory": 1.0}


def test_workers_share_the_pieces_and_nothing_else():
    hours = extrapolated(figures_of(fixed=0.0, per_row=2e-5, share=0.9, sizes=(10_000, 100_000)))["target"]["hours"]
    alone = 2e-5 * TARGET_ROWS / 3600

    assert hours[1]["corpus"] == pytest.approx(alone, abs=0.01)
    assert hours[8]["corpus"] == pytest.approx(alone * (0.1 + 0.9 / 8), abs=0.01)
    assert hours[64]["corpus"] == pytest.approx(alone * (0.1 + 0.9 / 64), abs=0.01)


def test_costs_that_fall_as_rows_grow_are_no_gift():
    """A fixed part below nothing would make the target cheaper than any row that was measured."""
    figures = figures_of(fixed=-1.0, per_row=2e-5, share=0.0, sizes=(100_000, 1_000_000))

    model = extrapolated(figures)["model"]["corpus"]

    assert model["fixed_seconds"] == 0
    assert model["seconds_per_million_rows"] == pytest.approx((10 + 19) / 2)


@pytest.mark.parametrize("speedup", [{}, {"1": 1.0, "2": 1.85, "ray:2": 1.81, "ceiling": 1.9}])
def test_the_page_has_hours_bytes_and_assumptions(speedup: dict[str, float]):
    figures = figures_of(fixed=0.0, per_row=3600 / TARGET_ROWS, share=0.5, sizes=(1_000, 10_000))

    page = page_of({"memory_limit_mb": 512, "sizes": figures, "speedup": speedup} | extrapolated(figures))

    assert "| all | 1.0 | 0.6 | 0.5 |" in page
    assert "| aligned rows | 68 |" in page
    assert all(assumption[:40] in page for assumption in ASSUMPTIONS)
    assert ("two workers are 1.85 times" in " ".join(page.split())) == bool(speedup)
    assert max(map(len, page.splitlines())) <= 130
