"""The figures of a backtest and their table in Markdown, always with their denominators."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backtest.answer import Answer
from backtest.truth import FAILURES, Ending

BEGIN, END = "<!-- backtest: written by benchmarks/verdict.py -->", "<!-- end of the backtest -->"
Figures = dict[str, Any]


@dataclass(frozen=True)
class Tried:
    """One case with both its runs made: how the full run ended, and what every gate said to its smoke.

    end_f1  the mean macro-F1 of the full run's last three evaluations
    """

    cause: str
    name: str
    ending: Ending
    smoke_steps: int
    full_steps: int
    end_f1: float
    answers: Mapping[str, Answer]

    @property
    def is_bad(self) -> bool:
        """Whether the full run failed."""
        return self.ending in FAILURES


def figures_of(tried: Sequence[Tried]) -> Figures:
    """Everything that is reported about the real runs: by gate, by cause, and each mistake of the verdict by name."""
    bad, healthy = [t for t in tried if t.is_bad], [t for t in tried if t.ending == "healthy"]
    return {
        "runs": len(tried),
        "bad": len(bad),
        "poor": sum(t.ending == "poor" for t in tried),
        "healthy": len(healthy),
        "endings": {ending: sum(t.ending == ending for t in tried) for ending in sorted({t.ending for t in tried})},
        "gates": {name: _of_gate(name, tried) for name in (tried[0].answers if tried else ())},
        "causes": {cause: _of_cause([t for t in tried if t.cause == cause]) for cause in _order(tried)},
        "rules": {why: _endings_stopped_by(why, tried) for why in sorted({t.answers["verdict"].why for t in tried})},
        "missed": [{"name": t.name, "ending": t.ending} for t in bad if t.answers["verdict"].passes],
        "false_alarms": [
            {"name": t.name, "why": t.answers["verdict"].why, "end_f1": t.end_f1}
            for t in healthy
            if not t.answers["verdict"].passes
        ],
        "best_end_f1": max((t.end_f1 for t in tried), default=None),
        "largest_smoke_share": max((t.answers["verdict"].steps / t.full_steps for t in tried), default=None),
    }


def _of_gate(name: str, tried: Sequence[Tried]) -> Figures:
    stopped = [t for t in tried if not t.answers[name].passes]
    all_steps = sum(t.full_steps for t in tried)
    spent = sum(t.answers[name].steps + (t.full_steps if t.answers[name].passes else 0) for t in tried)
    return {
        "caught": sum(t.is_bad for t in stopped),
        "bad": sum(t.is_bad for t in tried),
        "poor_stopped": sum(t.ending == "poor" for t in stopped),
        "poor": sum(t.ending == "poor" for t in tried),
        "false_alarms": sum(t.ending == "healthy" for t in stopped),
        "healthy": sum(t.ending == "healthy" for t in tried),
        "steps_saved_share": 1 - spent / all_steps if all_steps else None,
    }


def _endings_stopped_by(why: str, tried: Sequence[Tried]) -> Figures:
    stopped = [t for t in tried if t.answers["verdict"].why == why and not t.answers["verdict"].passes]
    poor, healthy = (sum(t.ending == ending for t in stopped) for ending in ("poor", "healthy"))
    return {"bad": len(stopped) - poor - healthy, "poor": poor, "healthy": healthy}


def _of_cause(tried: Sequence[Tried]) -> Figures:
    return {"runs": len(tried), **_of_gate("verdict", tried)}


def _order(tried: Sequence[Tried]) -> list[str]:
    return list(dict.fromkeys(t.cause for t in tried))


def markdown(figures: Figures, shapes: Sequence[Figures]) -> str:
    """The tables of docs/verdict.md."""
    return "\n\n".join(
        [
            _shapes_table(shapes),
            _gates_table(figures),
            _causes_table(figures),
            _rules_table(figures),
            _mistakes(figures),
        ]
    )


def _shapes_table(shapes: Sequence[Figures]) -> str:
    rows = [
        f"| {s['loss_noise']:.0%} | {s['f1_noise']:g} | {s['right']} of {s['logs']} | {_worst(s['by_row'])} |"
        for s in shapes
    ]
    head = "| noise of the loss | noise of macro-F1 | right verdicts | rows with a wrong one |\n|--:|--:|--:|---|"
    return "\n".join([head, *rows])


def _worst(by_row: Mapping[str, float]) -> str:
    wrong = {row: share for row, share in by_row.items() if share < 1}
    return ", ".join(f"{row} ({share:.1%} right)" for row, share in wrong.items()) or "none"


def _gates_table(found: Figures) -> str:
    count = f"{found['runs']} full runs: {found['bad']} bad, {found['poor']} poor, {found['healthy']} healthy.\n"
    rows = [f"| {name} | {_stopped(g)} | {g['steps_saved_share']:.0%} |" for name, g in found["gates"].items()]
    head = "| gate | bad runs stopped | poor runs stopped | healthy runs stopped | steps saved |\n|---|--:|--:|--:|--:|"
    return "\n".join([count, head, *rows])


def _causes_table(found: Figures) -> str:
    rows = [f"| {cause} | {c['runs']} | {_stopped(c)} |" for cause, c in found["causes"].items()]
    head = "| what was varied | runs | bad runs stopped | poor runs stopped | healthy runs stopped |"
    return "\n".join([head, "|---|--:|--:|--:|--:|", *rows])


def _rules_table(found: Figures) -> str:
    rows = [
        f"| {rule} | {stopped['bad']} | {stopped['poor']} | {stopped['healthy']} |"
        for rule, stopped in found["rules"].items()
        if any(stopped.values())
    ]
    return "\n".join(["| stopped by | bad runs | poor runs | healthy runs |", "|---|--:|--:|--:|", *rows])


def _stopped(figures: Figures) -> str:
    parts = (("caught", "bad"), ("poor_stopped", "poor"), ("false_alarms", "healthy"))
    return " | ".join(f"{figures[part]} of {figures[whole]}" for part, whole in parts)


def _mistakes(found: Figures) -> str:
    missed = [f"- missed: {m['name']} ({m['ending']})" for m in found["missed"]]
    alarms = [
        f"- false alarm: {a['name']} ({a['why']}); its full run ended at macro-F1 {a['end_f1']:.2f}"
        for a in found["false_alarms"]
    ]
    share = found["largest_smoke_share"]
    cost = "" if share is None else f"The dearest smoke cost {share:.1%} of its full run's steps. "
    best = "" if found["best_end_f1"] is None else f" (the best of all full runs ended at {found['best_end_f1']:.2f})"
    intro = f"{cost}{_with_intervals(found)}\n\nEvery mistake of the verdict in these runs{best}:\n"
    return "\n".join([intro, *(missed + alarms or ["- none"])])


def _with_intervals(found: Figures) -> str:
    verdict = found["gates"].get("verdict")
    if verdict is None:
        return ""
    caught, stopped = (
        f"{verdict[part]} of {verdict[whole]}, {_interval(verdict[part], verdict[whole])}"
        for part, whole in (("caught", "bad"), ("false_alarms", "healthy"))
    )
    return f"With 95 % intervals, the verdict stopped {caught} of the bad runs and {stopped} of the healthy ones."


def _interval(count: int, of: int) -> str:
    """Wilson's score interval of a share, at 95 % (Wilson 1927); runs that share a smoke are counted as if they did
    not."""
    if not of:
        return "nothing known"
    z, share = 1.96, count / of
    middle, spread = share + z * z / (2 * of), z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    low, high = ((middle + side * spread) / (1 + z * z / of) for side in (-1, 1))
    return f"{max(0.0, low):.0%} to {min(1.0, high):.0%}"


def write_between_marks(page: Path, text: str) -> None:
    """Replaces what stands between the two marks of a page. Raises ValueError when the page lacks them."""
    content = page.read_text(encoding="utf-8")
    if BEGIN not in content or END not in content:
        raise ValueError(f"{page}: has no {BEGIN!r} followed by {END!r}. Put both where the tables shall stand.")
    before, after = content.split(BEGIN)[0], content.split(END)[1]
    page.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")
