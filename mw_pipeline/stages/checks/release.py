"""Checks of what a recipe is judged and shipped by: its report and its packages."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from mw_pipeline.digest import JSON, sha256_file
from mw_pipeline.package.inspection import inspect_path
from mw_pipeline.parser_files import CARD_NAME, ONNX_NAME
from mw_pipeline.recipe import OWN_GOLD, EvalConfig
from mw_pipeline.report.cells import Table
from mw_pipeline.report.evaluation.axes import axes_text
from mw_pipeline.stages import line, release_gates
from mw_pipeline.stages.comparison import comparison_of
from mw_pipeline.stages.diagnosis import SCORES_FILE
from mw_pipeline.stages.evidence import Card, Parity, Scores, read_evidence
from mw_pipeline.stages.findings import Findings, bullets, found
from mw_pipeline.stages.golden import facts_of, golden_of, golden_sets_of
from mw_pipeline.stages.package_scores import scores_of_package
from mw_pipeline.stages.place import Place

PARITY_FILE = "parity.json"
MAX_LOGIT_DIFFERENCE = 1e-3
"""Largest difference (nats) between a checkpoint and its unquantised export that float32 rounding explains."""
_QUOTED = ("core_macro_f1", "exact_match")
_ROUNDING = 0.01


def eval_is_comparable(place: Place, partition: str) -> Findings:
    """The report says on which gold and labels its scores stand, and they are those of this recipe."""
    recipe = place.recipe(partition)
    report = read_evidence(line.eval_report.demand(place, recipe), SCORES_FILE, Scores)
    expected = {"gold": golden_of(line.golden_set.demand(place, recipe)).hash, "labels": recipe.label_set.hash}
    problems = [
        f"scores.json names {name} {report['hashes'].get(name)!r}, this recipe's is {value!r}: evaluate again"
        for name, value in expected.items()
        if report["hashes"].get(name) != value
    ]
    return found(problems, f"scored on {report['rows']} rows, {report['policy']}", **report["hashes"])


def package_matches_checkpoint(place: Place, partition: str) -> Findings:
    """The exported network gives the checkpoint's logits before it is quantised, and nothing is wrong with the files of
    any package."""
    packages, locales = line.packaged_weights.demand(place, partition), place.recipe(partition).package.locales
    damaged = [f"{locale}: {said}" for locale in locales for said in inspect_path(packages.folder(locale)).findings]
    parity = _parity(place, partition)["fp32_against_checkpoint"]
    far = parity["max_logit_difference"]
    sentence = f"logits differ by at most {far:.1e} nats over {parity['pieces']:,} pieces"
    within = far <= MAX_LOGIT_DIFFERENCE  # false for NaN too
    return found(damaged + ([] if within else [f"{sentence}, allowed {MAX_LOGIT_DIFFERENCE:g}"]), sentence, **parity)


def quantisation_costs_little(place: Place, partition: str) -> Findings:
    """The int8 bytes decode to the checkpoint's labels, and cost no more core macro-F1 than the recipe allows."""
    recipe = place.recipe(partition)
    parity = _parity(place, partition)["int8_against_checkpoint"]
    before = read_evidence(line.eval_report.demand(place, recipe), SCORES_FILE, Scores)["core_macro_f1"]
    after = next(iter(_measured(place, partition).values()))[OWN_GOLD]["core_macro_f1"]
    cost = math.nan if before is None or after is None else before - after
    problems = []
    if not cost <= recipe.eval.max_quantisation_cost:  # written so that NaN fails
        problems.append(
            f"int8 costs {cost:.4f} core macro-F1, eval.max_quantisation_cost is {recipe.eval.max_quantisation_cost}"
        )
    if not parity["label_agreement_share"] >= recipe.eval.min_label_agreement:
        problems.append(
            f"int8 agrees on {parity['label_agreement_share']:.2%} of labels, "
            f"eval.min_label_agreement is {recipe.eval.min_label_agreement:.2%}"
        )
    return found(problems, f"int8 costs {cost:.4f} core macro-F1", cost=cost, **parity)


def release_beats_its_gates(place: Place, partition: str) -> Findings:
    """Every locale's packaged bytes reach the recipe's gates on its own rows, and no axis is worse than its baseline's.

    Gates are asked of the lower ends of the intervals, and first of the baseline: one that it fails is stale, and
    judges nothing (M55, M78, M86). More axes than `eval.axes_may_worsen` allows must not get worse (M79).
    """
    recipe = place.recipe(partition)
    cards = _measured(place, partition)
    network = line.packaged_weights.demand(place, partition).file(f"{recipe.package.locales[0]}/{ONNX_NAME}")
    request = line.packaged_weights.request(place, recipe)
    axes = comparison_of(request, line.baseline(place, recipe), model_sha256=sha256_file(network))
    found_gates = release_gates.reached(recipe.eval, cards)
    sets = facts_of(line.golden_set.demand(place, recipe), sets=recipe.eval.gates)["sets"]
    problems, remarks = release_gates.unasked(recipe.eval, sets, found_gates, recipe.package.locales)
    low = {reach.locale: reach.low for reach in found_gates if reach.gate.gold == OWN_GOLD}
    return found(
        [
            *_stale(recipe.eval, axes),
            *_misquoted(place, partition, cards),
            *problems,
            *(str(reach) for reach in found_gates if not reach.passes),
            *release_gates.badly_calibrated(recipe.eval, cards),
            *release_gates.worsened(recipe.eval, axes),
        ],
        "; ".join([f"{len(found_gates)} gates reached", *remarks, *_headlines(axes)]),
        gates=_gate_table(found_gates),
        not_asked=bullets(remarks),
        **{f"core_macro_f1_low_{locale}": value for locale, value in low.items()},
        **{f"axes_{locale}": axes_text(part) for locale, part in axes.items()},
    )


def _gate_table(found_gates: Sequence[release_gates.Reached]) -> str:
    headers = ("locale", "gold", "score", "measured", "95 % interval", "rows", "lower end asked", "reached")
    return Table(headers, tuple(reach.as_row() for reach in found_gates)).as_markdown()


def _headlines(axes: Mapping[str, JSON]) -> list[str]:
    """What became of the axes of every locale, said once where it is the same for all."""
    said = {locale: part["headline"] if "headline" in part else part["sentence"] for locale, part in axes.items()}
    same = set(said.values())
    return sorted(same) if len(same) == 1 else [f"{locale}: {sentence}" for locale, sentence in said.items()]


def _stale(asked: EvalConfig, axes: Mapping[str, JSON]) -> list[str]:
    """The gates that the baseline itself does not pass, read from its packaged bytes on the same rows (M55)."""
    metrics = {locale: part["metrics"] for locale, part in axes.items() if "metrics" in part}
    return [
        f"the gate is stale: its baseline {axes[reach.locale]['baseline']['folder']} does not pass it, {reach}: set "
        "one that it passes"
        for reach in release_gates.reached(asked, metrics)
        if not reach.passes
    ]


def _parity(place: Place, partition: str) -> JSON:
    return read_evidence(line.packaged_weights.demand(place, partition), PARITY_FILE, Parity)


def _measured(place: Place, partition: str) -> dict[str, dict[str, JSON]]:
    """Locale → scores of its packaged bytes, measured now: a card could say anything."""
    recipe = place.recipe(partition)
    gold = line.golden_set.demand(place, recipe)
    packages, golden, sets = line.packaged_weights.demand(place, partition), golden_of(gold), golden_sets_of(gold)
    return {
        locale: scores_of_package(packages.folder(locale), recipe=recipe, golden=golden, sets=sets, locale=locale)
        for locale in recipe.package.locales
    }


def _misquoted(place: Place, partition: str, measured: Mapping[str, Mapping[str, JSON]]) -> list[str]:
    """A sentence for each locale whose card has other scores than its bytes."""
    packages, problems = line.packaged_weights.demand(place, partition), []
    for locale, scores in measured.items():
        quoted = read_evidence(packages, f"{locale}/{CARD_NAME}", Card)["metrics"]
        other = [
            f"{name}: {quoted.get(name, {}).get(key)} for {part[key]}"
            for name, part in scores.items()
            for key in _QUOTED
            if not _same(quoted.get(name, {}).get(key), part[key])
        ]
        if other:
            problems.append(f"{locale}: its card quotes what its bytes do not score ({'; '.join(other[:3])})")
    return problems


def _same(quoted: JSON, measured: float | None) -> bool:
    """Whether a score is the one that was measured, but for a row that another processor decides otherwise."""
    if measured is None or not isinstance(quoted, int | float):
        return quoted is measured
    return abs(quoted - measured) <= _ROUNDING
