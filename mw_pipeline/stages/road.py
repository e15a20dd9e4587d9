"""What stands on what in the line: the stages before each, the order in which they are made, and the table of both."""

from __future__ import annotations

from graphlib import TopologicalSorter

from mw_pipeline.stages.line import STAGES, smoke_checkpoint
from mw_pipeline.stages.place import Place
from mw_pipeline.stages.stage import Stage


def stands_on(stage: Stage) -> list[Stage]:
    """The stages that must be made, and whose blocking checks must hold, before this one."""
    return [*stage.inputs, *stage.after, *(found for found in STAGES.values() if stage.name in found.before)]


def road_to(*ends: Stage) -> list[Stage]:
    """Everything that some stages stand on, and themselves: each once, in the order of making."""
    there: dict[Stage, None] = {}
    for end in ends:
        there |= dict.fromkeys([*road_to(*stands_on(end)), end])
    rank = {name: number for number, name in enumerate(STAGES)}
    order = TopologicalSorter({stage: stands_on(stage) for stage in there})
    order.prepare()
    made, ready = list[Stage](), list[Stage]()
    while order.is_active():
        ready = sorted([*ready, *order.get_ready()], key=lambda stage: rank[stage.name])
        made.append(ready.pop(0))
        order.done(made[-1])
    return made


def upstream_of(place: Place, recipe_name: str) -> list[tuple[Stage, str]]:
    """Stage and partition of everything that the training of a recipe stands on, in the order of making."""
    subject = smoke_checkpoint.subject(place, recipe_name)
    before = road_to(*stands_on(smoke_checkpoint))
    return [(stage, partition) for stage in before for partition in stage.partitions(subject)]


def is_before_lock(stage: Stage) -> bool:
    """Whether the lock asks its blocking checks again: a smoke's, and those of all that it stands on."""
    return stage in road_to(smoke_checkpoint)


def as_table() -> str:
    """The line for a page of the docs: what each stage makes, per what, from what, and behind which checks."""
    lines = [
        "| stage | makes | one per | stands on | checks that block | checks that warn |",
        "|---|---|---|---|---|---|",
    ]
    for stage in STAGES.values():
        on = ", ".join(f"`{before.name}`" for before in stands_on(stage)) or "raw files"
        behind = ", behind the lock" if stage.locked else ""
        checks = [", ".join(f"`{name}`" for name in names) for names in (stage.blocks, stage.warns)]
        lines.append(f"| `{stage.name}` | {stage.makes} | {stage.per}{behind} | {on} | {' | '.join(checks)} |")
    return "\n".join(lines)
