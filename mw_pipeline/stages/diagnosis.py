"""The regression diagnosis: every miss of the eval report in a bucket, and what changed against the baseline.

The misses are the checkpoint's; what changed was found with the packaged bytes of both sides, locale by locale."""

from __future__ import annotations

from pathlib import Path

from mw_pipeline.digest import write_json_atomically
from mw_pipeline.evaluate.diagnose import as_table, ask_why, diagnose
from mw_pipeline.evaluate.evaluation import CONSTRAINED_DECODER
from mw_pipeline.evaluate.predictions import read_predictions
from mw_pipeline.report.evaluation.axes import exchange_sentence
from mw_pipeline.stages.baseline import Baseline
from mw_pipeline.stages.comparison import comparison_of
from mw_pipeline.stages.golden import golden_of
from mw_pipeline.stages.place import Progress
from mw_pipeline.stages.stage import Metrics, Request

DIAGNOSIS_FILE = "diagnosis.json"
PREDICTIONS_FILE = "predictions.jsonl"
SCORES_FILE = "scores.json"
SETS_FILE = "golden_sets.json"
POLICY = "normalised"


def build_diagnosis(request: Request, out: Path, progress: Progress, *, baseline: Baseline) -> Metrics:
    """`diagnosis.json` and `diagnosis.md` of a recipe: its misses, what changed where it has a baseline, and what to
    type to learn which rows taught the worst of them."""
    recipe, evaluated = request.recipe, request.input("eval_report")
    (gold,) = evaluated.inputs("golden_set")
    golden = golden_of(gold)
    predictions = read_predictions(evaluated.file(PREDICTIONS_FILE), golden)
    since = {
        locale: {key: part[key] for key in ("baseline", "headline", "regression")}
        for locale, part in comparison_of(request, baseline).items()
        if "regression" in part
    }
    progress(f"diagnosis: sorting the misses of {len(golden.rows):,} gold rows")
    report = diagnose(golden, predictions, decoder=CONSTRAINED_DECODER, labels=recipe.label_set, policy=POLICY)
    write_json_atomically(out / DIAGNOSIS_FILE, {**report, "since_baseline": since})
    lines = [f"{name}: {part['headline']}. {exchange_sentence(part['regression'])}" for name, part in since.items()]
    (out / "diagnosis.md").write_text(
        "\n\n".join([as_table(report), *lines, ask_why(report, recipe.name)]) + "\n", encoding="utf-8"
    )
    return {"baseline": baseline.sentence, "missed": report["totals"]["fn"], "wrong": report["totals"]["fp"]}
