"""The eval report: the full checkpoint on gold and on held-out rows, and the page that shows it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow.parquet as pq

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
from mw_pipeline.stages.axes import compare_with_baseline
from mw_pipeline.stages.comparison import comparison_of
from mw_pipeline.stages.corpus import row_files
from mw_pipeline.stages.diagnosis import POLICY, PREDICTIONS_FILE, SCORES_FILE, SETS_FILE
from mw_pipeline.stages.findings import demand
from mw_pipeline.stages.golden import facts_of, golden_of, golden_sets_of
from mw_pipeline.stages.place import Place, Progress, quiet
from mw_pipeline.stages.recomputation import unlock_made_again
from mw_pipeline.store import Built
from mw_pipeline.train.log import BEST
from mw_pipeline.verdict.binding import VERDICT_FILE
from mw_pipeline.verdict.runlog import read_run

HELD_OUT_ROWS = 2000
THRESHOLDS_FILE = "thresholds.json"


def eval_report(place: Place, recipe_name: str, *, progress: Progress = quiet) -> Built:
    """Scores, predictions and page of a recipe's full checkpoint.

    Raises GateError behind the lock, and for a full run whose own log is not sound."""
    recipe = place.recipe(recipe_name)
    unlock_made_again(place, recipe_name, progress=progress)
    for check in line.full_checkpoint.checks(blocking=True):
        demand(check, place, recipe_name, remedy="Train the recipe again, or change it.")
    compare_with_baseline(place, recipe_name, progress=progress)
    request = line.eval_report.request(place, recipe)

    def make(out: Path) -> Mapping[str, JSON]:
        parser = checkpoint_parser(line.full_checkpoint.demand(place, recipe).folder())
        golden = golden_of(place, recipe.corpus)
        predictions = predictions_of(parser, golden)
        found = _scored(recipe, golden, predictions)
        held_out = held_out_rows(place, recipe)
        progress(f"scoring {len(golden.rows)} gold and {len(held_out.rows)} held-out rows")
        beside = _scored(recipe, held_out, predictions_of(parser, held_out))
        _write(out, golden, predictions, found, beside)
        sets = {
            name: _scored(recipe, rows, predictions_of(parser, rows))
            for name, rows in golden_sets_of(place, recipe.corpus).items()
        }
        write_json_atomically(out / SETS_FILE, {"scores": sets, "skipped": skipped_sets(place, recipe)})
        misses = diagnose(golden, predictions, decoder=CONSTRAINED_DECODER, labels=recipe.label_set, policy=POLICY)
        _render(out, place, recipe, found, beside, misses, sets)
        if recipe.loss.kind == "soft-span":
            _write_thresholds(out, place, recipe, progress)
        names = ("core_macro_f1", "macro_f1", "micro_f1", "exact_match")
        return {"rows": len(golden.rows), **{name: found[name] for name in names}}

    return request.build(place.store, make)


def _write_thresholds(out: Path, place: Place, recipe: Recipe, progress: Progress) -> None:
    """What the thresholds do on test rows, beside saying yes everywhere; a tag that does not beat that is said."""
    best = line.full_checkpoint.demand(place, recipe).folder(BEST)
    found = threshold_report(best, line.tokenized_dataset.demand(place, recipe).folder())
    write_json_atomically(out / THRESHOLDS_FILE, found)
    for finding in found["findings"]:
        progress(f"thresholds: {finding}")


def skipped_sets(place: Place, recipe: Recipe) -> list[str]:
    """A sentence for every further gold set whose files were not there."""
    return [found["skipped"] for found in facts_of(place, recipe.corpus)["sets"].values() if "skipped" in found]


def held_out_rows(place: Place, recipe: Recipe, *, most: int = HELD_OUT_ROWS) -> GoldenSet:
    """The first test rows of every source as gold: what the corpus itself kept out of training."""
    manifest = line.corpus_manifest.demand(place, recipe.corpus)
    files = row_files(place.store, manifest)
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


def _render(out: Path, place: Place, recipe: Recipe, scores: JSON, held_out: JSON, misses: JSON, sets: JSON) -> None:
    full = line.full_checkpoint.demand(place, recipe)
    request = line.eval_report.request(place, recipe)
    render_report(
        out / "report.html",
        recipe={"name": recipe.name, "digest": recipe.digest, "changes": recipe.changes},
        scores=scores,
        verdict=line.smoke_verdict.demand(place, recipe).read_json(VERDICT_FILE),
        smoke=read_run(line.smoke_checkpoint.demand(place, recipe).folder()),
        full=read_run(full.folder()),
        held_out=held_out,
        golden_sets=sets,
        gated=tuple(recipe.eval.gates),
        skipped=skipped_sets(place, recipe),
        axes=comparison_of(place, recipe),
        diagnosis=misses,
        dataset=line.tokenized_dataset.demand(place, recipe).read_json("dataset.json"),
        mix=line.source_mix.demand(place, recipe).read_json("mix.json"),
        lineage=[{"kind": artifact.kind, "digest": artifact.digest} for artifact in request.inputs],
    )
