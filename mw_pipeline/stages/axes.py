"""The comparison of a release with its baseline, from the packaged bytes of both; see `evaluate.release_axes`.

It needs no package of this release: the network is exported as it will be packaged, and the card says of which bytes
it speaks. So the page of the evaluation, which comes before the packages, can show it first.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from mw_pipeline.digest import JSON, sha256_file, write_json_atomically
from mw_pipeline.evaluate.diagnose import misses_of, regression
from mw_pipeline.evaluate.evaluation import CONSTRAINED_DECODER, Evaluation, evaluate
from mw_pipeline.evaluate.predictions import Prediction, predictions_of
from mw_pipeline.evaluate.release_axes import release_axes, shared_labels
from mw_pipeline.golden.gold import GoldenSet
from mw_pipeline.labels import LabelSet
from mw_pipeline.metrics.stability import fall_on_card
from mw_pipeline.package.build import write_model_files
from mw_pipeline.package.layout import PackageLayout
from mw_pipeline.package_files import ONNX_NAME
from mw_pipeline.parse import Parser
from mw_pipeline.recipe import OWN_GOLD, Recipe
from mw_pipeline.stages import requests
from mw_pipeline.stages.comparison import AXES_FILE, stability_of_run
from mw_pipeline.stages.diagnosis import POLICY
from mw_pipeline.stages.export import exported
from mw_pipeline.stages.golden import golden_of, golden_sets_of
from mw_pipeline.stages.place import Place, Progress, quiet
from mw_pipeline.stages.release_gates import country_of, own_rows
from mw_pipeline.store import Built


def compare_with_baseline(place: Place, recipe_name: str, *, progress: Progress = quiet) -> Built | None:
    """The four axes of every locale that the recipe's baseline has a package for; None without a baseline."""
    recipe = place.recipe(recipe_name)
    request = requests.axes(place, recipe)
    if request is None:
        return None
    baseline = requests.baseline(place, recipe)

    def make(out: Path) -> Mapping[str, JSON]:
        progress(f"comparing the packaged bytes with those of {baseline.sentence}")
        sets = {OWN_GOLD: golden_of(place, recipe.corpus), **golden_sets_of(place, recipe.corpus)}
        fall = fall_on_card({"training": {"stability": stability_of_run(place, recipe)}})
        with tempfile.TemporaryDirectory() as work:
            model, draft = exported(place, recipe, Path(work)), Path(work) / "package"
            locale, version = recipe.package.locales[0], recipe.package.version
            write_model_files(draft, model=model, locale=locale, version=version)
            measured_on, parser = sha256_file(draft / ONNX_NAME), Parser.load(draft)
            found = {
                locale: compared(recipe, parser, PackageLayout.read(path), sets, locale=locale, fall=fall)
                for locale, path in baseline.packages.items()
            }
        for locale, part in found.items():
            if "baseline" in part:
                part["baseline"]["folder"] = baseline.shown(locale)
        write_json_atomically(out / AXES_FILE, {"measured_on": measured_on, "locales": found})
        return {"baseline": baseline.sentence, **{locale: part.get("headline") for locale, part in found.items()}}

    return request.build(place.store, make)


def compared(
    recipe: Recipe,
    parser: Parser,
    baseline: PackageLayout,
    sets: Mapping[str, GoldenSet],
    *,
    locale: str,
    fall: float | None,
) -> dict[str, JSON]:
    """One locale's own rows read by both: the axes, the values fixed and broken, and what the gates ask the baseline.

    `fall` is the largest fall of this release's own training. Raises GateError for labels that share no tag."""
    labels = shared_labels(recipe.label_set, baseline.label_set)
    former = baseline.parser()
    own = {own_rows(name, locale): rows.only(country_of(locale)) for name, rows in sets.items()}
    gold = own_rows(OWN_GOLD, locale)
    if not own[gold].rows:
        return {"sentence": f"not compared with the baseline: {OWN_GOLD} has no row of {locale}"}
    answers = {name: predictions_of(former, rows) for name, rows in own.items() if rows.rows}
    sides = [(own[gold], predictions_of(parser, own[gold])), (own[gold], answers.get(gold, []))]
    now, before = (_scored(rows, predictions, labels) for rows, predictions in sides)
    misses = (misses_of(now, sides[0][1]), misses_of(before, sides[1][1]))
    return {
        "gold": gold,
        "baseline": _named(baseline),
        "tags": list(labels.tags),
        "only_here": [tag for tag in recipe.label_set.tags if tag not in labels.tags],
        "only_there": [tag for tag in baseline.label_set.tags if tag not in labels.tags],
        **release_axes(now, before, falls=(fall, fall_on_card(baseline.card))),
        "regression": regression(now, misses[0], before, misses[1]),
        "metrics": {name: _on_gate(own[name], found, labels, recipe) for name, found in answers.items()},
    }


def _on_gate(rows: GoldenSet, predictions: list[Prediction], labels: LabelSet, recipe: Recipe) -> dict[str, JSON]:
    """What a gate asks of the baseline. A tag that its labels have not is not held against it."""
    judged = rows if labels == recipe.label_set else replace(rows, tags=rows.scored(labels.tags))
    report = _scored(judged, predictions, labels).report
    return {key: report[key] for key in ("rows", "core_macro_f1", "exact_match", "intervals", "ece")}


def _scored(rows: GoldenSet, predictions: list[Prediction], labels: LabelSet) -> Evaluation:
    return evaluate(rows, predictions, decoder=CONSTRAINED_DECODER, labels=labels, policy=POLICY)


def _named(baseline: PackageLayout) -> dict[str, JSON]:
    said = {key: baseline.card.get(key) for key in ("name", "version")}
    return {
        **{key: value if isinstance(value, str) else None for key, value in said.items()},
        "model_sha256": baseline.hashes()[ONNX_NAME],
    }
