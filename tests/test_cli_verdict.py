"""`mw-pipeline verdict`, as a person types it: JSON on stdout, words on stderr, the outcome in the exit status."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from run_logs import HEALTHY_F1, HEALTHY_LOSS, course, eval_rows, line, run_json, step_rows, write_run

from mw_pipeline.cli import main

RECIPE = """
corpus = "tiny"

[mix.weights]
a = 1.0

[model]
width = 8
layers = 1
heads = 2
feed_forward = 16

[train]
steps = 50_000
peak_lr = 5e-4
warmup_steps = 1000
batch_size = 16
accumulation = 8

[smoke]
steps = 3000
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipes" / "small.toml"
    path.parent.mkdir()
    path.write_text(RECIPE)
    return path


def judge(recipe: Path, run: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mw_pipeline", "verdict", "--recipe", str(recipe), "--run", str(run)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_sound_smoke_passes_with_status_0(recipe: Path, tmp_path: Path) -> None:
    smoke = course("constant", 3000)
    run = write_run(tmp_path / "run", step_rows(smoke, HEALTHY_LOSS), eval_rows(smoke, HEALTHY_F1), run_json(smoke))
    done = judge(recipe, run)

    assert done.returncode == 0
    assert json.loads(done.stdout)["outcome"] == "pass"
    assert done.stderr.startswith("pass: no failure rule fired over 2000 near-peak steps")
    assert "not checked: digests of" in done.stderr


@pytest.mark.parametrize(("knows_its_schedule", "near_peak_steps"), [(True, 872), (False, 882)])
def test_a_cosine_smoke_of_3000_steps_is_invalid_because_its_rate_had_decayed(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], knows_its_schedule: bool, near_peak_steps: int
) -> None:
    # M01: with run.json, and from the rates alone, of which every tenth is logged. Its constant twin passes above.
    smoke = course("cosine", 3000)
    facts = run_json(smoke) if knows_its_schedule else None
    run = write_run(tmp_path / "run", step_rows(smoke, HEALTHY_LOSS), eval_rows(smoke, HEALTHY_F1), facts)

    assert main(["verdict", "--recipe", str(recipe), "--run", str(run)]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["outcome"], found["rule"]) == ("invalid", "exposure")
    assert f"{near_peak_steps} near-peak steps, 2000 required" in found["reason"]


def test_a_bare_folder_of_a_diverged_run_fails_with_status_1(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    smoke = course("constant", 3000)
    loss = line([(0, 6.5), (1500, 0.3), (2000, 3.3)])
    run = write_run(tmp_path / "run", step_rows(smoke, loss), eval_rows(smoke, HEALTHY_F1))

    assert main(["verdict", "--recipe", str(recipe), "--run", str(run)]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["outcome"], found["rule"]) == ("fail", "rebound")
    assert found["step"] == pytest.approx(1600, abs=60)


def test_an_empty_log_is_invalid_with_status_1(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run(tmp_path / "run", [], [])

    assert main(["verdict", "--recipe", str(recipe), "--run", str(run)]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["outcome"] == "invalid"
    assert "log incomplete" in found["reason"]


def test_a_folder_without_logs_is_bad_input_with_status_2(recipe: Path, tmp_path: Path) -> None:
    done = judge(recipe, tmp_path)

    assert (done.returncode, done.stdout) == (2, "")
    assert "holds no log that is known here" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_log_of_another_trainer_is_named_and_judged(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    smoke = course("constant", 3000)
    rows = [f"{row['step']},{row['loss']},{row['lr']}" for row in step_rows(smoke, HEALTHY_LOSS)]
    (tmp_path / "log.csv").write_text("\n".join(["iter,train_loss,learning_rate", *rows]))

    assert main(["verdict", "--recipe", str(recipe), "--run", str(tmp_path / "log.csv")]) == 1
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert found["log"]["format"] == "CSV"
    assert found["log"]["columns"] == {"step": "iter", "loss": "train_loss", "lr": "learning_rate"}
    assert (found["outcome"], found["rule"]) == ("invalid", "evals")
    assert "not checked: collapse: evals.jsonl has no val_macro_f1" in err


@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_a_plot_shows_what_was_judged(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str
) -> None:
    smoke = course("constant", 3000)
    loss = line([(0, 6.5), (1500, 0.3), (2000, 3.3)])
    run = write_run(tmp_path / "run", step_rows(smoke, loss), eval_rows(smoke, HEALTHY_F1), run_json(smoke))
    plot = tmp_path / f"verdict{suffix}"

    main(["verdict", "--recipe", str(recipe), "--run", str(run), "--plot", str(plot)])
    found = json.loads(capsys.readouterr().out)

    assert found["plot"] == str(plot)
    if suffix == ".png":
        assert plot.read_bytes().startswith(b"\x89PNG")
    else:
        drawn = ElementTree.fromstring(plot.read_text())
        words = " ".join(text for element in drawn.iter() if (text := (element.text or "").strip()))
        for expected in (
            "smoke: fail",
            "near-peak window",
            f"floor {found['evidence']['loss_floor']:.3g}",
            "rebound above",
            f"rebound at {found['step']:,}",
            "learning rate",
            "validation macro-F1",
        ):
            assert expected in words


@pytest.mark.parametrize(
    ("name", "message"),
    [("plot.pdf", "has the suffix .svg or .png, found '.pdf'"), ("no/plot.svg", "cannot be written")],
)
def test_a_plot_that_cannot_be_drawn_is_bad_input(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, message: str
) -> None:
    smoke = course("constant", 3000)
    run = write_run(tmp_path / "run", step_rows(smoke, HEALTHY_LOSS), eval_rows(smoke, HEALTHY_F1), run_json(smoke))

    assert main(["verdict", "--recipe", str(recipe), "--run", str(run), "--plot", str(tmp_path / name)]) == 2
    assert message in capsys.readouterr().err
