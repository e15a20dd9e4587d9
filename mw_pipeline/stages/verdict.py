"""The verdict on a recipe's smoke as an artifact, and the lock that asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mw_pipeline.digest import JSON, code_digest, write_json_atomically
from mw_pipeline.errors import ArtifactError, GateError
from mw_pipeline.recipe import Recipe
from mw_pipeline.stages import requests
from mw_pipeline.stages.place import Place
from mw_pipeline.store import Built
from mw_pipeline.verdict.gate import VERDICT_FILE, demand_verdict, judge_smoke
from mw_pipeline.verdict.judge import Verdict


def build_verdict(place: Place, recipe: Recipe) -> tuple[Built, Verdict]:
    """The verdict artifact of a recipe's smoke, and the verdict itself."""
    request = requests.verdict(place, recipe)
    smoke = requests.smoke(place, recipe).demand(place.store)
    dataset = requests.dataset(place, recipe).demand(place.store)
    verdict = judge_smoke(recipe, dataset=dataset, smoke=smoke)

    def make(out: Path) -> Mapping[str, JSON]:
        write_json_atomically(out / VERDICT_FILE, verdict.to_json())
        return {"outcome": verdict.outcome, "rule": verdict.rule, "reason": verdict.reason}

    return request.build(place.store, make), verdict


def unlock(place: Place, recipe: Recipe) -> Verdict:
    """The passing verdict that full run, evaluation and packaging demand, recomputed from the smoke's own logs.

    Raises GateError whoever asks and in whichever run, unless it is whole and for exactly this recipe, data, code and
    smoke (M03, M04)."""
    try:
        dataset = requests.dataset(place, recipe).demand(place.store)
        smoke = requests.smoke(place, recipe).find(place.store)
        verdict = requests.verdict(place, recipe).find(place.store) if smoke else None
    except ArtifactError as error:
        raise GateError(
            f"the full run of {recipe.name!r} may not start: no verdict can be for it, as {error}"
        ) from None
    return demand_verdict(
        place.store,
        recipe=recipe,
        dataset=dataset,
        smoke=smoke,
        verdict_artifact=verdict,
        train_code_digest=code_digest(requests.CODE["full_checkpoint"]),
    )
