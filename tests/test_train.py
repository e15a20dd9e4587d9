"""Training runs on a toy corpus: they learn, say what they did, stop when they must, and resume bit for bit."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_run import Toy, measured, rows, toy_plan, toy_recipe, weights

from mw_pipeline.errors import GateError
from mw_pipeline.labels import STAGE2
from mw_pipeline.model.checkpoint import load_checkpoint, load_optimizer_state
from mw_pipeline.model.encoder import tensors_of
from mw_pipeline.train.loop import Run, train
from mw_pipeline.train.processes import ALONE
from mw_pipeline.verdict.runlog import read_run

STEP_KEYS = [
    *("step", "pass", "lr", "loss", "ce", "crf", "grad_norm"),
    *("tokens", "rows", "row_hash", "tokens_per_second", "wall_seconds", "part"),
]
EVAL_KEYS = [
    *("step", "val_loss", "val_macro_f1", "f1", "val_ce", "val_crf", "pieces", "val_loss_se", "nonfinite_parameters"),
    *("train_eval_loss", "train_eval_loss_se", "seconds"),
]
RUN_KEYS = {
    *("kind", "schedule", "max_steps", "warmup_steps", "peak_lr", "device", "status", "started_at", "ended_at"),
    *("batch_size", "accumulation", "processes", "effective_batch", "label_count", "label_entropy", "digests"),
}


def test_a_tiny_model_learns_the_toy_corpus_in_seconds(toy, tmp_path):
    result = train(toy_plan(toy, tmp_path, recipe=toy_recipe(train={"steps": 150})))

    assert result.status == "COMPLETED" and result.step == 150
    assert result.best_val_macro_f1 is not None and result.best_val_macro_f1 > 0.95


def test_logs_and_run_json_hold_every_promised_key(unbroken):
    plan, result, _ = unbroken
    steps, evals = rows(plan.out / "steps.jsonl"), rows(plan.out / "evals.jsonl")
    run = json.loads((plan.out / "run.json").read_text())

    assert [row["step"] for row in steps] == list(range(1, 61))
    assert all(list(row) == STEP_KEYS for row in steps)
    assert [row["step"] for row in evals] == [20, 40, 60]
    assert all(list(row) == EVAL_KEYS for row in evals)
    assert set(run) >= RUN_KEYS
    assert run["status"] == result.status == "COMPLETED"
    assert run["effective_batch"] == 16 and run["label_count"] == 21 and run["kind"] == "full"
    assert {"recipe", "data", "tokenizer", "labels", "code", "loss", "model", "mix"} <= set(run["digests"])
    assert run["started_at"] <= run["ended_at"]


def test_the_log_reads_as_a_run(unbroken):
    plan, _, _ = unbroken

    log = read_run(plan.out)

    assert len(log.steps) == 60 and len(log.evals) == 3 and log.notes == ()


def test_tokens_of_the_rows_add_up_to_those_of_the_run(toy, tmp_path):
    train(toy_plan(toy, tmp_path, recipe=toy_recipe(train={"steps": 25, "log_every": 10})))

    steps = rows(tmp_path / "steps.jsonl")
    assert [row["step"] for row in steps] == [10, 20, 25]
    assert sum(row["tokens"] for row in steps) == json.loads((tmp_path / "run.json").read_text())["tokens"]


def test_the_logged_rate_is_that_of_the_step(unbroken):
    plan, _, _ = unbroken

    for row in rows(plan.out / "steps.jsonl"):
        step, peak = row["step"], 5e-3
        expected = peak * step / 10 if step < 10 else peak * 0.5 * (1 + math.cos(math.pi * (step - 10) / 50))
        assert row["lr"] == pytest.approx(expected, abs=1e-12)


def test_best_is_the_evaluation_with_the_highest_macro_f1(unbroken):
    plan, result, _ = unbroken
    evals = rows(plan.out / "evals.jsonl")
    best = max(evals, key=lambda row: row["val_macro_f1"])

    assert (result.best_step, result.best_val_macro_f1) == (best["step"], best["val_macro_f1"])
    assert load_checkpoint(plan.out / "best", labels=STAGE2).step == best["step"]
    assert not (plan.out / "best" / "optimizer.safetensors").exists()
    assert load_checkpoint(plan.out / "last").step == 60


def test_validation_loss_is_the_likelihood_of_the_model_that_decodes(unbroken, toy, tmp_path):
    plan, _, _ = unbroken
    train(toy_plan(toy, tmp_path, recipe=toy_recipe(loss={"kind": "ce"}, train={"steps": 20})))

    with_crf, without = rows(plan.out / "evals.jsonl")[-1], rows(tmp_path / "evals.jsonl")[-1]
    assert with_crf["val_loss"] == with_crf["val_crf"] and with_crf["val_crf"] < with_crf["val_ce"]
    assert without["val_loss"] == without["val_ce"] and without["val_crf"] is None


def test_a_run_without_crf_loss_leaves_the_crf_at_its_start(toy, tmp_path):
    train(toy_plan(toy, tmp_path, recipe=toy_recipe(loss={"kind": "ce"}, train={"steps": 12})))

    crf = load_checkpoint(tmp_path / "last").crf
    assert not crf.transitions.any() and not crf.start.any()
    assert all(row["crf"] is None and row["ce"] == row["loss"] for row in rows(tmp_path / "steps.jsonl"))


def parameters_that_stand_still(toy, out, recipe) -> set[str]:
    """Names of the parameters that are after eleven more steps what they were after the first."""
    train(toy_plan(toy, out, recipe=recipe, max_wall_seconds=0.0))
    before = load_checkpoint(out / "last")
    assert before.step == 1
    train(toy_plan(toy, out, recipe=recipe))
    after = dict(load_checkpoint(out / "last").tagger.named_parameters())
    return {name for name, value in before.tagger.named_parameters() if torch.equal(value, after[name])}


CRF_PARAMETERS = {"crf.start", "crf.transitions"}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(
    ("kind", "not_trained"),
    [
        ("ce", {*CRF_PARAMETERS, "log_variances"}),
        ("crf", {"log_variances"}),
        ("ce+crf", {"log_variances"}),
        ("soft-span", {*CRF_PARAMETERS, "log_variances"}),
        ("uncertainty", set()),
    ],
)
def test_every_trainable_parameter_moves_and_stays_float32(toy, tmp_path, kind, not_trained, precision):
    """Eleven steps after the first have moved whatever the loss reaches, and nothing else (M33, M34)."""
    recipe = toy_recipe(loss={"kind": kind}, train={"steps": 12, "checkpoint_every": 1, "precision": precision})

    assert parameters_that_stand_still(toy, tmp_path, recipe) == not_trained
    after = load_checkpoint(tmp_path / "last").tagger
    assert {value.dtype for value in after.parameters()} == {torch.float32}
    assert {v.dtype for v in load_optimizer_state(tmp_path / "last").values()} == {torch.float32}


def test_a_channel_that_is_cut_off_on_its_way_into_the_model_stands_still(toy, tmp_path, monkeypatch):
    # M33
    connected = torch.nn.Embedding.forward
    monkeypatch.setattr(torch.nn.Embedding, "forward", lambda table, ids: connected(table, ids).detach())
    recipe = toy_recipe(train={"steps": 12, "checkpoint_every": 1})

    assert "encoder.embedding.weight" in parameters_that_stand_still(toy, tmp_path, recipe)


def test_a_smoke_differs_in_length_schedule_and_evaluations_only(toy, tmp_path):
    train(toy_plan(toy, tmp_path, kind="smoke"))

    run, steps = json.loads((tmp_path / "run.json").read_text()), rows(tmp_path / "steps.jsonl")
    assert (run["kind"], run["max_steps"], run["schedule"], run["effective_batch"]) == ("smoke", 40, "constant", 16)
    assert [row["step"] for row in rows(tmp_path / "evals.jsonl")] == [10, 20, 30, 40]
    assert all(row["lr"] == 5e-3 for row in steps if row["step"] >= 10)


def test_smoke_and_full_run_take_the_same_first_step(unbroken, toy, tmp_path):
    train(toy_plan(toy, tmp_path, kind="smoke"))

    smoke, full = rows(tmp_path / "steps.jsonl")[0], rows(unbroken[0].out / "steps.jsonl")[0]
    assert (smoke["loss"], smoke["grad_norm"], smoke["tokens"]) == (full["loss"], full["grad_norm"], full["tokens"])


def test_another_seed_takes_another_course_and_the_same_seed_the_same(unbroken, toy, tmp_path):
    again, other = tmp_path / "again", tmp_path / "other"
    train(toy_plan(toy, again))
    train(toy_plan(toy, other, recipe=toy_recipe(train={"seed": 1})))

    assert measured(again / "steps.jsonl") == measured(unbroken[0].out / "steps.jsonl")
    assert weights(again) == weights(unbroken[0].out)
    assert rows(other / "steps.jsonl")[0]["loss"] != rows(again / "steps.jsonl")[0]["loss"]


def test_the_logged_loss_is_the_mean_over_the_accumulation_window(toy, tmp_path):
    """Two micro-batches of 8 are the rows of one batch of 16 only in number, so the sum is made by hand (M35)."""
    recipe = toy_recipe(
        model={"dropout": 0.0}, train={"steps": 1, "warmup_steps": 0, "batch_size": 8, "accumulation": 3}
    )
    plan = toy_plan(toy, tmp_path, recipe=recipe)
    run = Run(plan, torch.device("cpu"), ALONE, lambda event: None)
    ce = crf = pieces = 0.0
    with torch.no_grad():
        for index in range(3):
            ids, tags, mask = tensors_of(run.data.stream.batch(index), torch.device("cpu"))
            logits = run.stepper.tagger.encoder(ids, mask)
            real = torch.ones_like(tags, dtype=torch.bool) if mask is None else mask
            ce -= logits.log_softmax(2).gather(2, tags[:, :, None])[:, :, 0][real].sum().item()
            crf += run.stepper.tagger.crf(logits, tags, mask).sum().item()
            pieces += real.sum().item()

    train(plan)

    (row,) = rows(tmp_path / "steps.jsonl")
    assert row["ce"] == pytest.approx(ce / pieces, rel=1e-5)
    assert row["crf"] == pytest.approx(crf / 24, rel=1e-5)
    assert row["loss"] == pytest.approx(ce / pieces + 0.1 * crf / 24, rel=1e-5)
    assert row["tokens"] == pieces


def test_events_tell_start_preflight_progress_evaluations_and_end(unbroken):
    _, _, events = unbroken
    names = [event["event"] for event in events]

    assert names[0] == "started" and names[-1] == "ended"
    assert names.count("preflight") == 1 and names.count("evaluated") == 3 and "step" in names
    preflight = next(event for event in events if event["event"] == "preflight")
    assert preflight["steps_left"] == 50
    assert (preflight["evals_left"], preflight["saves_left"]) == (3, 4)
    assert preflight["expected_seconds"] > 50 * preflight["seconds_per_step"]
    assert preflight["fits"]


def test_each_new_pass_over_a_source_is_told_once(unbroken):
    told = [event["pass"] for event in unbroken[2] if event["event"] == "pass"]

    assert told == sorted(set(told)) and told
    assert [row["pass"] for row in rows(unbroken[0].out / "steps.jsonl")][-1] == told[-1]


def test_the_preflight_says_when_the_limit_is_too_short(toy, tmp_path):
    events: list[dict[str, Any]] = []
    recipe = toy_recipe(train={"steps": 100_000})
    plan = toy_plan(toy, tmp_path, recipe=recipe, max_wall_seconds=60.0)

    with pytest.raises(
        GateError, match=r"the full run of 'toy' stops here: the time limit leaves \w+ and the rest takes"
    ):
        train(plan, on_event=events.append)

    (preflight,) = [event for event in events if event["event"] == "preflight"]
    assert not preflight["fits"]
    assert json.loads((tmp_path / "run.json").read_text())["status"] == "REFUSED"
    assert load_checkpoint(tmp_path / "last").step == 10


def test_a_run_in_parts_trains_up_to_its_limit_and_never_calls_itself_converged(toy, tmp_path):
    recipe = toy_recipe(train={"steps": 100_000})
    result = train(toy_plan(toy, tmp_path, recipe=recipe, max_wall_seconds=4.0, in_parts=True))

    assert result.status == "BUDGET_EXHAUSTED" and 1 < result.step < 100_000
    assert json.loads((tmp_path / "run.json").read_text())["wall_seconds"] < 12.0  # a busy machine is no finding
    assert load_checkpoint(tmp_path / "last").step == result.step


def test_a_log_row_is_the_mean_over_all_pieces_since_the_row_before(toy: Toy, tmp_path: Path) -> None:
    each = train(toy_plan(toy, tmp_path / "each", recipe=toy_recipe(train={"steps": 20, "log_every": 1}))).out
    windows = train(toy_plan(toy, tmp_path / "windows", recipe=toy_recipe(train={"steps": 20, "log_every": 5}))).out
    steps, rows = (
        [json.loads(line) for line in (out / "steps.jsonl").read_text().splitlines()] for out in (each, windows)
    )

    for index, row in enumerate(rows):
        window = steps[5 * index : 5 * index + 5]
        pieces = sum(step["tokens"] for step in window)
        assert row["tokens"] == pieces
        assert row["loss"] == pytest.approx(sum(step["loss"] * step["tokens"] for step in window) / pieces)


@pytest.mark.parametrize("loss", [{"kind": "ce+crf"}, {"kind": "soft-span"}])
def test_lengths_rounded_up_as_for_a_gpu_change_no_loss_but_for_rounding(toy, tmp_path, monkeypatch, loss):
    recipe = toy_recipe(loss=loss, model={"dropout": 0.0})
    plain = Run(toy_plan(toy, tmp_path, recipe=recipe), torch.device("cpu"), ALONE, lambda event: None)
    monkeypatch.setattr("mw_pipeline.train.loop.width_multiple", lambda device: 8)
    wide = Run(toy_plan(toy, tmp_path, recipe=recipe), torch.device("cpu"), ALONE, lambda event: None)

    for step in range(1, 6):
        ours, theirs = plain.stepper.take(step), wide.stepper.take(step)
        assert ours.losses() == pytest.approx(theirs.losses(), rel=1e-5)
        assert (ours.pieces, ours.row_hash) == (theirs.pieces, theirs.row_hash)
    assert wide.data.stream.batch(0).input_ids.shape[1] % 8 == 0
