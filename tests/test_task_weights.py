"""Learned task weights against the vectors of their definition, and the rule that forbids reading them too soon."""

from __future__ import annotations

import math

import pytest

from mw_pipeline.verdict.task_weights import judge_task_weights, task_weights_of, weight_shares

LOSSES = {"ce": 0.25, "crf": 4.0}
AT_REST = {"ce": 0.5, "crf": 2.0}
START = {"ce": 1.0, "crf": 1.0}


@pytest.mark.parametrize(
    ("sigmas", "percent"),
    [
        ((0.5492, 0.8474, 0.7536, 1.2642), (46.73, 19.63, 24.82, 8.82)),
        ((0.5491, 0.8377, 1.2437, 1.2996), (55.46, 23.83, 10.81, 9.90)),
    ],
)
def test_shares_are_those_of_the_definition(sigmas, percent):
    shares = weight_shares({str(task): sigma for task, sigma in enumerate(sigmas)})

    assert [round(100 * share, 2) for share in shares.values()] == list(percent)


def test_weights_at_rest_with_room_to_spare_may_be_read():
    found = judge_task_weights(AT_REST, LOSSES, start=START, learning_rate_sum=10.0)

    assert found.doubts == ()
    assert found.one_line() == "learned task weights: ce 94.12%, crf 5.88%, at rest"
    assert found.as_json()["interpretable"] is True


def test_weights_of_300_capped_steps_may_not_be_read():
    """300 steps at 1e-3 move a log-variance by 0.3 at most: σ has gone as far as it could and is nowhere (M58)."""
    sigmas = {"ce": math.exp(-0.15), "crf": math.exp(0.15)}

    found = judge_task_weights(sigmas, LOSSES, start=START, learning_rate_sum=0.3)

    assert found.doubts == (
        "ce is not at rest (σ² 0.7408, loss 0.25 nats)",
        "ce had no room: log σ² moved by 0.3 where Σ lr allows 0.3",
        "crf is not at rest (σ² 1.35, loss 4 nats)",
        "crf had no room: log σ² moved by 0.3 where Σ lr allows 0.3",
    )
    assert "do not interpret: ce is not at rest" in found.one_line()
    assert found.as_json()["interpretable"] is False


@pytest.mark.parametrize(("ratio", "doubted"), [(0.89, True), (0.91, False), (1.09, False), (1.11, True)])
def test_a_task_is_at_rest_within_a_tenth_of_its_loss(ratio, doubted):
    found = judge_task_weights({"ce": math.sqrt(0.25 * ratio)}, {"ce": 0.25}, start={"ce": 1.0}, learning_rate_sum=10.0)

    assert bool(found.doubts) == doubted


@pytest.mark.parametrize("loss", [0.0, -1.0, math.nan, math.inf])
def test_a_loss_that_no_variance_can_equal_is_never_at_rest(loss):
    found = judge_task_weights({"ce": 0.5}, {"ce": loss}, start={"ce": 1.0}, learning_rate_sum=10.0)

    assert found.doubts[0].startswith("ce is not at rest")


def row(step: int, **values: object) -> dict[str, object]:
    return {"step": step, "lr": 0.1, "ce": 0.25, "crf": 4.0, "sigmas": AT_REST, **values}


def test_the_log_is_read_at_its_end_and_every_step_counts_into_the_room():
    doubted = task_weights_of([row(10), row(20, sigmas={"ce": 0.5, "crf": 2.0})])
    calm = task_weights_of([row(10), row(30)])

    # log σ² moves by 1.386 for both tasks: 0.7 × 2.0 allows it, 0.7 × 1.0 does not
    assert doubted is not None and calm is not None
    assert doubted.doubts == () and calm.doubts == ()
    short = task_weights_of([row(10)])
    assert short is not None and "no room" in short.doubts[0]


def test_the_loss_of_a_task_is_the_median_of_its_last_five_rows():
    rows = [
        row(step, ce=value) for step, value in zip(range(10, 80, 10), (9, 9, 0.2, 0.2, 0.25, 0.3, 0.3), strict=True)
    ]

    found = task_weights_of(rows)

    assert found is not None and found.losses["ce"] == 0.25


def test_a_run_without_learned_weights_has_none():
    assert task_weights_of([{"step": 1, "lr": 0.1, "loss": 1.0}]) is None
