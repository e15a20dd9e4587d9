"""What training says to people: one line for each event, and the time that it will take before it is spent."""

from __future__ import annotations

from collections.abc import Callable

from mw_pipeline.digest import JSON

Listener = Callable[[dict[str, JSON]], None]


def line_of(event: dict[str, JSON]) -> str:
    """The event as one line for people."""
    return _LINES[event["event"]](event)


def clock_time(seconds: float) -> str:
    """Seconds as 42s, 3m20s or 1h05m."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"


def _started(event: dict[str, JSON]) -> str:
    origin = f"resumed at step {event['step']}" if event["step"] else "from scratch"
    notes = "".join(f"; {note}" for note in event["notes"])
    return (
        f"{event['kind']} run {origin}: {event['parameters']:,} parameters, {event['max_steps']} steps of "
        f"{event['effective_batch']} rows, {event['precision']} on {event['device']}{notes}"
    )


def _compiled(event: dict[str, JSON]) -> str:
    return f"compiled the network in {clock_time(event['seconds'])}"


def _preflight(event: dict[str, JSON]) -> str:
    left = event["seconds_left"]
    verdict = "" if left is None else f", {clock_time(left)} left" + ("" if event["fits"] else ": IT WILL NOT FIT")
    return (
        f"measured {event['seconds_per_step'] * 1000:.0f} ms a step × {event['steps_left']} steps + "
        f"{event['evals_left']} evaluations of {clock_time(event['seconds_per_eval'])} = "
        f"{clock_time(event['expected_seconds'])}{verdict}"
    )


def _step(event: dict[str, JSON]) -> str:
    f1 = "" if event["val_macro_f1"] is None else f"  F1 {event['val_macro_f1']:.4f}"
    return (
        f"step {event['step']:>6}/{event['steps']}  loss {event['loss']:.4f}  lr {event['lr']:.2e}  "
        f"{event['tokens_per_second']:,.0f} pieces/s  ETA {clock_time(event['eta_seconds'])}{f1}"
    )


def _evaluated(event: dict[str, JSON]) -> str:
    mark = "  best so far" if event["is_best"] else ""
    return (
        f"step {event['step']:>6}/{event['steps']}  validation: {event['val_loss']:.4f} nats per piece, "
        f"macro-F1 {event['val_macro_f1']:.4f}{mark}"
    )


def _new_pass(event: dict[str, JSON]) -> str:
    return f"step {event['step']:>6}  a source begins pass {event['pass'] + 1}, reshuffled"


def _ended(event: dict[str, JSON]) -> str:
    best = event["best_val_macro_f1"]
    summary = "no evaluation" if best is None else f"best macro-F1 {best:.4f} at step {event['best_step']}"
    reason = f" ({event['finding']['rule']}: {event['finding']['reason']})" if event["finding"] else ""
    reason = f" ({event['converged']})" if event["status"] == "CONVERGED" else reason
    return f"{event['status']} at step {event['step']}/{event['steps']}{reason}: {summary}"


_LINES: dict[str, Callable[[dict[str, JSON]], str]] = {
    "started": _started,
    "compiled": _compiled,
    "preflight": _preflight,
    "step": _step,
    "evaluated": _evaluated,
    "pass": _new_pass,
    "ended": _ended,
}
