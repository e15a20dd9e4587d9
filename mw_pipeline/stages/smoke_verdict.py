"""The verdict on a recipe's smoke as an artifact."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mw_pipeline.digest import JSON, write_json_atomically
from mw_pipeline.recipe import Recipe
from mw_pipeline.stages import line
from mw_pipeline.stages.place import Place
from mw_pipeline.stages.stage import A_MOMENT_SECONDS
from mw_pipeline.store import Built
from mw_pipeline.verdict.binding import VERDICT_FILE, judge_smoke
from mw_pipeline.verdict.judge import Verdict


def build_verdict(place: Place, recipe: Recipe) -> tuple[Built, Verdict]:
    """The verdict artifact of a recipe's smoke, and the verdict itself."""
    request = line.smoke_verdict.request(place, recipe)
    smoke = line.smoke_checkpoint.demand(place, recipe)
    dataset = line.tokenized_dataset.demand(place, recipe)
    verdict = judge_smoke(recipe, dataset=dataset, smoke=smoke)

    def make(out: Path) -> Mapping[str, JSON]:
        write_json_atomically(out / VERDICT_FILE, verdict.to_json())
        return {"outcome": verdict.outcome, "rule": verdict.rule, "reason": verdict.reason}

    return request.build(place.store, make, patience_seconds=A_MOMENT_SECONDS), verdict
