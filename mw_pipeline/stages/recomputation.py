"""Opens the lock where tensors are: the smoke is made again, once, and the permit that it earns is kept."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mw_pipeline.artifact import Artifact
from mw_pipeline.digest import JSON
from mw_pipeline.errors import GateError
from mw_pipeline.stages import line
from mw_pipeline.stages.lock import Judged, demand_no_region_withheld, judge, permit_of
from mw_pipeline.stages.place import Place, Progress, quiet
from mw_pipeline.tokenizer import MODEL_NAME
from mw_pipeline.train.device import device_as_asked
from mw_pipeline.train.permit import bound_facts, write_permit
from mw_pipeline.train.plan import Permit, RunPlan
from mw_pipeline.train.recomputation import recompute
from mw_pipeline.verdict.binding import demand_same_surroundings, refusal_of, refuse_artifact
from mw_pipeline.verdict.judge import Verdict

_A_WHILE_SECONDS = 600.0  # two evaluations and some steps: who comes second waits for them, and has the permit too


def unlock_made_again(place: Place, recipe_name: str, *, progress: Progress = quiet) -> Verdict:
    """What `unlock` gives, of a smoke that is made again here unless it was before, on whichever kind of device.

    Raises GateError as `judge` does, and for a smoke that does not come out as it was logged (M68)."""
    return _made_again(judge(place, recipe_name), progress)


def unlock_package(place: Place, recipe_name: str, *, progress: Progress = quiet) -> Verdict:
    """The same for a recipe that may be packaged. Raises GateError as `demand_no_region_withheld` does."""
    demand_no_region_withheld(place, recipe_name)
    return unlock_made_again(place, recipe_name, progress=progress)


def unlock_training(place: Place, recipe_name: str, *, progress: Progress = quiet) -> tuple[Verdict, Permit | None]:
    """The same before a full run, and the permit that `train` demands: for the kind of device that is here; none where
    the full run lies in the store, as nothing will be trained.

    Raises GateError also for a smoke on another kind of device, in another precision or under other tools."""
    judged = judge(place, recipe_name)
    if line.full_checkpoint.find(judged.place, judged.recipe) is not None:
        return _made_again(judged, progress), None
    device = _device_here(judged)
    demand_same_surroundings(judged.recipe, judged.smoke, device=device)
    permit = permit_of(judged, device) or _earn(judged, device, progress)
    return judged.verdict, Permit(place.store.url, permit.digest)


def _made_again(judged: Judged, progress: Progress) -> Verdict:
    if permit_of(judged) is None:
        _earn(judged, _device_here(judged), progress)
    return judged.verdict


def _device_here(judged: Judged) -> str:
    return device_as_asked(judged.recipe.train.device).type


def _earn(judged: Judged, device: str, progress: Progress) -> Artifact:
    """The permit of a smoke that came out as it was logged."""
    place, recipe, smoke = judged.place, judged.recipe, judged.smoke
    tokenizer_path = line.tokenizer.demand(place, recipe).file(MODEL_NAME)
    request = line.full_run_permit.request(place, recipe, device=device)
    progress(f"making the smoke of {recipe.name!r} again, as far as that is cheap")

    def make(out: Path) -> Mapping[str, JSON]:
        data = judged.dataset.folder()
        digests = {"data": judged.dataset.digest}
        plan = RunPlan("smoke", recipe, data, tokenizer_path, smoke.folder(), digests)
        try:
            measured = recompute(plan, device_as_asked(recipe.train.device))
        except GateError as error:
            raise refuse_artifact(refusal_of(recipe), smoke)(f"its smoke is not what it says: {error}") from None
        facts = bound_facts(recipe, dataset_path=data, tokenizer_path=tokenizer_path, device=device)
        write_permit(out, facts, inputs=request.inputs, measured=measured)
        return {"steps_trained_again": measured["steps_trained_again"]}

    return request.build(place.store, make, patience_seconds=_A_WHILE_SECONDS).artifact
