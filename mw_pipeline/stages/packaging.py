"""The packages of a recipe, one per locale: built from the best checkpoint, measured on the bytes that ship."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Mapping
from pathlib import Path

from mw_pipeline.digest import JSON, sha256_file, write_json_atomically
from mw_pipeline.evaluate.evaluation import CONSTRAINED_DECODER, evaluate
from mw_pipeline.evaluate.predictions import predictions_of
from mw_pipeline.golden.gold import GoldenSet
from mw_pipeline.golden.recased import as_client_reads, typed_in_one_case
from mw_pipeline.package.build import build_package
from mw_pipeline.package.card import Evidence, Licence
from mw_pipeline.package.lineage import lineage_of, lineage_tree
from mw_pipeline.parse import Parser
from mw_pipeline.recipe import OWN_GOLD, Recipe
from mw_pipeline.stages.baseline import Baseline
from mw_pipeline.stages.checks import PARITY_FILE
from mw_pipeline.stages.comparison import comparison_of, stability_of_run
from mw_pipeline.stages.corpus import CENSUS_FILE
from mw_pipeline.stages.diagnosis import DIAGNOSIS_FILE, POLICY
from mw_pipeline.stages.export import exported
from mw_pipeline.stages.golden import golden_of, golden_sets_of
from mw_pipeline.stages.matrices import matrix_of, summary_of
from mw_pipeline.stages.place import Progress
from mw_pipeline.stages.release_gates import country_of, own_rows
from mw_pipeline.stages.stage import Metrics, Request

_SHOWN_RUN_FACTS = (
    "kind", "recipe", "schedule", "max_steps", "warmup_steps", "peak_lr", "effective_batch", "precision", "device",
    "seed", "status", "step", "best_step", "best_val_macro_f1", "train_rows", "tokens", "passes", "digests",
)  # fmt: skip
_HEADLINE = ("slices", "calibration")
AS_CLIENT_READS = f"{OWN_GOLD}, as the client reads it"
TYPED_IN_ONE_CASE = f"{OWN_GOLD} typed in one case, as the client reads it"
"""The names of the corpus's gold under the client's recasing among the metrics of a card."""


def build_packages(request: Request, out: Path, progress: Progress, *, baseline: Baseline) -> Metrics:
    """The packages of every locale of a recipe, with the parity of their network and their lineage."""
    recipe, gold = request.recipe, request.input("golden_set")
    golden, sets, evidence = golden_of(gold), golden_sets_of(gold), _evidence(request)
    with tempfile.TemporaryDirectory() as work:
        model = exported(request, Path(work))
        write_json_atomically(out / PARITY_FILE, model.parity())
        network, cards = sha256_file(model.int8_path), dict[str, JSON]()
        axes = comparison_of(request, baseline, model_sha256=network)
        for locale in recipe.package.locales:
            progress(f"packaging {locale} and measuring it on {len(golden.rows)} gold rows")
            cards[locale] = build_package(
                out / locale,
                model=model,
                imprint=recipe.package.imprint(locale),
                measure=functools.partial(scores_of_package, recipe=recipe, golden=golden, sets=sets, locale=locale),
                evidence=evidence,
                capability=summary_of(matrix_of(request.input("capability_matrix"), recipe, locale), network),
                axes=axes[locale],
            )
    tree = lineage_tree(evidence.lineage)
    (out / "lineage.md").write_text(f"```\n{tree}\n```\n", encoding="utf-8")
    measured = next(iter(cards.values()))["metrics"][OWN_GOLD]
    return {
        "locales": len(cards),
        "core_macro_f1": measured["core_macro_f1"],
        "model_bytes": (out / recipe.package.locales[0] / "model.onnx").stat().st_size,
    }


def scores_of_package(
    folder: Path, *, recipe: Recipe, golden: GoldenSet, sets: Mapping[str, GoldenSet], locale: str
) -> dict[str, JSON]:
    """Scores of the packaged bytes on all gold rows, as written and as the JavaScript client hands them on, and on
    those of the locale's country in every gold set (M78)."""
    parser, country = Parser.load(folder), country_of(locale)
    own = {own_rows(name, locale): rows.only(country) for name, rows in {OWN_GOLD: golden, **sets}.items()}
    recased = {AS_CLIENT_READS: as_client_reads(golden), TYPED_IN_ONE_CASE: typed_in_one_case(golden)}
    judging = {OWN_GOLD: golden, **{name: rows for name, rows in {**own, **recased}.items() if rows.rows}}
    return {name: _headline(recipe, rows, parser) for name, rows in judging.items()}


def _headline(recipe: Recipe, golden: GoldenSet, parser: Parser) -> dict[str, JSON]:
    """The report without its slices: the card says what the package scores, the eval report says where."""
    predictions = predictions_of(parser, golden)
    report = evaluate(golden, predictions, decoder=CONSTRAINED_DECODER, labels=recipe.label_set, policy=POLICY).report
    return {key: value for key, value in report.items() if key not in _HEADLINE}


def _evidence(request: Request) -> Evidence:
    full = request.input("full_checkpoint")
    run, census = full.read_json("run.json"), request.input("corpus_manifest").read_json(CENSUS_FILE)
    diagnosis = request.input("regression_diagnosis").read_json(DIAGNOSIS_FILE)
    return Evidence(
        run={**{key: run.get(key) for key in _SHOWN_RUN_FACTS}, "stability": stability_of_run(full)},
        corpus={"name": census["corpus"], "version": census["version"], "splits": census["splits"]},
        diagnosis={**diagnosis, "failure_modes": diagnosis["failure_modes"][:10]},
        lineage=lineage_of(request.inputs),
        licences=[
            Licence(name, licence, census["licences"][name]["attribution"], rows)
            for name in request.recipe.sources_in_use
            for licence, rows in census["licences"][name]["licences"].items()
        ],
    )
