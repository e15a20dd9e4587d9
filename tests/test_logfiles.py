"""Logs of other trainers: told apart by what they hold, read with their own column names, refused when they are not."""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from run_logs import FULL, HEALTHY_F1, HEALTHY_LOSS, SMOKE, diverging, eval_rows, run_json, step_rows, write_run

from mw_pipeline.digest import JSON
from mw_pipeline.errors import ArtifactError
from mw_pipeline.verdict.columns import columns_of, plain_name
from mw_pipeline.verdict.exposure import RunFacts
from mw_pipeline.verdict.judge import Verdict, verdict
from mw_pipeline.verdict.logfiles import read_log
from mw_pipeline.verdict.runlog import RunLog

STEPS, EVALS = step_rows(SMOKE, HEALTHY_LOSS), eval_rows(SMOKE, HEALTHY_F1)
BAD_STEPS = step_rows(SMOKE, diverging(1500, 2000))
Rows = Sequence[dict[str, JSON]]


def judge(log: RunLog) -> Verdict:
    return verdict(RunFacts(), replace(FULL, peak_lr=5e-4), log.steps, log.evals)


def trainer_state(path: Path, steps: Rows, evals: Rows) -> Path:
    """As the Trainer of Hugging Face writes it, with the summary that closes a finished run."""
    history: list[dict[str, JSON]] = [
        {
            "epoch": 0.1,
            "grad_norm": row["grad_norm"],
            "learning_rate": row["lr"],
            "loss": row["loss"],
            "step": row["step"],
        }
        for row in steps
    ]
    history += [
        {
            "epoch": 0.1,
            "eval_f1": row["val_macro_f1"],
            "eval_loss": row["val_loss"],
            "eval_runtime": 3.1,
            "step": row["step"],
        }
        for row in evals
    ]
    history.append({"step": steps[-1]["step"], "train_loss": 99.0, "train_runtime": 600.0, "total_flos": 1e15})
    path.write_text(json.dumps({"best_metric": None, "global_step": 3000, "max_steps": 3000, "log_history": history}))
    return path


def csv_file(path: Path, steps: Rows, evals: Rows) -> Path:
    """As CSV loggers write it: one row for training, another for evaluation, empty cells where nothing was logged."""
    with path.open("w", newline="") as stream:
        table = csv.DictWriter(stream, ["epoch", "lr-AdamW", "global_step", "train/loss", "valid_loss", "val_f1"])
        table.writeheader()
        for row in steps:
            table.writerow({"lr-AdamW": row["lr"], "global_step": row["step"], "train/loss": row["loss"]})
        for row in evals:
            table.writerow({"global_step": row["step"], "valid_loss": row["val_loss"], "val_f1": row["val_macro_f1"]})
    return path


def json_lines(path: Path, steps: Rows, evals: Rows) -> Path:
    rows: list[dict[str, JSON]] = [
        {"_step": row["step"], "Train Loss": row["loss"], "train.lr": row["lr"], "_runtime": row["wall_seconds"]}
        for row in steps
    ]
    rows += [
        {"_step": row["step"], "validation/loss": row["val_loss"], "macro_f1": row["val_macro_f1"], "_runtime": 1.0}
        for row in evals
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def event_folder(path: Path, steps: Rows, evals: Rows) -> Path:
    tensorboard = pytest.importorskip("torch.utils.tensorboard")
    with tensorboard.SummaryWriter(str(path)) as writer:
        for row in steps:
            for tag, name in (("train/loss", "loss"), ("train/learning_rate", "lr"), ("train/grad_norm", "grad_norm")):
                writer.add_scalar(tag, row[name], row["step"], walltime=1e9 + row["wall_seconds"])
        for row in evals:
            writer.add_scalar("eval/loss", row["val_loss"], row["step"])
            writer.add_scalar("eval/f1", row["val_macro_f1"], row["step"])
    return path


def event_file(path: Path, steps: Rows, evals: Rows) -> Path:
    return next(event_folder(path, steps, evals).iterdir())


WRITERS = {
    "Hugging Face trainer_state.json": ("state.txt", trainer_state),
    "CSV": ("metrics.dat", csv_file),
    "JSON lines": ("log.txt", json_lines),
    "TensorBoard events": ("events", event_file),
}


@pytest.mark.parametrize("format_name", WRITERS)
def test_a_foreign_log_is_told_by_its_content_and_judged_as_ours_is(tmp_path: Path, format_name: str) -> None:
    name, write = WRITERS[format_name]
    log = read_log(write(tmp_path / name, STEPS, EVALS))

    assert (log.format, log.notes) == (format_name, ())
    assert [row["step"] for row in log.steps] == [row["step"] for row in STEPS]
    assert [row["loss"] for row in log.steps] == pytest.approx([row["loss"] for row in STEPS])
    assert [row["lr"] for row in log.steps] == pytest.approx([row["lr"] for row in STEPS])
    assert [row["val_macro_f1"] for row in log.evals] == pytest.approx([row["val_macro_f1"] for row in EVALS])
    assert judge(log).outcome == "pass"


@pytest.mark.parametrize("format_name", WRITERS)
def test_a_foreign_log_of_a_run_that_diverged_fails_at_the_step_that_ours_names(
    tmp_path: Path, format_name: str
) -> None:
    name, write = WRITERS[format_name]
    judged = judge(read_log(write(tmp_path / name, BAD_STEPS, EVALS)))

    assert (judged.rule, judged.step) == ("rebound", verdict(SMOKE, FULL, BAD_STEPS, EVALS).step)


def test_what_a_foreign_log_does_not_hold_is_listed_as_not_checked(tmp_path: Path) -> None:
    judged = judge(read_log(csv_file(tmp_path / "log.csv", STEPS, EVALS)))

    assert {
        "effective batch: run.json does not say it",
        "unreal gradients: steps.jsonl has no grad_norm",
        "unreal step times: steps.jsonl has no wall_seconds",
        "flat: the label entropy is not known",
    } <= set(judged.not_checked)


def test_the_names_that_a_log_gave_its_columns_are_kept(tmp_path: Path) -> None:
    log = read_log(csv_file(tmp_path / "log.csv", STEPS, EVALS))

    assert log.columns == {
        "step": "global_step",
        "loss": "train/loss",
        "lr": "lr-AdamW",
        "val_loss": "valid_loss",
        "val_macro_f1": "val_f1",
    }


@pytest.mark.parametrize(
    ("names", "ours", "theirs"),
    [
        (["train_loss", "loss"], "loss", "loss"),
        (["Loss/train", "Loss/val"], "val_loss", "Loss/val"),
        (["eval_f1", "eval_macro_f1"], "val_macro_f1", "eval_macro_f1"),
        (["trainer/global_step"], "step", "trainer/global_step"),
    ],
)
def test_the_likeliest_of_several_columns_is_taken(names: list[str], ours: str, theirs: str) -> None:
    found = columns_of(names)

    assert {**found.named, **found.sets[""]}[ours] == theirs


def test_a_test_loss_is_no_validation_loss() -> None:
    found = columns_of(["step", "loss", "test_loss", "epoch"])

    assert (found.named.keys(), found.sets, found.unknown) == ({"step", "loss"}, {"": {}}, ("test_loss",))
    assert plain_name("Train Loss") == plain_name("train/loss") == plain_name("_train_loss") == plain_name("trainLoss")


def test_a_trainer_state_gives_its_length_and_not_its_summary(tmp_path: Path) -> None:
    log = read_log(trainer_state(tmp_path / "trainer_state.json", STEPS, EVALS))

    assert log.run == {"max_steps": 3000}
    assert log.steps[-1]["loss"] == STEPS[-1]["loss"]


def test_a_folder_is_read_by_the_log_that_lies_in_it(tmp_path: Path) -> None:
    own = write_run(tmp_path / "own", STEPS, EVALS, run_json(SMOKE))
    (tmp_path / "hf").mkdir()
    trainer_state(tmp_path / "hf" / "trainer_state.json", STEPS, EVALS)
    (tmp_path / "table").mkdir()
    csv_file(tmp_path / "table" / "metrics.csv", STEPS, EVALS)
    event_folder(tmp_path / "tb", STEPS, EVALS)

    assert read_log(own).format == "folder of steps.jsonl, evals.jsonl and run.json"
    assert read_log(tmp_path / "hf").format == "Hugging Face trainer_state.json"
    assert read_log(tmp_path / "table").format == "CSV"
    assert read_log(tmp_path / "tb").format == "TensorBoard events"


def test_one_of_our_own_files_is_read_as_json_lines(tmp_path: Path) -> None:
    log = read_log(write_run(tmp_path, STEPS, EVALS) / "steps.jsonl")

    assert (log.format, log.steps[-1]["tokens"], log.evals) == ("JSON lines", 3_000_000, ())


def test_values_that_a_resumed_run_wrote_again_count_once(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("step,loss\n10,3.0\n20,2.0\n20,2.5\n30,nan\n")
    log = read_log(tmp_path / "log.csv")

    assert [row["loss"] for row in log.steps[:2]] == [3.0, 2.5]
    assert math.isnan(log.steps[2]["loss"])
    assert log.notes == ("1 values were written again at the same step; the last counts",)


def test_scalars_that_a_newer_writer_stored_as_tensors_are_read(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.plugins.scalar.summary_v2 import scalar_pb
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    writer = EventFileWriter(str(tmp_path / "tb"))
    for step in range(3):
        writer.add_event(Event(step=step, wall_time=float(step), summary=scalar_pb("loss", 3.0 - step)))
    writer.close()

    assert [row["loss"] for row in read_log(tmp_path / "tb").steps] == [3.0, 2.0, 1.0]


def test_an_event_file_that_a_kill_cut_short_is_read_up_to_there(tmp_path: Path) -> None:
    whole = event_file(tmp_path / "tb", STEPS, [])
    (tmp_path / "cut").write_bytes(whole.read_bytes()[:-100])
    log = read_log(tmp_path / "cut")

    assert log.format == "TensorBoard events"
    assert len(STEPS) - 3 <= len(log.steps) < len(STEPS) + 1


def test_events_without_their_reader_are_refused_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = event_file(tmp_path / "tb", STEPS[:3], [])
    monkeypatch.delitem(sys.modules, "mw_pipeline.verdict.events", raising=False)
    monkeypatch.setitem(sys.modules, "tensorboard.backend.event_processing.event_file_loader", None)

    with pytest.raises(ArtifactError, match=r"reader is not installed .* Install mw-pipeline\[logs\]"):
        read_log(path)


def test_events_without_a_scalar_are_refused(tmp_path: Path) -> None:
    tensorboard = pytest.importorskip("torch.utils.tensorboard")
    with tensorboard.SummaryWriter(str(tmp_path / "tb")) as writer:
        writer.add_text("note", "hello", 1)

    with pytest.raises(ArtifactError, match="its events hold no scalar"):
        read_log(tmp_path / "tb")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("epoch,loss\n1,2.0\n", r"no column is a step \(found 'epoch', 'loss'\)"),
        ("step,accuracy\n1,0.5\n", r"no column is a loss or a score \(found 'accuracy', 'step'\)"),
        ("step,loss\n", "has no rows below its first line"),
        ("step,loss\n1,2.0,3.0\n", ":2: has another number of cells than the header"),
        ("step,loss\n1,2.0\n2,low\n", ":3: loss is 'low', expected a number"),
        ("step,loss\n1.5,2.0\n", ":2: step is 1.5, expected an integer"),
        ("step,val_loss,eval_f1\n1,2.0,42.0\n", "Divide percents by 100"),
        ('[{"step": 1, "loss": 2.0}]', "is one JSON array, expected one JSON object a line"),
        ('{"step": 1, "loss": 2.0}\n7\n', ":2: is 7, expected a JSON object"),
        ('{"step": 1, "loss": 2.0}\n{broken\n{"step": 3}\n', ":2: not JSON"),
        ('{"log_history": 7}', "log_history is 7, expected a list"),
        ('{"log_history": [7]}', r"log_history\[0\]: is 7, expected a JSON object"),
        (b"\xff\xfe\x00binary", "is neither text nor TensorBoard events"),
    ],
)
def test_what_is_no_log_is_refused_with_the_reason(tmp_path: Path, content: str | bytes, message: str) -> None:
    path = tmp_path / "log"
    path.write_bytes(content.encode() if isinstance(content, str) else content)

    with pytest.raises(ArtifactError, match=message):
        read_log(path)


def test_a_place_that_holds_no_log_or_several_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="is not there"):
        read_log(tmp_path / "nowhere")
    with pytest.raises(ArtifactError, match="holds no log that is known here"):
        read_log(tmp_path)
    csv_file(tmp_path / "a.csv", STEPS[:3], [])
    csv_file(tmp_path / "b.csv", STEPS[:3], [])
    with pytest.raises(ArtifactError, match=r"holds several logs \(a\.csv, b\.csv\)"):
        read_log(tmp_path)
