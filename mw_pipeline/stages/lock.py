"""The lock before full run, evaluation and packaging: it opens on evidence that can carry them, in whichever run.

What needs no tensors is asked here; `stages.recomputation` makes the smoke again, and what came of it is kept as a
permit. Packaging asks one thing more, which is known before anything is trained: that no whole region was withheld."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from operator import itemgetter

from mw_pipeline.artifact import MANIFEST, Artifact, read_artifact
from mw_pipeline.digest import code_digest
from mw_pipeline.errors import ArtifactError, GateError
from mw_pipeline.recipe import Recipe
from mw_pipeline.stages import line
from mw_pipeline.stages.check_answers import demand_upstream
from mw_pipeline.stages.place import Place
from mw_pipeline.stages.recipe_fit import demand_fit
from mw_pipeline.train.permit import read_permit
from mw_pipeline.verdict.binding import demand_verdict, refusal_of
from mw_pipeline.verdict.judge import Verdict

DEVICES = ("cpu", "cuda")
"""The kinds of device that a smoke may have been made again on."""


@dataclass(frozen=True)
class Judged:
    """A smoke with a passing verdict, behind every blocking check, that has yet to show that it was trained.

    `place` remembers what was looked up to judge it."""

    place: Place
    recipe: Recipe
    smoke: Artifact
    verdict: Verdict


def judge(place: Place, recipe_name: str) -> Judged:
    """What full run, evaluation and packaging demand and costs no training: the passing verdict, judged again.

    Raises GateError whoever asks and in whichever run, unless it is whole and for exactly this recipe, data, code and
    smoke (M03, M04), and every blocking check holds for what the smoke was trained on; RecipeError for a gate that
    would ask nothing."""
    place = place.remembering()
    recipe = place.recipe(recipe_name)
    try:
        dataset = line.tokenized_dataset.demand(place, recipe)
        smoke = line.smoke_checkpoint.find(place, recipe)
        artifact = line.smoke_verdict.find(place, recipe) if smoke else None
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
        train_code_digest=code_digest(line.full_checkpoint.code),
        former=None if smoke else _last_smoke(place, recipe),
    )
    demand_fit(place, recipe)
    demand_upstream(place, recipe_name)
    assert smoke is not None  # demand_verdict has refused without
    return Judged(place, recipe, smoke, verdict)


def _last_smoke(place: Place, recipe: Recipe) -> Artifact | None:
    """The youngest smoke of a recipe's name on this machine, whatever it was trained on: for words, never for a run."""
    made: list[tuple[str, Artifact]] = []
    for path in (place.store.root / line.smoke_checkpoint.name).glob(f"[!.]*/{MANIFEST}"):
        with suppress(ArtifactError, OSError):  # what cannot be read says nothing
            artifact = read_artifact(path.parent)
            if artifact.manifest.recipe_name == recipe.name:
                made.append((str(artifact.manifest.created_at), artifact))
    return max(made, key=itemgetter(0), default=(None, None))[1]


def permit_of(judged: Judged, *devices: str) -> Artifact | None:
    """The permit that the lock has given out for a smoke, on any of some kinds of device; None where it has not.

    Raises GateError for one that it did not give out (M68)."""
    for device in devices or DEVICES:
        found = line.full_run_permit.find(judged.place, judged.recipe, device=device)
        if found is not None:
            read_permit(judged.place.store, found)
            return found
    return None


def unlock(place: Place, recipe_name: str) -> Verdict:
    """The passing verdict of a smoke that was made again before. Raises GateError as `judge` does, and where it was
    not: only a stage with tensors can do that."""
    judged = judge(place, recipe_name)
    if permit_of(judged) is None:
        raise refusal_of(judged.recipe)("its smoke has not been made again yet")
    return judged.verdict


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
