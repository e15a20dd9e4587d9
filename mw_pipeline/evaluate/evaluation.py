"""Evaluation: predictions against gold, with ceilings, intervals, slices, calibration and the hashes of all four.

The same function scores gold files, held-out rows of a dataset and anyone's predictions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mw_pipeline.digest import JSON
from mw_pipeline.evaluate.predictions import Prediction
from mw_pipeline.golden.gold import CONVENTIONS_HASH, GoldenSet
from mw_pipeline.golden.rows import GoldenRow
from mw_pipeline.labels import STAGE3, LabelSet
from mw_pipeline.metrics.calibration import Confidences, calibration
from mw_pipeline.metrics.matching import POLICIES, decoder_hash, policy_hash
from mw_pipeline.metrics.resampling import LEVEL, RESAMPLES
from mw_pipeline.metrics.scores import Flags, Outcomes, Scored, is_present, outcomes, scores
from mw_pipeline.report.cells import interval_words, number

CONSTRAINED_DECODER = "constrained-viterbi+whole-words+trim"
EXTERNAL_DECODER = "external"

_AVERAGES = ("macro_f1", "core_macro_f1", "coarse_f1", "fine_f1", "micro_f1", "exact_match")


@dataclass(frozen=True)
class Evaluation:
    """What became of every value of every gold row, and the report made from it."""

    golden: GoldenSet
    scored: Scored
    confidences: Confidences
    report: dict[str, JSON]


def evaluate(
    golden: GoldenSet,
    predictions: Sequence[Prediction],
    *,
    decoder: str,
    labels: LabelSet = STAGE3,
    policy: str = "strict",
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Evaluation:
    """Scores predictions that stand in the order of the gold rows.

    Those tags of the label set are scored that the gold is complete for; gold and predicted values of other tags are
    counted under `not_scored`. A row with a gold value of a tag that the label set has not is no exact match: nobody
    reads it whole with these labels. `beyond_labels` names such tags and counts such rows.
    `decoder` says how values were decoded and becomes part of what is comparable (M44). Raises CorpusError for another
    number of predictions, an unknown policy, or a confidence that is no probability.
    """
    tags, beyond = golden.scored(labels.tags), golden.beyond(labels.tags)
    found = outcomes(
        golden.components,
        [prediction.components for prediction in predictions],
        tags=tags,
        policy=policy,
        families=[row.family for row in golden.rows],
        beyond=beyond,
    )
    confidences = _confidences(predictions, found)
    hashes = {
        "gold": golden.hash,
        "labels": labels.hash,
        "policy": policy_hash(policy),
        "decoder": decoder_hash(decoder),
        "conventions": CONVENTIONS_HASH,
    }

    def sliced(rows: Flags) -> dict[str, JSON]:
        part = scores(found.only(rows), resamples=resamples, seed=seed)
        return {**part, "ece": calibration(confidences.only(rows))["ece"]}

    report = {
        **sliced(np.ones(len(golden.rows), dtype=np.bool_)),
        "policy": policy,
        "decoder": decoder,
        "tags": list(tags),
        "hashes": hashes,
        "bootstrap": {"resamples": resamples, "seed": seed, "level": LEVEL, "unit": "family"},
        "policies": {name: _averages(golden, predictions, tags, beyond, name) for name in POLICIES},
        "ceiling": golden.ceilings(tags, beyond=beyond)[policy],
        "calibration": calibration(confidences),
        "not_scored": _not_scored(golden, predictions, tags),
        "beyond_labels": {"tags": list(beyond), "rows": int(found.beyond.sum())},
        "findings": len(golden.findings),
        "slices": _slices(golden, sliced),
    }
    return Evaluation(golden, Scored(found, hashes), confidences, report)


def _confidences(predictions: Sequence[Prediction], found: Outcomes) -> Confidences:
    spans = [
        (prediction.confidences[tag], bool(found.tp[row, column]), row)
        for row, prediction in enumerate(predictions)
        for column, tag in enumerate(found.tags)
        if tag in prediction.confidences and is_present(prediction.components, tag)
    ]
    return Confidences.of(spans)


def _averages(
    golden: GoldenSet, predictions: Sequence[Prediction], tags: Sequence[str], beyond: Sequence[str], policy: str
) -> dict[str, float | None]:
    """The averages under one policy, without intervals: the other policy stands beside the one asked for (M48)."""
    predicted = [prediction.components for prediction in predictions]
    found = scores(outcomes(golden.components, predicted, tags=tags, policy=policy, beyond=beyond), resamples=0)
    return {name: found[name] for name in _AVERAGES}


def _not_scored(golden: GoldenSet, predictions: Sequence[Prediction], tags: Sequence[str]) -> dict[str, dict[str, int]]:
    def others(rows: Sequence[GoldenRow] | Sequence[Prediction]) -> dict[str, int]:
        counts = Counter(tag for row in rows for tag in row.components if tag not in tags)
        return dict(sorted(counts.items()))

    return {"gold": others(golden.rows), "predicted": others(predictions)}


def _slices(golden: GoldenSet, sliced: Callable[[Flags], dict[str, JSON]]) -> dict[str, JSON]:
    """Scores of the adversarial rows, of the others, per country and per stratum; slices without rows are absent."""

    def by(key: Callable[[GoldenRow], str]) -> dict[str, JSON]:
        values = np.array([key(row) for row in golden.rows])
        return {str(value): sliced(values == value) for value in np.unique(values)}

    halves = by(lambda row: "adversarial" if row.is_adversarial else "without_adversarial")
    return {**halves, "country": by(lambda row: row.country), "stratum": by(lambda row: row.stratum)}


def as_table(report: dict[str, JSON]) -> str:
    """The report as a Markdown table: averages with their ceilings first, then every tag."""
    lines = ["| score | value | 95 % interval | ceiling | support |", "|---|---|---|---|---|"]
    for name in _AVERAGES:
        tags = report["denominators"].get(name)
        support = f"{len(tags)} tags" if tags is not None else f"{report['rows']} rows"
        lines.append(_line(name, report[name], report["intervals"][name], report["ceiling"][name], support))
    for tag, found in report["per_tag"].items():
        lines.append(
            _line(tag, found["f1"], found["interval"], report["ceiling"]["per_tag"][tag], str(found["support"]))
        )
    return "\n".join(lines)


def _line(name: str, value: float | None, bounds: list[float] | None, ceiling: float | None, support: str) -> str:
    return f"| {name} | {number(value)} | {interval_words(bounds)} | {number(ceiling)} | {support} |"
