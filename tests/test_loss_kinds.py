"""Every kind of loss through the one loop: it learns, logs in nats, resumes exactly, and parses and packages alike."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_package import imprint
from toy_run import measured, rows, toy_plan, toy_recipe, weights

from mw_pipeline.errors import ArtifactError
from mw_pipeline.evaluate.checkpoint_parser import checkpoint_parser
from mw_pipeline.evaluate.threshold_report import threshold_report
from mw_pipeline.model.checkpoint import load_checkpoint, save_checkpoint
from mw_pipeline.package.build import export_model, write_model_files
from mw_pipeline.parse import Parser
from mw_pipeline.train.loop import train
from mw_pipeline.verdict.runlog import read_run
from mw_pipeline.verdict.soundness import soundness_findings
from mw_pipeline.verdict.task_weights import task_weights_of

ADDRESS = "12 Oak Ave 45402 Dayton"
TEXTS = [ADDRESS, "75001 Paris 4 rue de la Paix"]


@pytest.fixture(scope="module")
def soft_span(toy, tmp_path_factory) -> Path:
    """A finished soft-span run."""
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("soft-span")
    recipe = toy_recipe(loss={"kind": "soft-span"}, train={"steps": 160, "eval_every": 40, "peak_lr": 1e-2})
    train(toy_plan(toy, out, recipe=recipe))
    return out


@pytest.mark.parametrize("kind", ["ce", "crf", "soft-span", "uncertainty"])
def test_an_interrupted_run_ends_with_the_weights_and_the_log_of_an_unbroken_one(toy, tmp_path, kind):
    recipe = toy_recipe(loss={"kind": kind}, train={"steps": 12, "checkpoint_every": 5, "eval_every": 12})
    whole, broken = toy_plan(toy, tmp_path / "whole", recipe=recipe), toy_plan(toy, tmp_path / "broken", recipe=recipe)
    ended = train(whole).status
    while (
        status := train(toy_plan(toy, broken.out, recipe=recipe, max_wall_seconds=0.0)).status
    ) == "BUDGET_EXHAUSTED":
        pass

    assert status == ended == "COMPLETED"
    assert weights(broken.out) == weights(whole.out)
    for name in ("steps.jsonl", "evals.jsonl"):
        assert measured(broken.out / name) == measured(whole.out / name)


def test_soft_span_learns_and_its_log_is_sound(soft_span):
    last, first = rows(soft_span / "evals.jsonl")[-1], rows(soft_span / "steps.jsonl")[0]

    assert last["val_macro_f1"] > 0.9
    assert last["val_loss"] == last["val_ce"] < 0.95 * read_run(soft_span).run["label_entropy"]
    assert first["loss"] == first["span"] and first["ce"] is None and first["crf"] is None
    assert soundness_findings(read_run(soft_span)) == []


def test_soft_span_thresholds_are_chosen_at_each_evaluation_and_kept_with_the_weights(soft_span):
    evals = rows(soft_span / "evals.jsonl")
    best = load_checkpoint(soft_span / "best")

    (row,) = [row for row in evals if row["step"] == best.step]
    assert best.facts.thresholds == row["thresholds"]
    assert set(row["thresholds"]) == set(best.labels.tags)


def test_a_soft_span_checkpoint_parses_through_the_same_parser(soft_span, toy):
    parsed = checkpoint_parser(soft_span, toy.tokenizer).parse(ADDRESS)

    assert parsed.components == {
        "house_number": "12",
        "street": "Oak Ave",
        "postcode": "45402",
        "locality": "Dayton",
    }


def test_thresholds_are_judged_on_rows_that_did_not_choose_them(soft_span, toy):
    # the toy corpus has no test rows of its own: its training rows stand in for rows that chose nothing
    dataset = soft_span / "dataset"
    dataset.mkdir()
    shutil.copyfile(toy.dataset / "train.arrow", dataset / "test.arrow")

    found = threshold_report(soft_span / "best", dataset)

    chosen = load_checkpoint(soft_span / "best").facts.thresholds
    assert {tag: facts["threshold"] for tag, facts in found["tags"].items()} == chosen
    assert found["findings"] == []
    street = found["tags"]["street"]
    assert (
        street["f1"]
        > 0.9
        > street["all_positive_f1"]
        == pytest.approx(2 * street["base_rate"] / (1 + street["base_rate"]))
    )


def test_a_threshold_that_says_yes_to_everything_is_named(soft_span, toy, tmp_path):
    best = load_checkpoint(soft_span / "best")
    thresholds = dict.fromkeys(best.labels.tags, -1e3)
    save_checkpoint(tmp_path / "best", best.tagger, replace(best.facts, thresholds=thresholds), optimizer={})
    shutil.copyfile(toy.dataset / "train.arrow", tmp_path / "test.arrow")

    found = threshold_report(tmp_path / "best", tmp_path)

    assert [finding.split(":")[0] for finding in found["findings"]] == [
        "locality",
        "postcode",
        "street",
        "house_number",
    ]


def test_a_checkpoint_without_thresholds_has_no_threshold_report(unbroken, toy):
    with pytest.raises(ArtifactError, match="holds no thresholds"):
        threshold_report(unbroken[0].out / "best", toy.dataset)


@pytest.mark.slow
def test_a_soft_span_package_answers_as_its_checkpoint(soft_span, toy, tmp_path):
    model = export_model(
        load_checkpoint(soft_span / "best"), tokenizer_path=toy.tokenizer, texts=TEXTS, calibration=TEXTS, work=tmp_path
    )
    write_model_files(tmp_path / "package", model=model, imprint=imprint("en-us"))

    assert model.fp32.max_logit_difference < 1e-3
    packaged = Parser.load(tmp_path / "package").parse_many(TEXTS)
    parsed = checkpoint_parser(soft_span, toy.tokenizer).parse_many(TEXTS)
    assert [p.components for p in packaged] == [p.components for p in parsed]


def test_a_soft_span_checkpoint_without_thresholds_is_refused(toy, tmp_path):
    recipe = toy_recipe(loss={"kind": "soft-span"}, train={"steps": 12})
    train(toy_plan(toy, tmp_path, recipe=recipe, max_wall_seconds=0.0))

    with pytest.raises(ArtifactError, match="holds no thresholds yet, as no evaluation has chosen them"):
        _ = load_checkpoint(tmp_path / "last").model


def test_uncertainty_logs_its_sigmas_at_every_step_and_moves_them_towards_the_losses(toy, tmp_path):
    recipe = toy_recipe(loss={"kind": "uncertainty", "crf_reduction": "per_token"})
    train(toy_plan(toy, tmp_path, recipe=recipe))

    steps = rows(tmp_path / "steps.jsonl")
    assert steps[0]["sigmas"] == {"ce": 1.0, "crf": 1.0}
    assert all(row["loss"] == pytest.approx(row["ce"] + row["crf"]) for row in steps)
    assert all(row["ce"] > 1 and row["crf"] > 1 for row in steps[:6])
    assert all(steps[5]["sigmas"][task] > 1 for task in ("ce", "crf"))


def test_sixty_steps_are_too_few_to_read_learned_weights(toy, tmp_path):
    recipe = toy_recipe(loss={"kind": "uncertainty"})
    train(toy_plan(toy, tmp_path, recipe=recipe))

    found = task_weights_of(read_run(tmp_path).steps)

    assert found is not None and found.doubts
    assert json.loads((tmp_path / "run.json").read_text())["task_weights"] == found.as_json()


def test_weights_that_are_fixed_leave_no_trace_of_learned_ones(unbroken):
    plan, _, _ = unbroken

    assert all("sigmas" not in row and "span" not in row for row in rows(plan.out / "steps.jsonl"))
    assert "task_weights" not in json.loads((plan.out / "run.json").read_text())
