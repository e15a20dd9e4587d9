"""The regression diagnosis: every miss of the eval report in a bucket, and what changed against the baseline."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mw_pipeline.digest import JSON, write_json_atomically
from mw_pipeline.evaluate.diagnose import as_table, diagnose
from mw_pipeline.evaluate.evaluation import CONSTRAINED_DECODER
from mw_pipeline.evaluate.predictions import read_predictions
from mw_pipeline.recipe import Recipe
from mw_pipeline.stages import requests
from mw_pipeline.stages.golden import golden_of
from mw_pipeline.stages.place import Place
from mw_pipeline.store import Built
from mw_pipeline.verdict.gate import VERDICT_FILE

DIAGNOSIS_FILE = "diagnosis.json"
PREDICTIONS_FILE = "predictions.jsonl"
SCORES_FILE = "scores.json"
SETS_FILE = "golden_sets.json"
POLICY = "normalised"


def build_diagnosis(place: Place, recipe_name: str) -> Built:
    """`diagnosis.json` and `diagnosis.md` of a recipe: its misses, against `eval.baseline` where it names one."""
    recipe = place.recipe(recipe_name)
    request = requests.diagnosis(place, recipe)
    golden = golden_of(place, recipe.corpus)
    predictions, *baseline = (read_predictions(report.file(PREDICTIONS_FILE), golden) for report in request.inputs)
    stability = None
    if recipe.eval.baseline is not None:
        stability = (_outcome(place, recipe), _outcome(place, place.recipe(recipe.eval.baseline)))

    def make(out: Path) -> Mapping[str, JSON]:
        report = diagnose(
            golden,
            predictions,
            decoder=CONSTRAINED_DECODER,
            labels=recipe.label_set,
            policy=POLICY,
            baseline=baseline[0] if baseline else None,
            stability=stability,
        )
        write_json_atomically(out / DIAGNOSIS_FILE, report)
        (out / "diagnosis.md").write_text(as_table(report) + "\n", encoding="utf-8")
        return {
            "baseline": recipe.eval.baseline,
            "missed": report["totals"]["fn"],
            "wrong": report["totals"]["fp"],
        }

    return request.build(place.store, make)


def _outcome(place: Place, recipe: Recipe) -> str:
    """The verdict on the training of a recipe."""
    return str(requests.verdict(place, recipe).demand(place.store).read_json(VERDICT_FILE)["outcome"])
