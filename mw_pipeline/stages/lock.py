"""The lock before full run, evaluation and packaging: it opens on evidence that can carry them, in whichever run.

Packaging asks one thing more, which is known before anything is trained: that no whole region was withheld."""

from __future__ import annotations

from mw_pipeline.digest import code_digest
from mw_pipeline.errors import ArtifactError, GateError
from mw_pipeline.stages import requests
from mw_pipeline.stages.gates import demand_upstream
from mw_pipeline.stages.place import Place
from mw_pipeline.stages.recipe_fit import demand_fit
from mw_pipeline.verdict.gate import demand_verdict
from mw_pipeline.verdict.judge import Verdict


def unlock(place: Place, recipe_name: str) -> Verdict:
    """The passing verdict that full run, evaluation and packaging demand, recomputed from the smoke's own logs.

    Raises GateError whoever asks and in whichever run, unless it is whole and for exactly this recipe, data, code and
    smoke (M03, M04), and every blocking check holds for what the smoke was trained on; RecipeError for a gate that
    would ask nothing."""
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
    demand_fit(place, recipe)
    demand_upstream(place, recipe_name)
    return verdict


def unlock_package(place: Place, recipe_name: str) -> Verdict:
    """What `unlock` gives, for a recipe that may be packaged. Raises GateError as `demand_no_region_withheld` does."""
    demand_no_region_withheld(place, recipe_name)
    return unlock(place, recipe_name)


def demand_no_region_withheld(place: Place, recipe_name: str) -> None:
    """Returns when the corpus of a recipe keeps towns for testing at most, and no whole region.

    Raises GateError for `holdout_regions`, whatever the verdict: weights that never met the name of a region cannot
    read it, and gold that was held out with it does not tell (M65)."""
    recipe = place.recipe(recipe_name)
    if regions := place.corpus_spec(recipe.corpus).holdout_regions:
        raise GateError(
            f"recipe {recipe.name!r} cannot be packaged: its corpus {recipe.corpus!r} has holdout_regions = "
            f"{list(regions)!r}, so no row taught their names. Package a recipe on a corpus without holdout_regions; "
            "holdout_places_share keeps towns for testing there."
        )
