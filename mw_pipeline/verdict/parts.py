"""The parts of a run: what did the arithmetic of which steps, from one resume to the next.

The same numbers are promised on one machine, number of processes, precision and compiler alone; elsewhere rounding
differs, and what an honest run may differ by follows from that (M80).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mw_pipeline.digest import JSON
from mw_pipeline.verdict.run_json import run_facts
from mw_pipeline.verdict.runlog import Row

COMPILED_BY = "compiled_by"
DRAWN_BY = "dropout_drawn_by"
OF_A_PART = ("device", "machine", "ranks", "threads", "precision", COMPILED_BY, DRAWN_BY)
"""What run.json says of each part, beside `torch`, the step that it went on from and when it began. Dropout comes from
another generator on each kind of device; None where a run has none. The compiler is None where a run asks for none."""

SAME_SHARE, OTHER_SHARE = 1e-6, 1e-3
"""How far a number that was made again may lie from the first: made by parts of one kind, and by others."""

_KIND = ("device", "machine", "ranks", "threads", "precision", COMPILED_BY, "torch")


@dataclass(frozen=True)
class Part:
    """The steps after `from_step`, up to where the next part went on; `kind` decides how its numbers are rounded, and
    `drawn_by` what its dropout drops."""

    from_step: int
    kind: Mapping[str, JSON]
    drawn_by: JSON


def parts_of(run: Row) -> tuple[Part, ...]:
    """The parts of a run in order; of one that does not record them a single one, of the kind that run.json names.

    Raises ArtifactError for a record that is none."""
    run_facts(run)
    written = run.get("parts") or [{**run, "from_step": 0}]
    return tuple(
        Part(int(part["from_step"]), {name: part.get(name) for name in _KIND}, part.get(DRAWN_BY)) for part in written
    )


def parts_before(run: Row, step: int) -> tuple[Part, ...]:
    """The parts whose arithmetic the numbers of a step stand on: all that began before it."""
    return tuple(part for part in parts_of(run) if part.from_step < step)


def differences(parts: tuple[Part, ...]) -> tuple[str, ...]:
    """What is not the same in all of these parts, each as "name: values"; empty for parts of one kind."""
    seen = {name: list(dict.fromkeys(str(part.kind[name]) for part in parts)) for name in _KIND}
    return tuple(f"{name}: {', '.join(values)}" for name, values in seen.items() if len(values) > 1)


def same_dropout(parts: tuple[Part, ...]) -> bool:
    """Whether all of these parts dropped the same from the same seed: else their losses are not comparable at all."""
    return len({str(part.drawn_by) for part in parts}) <= 1
