"""The log of a run as it lies on disk: read back whole, tolerant of a kill and of nothing else."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from run_logs import (
    FULL,
    HEALTHY_F1,
    HEALTHY_LOSS,
    SMOKE,
    eval_rows,
    run_json,
    step_rows,
    write_run,
)

from mw_pipeline.digest import JSON
from mw_pipeline.errors import ArtifactError
from mw_pipeline.verdict.exposure import RunFacts, facts_of_run
from mw_pipeline.verdict.judge import verdict
from mw_pipeline.verdict.parts import parts_of
from mw_pipeline.verdict.run_json import RunJson, run_facts
from mw_pipeline.verdict.runlog import read_run


def test_a_log_reads_back_as_it_was_written(tmp_path: Path) -> None:
    steps, evals = step_rows(SMOKE, HEALTHY_LOSS), eval_rows(SMOKE, HEALTHY_F1)
    log = read_run(write_run(tmp_path, steps, evals, run_json(SMOKE)))

    assert (list(log.steps), list(log.evals), log.notes) == (steps, evals, ())
    assert facts_of_run(log.run) == SMOKE


def test_a_last_line_that_a_kill_cut_short_is_left_out_and_noted(tmp_path: Path) -> None:
    path = write_run(tmp_path, step_rows(SMOKE, HEALTHY_LOSS), [])
    (path / "steps.jsonl").write_text((path / "steps.jsonl").read_text()[:-30])
    log = read_run(path)

    assert len(log.steps) == 299
    assert log.notes == ("steps.jsonl: the last line (line 300) is cut off and was left out",)


def test_rows_that_a_resumed_run_wrote_again_count_once(tmp_path: Path) -> None:
    steps = [{"step": 1, "loss": 3.0}, {"step": 2, "loss": 2.0}, {"step": 2, "loss": 2.5}, {"step": 3, "loss": 1.0}]
    log = read_run(write_run(tmp_path, steps, []))

    assert [row["loss"] for row in log.steps] == [3.0, 2.5, 1.0]
    assert "1 rows were written again by a resumed run" in log.notes[0]


@pytest.mark.parametrize("spelling", ["NaN", '"nan"', '"NaN"', "Infinity", '"-inf"'])
def test_every_spelling_of_a_number_that_is_not_finite_is_read(tmp_path: Path, spelling: str) -> None:
    (tmp_path / "steps.jsonl").write_text(f'{{"step": 1, "loss": {spelling}}}\n')
    (tmp_path / "evals.jsonl").write_text("")
    log = read_run(tmp_path)

    assert not math.isfinite(log.steps[0]["loss"])
    assert verdict(RunFacts(), FULL, log.steps, log.evals).rule == "nonfinite"


@pytest.mark.parametrize(
    ("line_text", "message"),
    [
        ("{broken", "steps.jsonl:2: not JSON"),
        ("[1, 2]", r"steps.jsonl:2: is \[1, 2\], expected a JSON object"),
        ('{"loss": 1.0}', "steps.jsonl:2: step is None, expected an integer"),
        ('{"step": "7", "loss": 1.0}', "steps.jsonl:2: step is '7', expected an integer"),
        ('{"step": 7, "loss": "low"}', "steps.jsonl:2: loss is 'low', expected a number"),
        ('{"step": 7, "lr": true}', "steps.jsonl:2: lr is True, expected a number"),
        ('{"step": 7, "rows": "64"}', "steps.jsonl:2: rows is '64', expected a number"),
        ('{"step": 7, "pass": NaN}', "steps.jsonl:2: pass is nan, expected an integer"),
        ('{"step": 7, "pass": [0]}', r"steps.jsonl:2: pass is \[0\], expected an integer"),
        ('{"step": 7, "sigmas": [1.0]}', r"steps.jsonl:2: sigmas is \[1.0\], expected a table of numbers above 0"),
        ('{"step": 7, "sigmas": {"ce": 0}}', "steps.jsonl:2: sigmas is .'ce': 0.*, expected a table of numbers above"),
        ('{"step": 7, "lr": 1, "sigmas": {"ce": 1}}', "steps.jsonl:2: ce is None, expected a number beside sigmas"),
        ('{"step": 7, "ce": 1, "sigmas": {"ce": 1}}', "steps.jsonl:2: lr is None, expected a number beside sigmas"),
    ],
)
def test_a_bad_line_is_refused_with_its_number(tmp_path: Path, line_text: str, message: str) -> None:
    (tmp_path / "steps.jsonl").write_text(f'{{"step": 1}}\n{line_text}\n{{"step": 9}}\n')
    (tmp_path / "evals.jsonl").write_text("")

    with pytest.raises(ArtifactError, match=message):
        read_run(tmp_path)


@pytest.mark.parametrize("name", ["val_loss", "val_macro_f1", "val_loss_se", "train_eval_loss", "train_eval_loss_se"])
def test_a_row_of_evaluations_whose_number_is_none_is_refused_by_its_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "steps.jsonl").write_text("")
    (tmp_path / "evals.jsonl").write_text(f'{{"step": 1, "{name}": 0.5}}\n{{"step": 2, "{name}": null}}\n')
    assert [row[name] for row in read_run(tmp_path).evals] == [0.5, None]

    (tmp_path / "evals.jsonl").write_text(f'{{"step": 1, "{name}": [0.5]}}\n{{"step": 2}}\n')
    with pytest.raises(ArtifactError, match=rf"evals.jsonl:1: {name} is \[0.5\], expected a number"):
        read_run(tmp_path)


@pytest.mark.parametrize(
    "fact",
    [
        {"step": "240"},
        {"step": -1},
        {"tokens": 1.5},
        {"train_rows": 10**400},
        {"parameters": "many"},
        {"label_count": -3},
        {"label_counts": ["O"]},
        {"label_entropy": "low"},
        {"initial_val_loss": "high"},
        {"passes": {"ban": "two"}},
        {"passes": {"ban": math.inf}},
        {"pool_batches": None, "effective_batch": "64"},
        {"accumulation": [1]},
        {"accumulation": 1.5},
        {"accumulation": 0},
        {"accumulation": True},
        {"processes": -1},
        {"effective_batch": 0},
        {"pool_batches": 0},
        {"pool_batches": 10**15},
        {"pool_batches": 128.5},
        {"max_steps": 0},
        {"peak_lr": 0.0},
        {"peak_lr": -1e-3},
        {"device": ""},
        {"device_asked": ["auto"]},
        {"parts": {"from_step": 0}},
        {"parts": [{"from_step": True}]},
        {"resumed_from_steps": [True]},
        {"resumed_from_steps": [-1]},
        {"label_count": 10**9},
        {"label_entropy": -1.0},
        {"initial_weights": ""},
        {"converged": True},
        {"patience_evals": 2.5},
        {"patience_evals": 0},
        {"patience_margin_share": 2.0},
        {"patience_margin_share": math.nan},
        {"digests": ["a"]},
        {"digests": {"code": None}},
        {"started_at": "yesterday"},
        {"ended_at": 7},
    ],
)
def test_a_fact_that_checks_count_with_is_told_by_file_and_key(tmp_path: Path, fact: dict[str, JSON]) -> None:
    facts = run_json(SMOKE)
    assert read_run(write_run(tmp_path, [], [], facts)).run == facts

    *_, key = fact
    with pytest.raises(ArtifactError, match=rf"run\.json: {key}\S* is .*: .*\. Repair it, or remove it\."):
        read_run(write_run(tmp_path, [], [], {**facts, **fact}))


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"label_count": 2, "label_entropy": 0.7}, "label_entropy is 0.7, 2 labels have 0.693147 at most"),
        ({"label_counts": {"O": 3, "B": 1}, "label_entropy": 0.7}, "label_entropy is 0.7, 2 labels have 0.693147"),
        ({"label_counts": {"O": 3}, "label_count": 21}, "label_count is 21 and label_counts has 1 labels"),
        (
            {"parts": [{"from_step": 0}, {"from_step": 40}], "resumed_from_steps": [*range(9)]},
            r"resumed_from_steps is \[0, 1, 2, .*\] and its parts went on from \[40\]",
        ),
        ({"parts": [{"from_step": 0}, {"from_step": 40}]}, r"resumed_from_steps is \[\] and its parts"),
    ],
)
def test_facts_that_no_run_could_have_together_are_refused(
    tmp_path: Path, facts: dict[str, JSON], message: str
) -> None:
    with pytest.raises(ArtifactError, match=rf"run\.json: .*{message}.*\. Repair it, or remove it\."):
        read_run(write_run(tmp_path, [], [], {**run_json(SMOKE), **facts}))


def test_what_no_rule_counts_with_is_whatever_another_trainer_made_of_it(tmp_path: Path) -> None:
    others: dict[str, JSON] = {
        "machine": {"gpu": "H100"},
        "compile": "max-autotune",
        "seed": -1,
        "threads": 0,
        "eval_every": 0,
        "recipe": {"lr": 1e-3},
        "notes": "the second try",
        "batch_size": 131_072,  # counted in tokens
    }

    log = read_run(write_run(tmp_path, [], [], {**run_json(SMOKE), **others}))

    assert log.run["machine"] == {"gpu": "H100"} and run_facts(log.run).notes == ["the second try"]


def test_a_fact_of_run_json_that_is_null_is_one_that_it_does_not_say(tmp_path: Path) -> None:
    nulls = dict.fromkeys(RunJson.model_fields)
    log = read_run(write_run(tmp_path, step_rows(SMOKE, HEALTHY_LOSS), [], nulls))

    assert run_facts(log.run) == RunJson() and facts_of_run(log.run) == RunFacts()
    assert [part.from_step for part in parts_of(log.run)] == [0]


def test_a_folder_that_holds_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="is not a folder"):
        read_run(tmp_path / "nowhere")
    with pytest.raises(ArtifactError, match=r"holds neither steps\.jsonl nor run\.json"):
        read_run(tmp_path)
    (tmp_path / "steps.jsonl").mkdir()
    with pytest.raises(ArtifactError, match=r"steps\.jsonl: cannot be read \(Is a directory\)"):
        read_run(tmp_path)


def test_a_run_that_died_before_its_first_evaluation_is_still_judged(tmp_path: Path) -> None:
    (tmp_path / "steps.jsonl").write_text('{"step": 1, "loss": 3.0}\n{"step": 2, "loss": NaN}\n')
    log = read_run(tmp_path)

    assert log.notes == ("evals.jsonl is missing",)
    assert verdict(RunFacts(), FULL, log.steps, log.evals).rule == "nonfinite"


def test_a_step_written_as_a_whole_float_is_read(tmp_path: Path) -> None:
    assert read_run(write_run(tmp_path, [{"step": 10.0, "loss": 1.0}], [])).steps == ({"step": 10, "loss": 1.0},)


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", r"run.json: cannot be read as JSON"), ("[]", r"run.json: the whole of it is \[\]: expected an object")],
)
def test_a_broken_run_json_is_refused(tmp_path: Path, text: str, message: str) -> None:
    write_run(tmp_path, [], [])
    (tmp_path / "run.json").write_text(text)

    with pytest.raises(ArtifactError, match=message):
        read_run(tmp_path)


@pytest.mark.parametrize(
    ("fact", "message"),
    [
        ({"schedule": "step"}, "schedule is 'step': input should be 'cosine', 'constant' or 'linear_cooldown'"),
        ({"max_steps": "3000"}, "max_steps is '3000': input should be a valid integer"),
        ({"warmup_steps": 2.5}, "warmup_steps is 2.5: input should be a valid integer"),
        ({"max_steps": 1e300}, "max_steps is 10+\\d+: input should be less than or equal to"),
        ({"digests": ["a"]}, "digests is .'a'.: input should be a valid dictionary"),
    ],
)
def test_a_fact_of_the_wrong_kind_is_refused(fact: dict[str, JSON], message: str) -> None:
    with pytest.raises(ArtifactError, match=message):
        facts_of_run(fact)
