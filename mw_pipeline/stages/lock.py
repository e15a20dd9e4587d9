"""The lock before full run, evaluation and packaging: it opens on evidence that can carry them, in whichever run."""

from __future__ import annotations

from mw_pipeline.digest import code_digest
from mw_pipeline.errors import ArtifactError, GateError
from mw_pipeline.stages import requests
from mw_pipeline.stages.gates import demand_upstream
from mw_pipeline.stages.place import Place
from mw_pipeline.verdict.gate import demand_verdict
from mw_pipeline.verdict.judge import Verdict


def unlock(place: Place, recipe_name: str) -> Verdict:
    """The passing verdict that full run, evaluation and packaging demand, recomputed from the smoke's own logs.

    Raises GateError whoever asks and in whichever run, unless it is whole and for exactly this recipe, data, code and
    smoke (M03, M04), and every blocking check holds for what the smoke was trained on."""
    recipe = place.recipe(recipe_name)
    try:
        dataset = requests.dataset(place, recipe).demand(place.store)
        smoke = requests.smoke(place, recipe).find(place.store)
        artifact = requests.verdict(place, recipe).find(place.store) if smoke else None
    except ArtifactError as error:
        raise GateError(
            f"the full run of {recipe.name!r} may not start: no verdict can be for it, as {error}"
        ) from None
    verdict = demand_verdict(
        place.store,
        recipe=recipe,
        dataset=dataset,
        smoke=smoke,
        verdict_artifact=artifact,
        train_code_digest=code_digest(requests.CODE["full_checkpoint"]),
    )
    demand_upstream(place, recipe_name)
    return verdict
