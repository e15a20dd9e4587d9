"""Opens the lock where tensors are: the smoke is made again, once, and the permit that it earns is kept."""

from __future__ import annotations

from pathlib import Path

from mw_pipeline.artifact import Artifact
from mw_pipeline.errors import GateError
from mw_pipeline.model.precision import precision_as_asked
from mw_pipeline.stages import line
from mw_pipeline.stages.lock import Judged, demand_no_region_withheld, judge, permit_of
from mw_pipeline.stages.place import Place, Progress, quiet
from mw_pipeline.stages.stage import Metrics, Request
from mw_pipeline.tokenizer import MODEL_NAME
from mw_pipeline.train.device import device_as_asked
from mw_pipeline.train.permit import bound_facts, write_permit
from mw_pipeline.train.plan import Permit, RunPlan
from mw_pipeline.train.recomputation import recompute
from mw_pipeline.verdict.binding import demand_same_surroundings, judge_smoke, refusal_of, refuse_artifact
from mw_pipeline.verdict.judge import Verdict


def unlock_made_again(
    place: Place, recipe_name: str, *, packaging: bool = False, progress: Progress = quiet
) -> Verdict:
    """What `unlock` gives, of a smoke that is made again here unless it was before, on whichever kind of device.

    Raises GateError as `judge` does, for `packaging` as `demand_no_region_withheld` does, and for a smoke that does not
    come out as it was logged (M68)."""
    if packaging:
        demand_no_region_withheld(place, recipe_name)
    judged = judge(place, recipe_name)
    _permit(judged, progress)
    return judged.verdict


def unlock_training(place: Place, recipe_name: str, *, progress: Progress = quiet) -> tuple[Verdict, Permit | None]:
    """The same before a full run, and the permit that `train` demands: for the kind of device that is here; none where
    the full run lies in the store, as nothing will be trained.

    Raises GateError also for a smoke on another kind of device, in another precision, compiled otherwise or under
    other tools."""
    judged = judge(place, recipe_name)
    if line.full_checkpoint.find(judged.place, judged.recipe) is not None:
        _permit(judged, progress)
        return judged.verdict, None
    train = judged.recipe.train
    device = device_as_asked(train.device)
    precision = precision_as_asked(train.precision, device)
    demand_same_surroundings(judged.recipe, judged.smoke, device=device.type, precision=precision)
    return judged.verdict, Permit(place.store.url, _permit(judged, progress, device.type).digest)


def _permit(judged: Judged, progress: Progress, *devices: str) -> Artifact:
    """The permit of a smoke on any of some kinds of device, earned here where there is none."""
    if found := permit_of(judged, *devices):
        return found
    device = device_as_asked(judged.recipe.train.device).type
    return line.full_run_permit.build(judged.place, judged.recipe, progress=progress, device=device).artifact


def make_smoke_again(request: Request, out: Path, progress: Progress) -> Metrics:
    """The permit of a smoke, sealed. Raises GateError for one that does not pass, that does not come out as it was
    logged, or that is made again on another kind of device than the permit is for."""
    recipe, (dataset, smoke, _) = request.recipe, request.inputs
    refuse, device = refuse_artifact(refusal_of(recipe), smoke), device_as_asked(recipe.train.device)
    if (verdict := judge_smoke(recipe, dataset=dataset, smoke=smoke)).outcome != "pass":
        raise refuse(f"its smoke is judged {verdict.outcome}: {verdict.reason}")
    if device.type != request.config["device"]:
        raise refuse(f"a permit for {request.config['device']!r} is asked where its smoke is made again on {device}")
    progress(f"making the smoke of {recipe.name!r} again, as far as that is cheap")
    data, tokenizer_path = dataset.folder(), dataset.inputs("tokenizer")[0].file(MODEL_NAME)
    plan = RunPlan("smoke", recipe, data, tokenizer_path, smoke.folder(), {"data": dataset.digest})
    try:
        measured = recompute(plan, device)
    except GateError as error:
        raise refuse(f"its smoke is not what it says: {error}") from None
    facts = bound_facts(
        recipe,
        dataset_path=data,
        tokenizer_path=tokenizer_path,
        device=device.type,
        precision=str(measured["precision"]),
    )
    write_permit(out, facts, inputs=request.inputs, measured=measured)
    return {"steps_trained_again": measured["steps_trained_again"]}
