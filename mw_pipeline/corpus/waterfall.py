"""Where every record and every row went: one line for records, one for the rows composed from them; each adds up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mw_pipeline.corpus.augment import Tally
from mw_pipeline.recipe import Budgets


@dataclass
class Flow:
    """One line of a waterfall: what came in, and what became of it."""

    read: int = 0
    kept: int = 0
    quarantined: Counter[str] = field(default_factory=Counter)
    filtered: Counter[str] = field(default_factory=Counter)
    deduplicated: int = 0

    @property
    def accounted(self) -> int:
        """Everything that is known to have gone somewhere; equals `read` when nothing was lost silently."""
        return self.kept + self.quarantined.total() + self.filtered.total() + self.deduplicated

    def __iadd__(self, other: Flow) -> Flow:
        """Counts another part of the same line in."""
        self.read += other.read
        self.kept += other.kept
        self.quarantined += other.quarantined
        self.filtered += other.filtered
        self.deduplicated += other.deduplicated
        return self

    def as_json(self) -> dict[str, Any]:
        """The line with its reasons and filters in alphabetical order."""
        return {
            "read": self.read,
            "kept": self.kept,
            "quarantined": dict(sorted(self.quarantined.items())),
            "filtered": dict(sorted(self.filtered.items())),
            "deduplicated": self.deduplicated,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Flow:
        """The line that `as_json` wrote."""
        return cls(
            value["read"],
            value["kept"],
            Counter(value["quarantined"]),
            Counter(value["filtered"]),
            value["deduplicated"],
        )


@dataclass
class MethodFlow:
    """One augmentation: rows asked to take it, rows it changed, and rows with it that were then quarantined."""

    asked: int = 0
    applied: int = 0
    quarantined: int = 0

    def __iadd__(self, other: MethodFlow | Tally) -> MethodFlow:
        """Counts one batch, or another part of the source, in."""
        self.asked += other.asked
        self.applied += other.applied
        self.quarantined += other.quarantined if isinstance(other, MethodFlow) else 0
        return self

    def as_json(self) -> dict[str, int]:
        """The counts, with `failed` = asked - applied."""
        return {
            "asked": self.asked,
            "applied": self.applied,
            "failed": self.asked - self.applied,
            "quarantined": self.quarantined,
        }


@dataclass
class Waterfall:
    """What became of one source. `holdout_records` counts those of places and regions that training never sees
    (M22)."""

    source: str
    adapter: str
    variants: int
    records: Flow = field(default_factory=Flow)
    rows: Flow = field(default_factory=Flow)
    methods: dict[str, MethodFlow] = field(default_factory=dict)
    holdout_records: int = 0

    def __iadd__(self, other: Waterfall) -> Waterfall:
        """Counts another part of the same source in."""
        self.records += other.records
        self.rows += other.rows
        for name, flow in other.methods.items():
            self.methods[name] = self.methods.get(name, MethodFlow())
            self.methods[name] += flow
        self.holdout_records += other.holdout_records
        return self

    def one_line(self) -> str:
        """The counts so far, for a person who waits."""
        return f"{self.source}: {self.records.read:,} records read, {self.records.kept:,} kept, {self.rows.kept:,} rows"

    def as_json(self) -> dict[str, Any]:
        """The record line at the top level, the row line under `rows`."""
        return {
            "source": self.source,
            "adapter": self.adapter,
            **self.records.as_json(),
            "rows": self.rows.as_json(),
            "variants": self.variants,
            "methods": {name: flow.as_json() for name, flow in sorted(self.methods.items())},
            "holdout_records": self.holdout_records,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Waterfall:
        """The waterfall that `as_json` wrote."""
        methods = {
            name: MethodFlow(flow["asked"], flow["applied"], flow["quarantined"])
            for name, flow in value["methods"].items()
        }
        records, rows = Flow.from_json(value), Flow.from_json(value["rows"])
        return cls(
            value["source"], value["adapter"], value["variants"], records, rows, methods, value["holdout_records"]
        )


def rows_are_conserved(waterfall: Waterfall) -> list[str]:
    """Findings: each line of the waterfall that does not add up, with the difference."""
    findings = []
    for name, flow in (("records", waterfall.records), ("rows", waterfall.rows)):
        if flow.accounted != flow.read:
            findings.append(
                f"{waterfall.source}: {flow.read} {name} read but {flow.accounted} accounted for: "
                f"{flow.kept} kept, {flow.quarantined.total()} quarantined, {flow.filtered.total()} filtered, "
                f"{flow.deduplicated} deduplicated"
            )
    composed = waterfall.records.kept * waterfall.variants
    if waterfall.rows.read != composed:
        findings.append(
            f"{waterfall.source}: {waterfall.rows.read} rows composed, but {waterfall.records.kept} kept records "
            f"times {waterfall.variants} variants are {composed}"
        )
    return findings


def quarantine_within_budget(waterfall: Waterfall, budgets: Budgets) -> list[str]:
    """Findings: losses above budget: to quarantine, to one reason (M16), one augmentation (M17) or one filter (M15)."""
    findings = []
    for name, flow in (("records", waterfall.records), ("rows", waterfall.rows)):
        findings += _over_budget(
            f"{waterfall.source}: quarantined {name}", flow.quarantined.total(), flow.read, budgets.quarantine_share
        )
        for reason, count in sorted(flow.quarantined.items()):
            findings += _over_budget(
                f"{waterfall.source}: {name} quarantined as {reason!r}", count, flow.read, budgets.reason_share
            )
        for dropped_by, count in sorted(flow.filtered.items()):
            findings += _over_budget(
                f"{waterfall.source}: {name} dropped by {dropped_by!r}", count, flow.read, budgets.filter_share
            )
    for method, tally in waterfall.methods.items():
        where = f"{waterfall.source}: rows quarantined after augmentation {method!r}"
        allowed = budgets.methods.get(method, budgets.method_share)
        findings += _over_budget(where, tally.quarantined, tally.applied, allowed)
    return findings


def _over_budget(what: str, count: int, of: int, budget_share: float) -> list[str]:
    share = count / of if of else 0.0
    return (
        [f"{what}: {count} of {of} ({share:.1%}) where {budget_share:.1%} is allowed"] if share > budget_share else []
    )
