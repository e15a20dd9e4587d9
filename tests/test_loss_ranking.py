"""Ranking losses: by decoded F1 over seeds and families, never by the size of the loss."""

from __future__ import annotations

import numpy as np
import pytest

from mw_pipeline.errors import GateError
from mw_pipeline.evaluate.loss_ranking import SeedRun, as_table, rank_losses
from mw_pipeline.metrics.scores import Scored, outcomes

HASHES = {"gold": "g", "labels": "l", "policy": "p", "decoder": "d"}
GOLD = [{"street": f"street {row}", "locality": f"town {row}"} for row in range(200)]


def seed_run(seed: int, right: float, *, val_loss: float = 0.2, hashes: dict[str, str] | None = None) -> SeedRun:
    """A run that gets this share of its streets right, and every locality."""
    rng = np.random.default_rng([seed, int(1000 * right)])
    predicted = [{**row, **({} if rng.random() < right else {"street": "wrong"})} for row in GOLD]
    found = outcomes(GOLD, predicted, tags=("street", "locality"), policy="strict")
    return SeedRun(seed, Scored(found, hashes or HASHES), best_val_loss=val_loss, label_entropy=2.0)


def runs(right: float, val_loss: float = 0.2) -> list[SeedRun]:
    return [seed_run(seed, right, val_loss=val_loss) for seed in range(3)]


def test_the_better_decoder_leads_though_its_loss_is_ten_times_as_large():
    # M57
    ranking = rank_losses({"small loss": runs(0.6, val_loss=0.1), "large loss": runs(0.9, val_loss=1.0)})

    assert [row["loss"] for row in ranking] == ["large loss", "small loss"]
    assert [row["val_loss_over_h0"] for row in ranking] == [pytest.approx(0.5), pytest.approx(0.05)]
    assert ranking[0]["behind_best"] is None
    assert ranking[1]["behind_best"]["verdict"] == "worse"
    assert ranking[1]["behind_best"]["interval"][0] > 0


def test_the_mean_over_seeds_is_that_of_f1_counted_by_hand():
    (row, _) = rank_losses({"a": runs(0.9), "b": runs(0.1)})

    by_seed = list(row["by_seed"].values())
    expected = []
    for run in runs(0.9):
        streets = int(run.scored.outcomes.tp[:, 0].sum()) / 200
        expected.append((streets + 1.0) / 2)
    assert by_seed == pytest.approx(expected)
    assert row["core_macro_f1"] == pytest.approx(np.mean(expected))
    assert row["interval"][0] < row["core_macro_f1"] < row["interval"][1]


def test_losses_that_differ_by_chance_are_no_difference():
    ranking = rank_losses({"a": runs(0.80), "b": runs(0.801)})

    assert ranking[1]["behind_best"]["verdict"] == "no difference"


def test_seeds_that_scatter_widen_the_interval():
    scattered = [seed_run(0, 0.5), seed_run(1, 0.75), seed_run(2, 1.0)]
    steady, wide = (
        next(row for row in rank_losses({"x": found, "y": runs(0.1)}) if row["loss"] == "x")["interval"]
        for found in (runs(0.75), scattered)
    )

    assert wide[1] - wide[0] > 2 * (steady[1] - steady[0])


def test_the_order_in_which_losses_are_named_changes_nothing():
    one = {"a": runs(0.6), "b": runs(0.9)}

    assert rank_losses(one) == rank_losses(dict(reversed(one.items())))


@pytest.mark.parametrize("seeds", [[0, 1], [0, 0, 0], []])
def test_fewer_than_three_seeds_are_refused(seeds):
    few = [seed_run(seed, 0.9) for seed in seeds]

    with pytest.raises(GateError, match=r"loss 'a' was trained with seeds .* expected at least 3"):
        rank_losses({"a": few, "b": runs(0.5)})


def test_runs_scored_on_other_rows_are_refused():
    other = [*runs(0.9)[:2], seed_run(2, 0.9, hashes={**HASHES, "gold": "another"})]

    with pytest.raises(GateError, match="scores are not comparable: gold hash"):
        rank_losses({"a": other, "b": runs(0.5)})


def test_the_table_shows_losses_in_units_of_h0_and_names_what_failed():
    table = as_table(rank_losses({"a": runs(0.9), "b": runs(0.5)}), {"c": "seed 0: flat"})

    assert "| validation loss ÷ H0 |" in table and "| 0.100 |" in table
    assert table.endswith("c is not ranked: seed 0: flat")
