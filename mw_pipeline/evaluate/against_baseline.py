"""A release and its baseline on the same rows: the four axes, the values behind them, and what gates ask the baseline.

Both are read by the same decoder. Where their labels differ they are compared on the tags that both have.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from mw_pipeline.digest import JSON
from mw_pipeline.errors import GateError
from mw_pipeline.evaluate.diagnose import misses_of, regression
from mw_pipeline.evaluate.evaluation import CONSTRAINED_DECODER, Evaluation, evaluate
from mw_pipeline.evaluate.predictions import Prediction, predictions_of
from mw_pipeline.evaluate.release_axes import release_axes
from mw_pipeline.golden.gold import GoldenSet
from mw_pipeline.labels import LabelSet
from mw_pipeline.metrics.stability import fall_on_card
from mw_pipeline.package.layout import PackageLayout, layout_hashes
from mw_pipeline.parse import Parser
from mw_pipeline.parser_files import ONNX_NAME


def shared_labels(candidate: LabelSet, baseline: LabelSet) -> LabelSet:
    """The tags that both have, in the candidate's order. Raises GateError when there is none."""
    shared = tuple(tag for tag in candidate.tags if tag in baseline.tags)
    if not shared:
        raise GateError(
            f"the labels of the baseline have the tags {', '.join(baseline.tags)}, this recipe's have "
            f"{', '.join(candidate.tags)}: nothing can be compared. Name a baseline that has some of these."
        )
    return LabelSet(shared)


def against_baseline(
    parser: Parser,
    baseline: PackageLayout,
    rows: Mapping[str, GoldenSet],
    *,
    gold: str,
    policy: str,
    fall: float | None,
) -> dict[str, JSON]:
    """Everything that a card, a page and a gate say of a release and its baseline, for the rows of one locale.

    `rows` are those of every gold set by name; the axes are measured on those called `gold`, what the gates ask the
    baseline on all. `fall` is the largest fall of the release's own training. Raises GateError for labels that share no
    tag."""
    labels = shared_labels(parser.labels, baseline.label_set)
    baseline_parser = baseline.parser()
    baseline_predictions = {name: predictions_of(baseline_parser, part) for name, part in rows.items() if part.rows}
    if gold not in baseline_predictions:
        return {"sentence": f"not compared with the baseline: there is no row of {gold}"}
    predictions = (predictions_of(parser, rows[gold]), baseline_predictions[gold])
    now, before = (_evaluated(rows[gold], found, labels, policy) for found in predictions)
    misses = (misses_of(now, predictions[0]), misses_of(before, predictions[1]))
    return {
        "gold": gold,
        "baseline": _baseline_identity(baseline),
        "tags": list(labels.tags),
        "only_here": [tag for tag in parser.labels.tags if tag not in labels.tags],
        "only_there": [tag for tag in baseline.label_set.tags if tag not in labels.tags],
        **release_axes(now, before, falls=(fall, fall_on_card(baseline.card))),
        "regression": regression(now, misses[0], before, misses[1]),
        "metrics": {
            name: _gate_metrics(_scored_by_labels(rows[name], labels, parser.labels), found, labels, policy)
            for name, found in baseline_predictions.items()
        },
    }


def _scored_by_labels(rows: GoldenSet, labels: LabelSet, own_labels: LabelSet) -> GoldenSet:
    """The rows as they judge a baseline: a tag that its labels have not is not held against it."""
    return rows if labels == own_labels else replace(rows, tags=rows.scored(labels.tags))


def _gate_metrics(rows: GoldenSet, predictions: list[Prediction], labels: LabelSet, policy: str) -> dict[str, JSON]:
    report = _evaluated(rows, predictions, labels, policy).report
    return {key: report[key] for key in ("rows", "core_macro_f1", "exact_match", "intervals", "ece")}


def _evaluated(rows: GoldenSet, predictions: list[Prediction], labels: LabelSet, policy: str) -> Evaluation:
    return evaluate(rows, predictions, decoder=CONSTRAINED_DECODER, labels=labels, policy=policy)


def _baseline_identity(baseline: PackageLayout) -> dict[str, JSON]:
    """What a baseline calls itself, as far as its card says it in words, and the hash of its network."""
    claims = {key: baseline.card.get(key) for key in ("name", "version")}
    words: dict[str, JSON] = {key: value if isinstance(value, str) else None for key, value in claims.items()}
    return {**words, "model_sha256": layout_hashes(baseline.path)[ONNX_NAME]}
