"""Each gate has a run that it stops and a clean twin that it lets through, on the real artifacts of a tiny project."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from graph_runs import BEHIND_THE_LOCK, checks_of, environment, failure_of, materialize, shell
from tiny_project import change, edit_json, forget, rewrite, stored

from mw_pipeline.artifact import Artifact
from mw_pipeline.digest import toolchain
from mw_pipeline.errors import GateError
from mw_pipeline.stages import line
from mw_pipeline.stages.lock import unlock
from mw_pipeline.stages.place import Place
from mw_pipeline.stages.reuse import find_made
from mw_pipeline.stages.shipping import demand_gates, ship
from mw_pipeline.stages.smoke_verdict import build_verdict
from mw_pipeline.verdict import binding

pytestmark = pytest.mark.slow

HOT = ("peak_lr = 5e-3", "peak_lr = 0.5")


def test_a_recipe_that_diverges_stops_at_its_smoke_with_one_sentence_and_exit_code_1(place: Place) -> None:
    # M03, M61
    change(place.project, *HOT)
    made = stored(place, "full_checkpoint")

    done = shell(
        "dagster asset materialize -m assets.definitions --partition demo "
        "--select source_mix,tokenizer,tokenized_dataset,smoke_checkpoint,full_checkpoint",
        environment(place.project),
    )

    assert done.returncode == 1
    assert stored(place, "full_checkpoint") == made
    (sentence,) = {
        line.partition("smoke_verdict: ")[2] for line in done.stderr.splitlines() if "smoke_verdict: fail" in line
    }
    assert sentence.startswith("fail: ")
    verdict = line.smoke_verdict.demand(place, place.recipe("demo"))
    assert verdict.metrics["outcome"] == "fail"


@pytest.mark.parametrize("asset", BEHIND_THE_LOCK)
def test_after_a_failed_smoke_each_later_asset_alone_is_refused_by_the_verdict(hot: Place, asset: str) -> None:
    # M03: the run that selects only what comes after the gate.
    result = materialize(hot.project, asset)

    assert not result.success
    said = failure_of(result, asset)
    assert said.startswith("the full run of 'demo' may not start: its smoke is judged fail: ")
    assert said.endswith(
        "Run `dagster asset materialize -m assets.definitions --select smoke_checkpoint --partition demo`."
    )


def test_with_the_rate_set_right_again_the_same_assets_are_let_through(hot: Place) -> None:
    change(hot.project, *reversed(HOT))

    assert materialize(hot.project, *BEHIND_THE_LOCK).success


def test_the_failed_verdict_is_a_failed_check_with_its_evidence(hot: Place) -> None:
    result = materialize(hot.project, "smoke_checkpoint")

    assert checks_of(result) == {"smoke_verdict": False}
    (check,) = result.get_asset_check_evaluations()
    assert check.blocking
    assert check.description is not None and check.description.startswith("fail: ")
    assert {"learning_rate", "peak_f1", "f1_after", "near_peak_steps"} <= set(check.metadata)


def test_the_same_smoke_diverges_at_the_same_step_with_the_same_numbers(hot: Place) -> None:

    first = line.smoke_checkpoint.demand(hot, hot.recipe("demo"))
    expected = (first.read_json("run.json")["finding"], first.file("best/model.safetensors").read_bytes())
    forget(hot, "smoke_checkpoint", "smoke_verdict")

    again = line.smoke_checkpoint.make(hot, "demo").artifact

    assert (again.read_json("run.json")["finding"], again.file("best/model.safetensors").read_bytes()) == expected
    assert again.read_json("run.json")["status"] == "DIVERGED"


GOOD_NEWS = edit_json(outcome="pass", rule=None, step=None, findings=[], reason="it looks fine")


def edit_verdict(place: Place) -> None:
    """A verdict written by hand, in place."""
    GOOD_NEWS(line.smoke_verdict.demand(place, place.recipe("demo")).file("verdict.json"))


def forge_verdict(place: Place) -> None:
    """A whole artifact made by hand: consistent digests, the right inputs, and a verdict that says pass."""
    rewrite(line.smoke_verdict.demand(place, place.recipe("demo")), "verdict.json", GOOD_NEWS)


def flip_a_byte_of_the_data(place: Place) -> None:
    path = line.tokenized_dataset.demand(place, place.recipe("demo")).file("train.arrow")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def edit_the_recipe(place: Place) -> None:
    change(place.project, "checkpoint_every = 20", "checkpoint_every = 20\nweight_decay = 0.02")


@pytest.mark.parametrize(
    ("tamper", "reason"),
    [
        (edit_the_recipe, r"there is no smoke of this recipe: \[train\] changed since the last one\. Run"),
        (flip_a_byte_of_the_data, "the tokenized_dataset is damaged"),
        (edit_verdict, "the smoke_verdict is damaged"),
    ],
)
@pytest.mark.parametrize("stage", BEHIND_THE_LOCK)
def test_a_verdict_opens_the_lock_only_for_the_recipe_data_and_bytes_that_it_was_for(
    place: Place, stage: str, tamper: Callable[[Place], None], reason: str
) -> None:
    # M04
    assert line.STAGES[stage].make(place, "demo").reused

    tamper(place)
    made = stored(place, stage)

    with pytest.raises(GateError, match=reason):
        line.STAGES[stage].make(place, "demo")
    assert stored(place, stage) == made


def test_a_smoke_that_cannot_be_read_does_not_keep_the_lock_from_saying_that_there_is_none(place: Place) -> None:
    made = line.smoke_checkpoint.demand(place, "demo")
    edit_the_recipe(place)
    for name in (f".draft-{'0' * 32}", "a" * 64):
        (made.path.parent / name).mkdir()
        (made.path.parent / name / "manifest.json").write_text("{}")

    with pytest.raises(GateError, match=r"there is no smoke of this recipe: \[train\] changed since the last one\."):
        unlock(place, "demo")


@pytest.mark.parametrize(
    ("forge", "reason"),
    [
        (edit_verdict, "the smoke_verdict is damaged"),
        (forge_verdict, "the stored verdict is not what the smoke's own logs say"),
    ],
)
@pytest.mark.parametrize("stage", BEHIND_THE_LOCK)
def test_a_pass_written_by_hand_over_a_failed_smoke_opens_nothing(
    hot: Place, stage: str, forge: Callable[[Place], None], reason: str
) -> None:
    # M03
    forge(hot)

    with pytest.raises(GateError, match=reason):
        line.STAGES[stage].make(hot, "demo")


def test_a_smoke_whose_rate_decays_opens_nothing(place: Place) -> None:
    # M01

    change(
        place.project, "[smoke]\nsteps = 300\neval_every = 30", '[smoke]\nmode = "cosine"\nsteps = 80\neval_every = 20'
    )
    line.smoke_checkpoint.make(place, "demo")

    with pytest.raises(GateError, match=r"its smoke is judged invalid: .* near-peak steps, \d+ required"):
        line.full_checkpoint.make(place, "demo")


def test_a_full_run_that_diverged_is_evaluated_by_no_run_at_all(place: Place) -> None:
    # Its smoke has passed, so the verdict opens the lock; the check beside it stops only the run that trained it.
    full = line.full_checkpoint.demand(place, place.recipe("demo"))
    rewrite(full, "run.json", edit_json(status="DIVERGED"))

    said = failure_of(materialize(place.project, "eval_report"), "eval_report")

    assert said == (
        "run_is_sound does not hold for 'demo': the run ended as 'DIVERGED' at step 240 of 240, expected 'COMPLETED'. "
        "Train the recipe again, or change it."
    )


def permit(place: Place) -> Artifact:
    return line.full_run_permit.demand(place, place.recipe("demo"), device="cpu")


def test_the_lock_makes_a_smoke_again_once_and_keeps_what_came_of_it(place: Place) -> None:
    from mw_pipeline.stages.recomputation import unlock_made_again

    lines: list[str] = []
    kept = permit(place).digest
    unlock_made_again(place, "demo", progress=lines.append)
    assert lines == []

    forget(place, "full_run_permit")
    with pytest.raises(GateError, match="its smoke has not been made again yet"):
        unlock(place, "demo")
    assert [find_made(line.STAGES[stage], place, "demo") for stage in BEHIND_THE_LOCK] == [None, None, None]

    unlock_made_again(place, "demo", progress=lines.append)
    assert lines == ["making the smoke of 'demo' again, as far as that is cheap"]
    assert permit(place).digest == kept
    assert unlock(place, "demo").outcome == "pass"


@pytest.mark.parametrize("stage", BEHIND_THE_LOCK)
def test_a_permit_that_was_written_by_hand_opens_nothing(place: Place, stage: str) -> None:
    # M68
    rewrite(permit(place), "permit.json", edit_json(measured={"rules": []}))

    made = line.STAGES[stage]
    for attempt in (lambda: find_made(made, place, "demo"), lambda: made.make(place, "demo")):
        with pytest.raises(GateError, match="was not given out by the lock under the key of this user"):
            attempt()


def test_the_stage_itself_gives_no_permit_to_a_smoke_that_failed(hot: Place) -> None:
    # M68: who goes round the lock and asks the library for the permit meets the verdict there.
    with pytest.raises(GateError, match="its smoke is judged fail: "):
        line.full_run_permit.build(hot, hot.recipe("demo"), device="cpu")


def test_the_stage_itself_gives_no_permit_for_a_kind_of_device_that_the_smoke_is_not_made_again_on(
    place: Place,
) -> None:
    with pytest.raises(GateError, match="a permit for 'cuda' is asked where its smoke is made again on cpu"):
        line.full_run_permit.build(place, place.recipe("demo"), device="cuda")


def test_a_smoke_whose_curves_were_typed_starts_no_full_run(place: Place) -> None:
    # M68: its artifact is whole, and the verdict on it is the one that its logs have earned.

    def type_losses(path: Path) -> None:
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        path.write_text("".join(json.dumps({**row, "loss": 0.9 * row["loss"]}) + "\n" for row in rows))

    recipe = place.recipe("demo")
    smoke = rewrite(line.smoke_checkpoint.demand(place, recipe), "steps.jsonl", type_losses)
    assert build_verdict(place, recipe).outcome == "pass"

    with pytest.raises(
        GateError, match="its smoke is not what it says: first_steps_come_again: loss of step 1 "
    ) as said:
        line.full_checkpoint.make(place, "demo")
    assert f"Delete {smoke.path}. Run `dagster asset materialize" in str(said.value)


def test_under_another_torch_than_its_smoke_no_full_run_starts_and_one_that_has_ended_is_found(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    # M68

    monkeypatch.setattr(binding, "toolchain", lambda: {**toolchain(), "torch": "99.0"})
    assert line.full_checkpoint.make(place, "demo").reused

    forget(place, "full_checkpoint")
    with pytest.raises(GateError, match=r"its smoke ran with torch '.*', the full run would with '99\.0'"):
        line.full_checkpoint.make(place, "demo")


def test_a_release_below_its_gate_is_made_and_never_published(place: Place) -> None:
    change(place.project, "[eval]", "[eval]\nmin_core_macro_f1 = 0.9999")

    result = materialize(place.project, "eval_report", "regression_diagnosis", "packaged_weights")

    assert not result.success
    assert [name for name, passed in checks_of(result).items() if not passed] == ["release_beats_its_gates"]
    assert not (place.project / "releases").exists()
    reason = r"release_beats_its_gates does not hold for 'demo': en-us: core macro-F1 0\.\d+ .* lower end of 1\.00"
    with pytest.raises(GateError, match=reason):
        demand_gates(place, "demo")
    packages = line.packaged_weights.demand(place, place.recipe("demo"))
    assert ship(place, "demo", packages).startswith("not released: release_beats_its_gates does not hold")


def test_a_release_that_holds_its_gates_is_published_byte_for_byte_and_replaced_whole(place: Place) -> None:
    stale = place.project / "releases" / "demo" / "en-us" / "left-over.txt"
    stale.parent.mkdir(parents=True)
    stale.write_text("from an earlier release")

    assert materialize(place.project, "packaged_weights").success

    packages = line.packaged_weights.demand(place, place.recipe("demo"))
    for locale in ("en-us", "fr-fr"):
        released = place.project / "releases" / "demo" / locale
        assert {p.name: p.read_bytes() for p in released.iterdir()} == {
            p.name: p.read_bytes() for p in (packages.path / locale).iterdir()
        }
