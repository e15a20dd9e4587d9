"""The lock before a full run: every way to get past it without a passing verdict, and the way that is open."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from honest_smoke import Lock, copied, small_recipe
from run_logs import H0, HEALTHY_F1, HEALTHY_LOSS, Curve, eval_rows, line, step_rows, write_run
from tiny_project import edit_json, rewrite

from mw_pipeline.artifact import Artifact
from mw_pipeline.digest import JSON, write_json_atomically
from mw_pipeline.errors import GateError
from mw_pipeline.recipe import Recipe
from mw_pipeline.store import Store
from mw_pipeline.train.plan import RunPlan
from mw_pipeline.verdict.binding import BINDING_SECTIONS, demand_same_surroundings, judge_smoke
from mw_pipeline.verdict.exposure import facts_of_run, recipe_digests

TRAIN_MODULES = ("mw_pipeline.schedule",)


def recipe_of(**changes: dict[str, Any]) -> Recipe:
    """A small recipe whose full run is a cosine of 3000 steps and whose smoke is flat."""
    sections: dict[str, Any] = {
        "mix": {"weights": {"a": 1.0}},
        "model": {"width": 8, "layers": 1, "heads": 2, "feed_forward": 16},
        "train": {"steps": 3000, "peak_lr": 5e-4, "warmup_steps": 200, "batch_size": 16, "accumulation": 2},
        "smoke": {"steps": 1000, "eval_every": 100},
    }
    for name, values in changes.items():
        sections[name] = {**sections.get(name, {}), **values}
    return Recipe.model_validate({"name": "small", "corpus": "tiny", **sections})


def make_dataset(store: Store, name: str = "tiny") -> Artifact:
    def make(path: Path) -> dict[str, JSON]:
        write_json_atomically(path / "dataset.json", {"tokenizer_sha256": "t" * 64})
        return {}

    return store.build("tokenized_dataset", make=make, config={"name": name}).artifact


def make_smoke(
    store: Store,
    recipe: Recipe,
    dataset: Artifact,
    *,
    loss: Curve = HEALTHY_LOSS,
    modules: tuple[str, ...] = TRAIN_MODULES,
    facts: dict[str, JSON] | None = None,
) -> Artifact:
    nowhere = Path()
    course = facts_of_run(RunPlan("smoke", recipe, nowhere, nowhere, nowhere).course.as_json())

    def make(path: Path) -> dict[str, JSON]:
        digests = {**recipe_digests(recipe), "data": dataset.digest, "tokenizer": "t" * 64}
        run = {
            "kind": "smoke",
            "schedule": course.schedule,
            "max_steps": course.steps,
            "warmup_steps": course.warmup_steps,
            "peak_lr": course.peak_lr,
            "effective_batch": course.effective_batch,
            "label_entropy": H0,
            "precision": "fp32",
            "compile": False,
            "device": "cpu",
            "digests": digests,
        }
        evals = eval_rows(course, HEALTHY_F1, every=recipe.smoke.eval_every)
        write_run(path, step_rows(course, loss), evals, {**run, **(facts or {})})
        return {}

    sections = {name: recipe.slice(name)[name] for name in BINDING_SECTIONS}
    return store.build("smoke_checkpoint", make=make, inputs=[dataset], config=sections, modules=modules).artifact


def make_verdict(
    store: Store,
    recipe: Recipe,
    dataset: Artifact,
    smoke: Artifact,
    *,
    inputs: list[Artifact] | None = None,
    **forged: JSON,
) -> Artifact:
    def make(path: Path) -> dict[str, JSON]:
        value = judge_smoke(recipe, dataset=dataset, smoke=smoke).to_json()
        write_json_atomically(path / "verdict.json", {**value, **forged})
        return {}

    return store.build("smoke_verdict", make=make, inputs=inputs or [smoke, dataset], config=sorted(forged)).artifact


def lock_of(path: Path, recipe: Recipe, **smoke: Any) -> Lock:
    """The lock before a smoke whose curves were typed: for what is refused by them."""
    store = Store(path)
    dataset = make_dataset(store)
    trained = make_smoke(store, recipe, dataset, **smoke)
    judged = make_verdict(store, recipe, dataset, trained)
    return Lock(store, recipe, dataset, trained, judged, train_code_digest=trained.manifest.code_digest)


@pytest.fixture
def lock(trained: Lock, tmp_path: Path) -> Lock:
    """The lock before a smoke that was really trained."""
    return copied(trained, tmp_path)


def refusal_of(lock: Lock) -> str:
    with pytest.raises(GateError) as caught:
        lock.open()
    message = str(caught.value)
    assert message.startswith("the full run of 'small' may not start: ")
    assert "`dagster asset materialize -m assets.definitions --select smoke_checkpoint --partition small`" in message
    return message


def test_a_passing_verdict_of_this_very_smoke_opens_the_lock(lock: Lock) -> None:
    judged = lock.open()

    assert (judged.outcome, judged.not_checked) == ("pass", ())


def test_a_change_of_gates_or_package_leaves_the_verdict_standing(lock: Lock) -> None:
    changed = small_recipe(eval={"min_core_macro_f1": 0.5}, package={"version": "9.9.9"})

    assert changed.digest != lock.recipe.digest
    assert replace(lock, recipe=changed).open().outcome == "pass"


def test_without_a_smoke_or_a_verdict_nothing_starts(lock: Lock) -> None:
    # M03: the full run launched by hand.
    assert "there is no verdict on the smoke" in refusal_of(replace(lock, verdict_artifact=None))
    assert "there is no smoke of this recipe" in refusal_of(replace(lock, smoke=None, verdict_artifact=None))


def test_a_failed_smoke_keeps_the_lock_shut(tmp_path: Path) -> None:
    # M03
    lock = lock_of(tmp_path, recipe_of(), loss=line([(0, 6.5), (500, 0.3), (800, 3.3)]))

    assert "its smoke is judged fail: rebound at step 5" in refusal_of(lock)


def test_a_smoke_on_a_decayed_rate_keeps_the_lock_shut(tmp_path: Path) -> None:
    # M01
    lock = lock_of(tmp_path, recipe_of(smoke={"mode": "cosine"}))

    assert re.search(r"judged invalid: .* 349 near-peak steps, 611 required", refusal_of(lock))


def test_a_smoke_at_another_batch_keeps_the_lock_shut(tmp_path: Path) -> None:
    # M02
    lock = lock_of(tmp_path, recipe_of(smoke={"accumulation": 1}))

    assert "effective batch 16 ≠ 32 of the full run" in refusal_of(lock)


@pytest.mark.parametrize(
    ("section", "values"),
    [
        ("model", {"width": 16}),
        ("loss", {"crf_weight": 0.5}),
        ("mix", {"weights": {"alpha": 1.0, "beta": 1.0}}),
        ("train", {"peak_lr": 1e-3}),
        ("smoke", {"steps": 180}),
    ],
)
def test_the_verdict_of_another_recipe_is_refused(lock: Lock, section: str, values: dict[str, Any]) -> None:
    # M04
    message = refusal_of(replace(lock, recipe=small_recipe(**{section: values})))

    assert f"the smoke was trained with another {section} than the recipe now says" in message


def test_the_verdict_on_other_data_is_refused(lock: Lock) -> None:
    # M04
    other = make_dataset(lock.store, "other")

    assert "the smoke_checkpoint belongs to another tokenized_dataset" in refusal_of(replace(lock, dataset=other))


def test_the_verdict_on_another_smoke_is_refused(lock: Lock) -> None:
    # M04
    longer = make_smoke(lock.store, small_recipe(smoke={"steps": 180}), lock.dataset)

    assert "the smoke_verdict belongs to another smoke_checkpoint" in refusal_of(replace(lock, smoke=longer))


def test_a_smoke_under_other_training_code_is_refused(lock: Lock) -> None:
    assert "the smoke was trained by other code" in refusal_of(replace(lock, train_code_digest="f" * 64))


def test_an_artifact_of_another_kind_is_refused(lock: Lock) -> None:
    message = refusal_of(replace(lock, verdict_artifact=lock.smoke))

    assert "is a 'smoke_checkpoint' artifact, expected 'smoke_verdict'" in message


def test_a_verdict_that_does_not_say_what_it_judged_is_refused(lock: Lock) -> None:
    assert lock.smoke is not None
    orphan = make_verdict(lock.store, lock.recipe, lock.dataset, lock.smoke, inputs=[lock.dataset])

    assert "the smoke_verdict does not say what it was made from" in refusal_of(replace(lock, verdict_artifact=orphan))


@pytest.mark.parametrize("kind", ["smoke", "dataset", "verdict_artifact"])
def test_one_changed_byte_in_any_of_the_three_is_refused(lock: Lock, kind: str) -> None:
    artifact = getattr(lock, kind)
    path = artifact.path / artifact.manifest.files[0].path
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)

    assert f"the {artifact.kind} is damaged" in refusal_of(lock)


def test_a_hand_written_pass_over_a_failed_smoke_is_refused(tmp_path: Path) -> None:
    # M03: an artifact with a manifest of its own, whose verdict.json says what its author wished.
    lock = lock_of(tmp_path, recipe_of(), loss=line([(0, 6.5), (500, 0.3), (800, 3.3)]))
    assert lock.smoke is not None
    forged = make_verdict(lock.store, lock.recipe, lock.dataset, lock.smoke, outcome="pass", rule=None, findings=[])
    assert json.loads((forged.path / "verdict.json").read_text())["outcome"] == "pass"

    message = refusal_of(replace(lock, verdict_artifact=forged))

    assert "the stored verdict is not what the smoke's own logs say ('fail: rebound at step" in message


def test_a_smoke_that_does_not_say_its_digests_is_refused(tmp_path: Path) -> None:
    lock = lock_of(tmp_path, recipe_of(), facts={"digests": {}})

    assert "its smoke leaves open what a full run has to rely on (digests of loss, model, mix" in refusal_of(lock)


def test_a_smoke_with_an_unreadable_run_json_is_refused(lock: Lock) -> None:
    assert lock.smoke is not None
    broken = rewrite(lock.smoke, "run.json", edit_json(max_steps="many"))
    verdict_artifact = lock.store.build(
        "smoke_verdict",
        make=lambda path: (write_json_atomically(path / "verdict.json", {}), {})[1],
        inputs=[broken, lock.dataset],
    ).artifact

    message = refusal_of(replace(lock, smoke=broken, verdict_artifact=verdict_artifact))

    assert re.search(r"the verdict cannot be recomputed: \S*run\.json: max_steps is 'many': input should be", message)


def test_a_smoke_on_the_device_in_the_precision_and_under_the_tools_of_the_full_run_may_license_it(lock: Lock) -> None:
    assert lock.smoke is not None
    demand_same_surroundings(lock.recipe, lock.smoke, device="cpu", precision="fp32")


@pytest.mark.parametrize(
    ("facts", "device", "found"),
    [
        ({}, "cuda", "kind of device 'cpu', the full run would with 'cuda'"),
        ({"device": "cuda"}, "cpu", "kind of device 'cuda', the full run would with 'cpu'"),
        ({"precision": "bf16"}, "cpu", "precision 'bf16', the full run would with 'fp32'"),
        ({"compile": True}, "cpu", "compile True, the full run would with False"),
        ({"toolchain__torch": "1.0"}, "cpu", "torch '1.0', the full run would with"),
        ({"toolchain__numpy": "1.0"}, "cpu", "numpy '1.0', the full run would with"),
        ({"toolchain": "unknown"}, "cpu", "torch None, the full run would with"),
    ],
)
def test_a_smoke_from_other_surroundings_licenses_no_full_run(
    lock: Lock, facts: dict[str, JSON], device: str, found: str
) -> None:
    # M68
    assert lock.smoke is not None
    elsewhere = rewrite(lock.smoke, "run.json", edit_json(**facts))

    with pytest.raises(GateError, match=f"its smoke ran with {found}.*Delete /") as caught:
        demand_same_surroundings(lock.recipe, elsewhere, device=device, precision="fp32")
    assert f"Delete {elsewhere.path}. Run `dagster asset materialize" in str(caught.value)
