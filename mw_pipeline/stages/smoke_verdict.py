"""The verdict on a recipe's smoke as an artifact."""

from __future__ import annotations

from pathlib import Path

from mw_pipeline.digest import write_json_atomically
from mw_pipeline.recipe import Recipe
from mw_pipeline.stages import line
from mw_pipeline.stages.place import Place, Progress
from mw_pipeline.stages.stage import Metrics, Request
from mw_pipeline.verdict.binding import VERDICT_FILE, judge_smoke
from mw_pipeline.verdict.judge import Verdict


def build_verdict(place: Place, recipe: Recipe) -> Verdict:
    """The verdict on a recipe's smoke, which is in the store now."""
    line.smoke_verdict.build(place, recipe)
    return _judged(line.smoke_verdict.request(place, recipe))


def write_verdict(request: Request, out: Path, progress: Progress) -> Metrics:
    """`verdict.json`: what the smoke's own logs say."""
    verdict = _judged(request)
    write_json_atomically(out / VERDICT_FILE, verdict.to_json())
    return {"outcome": verdict.outcome, "rule": verdict.rule, "reason": verdict.reason}


def _judged(request: Request) -> Verdict:
    smoke, dataset = request.inputs
    return judge_smoke(request.recipe, dataset=dataset, smoke=smoke)
