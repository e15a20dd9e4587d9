"""What the gates of a recipe ask of its packages: the lower end of an interval, on each locale's own rows.

A point estimate passes half of the time by luck, and the rows of another locale say nothing of this one (M78). The gold
that a project writes itself is close to its grammar, so a recipe may ask gold by others too (M86). Pure functions of
the recipe, the cards of its packages and what is known of the gold.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mw_pipeline.digest import JSON
from mw_pipeline.recipe import OWN_GOLD, EvalConfig
from mw_pipeline.report.cells import interval, number
from mw_pipeline.report.evaluation.axes import worse_sentence

_ASKED = {"min_core_macro_f1": "core_macro_f1", "min_exact_match": "exact_match"}
_TITLES = {"core_macro_f1": "core macro-F1", "exact_match": "exact match"}


@dataclass(frozen=True)
class Gate:
    """One score of one gold set that a locale must reach: `key` is where the recipe asks it."""

    key: str
    gold: str
    score: str
    floor: float


@dataclass(frozen=True)
class Reached:
    """A gate and what was measured for a locale: the score, its interval and the rows that it stands on."""

    gate: Gate
    locale: str
    value: float
    bounds: Sequence[float] | None
    rows: int

    @property
    def low(self) -> float | None:
        """The lower end of the interval; None where families are too few for one."""
        return self.bounds[0] if self.bounds else None

    @property
    def passes(self) -> bool:
        """Whether score and lower end reach the floor; NaN does not, and what has no interval only where 0 is asked."""
        floor = self.gate.floor
        return self.value >= floor and (floor == 0 if self.low is None else self.low >= floor)

    def __str__(self) -> str:
        sentence = (
            f"{self.locale}: {_TITLES[self.gate.score]} {self.value:.4f} ({interval(self.bounds)}) on {self.rows:,} "
            f"rows of {self.gate.gold}"
        )
        return f"{sentence}, {self.gate.key} asks a lower end of {self.gate.floor:.2f}"

    def as_row(self) -> tuple[str, ...]:
        """Locale, gold, score, its interval, rows, floor and whether it is reached, as cells."""
        floor, passes = f"{self.gate.floor:.2f}", "yes" if self.passes else "no"
        measured = (number(self.value), interval(self.bounds), f"{self.rows:,}")
        return (self.locale, self.gate.gold, _TITLES[self.gate.score], *measured, floor, passes)


def gates_of(asked: EvalConfig) -> Iterator[Gate]:
    """Every gate of a recipe, that of the corpus's own gold first."""
    yield Gate("eval.min_core_macro_f1", OWN_GOLD, "core_macro_f1", asked.min_core_macro_f1)
    for name, gate in asked.gates.items():
        for key, score in _ASKED.items():
            floor = getattr(gate, key)
            if floor is not None:
                yield Gate(f"eval.gates.{name}.{key}", name, score, floor)


def country_of(locale: str) -> str:
    """The country whose rows are the locale's own."""
    return locale.rpartition("-")[2].upper()


def own_rows(gold: str, locale: str) -> str:
    """The name of a locale's own rows of a gold set among the metrics of its card."""
    return f"{gold}, {country_of(locale)} rows"


def reached(asked: EvalConfig, metrics: Mapping[str, Mapping[str, JSON]]) -> list[Reached]:
    """Every gate for each locale whose card (locale → `metrics`) has rows to judge it by."""
    found = []
    for locale, measured in metrics.items():
        for gate in gates_of(asked):
            part = measured.get(own_rows(gate.gold, locale))
            value = part[gate.score] if part else None
            if part and value is not None:
                bounds = part["intervals"].get(gate.score)
                found.append(Reached(gate, locale, value, bounds, part["rows"]))
    return found


def badly_calibrated(asked: EvalConfig, metrics: Mapping[str, Mapping[str, JSON]]) -> list[str]:
    """A sentence for every locale whose confidences are off by more than a recipe allows on its own rows, or unknown.

    Asked of the corpus's own gold, and of each further set whose gate says `max_ece`."""
    limits = {OWN_GOLD: ("eval.max_ece", asked.max_ece)}
    limits |= {
        name: (f"eval.gates.{name}.max_ece", gate.max_ece)
        for name, gate in asked.gates.items()
        if gate.max_ece is not None
    }
    problems = []
    for locale, measured in metrics.items():
        for gold, (key, limit) in limits.items():
            part = measured.get(own_rows(gold, locale))
            if part is None or limit == 1 or (part["ece"] is not None and part["ece"] <= limit):
                continue  # NaN is not within any limit
            problems.append(
                f"{locale}: the confidences of spans are off by {number(part['ece'])} (expected calibration error over "
                f"ten buckets) on {part['rows']:,} rows of {gold}, {key} is {limit:g}"
            )
    return problems


def worsened(asked: EvalConfig, axes: Mapping[str, Mapping[str, JSON]]) -> list[str]:
    """A sentence for each axis that got worse against the baseline (locale → axes), where more did than may."""
    worse = [(locale, axis, part) for locale, part in axes.items() for axis in part.get("worsened", ())]
    count = len({axis for _, axis, _ in worse})
    if count <= asked.axes_may_worsen:
        return []
    allowed = f"{count} of 4 axes got worse, eval.axes_may_worsen is {asked.axes_may_worsen}"
    return [f"{worse_sentence(*found)}; {allowed}" for found in worse]


def unasked(
    asked: EvalConfig, sets: Mapping[str, JSON], found: Sequence[Reached], locales: Sequence[str]
) -> tuple[list[str], list[str]]:
    """What keeps gates from being asked: problems, and remarks on optional sets that are not there.

    `sets` is what is known of the further sets of the corpus, of all that gates name at least. A gate that judges no
    locale is a problem, and so is a locale that its corpus's own gold does not judge, where the recipe asks for more
    than 0 of it."""
    problems, remarks = [], []
    for name in asked.gates:
        if "skipped" in sets[name]:
            remarks.append(f"eval.gates.{name} was not asked: {sets[name]['skipped']}")
    judged = {(reach.gate.key, reach.locale) for reach in found}
    for gate in gates_of(asked):
        without = [locale for locale in locales if (gate.key, locale) not in judged]
        absent = gate.gold != OWN_GOLD and "skipped" in sets[gate.gold]
        nobody = without if gate.gold == OWN_GOLD or len(without) == len(locales) else []
        if nobody and gate.floor > 0 and not absent:
            problems.append(
                f"{gate.key} judges nothing of {', '.join(nobody)}: {gate.gold} has no scored row of theirs"
            )
    return problems, remarks
