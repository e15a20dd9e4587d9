"""Why a run cannot license the full one: what is missing in it, and what is other than in the full run.

`pass` means that it would have shown. What a log does not hold makes it invalid, or is listed as not checked.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mw_pipeline.recipe import REQUIRED_EVALS, REQUIRED_LOSSES
from mw_pipeline.verdict.exposure import (
    COMPARED_DIGESTS,
    RATE_TOLERANCE_SHARE,
    Exposure,
    RunFacts,
    has_rate,
    rate_mismatch,
)
from mw_pipeline.verdict.runlog import Row

_GAP_INTERVALS = 5
_LOGGED_PEAK_SHARE = 0.05  # a log of some steps may miss the very peak


@dataclass(frozen=True)
class Problem:
    """One reason why a run is invalid."""

    rule: str
    detail: str


def problems_of(
    facts: RunFacts, full: RunFacts, exposure: Exposure, steps: Sequence[Row]
) -> tuple[list[Problem], list[str]]:
    """(why the run is invalid, what could not be checked and why)."""
    judged = [
        gap_in_log(facts, steps),
        _no_rate(exposure, steps),
        _too_short(exposure),
        _too_few_losses(exposure),
        _too_few_evals(exposure),
        _other_number("effective_batch", "effective batch", facts.effective_batch, full.effective_batch),
        _other_peak(facts.peak_lr, full.peak_lr, steps),
        _other_word("precision", facts.precision, full.precision),
        _other_word("device", facts.device, full.device),
        *_other_digests(facts.digests, full.digests),
        _rate_mismatch(facts, steps),
    ]
    return [p for p in judged if isinstance(p, Problem)], [text for text in judged if isinstance(text, str)]


def _too_short(exposure: Exposure) -> Problem | str | None:
    if exposure.near_peak_steps is None or exposure.required_steps is None:
        return "exposure: neither run.json nor the log says the schedule"
    if exposure.near_peak_steps >= exposure.required_steps:
        return None
    return Problem("exposure", f"{exposure.near_peak_steps} near-peak steps, {exposure.required_steps} required")


def _no_rate(exposure: Exposure, steps: Sequence[Row]) -> Problem | None:
    """Without rates nothing says that the run was ever near its peak: it could not have shown (M70)."""
    if not any(has_rate(row) for row in steps):
        return Problem("learning_rate", "no learning rate was logged that can be read")
    if exposure.window is None:
        return Problem("learning_rate", "no logged learning rate is above 0")
    first, end = exposure.window
    if any(has_rate(row) and first <= row["step"] <= end for row in steps):
        return None
    return Problem("learning_rate", "no learning rate was logged near the peak")


def _too_few_losses(exposure: Exposure) -> Problem | str | None:
    """A coarse log blinds every rule that looks at losses (M69)."""
    if exposure.losses is None:
        return "losses in the window: the window is not known"
    if exposure.losses >= REQUIRED_LOSSES:
        return None
    return Problem("losses", f"{exposure.losses} logged losses near the peak rate, {REQUIRED_LOSSES} required")


def _too_few_evals(exposure: Exposure) -> Problem | str | None:
    if exposure.evals is None:
        return "evals in the window: the window is not known"
    if exposure.evals >= REQUIRED_EVALS:
        return None
    return Problem("evals", f"{exposure.evals} evaluations near the peak rate, {REQUIRED_EVALS} required")


def _other_number(rule: str, name: str, found: float | None, wanted: float | None) -> Problem | str | None:
    if found is None or wanted is None:
        return f"{name}: {'run.json' if found is None else 'the full run'} does not say it"
    return None if found == wanted else Problem(rule, f"{name} {found:g} ≠ {wanted:g} of the full run")


def _other_peak(found: float | None, wanted: float | None, steps: Sequence[Row]) -> Problem | str | None:
    """Where run.json does not say the peak, the highest logged rate does: a smoke at a tenth of it shows nothing."""
    highest = max((float(row["lr"]) for row in steps if has_rate(row)), default=None)
    if found is not None or wanted is None or highest is None:
        return _other_number("peak_lr", "peak rate", found, wanted)
    if math.isclose(highest, wanted, rel_tol=_LOGGED_PEAK_SHARE):
        return None
    return Problem("peak_lr", f"the highest logged rate {highest:g} ≠ peak rate {wanted:g} of the full run")


def _other_word(rule: str, found: str | None, wanted: str | None) -> Problem | str | None:
    """A CPU's smoke does not license a GPU's run; a full run that takes what is there asks for no word."""
    if found is None:
        return f"{rule}: run.json does not say it"
    return None if wanted in (None, found) else Problem(rule, f"{rule} {found} ≠ {wanted} of the full run")


def _other_digests(found: Mapping[str, str], wanted: Mapping[str, str]) -> list[Problem | str]:
    """Differences in what both sides name. A run that names only its recipe is compared by that."""
    names = [name for name in COMPARED_DIGESTS if name in found and name in wanted]
    if "recipe" in found and not any(name in found for name in ("loss", "model", "mix")):
        names.append("recipe")
    unknown = [name for name in COMPARED_DIGESTS if name not in names]
    judged: list[Problem | str] = [
        Problem("digests", f"{name} digest {found[name][:12]} ≠ {wanted[name][:12]} of the full run")
        for name in names
        if name in wanted and found[name] != wanted[name]
    ]
    return [*judged, *([f"digests of {', '.join(unknown)}: not on both sides"] if unknown else [])]


def gap_in_log(facts: RunFacts, steps: Sequence[Row]) -> Problem | str | None:
    """The losses reach from the start of the run to its end, without a hole in between."""
    if not steps:
        return Problem("log_incomplete", "log incomplete: it has no steps")
    seen = [int(row["step"]) for row in steps if row.get("loss") is not None] or [int(row["step"]) for row in steps]
    gaps = [after - before for before, after in itertools.pairwise(seen)]
    interval = statistics.median(gaps) if gaps else seen[0]
    widest = max(range(len(gaps)), key=gaps.__getitem__, default=0)
    if gaps and gaps[widest] > _GAP_INTERVALS * interval and gaps[widest] > 0.05 * seen[-1]:
        return Problem("log_incomplete", f"log incomplete: nothing between steps {seen[widest]} and {seen[widest + 1]}")
    if facts.warmup_steps is not None and seen[0] > facts.warmup_steps + interval:
        return Problem("log_incomplete", f"log incomplete: it begins at step {seen[0]}, after the warmup")
    if facts.warmup_steps is None and seen[0] > _GAP_INTERVALS * interval:
        return Problem("log_incomplete", f"log incomplete: it begins at step {seen[0]}")
    end = int(steps[-1]["step"]) if facts.steps is None else facts.steps
    if seen[-1] < end - 1 - interval:
        return Problem("log_incomplete", f"log incomplete: it ends at step {seen[-1]} of {end}")
    return "log complete: run.json does not say max_steps" if facts.steps is None else None


def _rate_mismatch(facts: RunFacts, steps: Sequence[Row]) -> Problem | str | None:
    """The logged rates are those of the declared schedule; one step of difference in numbering is allowed."""
    if None in (facts.schedule, facts.steps, facts.warmup_steps) or not any(has_rate(row) for row in steps):
        return "logged rates against the schedule: not both are there"
    mismatch = rate_mismatch(facts, steps, slack_share=RATE_TOLERANCE_SHARE, off_by_steps=1)
    return None if mismatch is None else Problem("schedule", str(mismatch))
