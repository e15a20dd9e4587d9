"""Stages as nodes of the graph: one factory makes the asset of a declaration, another each of its checks."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pkgutil import resolve_name

import dagster as dg

from assets.metadata import evidence_of, materialized, plainly, sentence_of
from assets.partitions import MAPPINGS, SETS
from assets.shown import SHOWN, Shown
from mw_pipeline.artifact import Artifact
from mw_pipeline.digest import code_digest
from mw_pipeline.stages.check_answers import ask
from mw_pipeline.stages.findings import Check
from mw_pipeline.stages.line import STAGES
from mw_pipeline.stages.place import Place
from mw_pipeline.stages.road import stands_on
from mw_pipeline.stages.stage import Stage
from resources.place import PlaceResource
from resources.trainer import Trainer

OWNERS = ["team:mw-pipeline"]
_ADAPTERS = "mw_pipeline.sources.registry"

Body = Callable[[dg.AssetExecutionContext, Place, Trainer], dg.MaterializeResult[None]]


def assets_of(stages: Iterable[Stage], *, bodies: Mapping[str, Body]) -> list[dg.AssetsDefinition]:
    """The node of every stage that has one. `bodies` do what stages without a function of their own are there for."""
    return [_asset_of(stage, bodies.get(stage.name)) for stage in stages if stage.node == stage.name]


def checks_of(stages: Iterable[Stage]) -> list[dg.AssetChecksDefinition]:
    """The checks of every stage: those that block and those that warn."""
    return [
        _check_of(stage, check, blocking=blocking)
        for stage in stages
        for blocking in (True, False)
        for check in stage.checks(blocking=blocking)
    ]


def _asset_of(stage: Stage, body: Body | None) -> dg.AssetsDefinition:
    shown = SHOWN.get(stage.name, Shown())

    @dg.asset(
        name=stage.name,
        description=stage.makes,
        group_name=stage.group,
        partitions_def=SETS[stage.per],
        deps=[*_deps(stage)],
        kinds=set(shown.kinds),
        owners=OWNERS,
        metadata=dict(shown.columns),
        code_version=code_version(stage),
    )
    @plainly
    def node(context: dg.AssetExecutionContext, place: PlaceResource, trainer: Trainer) -> dg.MaterializeResult[None]:
        here = place.open()
        if body is not None:
            return body(context, here, trainer)
        if stage.tensors:
            artifact, reused = trainer.run(context, stage, here)
        else:
            built = stage.make(here, context.partition_key, progress=context.log.info)
            artifact, reused = built.artifact, built.reused
        if stage.finish:
            context.log.info(resolve_name(stage.finish)(here, context.partition_key, artifact))
        return result_of(stage, here, context.partition_key, artifact, reused=reused)

    return node


def result_of(
    stage: Stage, place: Place, partition: str, artifact: Artifact, *, reused: bool
) -> dg.MaterializeResult[None]:
    """What is shown of a partition that lies in the store."""
    shown = SHOWN.get(stage.name, Shown())
    facts = shown.facts(artifact, *(other.demand(place, partition) for other in shown.beside))
    return materialized(artifact, reused=reused, row_count=shown.counted, **facts)


def code_version(stage: Stage) -> str:
    """The first 12 hex digits of the digest of the code that makes a stage's artifacts.

    The store asks for the same code, so what is stale in the graph is what the store would make anew."""
    return code_digest((*stage.code, *((_ADAPTERS,) if stage.per == "source" else ())))[:12]


def _deps(stage: Stage) -> Iterator[dg.AssetDep]:
    for node in _nodes(stands_on(stage), of=stage):
        mapping = None if node.per == stage.per else MAPPINGS[node.per, stage.per]
        yield dg.AssetDep(node.name, partition_mapping=mapping)


def _nodes(before: Iterable[Stage], *, of: Stage) -> dict[Stage, None]:
    """The nodes that make some stages: what a stage's own node makes on its way hangs on what goes into that."""
    found: dict[Stage, None] = {}
    for stage in before:
        own = stage.node == of.name
        found |= _nodes(stage.inputs, of=of) if own else {STAGES[stage.node]: None}
    return found


def _check_of(stage: Stage, examine: Check, *, blocking: bool) -> dg.AssetChecksDefinition:
    """An asset check from a library function: it passes without findings, and shows findings and evidence.

    The function's name is the sentence that should be true; its docstring is the description. What a check that blocks
    before training finds is kept, so that later runs hold to it too."""

    @dg.asset_check(
        asset=stage.name,
        name=examine.__name__,
        description=(examine.__doc__ or "").strip(),
        blocking=blocking,
        partitions_def=SETS[stage.per],
    )
    @plainly
    def check(context: dg.AssetCheckExecutionContext, place: PlaceResource) -> dg.AssetCheckResult:
        found = ask(place.open(), stage, examine, context.partition_key)
        if found.problems:
            context.log.error("%s: %s", examine.__name__, sentence_of(found))
        return dg.AssetCheckResult(
            passed=not found.problems,
            severity=dg.AssetCheckSeverity.ERROR if blocking else dg.AssetCheckSeverity.WARN,
            description=sentence_of(found),
            metadata=evidence_of(found),
        )

    return check
