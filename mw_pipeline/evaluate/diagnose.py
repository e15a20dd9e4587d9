"""Diagnosis: every miss in a bucket, per tag; and against a baseline, what was fixed and what broke.

A difference of scores is never reported without the buckets behind it: a "regression" can be one artefact (M46).
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mw_pipeline.digest import JSON
from mw_pipeline.evaluate.buckets import BUCKETS, MEANINGS, bucket_of
from mw_pipeline.evaluate.evaluation import Evaluation, evaluate
from mw_pipeline.evaluate.predictions import Prediction
from mw_pipeline.golden.gold import GoldenSet
from mw_pipeline.labels import STAGE3, LabelSet
from mw_pipeline.metrics.resampling import RESAMPLES
from mw_pipeline.metrics.scores import compare

EXAMPLES = 5


@dataclass(frozen=True)
class Miss:
    """One value that is not right. A wrong value is a false negative and a false positive at once."""

    row: int
    where: str
    raw: str
    tag: str
    gold: str
    predicted: str
    bucket: str

    @property
    def sides(self) -> tuple[str, ...]:
        """The counts that it is in: `fn` with a gold value, `fp` with a predicted one."""
        return tuple(side for side, value in (("fn", self.gold), ("fp", self.predicted)) if value)

    def as_json(self) -> dict[str, JSON]:
        """The miss as an example for people."""
        return {"where": self.where, "raw": self.raw, "tag": self.tag, "gold": self.gold, "predicted": self.predicted}


def diagnose(
    golden: GoldenSet,
    predictions: Sequence[Prediction],
    *,
    decoder: str,
    labels: LabelSet = STAGE3,
    policy: str = "strict",
    compat: bool = False,
    baseline: Sequence[Prediction] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, JSON]:
    """Misses per bucket and tag with examples, and with a baseline the values fixed and broken since.

    Predictions stand in the order of the gold rows. `compat` chooses the old rule for `non_latin` (see buckets)."""
    found = evaluate(golden, predictions, decoder=decoder, labels=labels, policy=policy, resamples=resamples, seed=seed)
    misses = misses_of(found, predictions, compat=compat)
    report = {
        "rows": len(golden.rows),
        "policy": policy,
        "compat": compat,
        "hashes": found.scored.hashes,
        "order": list(BUCKETS),
        "meanings": MEANINGS,
        "totals": {side: sum(side in m.sides for m in misses) for side in ("fn", "fp")},
        "buckets": _by_side(misses),
        "per_tag": {tag: _tag_report(found, tag, [m for m in misses if m.tag == tag]) for tag in found.report["tags"]},
        "examples": {bucket: [m.as_json() for m in misses if m.bucket == bucket][:EXAMPLES] for bucket in BUCKETS},
        "failure_modes": _failure_modes(found, misses),
    }
    if baseline is None:
        return report
    former = evaluate(golden, baseline, decoder=decoder, labels=labels, policy=policy, resamples=resamples, seed=seed)
    former_misses = misses_of(former, baseline, compat=compat)
    return {**report, "regression": regression(found, misses, former, former_misses, resamples=resamples, seed=seed)}


def ask_why(report: dict[str, JSON], recipe_name: str) -> str:
    """As Markdown, a command for each example of the bucket with the most misses: which rows taught that reading."""
    worst = max(report["buckets"], key=lambda bucket: sum(report["buckets"][bucket].values()))
    texts = dict.fromkeys(example["raw"] for example in report["examples"][worst])
    if not texts:
        return "There is no miss to ask about."
    commands = [f"    mw-pipeline why --recipe {shlex.quote(recipe_name)} {shlex.quote(text)}" for text in texts]
    return "\n".join([f"Most misses are in the bucket `{worst}`. Which rows taught them:", "", *commands])


def misses_of(found: Evaluation, predictions: Sequence[Prediction], *, compat: bool = False) -> list[Miss]:
    """Every value that the evaluation counts as a false positive or a false negative, row by row."""
    outcomes = found.scored.outcomes
    misses = []
    for row, column in zip(*(outcomes.fp | outcomes.fn).nonzero(), strict=True):
        gold, tag = found.golden.rows[row], outcomes.tags[column]
        wanted = gold.components.get(tag, "").strip()
        predicted = predictions[row].components.get(tag, "").strip()
        bucket = bucket_of(gold.raw, wanted, predicted, compat=compat)
        misses.append(Miss(int(row), gold.where, gold.raw, tag, wanted, predicted, bucket))
    return misses


def _by_side(misses: Sequence[Miss]) -> dict[str, dict[str, int]]:
    """False negatives and false positives of every bucket; a wrong value is in both."""
    counted = Counter((m.bucket, side) for m in misses for side in m.sides)
    return {bucket: {side: counted[bucket, side] for side in ("fn", "fp")} for bucket in BUCKETS}


def _counts(buckets: Iterable[str]) -> dict[str, int]:
    counted = Counter(buckets)
    return {"total": counted.total(), **{bucket: counted[bucket] for bucket in BUCKETS}}


def _tag_report(found: Evaluation, tag: str, misses: Sequence[Miss]) -> dict[str, JSON]:
    facts = found.report["per_tag"][tag]
    return {
        **{key: facts[key] for key in ("support", "tp", "fn", "fp")},
        "spurious": sum(not m.gold for m in misses),
        "buckets": _by_side(misses),
    }


def _failure_modes(found: Evaluation, misses: Sequence[Miss]) -> list[dict[str, JSON]]:
    """Tag and bucket pairs, most frequent first: the gold values that they cost, and their share of the tag's."""
    counted = Counter((m.tag, m.bucket) for m in misses if m.gold)
    support = {tag: facts["support"] for tag, facts in found.report["per_tag"].items()}
    return [
        {"tag": tag, "bucket": bucket, "missed": count, "share_of_gold": count / support[tag]}
        for (tag, bucket), count in counted.most_common()
    ]


def regression(
    candidate: Evaluation,
    candidate_misses: Sequence[Miss],
    baseline: Evaluation,
    baseline_misses: Sequence[Miss],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, JSON]:
    """Differences of every score with intervals, and the values behind them: fixed, broken, and wrong on both sides.

    A fixed value is counted in the bucket of the baseline's miss, a broken one in the candidate's. Raises GateError
    when the two were not scored alike (M44)."""
    differences = compare(candidate.scored, baseline.scored, resamples=resamples, seed=seed)
    now = {(m.row, m.tag): m for m in candidate_misses}
    before = {(m.row, m.tag): m for m in baseline_misses}
    fixed = [miss for place, miss in before.items() if place not in now]
    broken = [miss for place, miss in now.items() if place not in before]
    per_tag = differences.pop("per_tag")
    return {
        "fixed": _counts(m.bucket for m in fixed),
        "broken": _counts(m.bucket for m in broken),
        "still_wrong": _counts(miss.bucket for place, miss in now.items() if place in before),
        "differences": differences,
        "per_tag": {
            tag: {
                "f1": difference,
                "fixed": _counts(m.bucket for m in fixed if m.tag == tag),
                "broken": _counts(m.bucket for m in broken if m.tag == tag),
            }
            for tag, difference in per_tag.items()
        },
        "examples": {
            "fixed": [miss.as_json() for miss in fixed[:EXAMPLES]],
            "broken": [miss.as_json() for miss in broken[:EXAMPLES]],
        },
    }


def as_table(report: dict[str, JSON]) -> str:
    """The misses as a Markdown table, one line per tag and side, one column per bucket; below it what changed."""
    lines = [f"| tag | side | total | {' | '.join(BUCKETS)} |", "|---" * (3 + len(BUCKETS)) + "|"]
    tables = {"all": report["buckets"]} | {tag: facts["buckets"] for tag, facts in report["per_tag"].items()}
    for tag, buckets in tables.items():
        for side in ("fn", "fp"):
            counts = [buckets[bucket][side] for bucket in BUCKETS]
            if any(counts):
                lines.append(f"| {tag} | {side} | {sum(counts)} | {' | '.join(map(str, counts))} |")
    if since := report.get("regression"):
        sides = (f"{since[side]['total']} {side.replace('_', ' ')}" for side in ("fixed", "broken", "still_wrong"))
        lines += ["", f"Against the baseline: {', '.join(sides)}."]
    return "\n".join(lines)
