"""What a check found, and the gate that it becomes where something must not go on without it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from mw_pipeline.digest import JSON
from mw_pipeline.errors import GateError
from mw_pipeline.stages.place import Place


@dataclass(frozen=True)
class Findings:
    """The problems that a check found (none: it passes), one sentence when there are none, and the evidence behind it.

    Strings in `evidence` are Markdown: a table or a sentence that a person reads."""

    problems: tuple[str, ...] = ()
    summary: str = "as it should be"
    evidence: Mapping[str, JSON] = field(default_factory=dict)


Check = Callable[[Place, str], Findings]


def found(problems: Sequence[str], summary: str, **evidence: JSON) -> Findings:
    """The findings of a check: its problems, the sentence for when there are none, and its evidence by name."""
    return Findings(tuple(problems), summary, evidence)


def bullets(sentences: Sequence[str]) -> str:
    """Sentences as a Markdown list; "none" without any."""
    return "\n".join(f"- {sentence}" for sentence in sentences) or "none"


def demand(check: Check, place: Place, partition: str, *, remedy: str) -> None:
    """Returns when a check passes. Raises GateError with its name, its problems and the remedy when it does not.

    A blocking check of the graph stops only the run that holds it: what must hold in every run is asked here."""
    if problems := check(place, partition).problems:
        raise GateError(f"{check.__name__} does not hold for {partition!r}: {'; '.join(problems)}. {remedy}")
