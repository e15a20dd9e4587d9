"""The packages of a recipe, one per locale: built from the best checkpoint, measured on the bytes that ship."""

from __future__ import annotations

import functools
from pathlib import Path

from mw_pipeline.digest import JSON, sha256_file, write_json_atomically
from mw_pipeline.package.build import build_package
from mw_pipeline.package.card import Evidence, Licence
from mw_pipeline.package.lineage import lineage_of, lineage_tree
from mw_pipeline.recipe import OWN_GOLD
from mw_pipeline.stages.baseline import Baseline
from mw_pipeline.stages.checks import PARITY_FILE
from mw_pipeline.stages.comparison import comparison_of, stability_of_run
from mw_pipeline.stages.corpus import census_of
from mw_pipeline.stages.diagnosis import DIAGNOSIS_FILE
from mw_pipeline.stages.evidence import Diagnosis, Run, read_evidence
from mw_pipeline.stages.export import compared_again, network_of
from mw_pipeline.stages.golden import golden_of, golden_sets_of
from mw_pipeline.stages.matrices import matrix_of, summary_of
from mw_pipeline.stages.package_scores import scores_of_package
from mw_pipeline.stages.place import Progress
from mw_pipeline.stages.stage import Metrics, Request

_SHOWN_RUN_FACTS = (
    "kind", "recipe", "schedule", "max_steps", "warmup_steps", "peak_lr", "effective_batch", "precision", "device",
    "seed", "status", "step", "best_step", "best_val_macro_f1", "train_rows", "tokens", "passes", "digests",
)  # fmt: skip


def build_packages(request: Request, out: Path, progress: Progress, *, baseline: Baseline) -> Metrics:
    """The packages of every locale of a recipe, with the parity of their network and their lineage."""
    recipe, gold = request.recipe, request.input("golden_set")
    golden, sets, evidence = golden_of(gold), golden_sets_of(gold), _evidence(request)
    model = compared_again(network_of(request), request)
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


def _evidence(request: Request) -> Evidence:
    full = request.input("full_checkpoint")
    run, census = read_evidence(full, "run.json", Run), census_of(request.input("corpus_manifest"))
    diagnosis = read_evidence(request.input("regression_diagnosis"), DIAGNOSIS_FILE, Diagnosis)
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
