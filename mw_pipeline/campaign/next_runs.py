"""The smallest next set of runs that would tell apart what a campaign leaves open, as recipes to write."""

from __future__ import annotations

import itertools
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mw_pipeline.campaign.attribution import (
    Attribution,
    Cause,
    Condition,
    Explanation,
    Trial,
    canonical,
    predicts,
)
from mw_pipeline.digest import JSON
from mw_pipeline.errors import RecipeError

_MOST_IN_POOL = 14  # 2¹⁴ subsets are tried in a moment; more changes at once than that are no campaign


@dataclass(frozen=True)
class Proposal:
    """A run to make next: its changes against the base, why, and the recipe that is it already, where there is one."""

    name: str
    changes: Mapping[str, JSON]
    why: str
    recipe: str | None


def propose(attribution: Attribution, trials: Sequence[Trial]) -> tuple[Proposal, ...]:
    """The runs that separate the explanations, then those that would clear what has never been seen to survive.

    One-change runs where they can separate anything, runs of two changes where only these can."""
    values = {(key, canonical(value)): value for trial in trials for key, value in trial.changes.items()}
    known = {canonical(dict(trial.changes)) for trial in trials if trial.failed is not None}
    separating = _separating_runs(attribution.explanations, values, known) if attribution.status == "open" else ()
    chosen = {canonical(changes) for changes in separating}
    clearing = [
        changes
        for condition in attribution.suspects
        if condition.value is not None
        for changes in ({condition.key: values[condition.key, condition.value]},)
        if canonical(changes) not in known | chosen
    ]
    found = [(changes, _forecast(attribution.explanations, changes)) for changes in separating]
    found += [(changes, "has only been run with other changes, and these runs failed") for changes in clearing]
    return tuple(_proposal(changes, why, trials) for changes, why in found)


def _separating_runs(
    explanations: Sequence[Explanation], values: Mapping[tuple[str, str], JSON], known: set[str]
) -> tuple[dict[str, JSON], ...]:
    conditions = {condition for explanation in explanations for cause in explanation for condition in cause}
    exact = sorted(condition for condition in conditions if condition.value is not None)
    causes: list[Cause] = [(), *((condition,) for condition in exact)]
    pairs: list[Cause] = [pair for pair in itertools.combinations(exact, 2) if pair[0].key != pair[1].key]
    for pool in (causes, causes + pairs):
        runs = [changes for cause in pool if canonical(changes := _changes(cause, values)) not in known]
        best = _smallest_set(explanations, runs[:_MOST_IN_POOL])
        if best:
            return best
    return ()


def _changes(cause: Iterable[Condition], values: Mapping[tuple[str, str], JSON]) -> dict[str, JSON]:
    return {c.key: values[c.key, c.value] for c in cause if c.value is not None}


def _smallest_set(explanations: Sequence[Explanation], runs: Sequence[dict[str, JSON]]) -> tuple[dict[str, JSON], ...]:
    """The smallest subset of runs that separates all that the runs together can separate."""
    finest = _groups_told_apart(explanations, runs)
    for size in range(len(runs) + 1):
        for chosen in itertools.combinations(runs, size):
            if _groups_told_apart(explanations, chosen) == finest:
                return chosen
    return ()


def _groups_told_apart(explanations: Sequence[Explanation], runs: Sequence[Mapping[str, JSON]]) -> int:
    """How many groups of explanations the runs' outcomes would tell apart."""
    return len({tuple(predicts(explanation, changes) for changes in runs) for explanation in explanations})


def _forecast(explanations: Sequence[Explanation], changes: Mapping[str, JSON]) -> str:
    fails = sum(predicts(explanation, changes) for explanation in explanations)
    return f"fails by {fails} of the {len(explanations)} explanations, survives by the others"


def _proposal(changes: Mapping[str, JSON], why: str, trials: Sequence[Trial]) -> Proposal:
    same = [trial.name for trial in trials if canonical(dict(trial.changes)) == canonical(dict(changes))]
    name = f"only-{'-and-'.join(_slug(key.rpartition('.')[2]) for key in changes)}" if changes else "only-base"
    alike = {canonical(trial.changes[key]) for key in changes for trial in trials if key in trial.changes}
    if len(changes) == 1 and len(alike) > 1:  # several values of one key: the name says which
        (value,) = changes.values()
        name += f"-{_slug(str(value))}"
    return Proposal(name, dict(changes), why, same[0] if same else None)


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def write_proposals(proposals: Sequence[Proposal], out: Path, *, base: Path) -> list[Path]:
    """One TOML recipe in `out` for each proposal that is no recipe yet; returns their paths.

    Raises RecipeError when a file of that name is there, and for a change that TOML cannot say."""
    out.mkdir(parents=True, exist_ok=True)
    base_reference = Path(os.path.relpath(base.resolve(), out.resolve())).as_posix()
    written = []
    for proposal in proposals:
        if proposal.recipe is not None:
            continue
        path = out / f"{proposal.name}.toml"
        if path.exists():
            raise RecipeError(f"{path}: is there already. Run it, or name another folder for proposals.")
        path.write_text(as_toml(proposal, base=base_reference), encoding="utf-8")
        written.append(path)
    return written


def as_toml(proposal: Proposal, *, base: str) -> str:
    """The proposal as a recipe over a base. Raises RecipeError for a change that TOML cannot say."""
    lines = [f"# Proposed: {proposal.why}.", "", f"base = {json.dumps(base)}"]
    tables: dict[str, list[str]] = {}
    for key, value in proposal.changes.items():
        if value is None:
            raise RecipeError(f"{key}: the change takes the key away, which TOML cannot say. Write a base without it.")
        *section, name = key.split(".")
        if isinstance(value, dict) and value:
            tables[key] = [f"{_key(inner_key)} = {json.dumps(inner_value)}" for inner_key, inner_value in value.items()]
        else:
            tables.setdefault(".".join(section), []).append(f"{name} = {json.dumps(value)}")
    lines += tables.pop("", [])
    for table, content in tables.items():
        lines += ["", f"[{table}]", *content]
    return "\n".join(lines) + "\n"


def _key(text: str) -> str:
    return text if re.fullmatch(r"[A-Za-z0-9_-]+", text) else json.dumps(text)
