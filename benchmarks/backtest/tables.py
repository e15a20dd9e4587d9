"""The tables of a backtest in Markdown, between two marks of a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from backtest.figures import Figures, interval

MARKS = ("<!-- backtest: written by benchmarks/verdict.py -->", "<!-- end of the backtest -->")


def markdown(figures: Figures, shapes: Sequence[Figures]) -> str:
    """The tables of docs/verdict.md."""
    return "\n\n".join(
        [
            _shapes_table(shapes),
            _gates_table(figures),
            _power_table(figures),
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
    gates = {**found["gates"], "verdict, then the watchdog in the full run": found["watched"]}
    rows = [f"| {name} | {_stopped(g)} | {g['steps_saved_share']:.0%} |" for name, g in gates.items()]
    head = "| gate | bad runs stopped | poor runs stopped | healthy runs stopped | steps saved |\n|---|--:|--:|--:|--:|"
    return "\n".join([count, head, *rows])


def _power_table(found: Figures) -> str:
    rows = [
        f"| {name} | {p['runs']} | {_share(p['caught'], p['bad'])} | {_share(p['caught_or_watched'], p['bad'])} "
        f"| {_share(p['near_best_stopped'], p['near_best'])} | {_saved(p)} |"
        for name, p in found["seeds"].items()
    ]
    head = (
        "| runs of | full runs | bad, stopped by the smoke | by smoke or watchdog | near the best, stopped | watchdog |"
    )
    return "\n".join([head, "|---|--:|--:|--:|--:|---|", *rows])


def _share(count: int, of: int) -> str:
    return f"{count} of {of} ({interval(count, of)})"


def _saved(power: Figures) -> str:
    return f"stopped {power['stopped_by_watchdog']}, {power['steps_saved_by_watchdog']:,} steps saved"


def _causes_table(found: Figures) -> str:
    rows = [
        f"| {cause} | {c['runs']} | {_stopped(c)} | {c['caught_or_watched']} of {c['bad']} |"
        for cause, c in found["causes"].items()
    ]
    head = (
        "| what was varied | runs | bad runs stopped | poor runs stopped | healthy runs stopped | bad, with watchdog |"
    )
    return "\n".join([head, "|---|--:|--:|--:|--:|--:|", *rows])


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
    missed = [f"- missed: {m['name']} ({m['ending']}); watchdog: {m['watchdog'] or 'silent'}" for m in found["missed"]]
    alarms = [
        f"- false alarm: {a['name']} ({a['why']}); its full run ended at macro-F1 {a['end_f1']:.2f}, "
        f"{a['cost']:.2f} below the best"
        for a in found["false_alarms"]
    ]
    share = found["largest_smoke_share"]
    cost = "" if share is None else f"The dearest smoke cost {share:.1%} of its full run's steps. "
    best = "" if found["best_end_f1"] is None else f" (the best of all full runs ended at {found['best_end_f1']:.2f})"
    intro = f"{cost}{_with_intervals(found)}\n\nEvery mistake in these runs{best}:\n"
    return "\n".join([intro, *(missed + alarms or ["- none"])])


def _with_intervals(found: Figures) -> str:
    verdict = found["gates"].get("verdict")
    if verdict is None:
        return ""
    caught, stopped = (
        f"{verdict[part]} of {verdict[whole]}, {interval(verdict[part], verdict[whole])}"
        for part, whole in (("caught", "bad"), ("false_alarms", "healthy"))
    )
    return f"With 95 % intervals, the verdict stopped {caught} of the bad runs and {stopped} of the healthy ones."
