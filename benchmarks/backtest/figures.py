"""The figures of a backtest, always with their denominators."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backtest.answer import Answer
from backtest.truth import FAILURES, Ending

NEAR_BEST = 0.05
Figures = dict[str, Any]


@dataclass(frozen=True)
class Tried:
    """One case with both its runs made: how the full run ended, and what every gate said to its smoke.

    end_f1    the mean macro-F1 of the full run's last three evaluations
    watchdog  what would have stopped the full run while it trained, and at which step
    """

    cause: str
    name: str
    seed: int
    ending: Ending
    smoke_steps: int
    full_steps: int
    end_f1: float
    answers: Mapping[str, Answer]
    watchdog: Answer

    @property
    def is_bad(self) -> bool:
        """Whether the full run failed."""
        return self.ending in FAILURES

    @property
    def stopped(self) -> bool:
        """Whether the verdict on the smoke, or else the watchdog in the full run, stops it."""
        return not (self.answers["verdict"].passes and self.watchdog.passes)


def figures_of(tried: Sequence[Tried]) -> Figures:
    """Everything that is reported about the real runs: by gate, seed and cause, and each mistake by name."""
    bad, healthy = [t for t in tried if t.is_bad], [t for t in tried if t.ending == "healthy"]
    best = max((t.end_f1 for t in tried if not math.isnan(t.end_f1)), default=math.nan)
    seeds = sorted({t.seed for t in tried})
    return {
        "runs": len(tried),
        "bad": len(bad),
        "poor": sum(t.ending == "poor" for t in tried),
        "healthy": len(healthy),
        "endings": {ending: sum(t.ending == ending for t in tried) for ending in sorted({t.ending for t in tried})},
        "gates": {name: _of_gate(name, tried) for name in (tried[0].answers if tried else ())},
        "watched": _with_watchdog(tried),
        "seeds": {
            name: _power(chosen, best)
            for name, chosen in (
                *((f"seed {seed}", [t for t in tried if t.seed == seed]) for seed in seeds),
                ("all", tried),
            )
        },
        "causes": {
            cause: _of_cause([t for t in tried if t.cause == cause]) for cause in dict.fromkeys(t.cause for t in tried)
        },
        "rules": {why: _endings_stopped_by(why, tried) for why in sorted({t.answers["verdict"].why for t in tried})},
        "missed": [
            {"name": t.name, "ending": t.ending, "watchdog": _stop_of(t.watchdog)}
            for t in bad
            if t.answers["verdict"].passes
        ],
        "false_alarms": [
            {"name": t.name, "why": _why(t), "end_f1": t.end_f1, "cost": best - t.end_f1} for t in healthy if t.stopped
        ],
        "best_end_f1": None if math.isnan(best) else best,
        "largest_smoke_share": max((t.answers["verdict"].steps / t.full_steps for t in tried), default=None),
    }


def _why(tried: Tried) -> str:
    verdict = tried.answers["verdict"]
    return f"watchdog: {_stop_of(tried.watchdog)}" if verdict.passes else verdict.why


def _stop_of(answer: Answer) -> str | None:
    return None if answer.passes else f"{answer.why} at step {answer.steps}"


def _of_gate(name: str, tried: Sequence[Tried]) -> Figures:
    stopped = [t for t in tried if not t.answers[name].passes]
    spent = sum(t.answers[name].steps + (t.full_steps if t.answers[name].passes else 0) for t in tried)
    return _counts(stopped, tried, spent)


def _with_watchdog(tried: Sequence[Tried]) -> Figures:
    """The verdict on the smoke and, where it passed, the watchdog inside the full run."""
    verdicts = [(t, t.answers["verdict"]) for t in tried]
    spent = sum(said.steps + (t.watchdog.steps if said.passes else 0) for t, said in verdicts)
    return _counts([t for t in tried if t.stopped], tried, spent)


def _counts(stopped: Sequence[Tried], tried: Sequence[Tried], spent: int) -> Figures:
    all_steps = sum(t.full_steps for t in tried)
    return {
        "caught": sum(t.is_bad for t in stopped),
        "bad": sum(t.is_bad for t in tried),
        "poor_stopped": sum(t.ending == "poor" for t in stopped),
        "poor": sum(t.ending == "poor" for t in tried),
        "false_alarms": sum(t.ending == "healthy" for t in stopped),
        "healthy": sum(t.ending == "healthy" for t in tried),
        "steps_saved_share": 1 - spent / all_steps if all_steps else None,
    }


def _power(tried: Sequence[Tried], best: float) -> Figures:
    """What the aims are stated in; `near_best` runs end within 0.05 of the best full run of any seed."""
    near_best = [t for t in tried if not t.is_bad and t.end_f1 >= best - NEAR_BEST]
    by_watchdog = [t for t in tried if t.is_bad and t.answers["verdict"].passes and not t.watchdog.passes]
    return {
        "runs": len(tried),
        "bad": sum(t.is_bad for t in tried),
        "caught": sum(t.is_bad and not t.answers["verdict"].passes for t in tried),
        "caught_or_watched": sum(t.is_bad and t.stopped for t in tried),
        "near_best": len(near_best),
        "near_best_stopped": sum(t.stopped for t in near_best),
        "steps_saved_by_watchdog": sum(t.full_steps - t.watchdog.steps for t in by_watchdog),
        "stopped_by_watchdog": len(by_watchdog),
    }


def _endings_stopped_by(why: str, tried: Sequence[Tried]) -> Figures:
    stopped = [t for t in tried if t.answers["verdict"].why == why and not t.answers["verdict"].passes]
    poor, healthy = (sum(t.ending == ending for t in stopped) for ending in ("poor", "healthy"))
    return {"bad": len(stopped) - poor - healthy, "poor": poor, "healthy": healthy}


def _of_cause(tried: Sequence[Tried]) -> Figures:
    watched = sum(t.is_bad and t.stopped for t in tried)
    return {"runs": len(tried), **_of_gate("verdict", tried), "caught_or_watched": watched}


def interval(count: int, of: int) -> str:
    """Wilson's score interval of a share, at 95 % (Wilson 1927); runs that share a smoke are counted as if they did
    not."""
    if not of:
        return "nothing known"
    z, share = 1.96, count / of
    middle, spread = share + z * z / (2 * of), z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    low, high = ((middle + side * spread) / (1 + z * z / of) for side in (-1, 1))
    return f"{max(0.0, low):.0%} to {min(1.0, high):.0%}"
