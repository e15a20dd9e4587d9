"""The regression diagnosis: every miss of the eval report in a bucket, and what changed against the baseline.

The misses are the checkpoint's; what changed was found with the packaged bytes of both sides, locale by locale."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mw_pipeline.digest import JSON, write_json_atomically
from mw_pipeline.evaluate.diagnose import as_table, ask_why, diagnose
from mw_pipeline.evaluate.evaluation import CONSTRAINED_DECODER
from mw_pipeline.evaluate.predictions import read_predictions
from mw_pipeline.report.evaluation.axes import exchange_sentence
from mw_pipeline.stages import line
from mw_pipeline.stages.comparison import comparison_of
from mw_pipeline.stages.golden import golden_of
from mw_pipeline.stages.place import Place, Progress, quiet
from mw_pipeline.store import Built

DIAGNOSIS_FILE = "diagnosis.json"
PREDICTIONS_FILE = "predictions.jsonl"
SCORES_FILE = "scores.json"
SETS_FILE = "golden_sets.json"
POLICY = "normalised"


def build_diagnosis(place: Place, recipe_name: str, *, progress: Progress = quiet) -> Built:
    """`diagnosis.json` and `diagnosis.md` of a recipe: its misses, what changed where it has a baseline, and what to
    type to learn which rows taught the worst of them."""
    recipe = place.recipe(recipe_name)
    request = line.regression_diagnosis.request(place, recipe)
    golden = golden_of(place, recipe.corpus)
    predictions = read_predictions(request.inputs[0].file(PREDICTIONS_FILE), golden)
    since = {
        locale: {key: part[key] for key in ("baseline", "headline", "regression")}
        for locale, part in comparison_of(place, recipe).items()
        if "regression" in part
    }

    def make(out: Path) -> Mapping[str, JSON]:
        progress(f"diagnosis: sorting the misses of {len(golden.rows):,} gold rows")
        report = diagnose(golden, predictions, decoder=CONSTRAINED_DECODER, labels=recipe.label_set, policy=POLICY)
        write_json_atomically(out / DIAGNOSIS_FILE, {**report, "since_baseline": since})
        lines = [
            f"{locale}: {part['headline']}. {exchange_sentence(part['regression'])}" for locale, part in since.items()
        ]
        parts = [as_table(report), *lines, ask_why(report, recipe.name)]
        (out / "diagnosis.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
        return {
            "baseline": line.baseline(place, recipe).sentence,
            "missed": report["totals"]["fn"],
            "wrong": report["totals"]["fp"],
        }

    return request.build(place.store, make)
