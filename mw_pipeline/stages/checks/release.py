"""Checks of what a recipe is judged and shipped by: its report and its packages."""

from __future__ import annotations

from mw_pipeline.digest import JSON, sha256_file
from mw_pipeline.package_files import ONNX_NAME
from mw_pipeline.stages import requests
from mw_pipeline.stages.findings import Findings, bullets, found
from mw_pipeline.stages.golden import golden_of
from mw_pipeline.stages.matrices import matrix_of
from mw_pipeline.stages.place import Place

PARITY_FILE = "parity.json"
MOST_NAMED = 20
"""Blind cells that a finding names."""
MAX_LOGIT_DIFFERENCE = 1e-3
"""Largest difference (nats) between a checkpoint and its unquantised export that float32 rounding explains."""


def eval_is_comparable(place: Place, partition: str) -> Findings:
    """The report says on which gold and labels its scores stand, and they are those of this recipe."""
    recipe = place.recipe(partition)
    report = requests.report(place, recipe).demand(place.store).read_json("scores.json")
    expected = {"gold": golden_of(place, recipe.corpus).hash, "labels": recipe.label_set.hash}
    problems = [
        f"scores.json names {name} {report['hashes'].get(name)!r}, this recipe's is {value!r}: evaluate again"
        for name, value in expected.items()
        if report["hashes"].get(name) != value
    ]
    return found(problems, f"scored on {report['rows']} rows, {report['policy']}", **report["hashes"])


def package_matches_checkpoint(place: Place, partition: str) -> Findings:
    """The exported network gives the checkpoint's logits before it is quantised."""
    parity = _parity(place, partition)["fp32_against_checkpoint"]
    far = parity["max_logit_difference"]
    sentence = f"logits differ by at most {far:.1e} nats over {parity['pieces']:,} pieces"
    within = far <= MAX_LOGIT_DIFFERENCE  # false for NaN too
    return found([] if within else [f"{sentence}, allowed {MAX_LOGIT_DIFFERENCE:g}"], sentence, **parity)


def quantisation_costs_little(place: Place, partition: str) -> Findings:
    """The int8 bytes decode to the checkpoint's labels, and cost no more core macro-F1 than the recipe allows."""
    recipe = place.recipe(partition)
    parity = _parity(place, partition)["int8_against_checkpoint"]
    before = requests.report(place, recipe).demand(place.store).read_json("scores.json")["core_macro_f1"]
    cost = before - _packaged_scores(place, partition)["core_macro_f1"]
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
    """The packaged bytes score at least what the recipe's eval gates ask, and the baseline passes those gates too."""
    gate, scores = place.recipe(partition).eval.min_core_macro_f1, _packaged_scores(place, partition)
    score, (low, high) = scores["core_macro_f1"], scores["intervals"]["core_macro_f1"]
    sentence = f"core macro-F1 {score:.4f} ({low:.4f} to {high:.4f}) on {scores['rows']} gold rows, gate {gate:.2f}"
    stale, of_baseline = _on_baseline(place, partition)
    problems = [*stale, *([] if score >= gate else [sentence])]
    return found(problems, sentence, core_macro_f1=score, gate=gate, **of_baseline)


def no_cell_is_blind(place: Place, partition: str) -> Findings:
    """No cell of any locale's capability matrix, asked of the packaged bytes, is certainly below its floor (M65)."""
    recipe = place.recipe(partition)
    matrices = [matrix_of(place, partition, locale) for locale in recipe.package.locales]
    packaged = requests.packages(place, recipe).demand(place.store)
    problems = [f"{matrix.locale}: {cell.sentence()}" for matrix in matrices for cell in matrix.blind]
    for matrix in matrices:
        if matrix.measured_on != sha256_file(packaged.file(f"{matrix.locale}/{ONNX_NAME}")):
            problems.append(f"{matrix.locale}: the matrix was measured on other bytes than the packaged {ONNX_NAME}")
    cells = sum(len(matrix.cells) for matrix in matrices)
    shown = (
        *problems[:MOST_NAMED],
        *([f"and {len(problems) - MOST_NAMED} more"] if len(problems) > MOST_NAMED else []),
    )
    worst = bullets([f"{matrix.locale}: {cell.sentence()}" for matrix in matrices for cell in matrix.worst()])
    summary = f"no cell of {cells:,} is certainly below eval.min_cell = {recipe.eval.min_cell:g}"
    return found(shown, summary, cells=cells, blind=sum(len(matrix.blind) for matrix in matrices), worst=worst)


def _on_baseline(place: Place, partition: str) -> tuple[list[str], dict[str, JSON]]:
    """The gate asked of the recipe's baseline: what it cannot pass itself is stale, and judges nothing (M55)."""
    recipe = place.recipe(partition)
    name, gate = recipe.eval.baseline, recipe.eval.min_core_macro_f1
    if name is None:
        return [], {}
    score = requests.report(place, place.recipe(name)).demand(place.store).read_json("scores.json")["core_macro_f1"]
    stale = (
        f"the gate is stale: its baseline {name!r} scores {score:.4f} in its own report, below "
        f"eval.min_core_macro_f1 = {gate}: set a gate that it passes"
    )
    return [] if score >= gate else [stale], {"baseline": name, "baseline_core_macro_f1": score}


def _parity(place: Place, partition: str) -> JSON:
    return requests.packages(place, place.recipe(partition)).demand(place.store).read_json(PARITY_FILE)


def _packaged_scores(place: Place, partition: str) -> JSON:
    recipe = place.recipe(partition)
    packages = requests.packages(place, recipe).demand(place.store)
    return packages.read_json(f"{recipe.package.locales[0]}/model-card.json")["metrics"]["golden"]
