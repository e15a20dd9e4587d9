"""Which change, or which pair of changes, explains the runs that failed: set logic over who changed what.

A *condition* is a change: a key at a value, or a key at any value but the base's. A *cause* is a set of conditions that
must hold together; the empty one is the base itself. An *explanation* is a set of causes, each enough alone: every run
that failed meets one of them, and no run that survived does. The smallest explanations are sought, and what several of
them leave open is said to be open: nothing is claimed that the runs do not carry (M05).
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from mw_pipeline.digest import JSON

MOST_CAUSES = 3

Status = Literal["nothing failed", "explained", "open", "contradictory", "unexplained"]


@dataclass(frozen=True)
class Trial:
    """A recipe as attribution sees it: its changes against the base, and whether its run failed (None: unknown)."""

    name: str
    changes: Mapping[str, JSON]
    failed: bool | None


@dataclass(frozen=True, order=True)
class Condition:
    """A key at a value, or (value None) at any value but the base's. `value` is canonical JSON."""

    key: str
    value: str | None

    def holds(self, changes: Mapping[str, JSON]) -> bool:
        """Whether these changes meet it."""
        return self.key in changes and self.value in (None, canonical(changes[self.key]))


Cause = tuple[Condition, ...]
Explanation = tuple[Cause, ...]


@dataclass(frozen=True)
class Attribution:
    """What the trials say. One explanation: it is named. Several: they cannot be told apart yet.

    suspects  conditions that have only been met by runs that failed, and that no explanation needs: not cleared"""

    status: Status
    explanations: tuple[Explanation, ...]
    suspects: tuple[Condition, ...]
    failing: tuple[str, ...]
    surviving: tuple[str, ...]
    unknown: tuple[str, ...]
    contradictions: tuple[tuple[str, str], ...] = ()


def canonical(value: JSON) -> str:
    """A value as text: equal texts, equal values."""
    return json.dumps(value, sort_keys=True)


def attribute(trials: Sequence[Trial]) -> Attribution:
    """The smallest explanations of the failures among the trials."""
    failing = [trial for trial in trials if trial.failed]
    surviving = [trial for trial in trials if trial.failed is False]
    against = contradictions(failing, surviving)
    found = () if against else _smallest_explanations(failing, surviving)
    used = {condition for explanation in found for cause in explanation for condition in cause}
    suspects = [
        condition
        for condition in conditions_of([*failing, *surviving])
        if not any(condition.holds(trial.changes) for trial in surviving)
        and not any(condition.key == other.key for other in used)
    ]
    return Attribution(
        status=_status(failing, found, against),
        explanations=found,
        suspects=tuple(suspects) if failing else (),
        failing=tuple(trial.name for trial in failing),
        surviving=tuple(trial.name for trial in surviving),
        unknown=tuple(trial.name for trial in trials if trial.failed is None),
        contradictions=against,
    )


def _status(failing: Sequence[Trial], found: Sequence[Explanation], against: Sequence[tuple[str, str]]) -> Status:
    if not failing:
        return "nothing failed"
    if against:
        return "contradictory"
    return "unexplained" if not found else "explained" if len(found) == 1 else "open"


def contradictions(failing: Sequence[Trial], surviving: Sequence[Trial]) -> tuple[tuple[str, str], ...]:
    """(failed, survived) names of runs that changed the same: chance, or something that no recipe says, decides."""
    same = [
        (a.name, b.name) for a in failing for b in surviving if canonical(dict(a.changes)) == canonical(dict(b.changes))
    ]
    return tuple(sorted(same))


def conditions_of(trials: Sequence[Trial]) -> list[Condition]:
    """Every condition that some trial meets. A key of one value is that value; of several, each and any of them."""
    values: dict[str, set[str]] = {}
    for trial in trials:
        for key, value in trial.changes.items():
            values.setdefault(key, set()).add(canonical(value))
    found = [Condition(key, value) for key in sorted(values) for value in sorted(values[key])]
    return found + [Condition(key, None) for key in sorted(values) if len(values[key]) > 1]


def meets(cause: Cause, changes: Mapping[str, JSON]) -> bool:
    """Whether all conditions of a cause hold; those of the base itself always do."""
    return all(condition.holds(changes) for condition in cause)


def predicts(explanation: Explanation, changes: Mapping[str, JSON]) -> bool:
    """Whether a run with these changes would fail."""
    return any(meets(cause, changes) for cause in explanation)


def _smallest_explanations(failing: Sequence[Trial], surviving: Sequence[Trial]) -> tuple[Explanation, ...]:
    """All explanations of the first size that has any: one cause, then two, then three; single changes before pairs."""
    if not failing:
        return ()
    suspects = [
        cause for cause in _causes([*failing, *surviving]) if not any(meets(cause, t.changes) for t in surviving)
    ]
    all_runs = frozenset(range(len(failing)))
    reach = {cause: frozenset(i for i in all_runs if meets(cause, failing[i].changes)) for cause in suspects}
    reach = {cause: runs for cause, runs in reach.items() if runs}
    alone = tuple((cause,) for cause, runs in reach.items() if runs == all_runs)
    if alone:
        return alone
    singles: dict[Cause, frozenset[int]] = {cause: runs for cause, runs in reach.items() if len(cause) == 1}
    for count in range(2, MOST_CAUSES + 1):
        for pool in (singles, reach):
            found = tuple(
                chosen
                for chosen in itertools.combinations(pool, count)
                if frozenset.union(*(pool[cause] for cause in chosen)) == all_runs
            )
            if found:
                return found
    return ()


def _causes(trials: Sequence[Trial]) -> Iterator[Cause]:
    """The base, every condition, and every pair of conditions on two keys that some trial meets together."""
    yield ()
    conditions = conditions_of(trials)
    yield from ((condition,) for condition in conditions)
    for one, other in itertools.combinations(conditions, 2):
        if one.key != other.key and any(meets((one, other), trial.changes) for trial in trials):
            yield (one, other)
