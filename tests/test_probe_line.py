"""The probes on a tiny project: as commands, as assets, and beside a smoke that has failed."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from graph_runs import materialize
from test_cli_line import CommandLine
from tiny_line import made
from tiny_project import forget, place_at

from mw_pipeline.stages import checks, views
from mw_pipeline.stages.place import Place

pytestmark = pytest.mark.slow  # a whole line has to run first


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    return CommandLine(monkeypatch, capsys)


@pytest.fixture(scope="module")
def finished(tiny_line: Path) -> Place:
    return place_at(tiny_line)


def test_gradients_of_a_run_folder_need_no_more_than_its_name(
    run: CommandLine, finished: Place, tmp_path: Path
) -> None:
    smoke, picture = made(finished, "smoke_checkpoint"), tmp_path / "gradients.png"

    code, shown, said = run(
        finished, "probe", "gradients", "--checkpoint", smoke.path, "--batches", "5", "--picture", picture
    )

    assert (code, shown["terms"]["batches"]) == (0, 5)
    assert shown["checkpoint"]["step"] == smoke.metrics["best_step"]
    assert "| weighted |" in said and "| builtin |" in said
    assert picture.read_bytes()[:4] == b"\x89PNG"


def test_activations_are_compared_with_another_checkpoint_and_another_precision(
    run: CommandLine, finished: Place
) -> None:
    smoke, full = made(finished, "smoke_checkpoint").path, made(finished, "full_checkpoint").path

    code, shown, said = run(
        finished, "probe", "activations", "--checkpoint", full / "best", "--against", smoke / "last"
    )
    assert (code, len(shown["comparison"]["stages"])) == (0, 14)

    same = ("probe", "activations", "--checkpoint", full, "--against", full)
    code, shown, said = run(finished, *same, "--against-precision", "bf16")
    assert (code, shown["comparison"]["origin"]) == (0, None)
    assert f"all 14 stages agree with {full} in bf16" in said


def test_a_printed_trace_of_other_rows_is_not_comparable(run: CommandLine, finished: Place, tmp_path: Path) -> None:
    # M59
    full = made(finished, "full_checkpoint").path
    _, shown, _ = run(finished, "probe", "activations", "--checkpoint", full, "--rows", "1")
    (tmp_path / "one.json").write_text(json.dumps(shown))

    ask = ("probe", "activations", "--checkpoint", full, "--against", tmp_path / "one.json", "--rows")
    code, nothing, said = run(finished, *ask, "7")
    assert (code, nothing) == (2, None)
    assert "error: not comparable: " in said

    code, shown, _ = run(finished, *ask, "1")
    assert (code, shown["comparison"]["origin"]) == (0, None)


def test_separation_is_judged_on_test_rows(run: CommandLine, finished: Place) -> None:
    code, shown, said = run(
        finished, "probe", "separation", "--checkpoint", made(finished, "full_checkpoint").path, "--resamples", "100"
    )

    assert (code, shown["split"]) == (0, "test")
    assert shown["labels"]["postcode"]["collapsed"] is False
    assert shown["thresholds"]["scored_on"] == "test"
    assert "| postcode |" in said


def test_a_checkpoint_whose_dataset_is_not_in_the_store_asks_for_it(run: CommandLine, place: Place) -> None:
    smoke, dataset = made(place, "smoke_checkpoint").path, made(place, "tokenized_dataset").path
    elsewhere = Path(shutil.copytree(dataset, place.project / "dataset"))
    forget(place, "tokenized_dataset")

    code, _, said = run(place, "probe", "separation", "--checkpoint", smoke)
    assert code == 2
    assert f"was trained on the dataset {dataset.name[:12]}, which is not in the store. Name its folder" in said

    code, shown, _ = run(
        place, "probe", "separation", "--checkpoint", smoke, "--dataset", elsewhere, "--resamples", "20"
    )
    assert (code, shown["probe"]) == (0, "separation")


def test_a_checkpoint_without_a_run_beside_it_asks_for_the_recipe(
    run: CommandLine, finished: Place, tmp_path: Path
) -> None:
    bare = Path(shutil.copytree(made(finished, "smoke_checkpoint").path / "best", tmp_path / "alone" / "checkpoint"))

    code, _, said = run(finished, "probe", "gradients", "--checkpoint", bare)
    assert (code, "no run.json beside it names its recipe. Name one with --recipe R" in said) == (2, True)

    code, shown, _ = run(finished, "probe", "gradients", "--checkpoint", bare, "--recipe", "demo", "--batches", "5")
    assert (code, shown["recipe"]) == (0, "demo")


def test_the_probes_are_assets_with_a_picture_and_tables(place: Place) -> None:
    result = materialize(place.project, "gradient_probe", "activation_trace", "label_separation")

    assert result.success
    for name, shown in (
        ("gradient_probe", "| weighted |"),
        ("activation_trace", "| logits |"),
        ("label_separation", "| street |"),
    ):
        metadata = metadata_of(result, name)
        assert shown in metadata["probe"].value
        assert drawn(metadata["probe_picture"].value).startswith("<svg ")
        assert metadata["finding"].value in metadata["probe"].value


def metadata_of(result: dg.ExecuteInProcessResult, asset: str) -> Any:
    (event,) = result.asset_materializations_for_node(asset)
    return event.metadata


def drawn(picture: str) -> str:
    return base64.b64decode(picture.rpartition("base64,")[2].removesuffix(")")).decode()


def test_a_smoke_that_diverged_brings_the_probe_of_its_last_good_checkpoint(hot: Place) -> None:
    smoke = made(hot, "smoke_checkpoint")
    found = smoke.read_json("probe.json")

    (verdict, probed) = checks.smoke_verdict(hot, "demo").problems

    assert smoke.metrics["status"] == "DIVERGED"
    assert found["checkpoint"]["step"] == smoke.metrics["best_step"]
    assert verdict.startswith("fail: ")
    assert probed.startswith(f"gradient probe at step {smoke.metrics['best_step']}: ")
    assert probed.endswith("see probe.json of the run")
    assert "| builtin |" in views.probe_of(smoke)["probe"]


def test_a_smoke_that_passed_has_none(finished: Place) -> None:
    assert views.probe_of(made(finished, "smoke_checkpoint")) == {}
    assert checks.smoke_verdict(finished, "demo").problems == ()


def test_the_gradients_of_a_failed_smoke_can_be_probed_though_the_lock_is_shut(hot: Place) -> None:
    assert materialize(hot.project, "gradient_probe").success
