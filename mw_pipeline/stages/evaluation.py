"""The eval report: the full checkpoint on gold and on held-out rows, and the page that shows it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq

from mw_pipeline.artifact import Artifact
from mw_pipeline.dataset.summary import DATASET_JSON, DatasetSummary
from mw_pipeline.digest import JSON, write_json_atomically
from mw_pipeline.evaluate.checkpoint_parser import checkpoint_parser
from mw_pipeline.evaluate.diagnose import diagnose
from mw_pipeline.evaluate.evaluation import CONSTRAINED_DECODER, as_table, evaluate
from mw_pipeline.evaluate.predictions import Prediction, predictions_of
from mw_pipeline.evaluate.threshold_report import threshold_report
from mw_pipeline.golden.gold import GoldenSet
from mw_pipeline.golden.rows import GoldenRow, row_of
from mw_pipeline.recipe import Recipe
from mw_pipeline.report.evaluation.page import render_report
from mw_pipeline.stages import line
from mw_pipeline.stages.baseline import Baseline
from mw_pipeline.stages.comparison import comparison_of
from mw_pipeline.stages.corpus import row_files
from mw_pipeline.stages.dataset import mix_of
from mw_pipeline.stages.diagnosis import POLICY, PREDICTIONS_FILE, SCORES_FILE, SETS_FILE
from mw_pipeline.stages.evidence import Verdict, read_evidence
from mw_pipeline.stages.findings import demand
from mw_pipeline.stages.golden import facts_of, golden_of, golden_sets_of
from mw_pipeline.stages.place import Place, Progress, quiet
from mw_pipeline.stages.recomputation import unlock_made_again
from mw_pipeline.stages.stage import Metrics, Request
from mw_pipeline.store import Built
from mw_pipeline.train.log import BEST
from mw_pipeline.verdict.binding import VERDICT_FILE
from mw_pipeline.verdict.runlog import read_run

HELD_OUT_ROWS = 2000
THRESHOLDS_FILE = "thresholds.json"


def eval_report(place: Place, recipe_name: str, *, progress: Progress = quiet) -> Built:
    """Scores, predictions and page of a recipe's full checkpoint, after its comparison with a baseline, if it has one.

    Raises GateError behind the lock, and for a full run whose own log is not sound."""
    unlock_made_again(place, recipe_name, progress=progress)
    for check in line.full_checkpoint.checks(blocking=True):
        demand(check, place, recipe_name, remedy="Train the recipe again, or change it.")
    if line.release_axes.exists(line.release_axes.subject(place, recipe_name)):
        line.release_axes.build(place, recipe_name, progress=progress)
    return line.eval_report.build(place, recipe_name, progress=progress)


def build_report(request: Request, out: Path, progress: Progress, *, baseline: Baseline) -> Metrics:
    """`scores.json`, `predictions.jsonl`, the scores of held-out rows and of further gold sets, and the page."""
    recipe, gold = request.recipe, request.input("golden_set")
    parser = checkpoint_parser(request.input("full_checkpoint").folder())
    golden = golden_of(gold)
    predictions = predictions_of(parser, golden)
    found = _scored(recipe, golden, predictions)
    (manifest,) = request.input("tokenized_dataset").inputs("corpus_manifest")
    held_out = held_out_rows(manifest)
    progress(f"scoring {len(golden.rows)} gold and {len(held_out.rows)} held-out rows")
    beside = _scored(recipe, held_out, predictions_of(parser, held_out))
    _write(out, golden, predictions, found, beside)
    sets = {name: _scored(recipe, rows, predictions_of(parser, rows)) for name, rows in golden_sets_of(gold).items()}
    skipped = [said["skipped"] for said in facts_of(gold)["sets"].values() if "skipped" in said]
    write_json_atomically(out / SETS_FILE, {"scores": sets, "skipped": skipped})
    misses = diagnose(golden, predictions, decoder=CONSTRAINED_DECODER, labels=recipe.label_set, policy=POLICY)
    shown = {"scores": found, "held_out": beside, "golden_sets": sets, "skipped": skipped, "diagnosis": misses}
    _render(out, request, baseline, shown)
    if recipe.loss.kind == "soft-span":
        _write_thresholds(out, request, progress)
    names = ("core_macro_f1", "macro_f1", "micro_f1", "exact_match")
    return {"rows": len(golden.rows), **{name: found[name] for name in names}}


def _write_thresholds(out: Path, request: Request, progress: Progress) -> None:
    """What the thresholds do on test rows, beside saying yes everywhere; a tag that does not beat that is said."""
    best = request.input("full_checkpoint").folder(BEST)
    found = threshold_report(best, request.input("tokenized_dataset").folder())
    write_json_atomically(out / THRESHOLDS_FILE, found)
    for finding in found["findings"]:
        progress(f"thresholds: {finding}")


def held_out_rows(manifest: Artifact, *, most: int = HELD_OUT_ROWS) -> GoldenSet:
    """The first test rows of every source as gold: what the corpus itself kept out of training."""
    files = row_files(manifest)
    each = max(1, most // len(files))
    return GoldenSet(tuple(row for name, paths in files.items() for row in _test_rows(name, paths, each)))


def _test_rows(source: str, paths: Sequence[Path], most: int) -> list[GoldenRow]:
    """At most `most` rows of the test split, in shard order, with their base id as family."""
    found: list[GoldenRow] = []
    columns = ["row_id", "raw", "components", "country", "base_id"]
    for path in paths:
        table = pq.read_table(path, columns=columns, filters=[("split", "=", "test")])
        for row in table.slice(0, most - len(found)).to_pylist():
            value = {**row, "components": dict(row["components"]), "source": source, "notes": "held out"}
            found.append(row_of(value, where=row["row_id"], stratum="held_out"))
        if len(found) == most:
            break
    return found


def _scored(recipe: Recipe, golden: GoldenSet, predictions: Sequence[Prediction]) -> dict[str, JSON]:
    return evaluate(golden, predictions, decoder=CONSTRAINED_DECODER, labels=recipe.label_set, policy=POLICY).report


def _write(out: Path, golden: GoldenSet, predictions: Sequence[Prediction], scores: JSON, held_out: JSON) -> None:
    write_json_atomically(out / SCORES_FILE, scores)
    write_json_atomically(out / "held_out.json", held_out)
    (out / "scores.md").write_text(as_table(scores) + "\n", encoding="utf-8")
    lines = (
        json.dumps(prediction.as_json(row.raw), ensure_ascii=False)
        for row, prediction in zip(golden.rows, predictions, strict=True)
    )
    (out / PREDICTIONS_FILE).write_text("\n".join(lines) + "\n", encoding="utf-8")


def _render(out: Path, request: Request, baseline: Baseline, shown: dict[str, JSON]) -> None:
    recipe, verdict = request.recipe, request.input("smoke_verdict")
    (smoke,) = verdict.inputs("smoke_checkpoint")
    render_report(
        out / "report.html",
        recipe={"name": recipe.name, "digest": recipe.digest, "changes": recipe.changes},
        verdict=read_evidence(verdict, VERDICT_FILE, Verdict),
        smoke=read_run(smoke.folder()),
        full=read_run(request.input("full_checkpoint").folder()),
        gated=tuple(recipe.eval.gates),
        axes=comparison_of(request, baseline),
        dataset=read_evidence(request.input("tokenized_dataset"), DATASET_JSON, DatasetSummary),
        mix=mix_of(request.input("source_mix")),
        lineage=[{"kind": artifact.kind, "digest": artifact.digest} for artifact in request.inputs],
        **shown,
    )
