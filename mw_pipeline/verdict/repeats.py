"""Steps that were trained twice, after a resume or in smoke and full run: they must come out the same.

The same rows, always. The same losses to within 1e-6 where the same kind of machine, number of processes, precision and
compiler made both, else to within 1e-3 and with a remark (M80). Rounding that differs grows from step to step, without
a bound, so only the first steps after a resume are held to that: two kinds of CPU from one checkpoint were 7e-4 apart
at most over twenty steps, and over 1e-3 from the thirty-seventh on. A CPU is exact with itself at every step.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from mw_pipeline.verdict.evidence import Evidence
from mw_pipeline.verdict.parts import OTHER_SHARE, SAME_SHARE, Part, differences, parts_before, parts_of, same_dropout
from mw_pipeline.verdict.run_json import run_facts
from mw_pipeline.verdict.runlog import Row, RunLog

RETRAINED_STEPS = 20
"""Steps after a resume whose losses are comparable where rounding differs."""
SAME_STEPS = 100
_LEAST_NATS = 1e-6  # float32 has no more digits of a loss that is made of logits of about ten
_SAME_FACTS = ("precision", "effective_batch", "batch_size", "accumulation", "peak_lr")
_SAME_DIGESTS = ("code", "data", "model", "loss", "mix")
_COUNTED = ("rows", "tokens", "row_hash")


@dataclass(frozen=True)
class Repeat:
    """One step as a resume took it back (`before`) and as it was trained again (`after`), `distance` steps after the
    checkpoint that both stand on. `parts` made the two."""

    before: Row
    after: Row
    distance: int
    parts: tuple[Part, ...]

    @property
    def is_exact(self) -> bool:
        """Whether the numbers must be the same to the last steps: one CPU, or several of one kind, made both."""
        return not differences(self.parts) and self.parts[0].kind["device"] in (None, "cpu")

    def _measured(self) -> tuple[str, ...]:
        """The numbers that can be compared. A GPU drops others than a CPU, and than another GPU, from the same seed."""
        if self.is_exact:
            return ("loss", "grad_norm")
        return ("loss",) if self.distance <= RETRAINED_STEPS and same_dropout(self.parts) else ()

    def difference(self) -> str | None:
        """The first number that differs by more than it may, in words."""
        share = OTHER_SHARE if differences(self.parts) else SAME_SHARE
        for name in (*_COUNTED, *self._measured()):
            before, after = self.before.get(name), self.after.get(name)
            if before is None or after is None or before == after:
                continue
            if name in _COUNTED or not _is_close(float(before), float(after), share):
                return f"{name} at step {self.after['step']} was {before!r} and after a resume {after!r}"
        return None


def resume_is_exact(evidence: Evidence) -> list[str]:
    """Steps that a resume took back came out the same when they were trained again (M36)."""
    found = next((text for repeat in _repeats(evidence) if (text := repeat.difference())), None)
    return [] if found is None else [f"a resume was not exact: {found}"]


def run_stayed_on_one_machine(evidence: Evidence) -> list[str]:
    """Warns of a run that went on under another machine, number of processes, precision, compiler or torch: from
    there on its steps are those of an unbroken one to within rounding alone (M80)."""
    parts = parts_of(evidence.log.run)
    different = differences(parts)
    if not different:
        return []
    steps = ", ".join(str(after.from_step) for before, after in pairwise(parts) if differences((before, after)))
    alike = "the same to within 1e-3" if same_dropout(parts) else "its rows are the same, its dropout is not"
    return [f"the run was resumed at step {steps} under another {'; '.join(different)}: {alike}"]


def _repeats(evidence: Evidence) -> Iterator[Repeat]:
    parts = parts_of(evidence.log.run)
    again = {int(row["step"]): row for row in evidence.log.steps}
    for before in evidence.discarded:
        after = again.get(int(before["step"]))
        if after is None:
            continue
        first, last = _part_number(before, parts), _part_number(after, parts)
        resumed = parts[min(first + 1, len(parts) - 1)].from_step
        yield Repeat(before, after, int(before["step"]) - resumed, parts[min(first, last) : max(first, last) + 1])


def _part_number(row: Row, parts: tuple[Part, ...]) -> int:
    number = row.get("part")
    return min(number, len(parts) - 1) if isinstance(number, int) and number >= 0 else 0


def run_is_reproducible(evidence: Evidence) -> list[str]:
    """Its first steps are those of its smoke while rate and batch are the same; with another seed they are not."""
    if evidence.smoke is None:
        return []
    if unsaid := _unsaid(evidence.log.run):
        return unsaid
    if not _comparable(evidence.log.run, evidence.smoke.run):
        return []
    full, smoke = _first_steps(evidence.log), _first_steps(evidence.smoke)
    runs = (evidence.log.run, evidence.smoke.run)
    shared = [
        step
        for step in full
        if step in smoke and full[step]["lr"] == smoke[step]["lr"] and same_dropout(_parts_before(step, *runs))
    ]
    pairs = {step: (float(full[step]["loss"]), float(smoke[step]["loss"])) for step in shared}
    if evidence.log.run.get("seed") != evidence.smoke.run.get("seed"):
        same = all(_is_close(*pair, SAME_SHARE) for pair in pairs.values())
        return ["another seed made the same first steps"] if shared and same else []
    other = next((step for step in shared if not _is_close(*pairs[step], _share_of_step(step, *runs))), None)
    if other is None:
        return []
    return [
        f"step {other} has loss {full[other]['loss']!r} here and {smoke[other]['loss']!r} in the smoke of the same "
        "seed, rate and batch"
    ]


def _share_of_step(step: int, *runs: Row) -> float:
    """How far the losses of a step may lie apart."""
    return OTHER_SHARE if differences(_parts_before(step, *runs)) else SAME_SHARE


def _parts_before(step: int, *runs: Row) -> tuple[Part, ...]:
    """All parts that a step of these runs stands on, those before a resume too."""
    return tuple(part for run in runs for part in parts_before(run, step))


def _unsaid(run: Row) -> list[str]:
    """What a run does not say of itself, without which it would be comparable with no smoke."""
    facts = run_facts(run)
    lacking = [name for name in _SAME_DIGESTS if name not in facts.digests]
    return [
        *facts.unsaid("machine", "seed", *_SAME_FACTS),
        *(f"run.json names no digest of {name}" for name in lacking),
    ]


def _comparable(mine: Row, other: Row) -> bool:
    """Of one recipe and code; the schedule may differ, and the tolerance follows the machines."""
    digests = [run.get("digests") or {} for run in (mine, other)]
    same_digests = all(digests[0].get(name) == digests[1].get(name) for name in _SAME_DIGESTS)
    return same_digests and all(mine.get(key) == other.get(key) for key in _SAME_FACTS)


def _first_steps(log: RunLog) -> dict[int, Row]:
    return {int(row["step"]): row for row in log.steps if row["step"] <= SAME_STEPS and row.get("loss") is not None}


def _is_close(first: float, second: float, share: float) -> bool:
    least = _LEAST_NATS if share == OTHER_SHARE else 1e-12
    return math.isclose(first, second, rel_tol=share, abs_tol=least) or (math.isnan(first) and math.isnan(second))
