"""Scores of predicted components against gold: pure functions of values, numpy only.

Shape letters: R rows, T tags, F families, N resamples. One value per tag per row: an equal value is a true positive,
a different one a false positive and a false negative, a spurious one the former, a missing one the latter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mw_pipeline.digest import JSON
from mw_pipeline.errors import CorpusError, GateError
from mw_pipeline.labels import CORE_TAGS
from mw_pipeline.metrics.matching import match_policy
from mw_pipeline.metrics.resampling import RESAMPLES, direction, interval, number, resampled_sums

Components = Mapping[str, str]
Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

COARSE_TAGS: tuple[str, ...] = ("country", "region", "locality", "postcode")
FINE_TAGS: tuple[str, ...] = ("venue", "street", "house_number", "unit", "po_box")
"""Of the last two as many count as the compared labels have."""
COMPARED_HASHES: tuple[str, ...] = ("gold", "labels", "policy", "decoder")


@dataclass(frozen=True)
class Outcomes:
    """What became of every tag of every row, and which rows belong to one family.

    tp, fp, fn  (R, T)  bool
    family      (R,)    int64   dense ids 0..F-1 in order of first appearance
    beyond      (R,)    bool    gold has a value under a tag that no answer could have: the row is not exact
    """

    tags: tuple[str, ...]
    tp: Flags
    fp: Flags
    fn: Flags
    family: Counts
    beyond: Flags

    def only(self, rows: Flags) -> Outcomes:
        """The outcomes of the rows where the mask (R,) holds."""
        _, family = np.unique(self.family[rows], return_inverse=True)
        counted = (self.tp[rows], self.fp[rows], self.fn[rows])
        return Outcomes(self.tags, *counted, family.astype(np.int64), self.beyond[rows])

    @property
    def supported(self) -> Flags:
        """(T,) True for tags with gold support: the denominators of every macro average."""
        support: Counts = (self.tp | self.fn).sum(axis=0)
        return support > 0

    @cached_property
    def by_family(self) -> Counts:
        """(F, 3T + 2): tp, fp and fn per tag, rows that are exact, rows; summed over each family."""
        exact = ~((self.fp | self.fn).any(axis=1, keepdims=True) | self.beyond[:, None])
        columns = np.concatenate([self.tp, self.fp, self.fn, exact, np.ones_like(exact)], axis=1).astype(np.int64)
        sums = np.zeros((int(self.family.max(initial=-1)) + 1, columns.shape[1]), dtype=np.int64)
        np.add.at(sums, self.family, columns)
        return sums


def outcomes(
    gold: Sequence[Components],
    predicted: Sequence[Components],
    *,
    tags: Sequence[str],
    policy: str,
    families: Sequence[str] | None = None,
    beyond: Sequence[str] = (),
) -> Outcomes:
    """Each gold row against the prediction at the same place. Tags outside `tags` and `beyond` are not looked at.

    `beyond` are tags that the labels of whoever answered do not have: a row with a value of one is read whole by no
    answer. A value without anything but white space counts as absent. Without families every row is its own."""
    if len(gold) != len(predicted):
        raise CorpusError(
            f"{len(predicted)} predictions for {len(gold)} gold rows: expected one for each. Match them by raw first."
        )
    key = match_policy(policy)
    shape = (len(gold), len(tags))
    tp, fp, fn = (np.zeros(shape, dtype=np.bool_) for _ in range(3))
    for row, (expected, found) in enumerate(zip(gold, predicted, strict=True)):
        for column, tag in enumerate(tags):
            has_gold, has_found = is_present(expected, tag), is_present(found, tag)
            equal = has_gold and has_found and key(expected[tag]) == key(found[tag])
            tp[row, column] = equal
            fp[row, column] = has_found and not equal
            fn[row, column] = has_gold and not equal
    names = {name: number for number, name in enumerate(dict.fromkeys(families or ()))}
    family = [names[name] for name in families] if families is not None else range(len(gold))
    has_beyond = np.array([any(is_present(expected, tag) for tag in beyond) for expected in gold], dtype=np.bool_)
    return Outcomes(tuple(tags), tp, fp, fn, np.array(family, dtype=np.int64).reshape(-1), has_beyond)


def is_present(components: Components, tag: str) -> bool:
    """Whether the components hold a value for the tag that is more than white space."""
    return bool((components.get(tag) or "").strip())


@dataclass(frozen=True)
class Statistics:
    """The scores of N sets of counts at once; NaN where a score has no denominator.

    tag_f1, precision, recall  (N, T); every entry of `averages` (N,)
    """

    tag_f1: Floats
    precision: Floats
    recall: Floats
    averages: dict[str, Floats]


def statistics_of(counts: Counts, tags: tuple[str, ...], supported: Flags) -> Statistics:
    """Scores from counts (N, 3T + 2) laid out as in `Outcomes.by_family`.

    `supported` (T,) names the tags with gold support in the whole sample: the denominators of every macro average. In
    a resample a supported tag can have no count at all; it has no F1 there and is left out of that resample's mean."""
    size = len(tags)
    tp, fp, fn = counts[:, :size], counts[:, size : 2 * size], counts[:, 2 * size : 3 * size]
    tag_f1 = _ratio(2 * tp, 2 * tp + fp + fn)
    macros = {
        name: _mean_of(tag_f1[:, [i for i, tag in enumerate(tags) if supported[i] and (group is None or tag in group)]])
        for name, group in MACROS.items()
    }
    total_tp, total_errors = tp.sum(axis=1), fp.sum(axis=1) + fn.sum(axis=1)
    return Statistics(
        tag_f1=tag_f1,
        precision=_ratio(tp, tp + fp),
        recall=_ratio(tp, tp + fn),
        averages={
            **macros,
            "micro_f1": _ratio(2 * total_tp, 2 * total_tp + total_errors),
            "exact_match": _ratio(counts[:, -2], counts[:, -1]),
        },
    )


MACROS: dict[str, tuple[str, ...] | None] = {
    "macro_f1": None,
    "core_macro_f1": CORE_TAGS,
    "coarse_f1": COARSE_TAGS,
    "fine_f1": FINE_TAGS,
}


def _ratio(part: Counts | Floats, whole: Counts) -> Floats:
    shares: Floats = np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)
    return shares


def _mean_of(values: Floats) -> Floats:
    """(N,) the mean over the second axis of what is not NaN; NaN where nothing is left."""
    known = ~np.isnan(values)
    return _ratio(np.where(known, values, 0).sum(axis=1), known.sum(axis=1))


def scores(found: Outcomes, *, resamples: int = RESAMPLES, seed: int = 0) -> dict[str, JSON]:
    """All scores of the outcomes, each with a 95 % interval from a bootstrap over families.

    A score without a denominator is None: a macro average when no tag of its group has gold support, the F1 of a tag
    that neither gold nor prediction ever holds, everything when there are no rows. Tags without gold support are in no
    macro average and are named under `without_support` (M45). Intervals are None with fewer than two families, since
    one family cannot show how much families differ.
    """
    supported = found.supported
    point, sample = _point_and_sample(found, supported, resamples, seed)
    reliable = len(found.by_family) > 1
    names = [tag for tag, has_support in zip(found.tags, supported, strict=True) if has_support]
    return {
        "rows": len(found.family),
        "families": len(found.by_family),
        **{name: number(values[0]) for name, values in point.averages.items()},
        "intervals": {name: interval(values) if reliable else None for name, values in sample.averages.items()},
        "denominators": {
            name: [tag for tag in names if group is None or tag in group] for name, group in MACROS.items()
        },
        "without_support": [tag for tag in found.tags if tag not in names],
        "per_tag": {
            tag: _tag_scores(found, column, point, sample.tag_f1[:, column] if reliable else None)
            for column, tag in enumerate(found.tags)
        },
    }


def _tag_scores(found: Outcomes, column: int, point: Statistics, sample: Floats | None) -> dict[str, JSON]:
    return {
        "tp": int(found.tp[:, column].sum()),
        "fp": int(found.fp[:, column].sum()),
        "fn": int(found.fn[:, column].sum()),
        "support": int((found.tp | found.fn)[:, column].sum()),
        "precision": number(point.precision[0, column]),
        "recall": number(point.recall[0, column]),
        "f1": number(point.tag_f1[0, column]),
        "interval": None if sample is None else interval(sample),
    }


def ceiling(
    gold: Sequence[Components], raws: Sequence[str], *, tags: Sequence[str], policy: str, beyond: Sequence[str] = ()
) -> dict[str, JSON]:
    """What an extractor that returns every gold value which is a substring of `raw`, and nothing else, would score.

    Nobody's spans can do better on this gold under this policy (M48). `unreachable` counts the other values; `beyond`
    is that of `outcomes`."""
    key = match_policy(policy)
    reachable = [
        {tag: value for tag, value in components.items() if is_present(components, tag) and key(value) in key(raw)}
        for components, raw in zip(gold, raws, strict=True)
    ]
    best = scores(outcomes(gold, reachable, tags=tags, policy=policy, beyond=beyond), resamples=0)
    return {
        **{name: best[name] for name in (*MACROS, "micro_f1", "exact_match")},
        "per_tag": {tag: facts["f1"] for tag, facts in best["per_tag"].items()},
        "unreachable": {tag: facts["fn"] for tag, facts in best["per_tag"].items() if facts["fn"]},
    }


@dataclass(frozen=True)
class Scored:
    """Outcomes with the hashes of everything that decides what they mean: gold, labels, policy, decoder."""

    outcomes: Outcomes
    hashes: Mapping[str, str]


def demand_comparable(candidate: Mapping[str, str], baseline: Mapping[str, str]) -> None:
    """Returns when both were scored on the same gold, labels, policy and decoder. Raises GateError otherwise (M44)."""
    for name in COMPARED_HASHES:
        if candidate.get(name) is None or candidate.get(name) != baseline.get(name):
            raise GateError(
                f"scores are not comparable: {name} hash is {_short(candidate.get(name))} for the candidate and "
                f"{_short(baseline.get(name))} for the baseline, expected the same. Score both again on one {name}."
            )


def _short(value: str | None) -> str:
    return "missing" if value is None else repr(value[:12])


def compare(candidate: Scored, baseline: Scored, *, resamples: int = RESAMPLES, seed: int = 0) -> dict[str, JSON]:
    """Candidate minus baseline for every average and tag, with paired bootstrap intervals over families.

    `verdict` is "better", "worse", or "no difference" when the interval holds 0 or there is none. Raises GateError when
    the hashes differ (M44).
    """
    demand_comparable(candidate.hashes, baseline.hashes)
    first, second = candidate.outcomes, baseline.outcomes
    assert first.tags == second.tags and np.array_equal(first.family, second.family)
    supported = first.supported
    pairs = [_point_and_sample(found, supported, resamples, seed) for found in (first, second)]
    reliable = len(first.by_family) > 1
    averages = {name: [(p.averages[name][0], s.averages[name]) for p, s in pairs] for name in pairs[0][0].averages}
    tags = {tag: [(p.tag_f1[0, i], s.tag_f1[:, i]) for p, s in pairs] for i, tag in enumerate(first.tags)}
    return {
        **{name: _difference(*sides, reliable=reliable) for name, sides in averages.items()},
        "per_tag": {tag: _difference(*sides, reliable=reliable) for tag, sides in tags.items()},
    }


def _point_and_sample(found: Outcomes, supported: Flags, resamples: int, seed: int) -> tuple[Statistics, Statistics]:
    total = found.by_family.sum(axis=0, keepdims=True, dtype=np.int64)
    sample = np.rint(resampled_sums(found.by_family, resamples=resamples, seed=seed)).astype(np.int64)
    return statistics_of(total, found.tags, supported), statistics_of(sample, found.tags, supported)


def _difference(candidate: tuple[float, Floats], baseline: tuple[float, Floats], *, reliable: bool) -> dict[str, JSON]:
    bounds = interval(candidate[1] - baseline[1]) if reliable else None
    return {
        "candidate": number(candidate[0]),
        "baseline": number(baseline[0]),
        "difference": number(candidate[0] - baseline[0]),
        "interval": bounds,
        "verdict": {"up": "better", "down": "worse"}.get(direction(bounds), "no difference"),
    }
