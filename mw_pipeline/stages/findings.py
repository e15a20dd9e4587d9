"""What a check found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mw_pipeline.digest import JSON


@dataclass(frozen=True)
class Findings:
    """The problems that a check found (none: it passes), one sentence when there are none, and the evidence behind it.

    Strings in `evidence` are Markdown: a table or a sentence that a person reads."""

    problems: tuple[str, ...] = ()
    summary: str = "as it should be"
    evidence: Mapping[str, JSON] = field(default_factory=dict)
