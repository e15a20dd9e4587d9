"""The backtest of the verdict: its truth, its faults, its cache, its gates and the figures made of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from backtest import tables
from backtest.answer import Answer, Gate, Smoke
from backtest.cases import SMOKE_STEPS, Case, Fault, cases
from backtest.corpus import Corpus
from backtest.figures import Tried, figures_of
from backtest.runs import is_done, run_path, shifted, slipped, train_unwatched
from backtest.shapes import SHAPES, right_shares
from backtest.truth import ending_of
from marked_pages import write_between
from run_logs import FULL, HEALTHY_F1, HEALTHY_LOSS, SMOKE, diverging, eval_rows, run_json, step_rows
from toy_run import Toy

from mw_pipeline.digest import JSON
from mw_pipeline.verdict.runlog import RunLog, read_run


def full_log(scores: list[float], *, loss: float = 0.5, val_loss: float = 0.5) -> tuple[list[Any], list[Any]]:
    steps = [{"step": step, "loss": loss, "grad_norm": 1.0} for step in range(10)]
    return steps, [{"step": n, "val_loss": val_loss, "val_macro_f1": score} for n, score in enumerate(scores)]


@pytest.mark.parametrize(
    ("scores", "changes", "ending"),
    [
        ([0.1, 0.4, 0.5, 0.5, 0.5], {}, "healthy"),
        ([0.1, 0.3, 0.4, 0.44, 0.44], {}, "poor"),
        ([0.1, 0.5, 0.2, 0.5, 0.5, 0.5], {}, "healthy"),  # it fell and came back
        ([0.1, 0.55, 0.5, 0.46, 0.46], {}, "healthy"),  # it sagged by less than a tenth
        ([0.1, 0.5, 0.39, 0.38, 0.38], {}, "collapsed"),
        ([0.01, 0.04, 0.02, 0.03, 0.03], {}, "useless"),
        ([0.1, 0.4, 0.5, 0.5, 0.5], {"val_loss": 1.6}, "useless"),
        ([0.1, 0.4, 0.5, 0.5, 0.5], {"loss": float("nan")}, "nonfinite"),
        ([0.1, 0.4, 0.5, 0.5, 0.5], {"val_loss": float("inf")}, "nonfinite"),
        ([], {}, "nonfinite"),
    ],
)
def test_how_a_full_run_ended_is_what_the_words_say(
    scores: list[float], changes: dict[str, float], ending: str
) -> None:
    assert ending_of(*full_log(scores, **changes), label_entropy=1.5) == ending


def test_every_row_of_the_reference_campaign_gets_its_verdict() -> None:
    assert [shape.number for shape in SHAPES] == list(range(1, 11))
    assert right_shares(seeds=3, loss_noise=0.02, f1_noise=0.002) == dict.fromkeys(range(1, 11), 1.0)


def test_cases_cover_every_cause_under_both_schedules_with_smokes_below_a_seventh() -> None:
    found = list(cases([2]))

    assert len({case.digest() for case in found}) == len(found)
    assert {case.recipe().train.schedule for case in found} == {"cosine", "constant"}
    assert len({case.cause for case in found}) == 11
    assert all(SMOKE_STEPS / case.recipe().train.steps < 0.15 for case in found)


def test_shifted_tags_keep_begin_and_inside_and_leave_o_alone() -> None:
    labels = np.array([[0, 1, 2, 0, 19, 20], [0, 3, 4, 4, 0, 0]])

    assert shifted(labels, np.array([1, 0]), 10).tolist() == [[0, 3, 4, 0, 1, 2], [0, 3, 4, 4, 0, 0]]


def test_slipped_labels_stand_one_piece_late_and_stay_off_the_padding() -> None:
    labels = np.array([[0, 1, 2, 2, 0, 0], [3, 4, 0, 0, 0, 0]])
    mask = np.array([[1, 1, 1, 1, 0, 0], [1, 1, 1, 0, 0, 0]], dtype=bool)

    assert slipped(labels, mask, np.array([True, False])).tolist() == [[0, 0, 1, 2, 0, 0], [3, 4, 0, 0, 0, 0]]
    assert slipped(labels, mask, np.array([False, True])).tolist() == [[0, 1, 2, 2, 0, 0], [0, 3, 4, 0, 0, 0]]


def test_a_source_turns_bad_at_the_step_that_its_fault_names(toy: Toy, tmp_path: Path) -> None:
    corpus = Corpus(toy.dataset, toy.tokenizer)
    losses = []
    for name, fault in (("plain", {}), ("late", {"poison_share": 1.0, "poison_from": 11})):
        train_unwatched(tiny_case(**fault), corpus, "smoke", tmp_path / name)
        losses.append([row["loss"] for row in read_run(tmp_path / name).steps])

    plain, late = losses
    assert plain[:2] == late[:2]
    assert plain[2:] != late[2:]


def tiny_case(**fault: Any) -> Case:
    changes = {
        "mix": {"weights": {"alpha": 1.0, "beta": 1.0}},
        "model": {"layers": 1, "max_length": 32},
        "train": {"steps": 40, "warmup_steps": 5, "eval_every": 10, "eval_rows": 50, "log_every": 5, "peak_lr": 5e-3},
        "smoke": {"steps": 20, "eval_every": 5},
    }
    return Case("test", "tiny", changes, Fault(**fault))


def test_a_smoke_and_its_full_run_are_made_once_and_kept(toy: Toy, tmp_path: Path) -> None:
    corpus, case = Corpus(toy.dataset, toy.tokenizer), tiny_case()
    smoke, full = (run_path(tmp_path, case, corpus, kind) for kind in ("smoke", "full"))
    train_unwatched(case, corpus, "smoke", smoke)
    train_unwatched(case, corpus, "full", full)

    assert (read_run(smoke).run["step"], read_run(full).run["step"]) == (20, 40)
    assert [row["step"] for row in read_run(full).evals] == [10, 20, 30, 40]
    written = (full / "steps.jsonl").stat().st_mtime_ns
    train_unwatched(case, corpus, "full", full)
    assert (full / "steps.jsonl").stat().st_mtime_ns == written

    (full / "run.json").unlink()  # as a kill would have left it
    assert not is_done(full)
    train_unwatched(case, corpus, "full", full)
    assert len(read_run(full).steps) == 8


def test_both_schedules_share_a_smoke_and_no_full_run(toy: Toy, tmp_path: Path) -> None:
    corpus = Corpus(toy.dataset, toy.tokenizer)
    constant = tiny_case()
    train = {**constant.changes["train"], "schedule": "linear_cooldown", "cooldown_from": 20}
    other = dataclasses.replace(constant, changes={**constant.changes, "train": {**train, "schedule": "constant"}})
    cosine = dataclasses.replace(other, changes={**other.changes, "train": {**train, "schedule": "cosine"}})

    assert run_path(tmp_path, other, corpus, "smoke") == run_path(tmp_path, cosine, corpus, "smoke")
    assert run_path(tmp_path, other, corpus, "full") != run_path(tmp_path, cosine, corpus, "full")
    assert run_path(tmp_path, constant, corpus, "full") != run_path(
        tmp_path, tiny_case(noise_share=1.0), corpus, "full"
    )


@pytest.mark.parametrize(
    "fault", [{"noise_share": 1.0}, {"poison_share": 1.0}, {"slip_share": 1.0}, {"rounds_weights": True}]
)
def test_every_fault_changes_what_is_trained(toy: Toy, tmp_path: Path, fault: dict[str, Any]) -> None:
    corpus = Corpus(toy.dataset, toy.tokenizer)
    losses = []
    for name, case in (("plain", tiny_case()), ("fault", tiny_case(**fault))):
        train_unwatched(case, corpus, "smoke", tmp_path / name)
        losses.append([row["loss"] for row in read_run(tmp_path / name).steps])

    assert losses[0] != losses[1]


def smoke_of(steps: list[dict[str, JSON]], evals: list[dict[str, JSON]]) -> Any:
    return Smoke(RunLog(tuple(steps), tuple(evals), run_json(SMOKE)), FULL)


@pytest.fixture
def gates() -> Mapping[str, Gate]:
    found: Mapping[str, Gate] = pytest.importorskip("backtest.gates", reason="needs the extra [bench]").GATES
    return found


def test_a_healthy_smoke_passes_the_verdict_and_a_diverged_one_costs_only_its_steps_until_then(gates) -> None:
    healthy = smoke_of(step_rows(SMOKE, HEALTHY_LOSS), eval_rows(SMOKE, HEALTHY_F1))
    diverged = smoke_of(step_rows(SMOKE, diverging(1500, 2000)), eval_rows(SMOKE, HEALTHY_F1))
    assert (gates["verdict"](healthy).passes, gates["verdict"](healthy).steps) == (True, 3000)
    answer = gates["verdict"](diverged)
    assert (answer.passes, answer.why) == (False, "rebound")
    assert 1500 < answer.steps < 1800


def test_every_other_gate_answers_too(gates) -> None:
    nan = [{**row, "loss": float("nan")} if row["step"] > 2000 else row for row in step_rows(SMOKE, HEALTHY_LOSS)]
    broken = smoke_of(nan, eval_rows(SMOKE, HEALTHY_F1))
    passes = {name: gate(broken).passes for name, gate in gates.items()}
    assert passes["no gate"]
    assert not any(passes[name] for name in ("verdict", "NaN rule", "losslint, errors", "trainproof, FAIL"))
    worse = smoke_of(step_rows(SMOKE, lambda step: 6.0), eval_rows(SMOKE, HEALTHY_F1))
    assert not gates["final-loss rule"](worse).passes


@pytest.mark.slow
def test_a_case_goes_from_training_in_a_worker_to_what_every_gate_said(toy: Toy, tmp_path: Path, gates) -> None:
    benchmark = pytest.importorskip("verdict")
    corpus, case = Corpus(toy.dataset, toy.tokenizer), tiny_case()
    assert benchmark.try_case(case, corpus, tmp_path) is None  # nothing was run yet

    benchmark.train_all([case], corpus, tmp_path, workers=1)
    found = benchmark.try_case(case, corpus, tmp_path)

    assert (found.cause, found.smoke_steps, found.full_steps) == ("test", 20, 40)
    assert found.answers.keys() == gates.keys()


def tried(name: str, ending: str, passes: bool, *, watchdog: Answer | None = None, end_f1: float = 0.625) -> Tried:
    answers = {"verdict": Answer(passes, "" if passes else "rebound", 100), "no gate": Answer(True, "", 0)}
    watched = watchdog or Answer(True, "", 1000)
    return Tried("rate", name, 2, ending, 100, 1000, end_f1, answers, watched)  # type: ignore[arg-type]


def test_figures_count_what_was_caught_missed_and_stopped_for_nothing() -> None:
    found = figures_of(
        [
            tried("a", "collapsed", False),
            tried("b", "useless", True),
            tried("c", "healthy", True),
            tried("d", "healthy", False),
            tried("e", "poor", False),
        ]
    )
    verdict = found["gates"]["verdict"]

    assert (verdict["caught"], verdict["bad"], verdict["false_alarms"], verdict["healthy"]) == (1, 2, 1, 2)
    assert (verdict["poor_stopped"], verdict["poor"]) == (1, 1)
    assert verdict["steps_saved_share"] == pytest.approx(1 - 2500 / 5000)
    assert found["gates"]["no gate"]["steps_saved_share"] == 0
    assert found["missed"] == [{"name": "b", "ending": "useless", "watchdog": None}]
    assert found["false_alarms"] == [{"name": "d", "why": "rebound", "end_f1": 0.625, "cost": 0.0}]
    page = tables.markdown(found, [])
    assert "| rebound | 1 | 1 | 1 |" in page
    assert "the verdict stopped 1 of 2, 9% to 91% of the bad runs and 1 of 2, 9% to 91% of the healthy ones" in page
    assert "- false alarm: d (rebound); its full run ended at macro-F1 0.62, 0.00 below the best" in page


def test_a_watchdog_counts_for_what_the_smoke_let_through_and_against_what_it_stops_for_nothing() -> None:
    late = Answer(False, "collapse", 600)
    found = figures_of(
        [
            tried("a", "collapsed", False),
            tried("b", "collapsed", True, watchdog=late, end_f1=0.1),
            tried("c", "healthy", True, end_f1=0.9),
            tried("d", "healthy", True, watchdog=late, end_f1=0.86),
            tried("e", "healthy", True, watchdog=late, end_f1=0.8),
        ]
    )
    power = found["seeds"]["all"]

    assert (power["caught"], power["caught_or_watched"], power["bad"]) == (1, 2, 2)
    assert (power["near_best_stopped"], power["near_best"]) == (1, 2)
    assert (power["stopped_by_watchdog"], power["steps_saved_by_watchdog"]) == (1, 400)
    assert found["watched"]["steps_saved_share"] == pytest.approx(1 - (5 * 100 + 3 * 600 + 1000) / 5000)
    assert [a["name"] for a in found["false_alarms"]] == ["d", "e"]
    assert found["seeds"]["seed 2"] == power
    page = tables.markdown(found, [])
    assert (
        "| all | 5 | 1 of 2 (9% to 91%) | 2 of 2 (34% to 100%) | 1 of 2 (9% to 91%) | stopped 1, 400 steps saved |"
        in page
    )
    assert "- missed: b (collapsed); watchdog: collapse at step 600" in page
    assert "- false alarm: d (watchdog: collapse at step 600); its full run ended at macro-F1 0.86, 0.04 below" in page


def test_tables_replace_what_stands_between_the_marks_of_a_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n{}\nold\n{}\nafter\n".format(*tables.MARKS))
    shapes = [{"loss_noise": 0.02, "f1_noise": 0.0, "logs": 10, "right": 9, "by_row": {"1": 0.9, "2": 1.0}}]
    write_between(page, tables.MARKS, tables.markdown(figures_of([tried("a", "collapsed", False)]), shapes))
    text = page.read_text()

    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    assert "| 2% | 0 | 9 of 10 | 1 (90.0% right) |" in text
    assert "1 full runs: 1 bad, 0 poor, 0 healthy." in text
    assert "| verdict | 1 of 1 | 0 of 0 | 0 of 0 | 90% |" in text
    assert "1 of 1, 21% to 100% of the bad runs and 0 of 0, nothing known of the healthy ones" in text
    bare = tmp_path / "bare.md"
    bare.write_text("no marks")
    with pytest.raises(ValueError, match="Put both where the tables shall stand"):
        write_between(bare, tables.MARKS, "")
