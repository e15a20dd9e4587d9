"""What every materialization and check shows: digests, files, links between artifacts, findings."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import ParamSpec, TypeVar

import dagster as dg

from mw_pipeline.artifact import Artifact
from mw_pipeline.digest import code_digest
from mw_pipeline.errors import MwError
from mw_pipeline.stages.findings import Findings
from mw_pipeline.stages.place import Place
from mw_pipeline.stages.requests import CODE
from resources.place import PlaceResource

OWNERS = ["team:mw-pipeline"]

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


@functools.cache
def code_version(kind: str, *others: str) -> str:
    """The first 12 hex digits of the digest of the code that makes a kind of artifact, and of `others`.

    The store asks for the same code, so what is stale in the graph is what the store would make anew."""
    return code_digest((*CODE[kind], *others))[:12]


def materialized(
    artifact: Artifact, *, reused: bool, **shown: dg.MetadataValue | str | int | float
) -> dg.MaterializeResult[None]:
    """The result of an asset: its content as data version, its digests and inputs, and what the stage wants shown."""
    manifest = artifact.manifest
    inputs = "\n".join(f"- {reference.kind} `{reference.digest}`" for reference in manifest.inputs)
    metadata: dict[str, dg.MetadataValue | str | int | float | bool] = {
        "digest": artifact.digest,
        "path": dg.MetadataValue.path(str(artifact.path)),
        "inputs": dg.MetadataValue.md(inputs or "raw files and config only"),
        "files": dg.MetadataValue.md(_file_table(artifact)),
        "code_digest": manifest.code_digest,
        "toolchain": dg.MetadataValue.json(manifest.toolchain),
        "reused": reused,
        **({"recipe_digest": manifest.recipe_digest} if manifest.recipe_digest else {}),
        **{key: value for key, value in artifact.metrics.items() if isinstance(value, str | int | float)},
        **shown,
    }
    return dg.MaterializeResult(metadata=metadata, data_version=dg.DataVersion(artifact.digest))


def plainly(body: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """The same function, with an expected error as a failure of one sentence instead of an exception to be traced."""

    @functools.wraps(body)
    def run(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        try:
            return body(*args, **kwargs)
        except MwError as error:
            raise dg.Failure(description=str(error), allow_retries=False) from None

    return run


def _file_table(artifact: Artifact) -> str:
    rows = [f"| {entry.path} | {entry.bytes:,} | `{entry.sha256[:12]}` |" for entry in artifact.manifest.files[:50]]
    return "\n".join(["| file | bytes | sha256 |", "|---|---:|---|", *rows])


def finding_check(
    examine: Callable[[Place, str], Findings],
    *,
    asset: dg.AssetsDefinition,
    partitions: dg.PartitionsDefinition,
    blocking: bool = True,
) -> dg.AssetChecksDefinition:
    """An asset check from a library function: it passes without findings, and shows findings and evidence.

    The function's name is the sentence that should be true; its docstring is the description."""

    @dg.asset_check(
        asset=asset,
        name=examine.__name__,
        description=(examine.__doc__ or "").strip(),
        blocking=blocking,
        partitions_def=partitions,
    )
    @plainly
    def check(context: dg.AssetCheckExecutionContext, place: PlaceResource) -> dg.AssetCheckResult:
        result = examine(place.open(), context.partition_key)
        sentence = "; ".join(result.problems) or result.summary
        if result.problems:
            context.log.error("%s: %s", examine.__name__, sentence)
        return dg.AssetCheckResult(
            passed=not result.problems,
            severity=dg.AssetCheckSeverity.ERROR if blocking else dg.AssetCheckSeverity.WARN,
            description=sentence,
            metadata=_evidence(result.evidence),
        )

    return check


def _evidence(evidence: Mapping[str, object]) -> dict[str, dg.MetadataValue]:
    shown: dict[str, dg.MetadataValue] = {}
    for key, value in evidence.items():
        if isinstance(value, str):
            shown[key] = dg.MetadataValue.md(value)
        elif isinstance(value, bool | int | float):
            shown[key] = dg.MetadataValue.float(float(value))
        else:
            shown[key] = dg.MetadataValue.json(list(value) if isinstance(value, Sequence) else value)
    return shown
