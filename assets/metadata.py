"""What every materialization and check shows: digests, files, links between artifacts, findings."""

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ParamSpec, TypeVar

import dagster as dg
import pyarrow as pa
from dagster._core.definitions.data_version import DATA_VERSION_TAG  # Dagster does not export it

from mw_pipeline.artifact import Artifact
from mw_pipeline.digest import code_digest
from mw_pipeline.errors import MwError
from mw_pipeline.stages.findings import Findings
from mw_pipeline.stages.gates import ask
from mw_pipeline.stages.place import Place
from mw_pipeline.stages.requests import CODE
from resources.place import PlaceResource
from resources.refusal import Refusal

OWNERS = ["team:mw-pipeline"]

_SHORT = 12  # hex digits, where a digest only has to be recognised
_FILES_SHOWN = 20

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


@functools.cache
def code_version(kind: str, *others: str) -> str:
    """The first 12 hex digits of the digest of the code that makes a kind of artifact, and of `others`.

    The store asks for the same code, so what is stale in the graph is what the store would make anew."""
    return code_digest((*CODE[kind], *others))[:12]


def materialized(
    artifact: Artifact, *, reused: bool, row_count: bool = False, **shown: dg.MetadataValue | str
) -> dg.MaterializeResult[None]:
    """The result of an asset: what the stage wants shown (a text is Markdown), its metrics, its digests and files.

    `row_count` says that the metric `rows` counts the rows of a table, which the UI shows in places of its own."""
    manifest = artifact.manifest
    metadata: dict[str, dg.MetadataValue | str | int | float | bool] = {
        **{key: dg.MetadataValue.md(value) if isinstance(value, str) else value for key, value in shown.items()},
        **{key: _rounded(value) for key, value in artifact.metrics.items() if isinstance(value, str | int | float)},
        **({"dagster/row_count": int(artifact.metrics["rows"])} if row_count else {}),
        "reused": reused,
        "files": dg.MetadataValue.md(_file_table(artifact)),
        "inputs": dg.MetadataValue.md(_input_list(artifact)),
        "path": dg.MetadataValue.path(near(artifact.path)),
        "digest": artifact.digest,
        "code_digest": manifest.code_digest,
        **({"recipe_digest": manifest.recipe_digest} if manifest.recipe_digest else {}),
        "toolchain": ", ".join(f"{name} {version}" for name, version in manifest.toolchain.items()),
    }
    return dg.MaterializeResult(metadata=metadata, data_version=dg.DataVersion(artifact.digest))


def columns(schema: pa.Schema, meanings: Mapping[str, str]) -> dict[str, dg.TableSchemaMetadataValue]:
    """Definition metadata of an asset that is a table: its columns, as the UI lists them."""
    listed = [
        dg.TableColumn(
            field.name,
            str(field.type),
            description=meanings[field.name],
            constraints=dg.TableColumnConstraints(nullable=field.nullable),
        )
        for field in schema
    ]
    return {"dagster/column_schema": dg.MetadataValue.table_schema(dg.TableSchema(columns=listed))}


def plainly(body: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """The same function, with an expected error as a failure of one sentence instead of an exception to be traced."""

    @functools.wraps(body)
    def run(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        try:
            return body(*args, **kwargs)
        except (MwError, OSError) as error:  # an OSError names its own cause: a full disk, a folder that is not there
            raise Refusal(str(error)) from None

    return run


def finding_check(
    examine: Callable[[Place, str], Findings],
    *,
    asset: dg.AssetsDefinition,
    partitions: dg.PartitionsDefinition,
    blocking: bool = True,
) -> dg.AssetChecksDefinition:
    """An asset check from a library function: it passes without findings, and shows findings and evidence.

    The function's name is the sentence that should be true; its docstring is the description. What a check that blocks
    before training finds is kept, so that later runs hold to it too."""

    @dg.asset_check(
        asset=asset,
        name=examine.__name__,
        description=(examine.__doc__ or "").strip(),
        blocking=blocking,
        partitions_def=partitions,
    )
    @plainly
    def check(context: dg.AssetCheckExecutionContext, place: PlaceResource) -> dg.AssetCheckResult:
        found = ask(place.open(), asset.key.to_user_string(), examine, context.partition_key)
        if found.problems:
            context.log.error("%s: %s", examine.__name__, _sentence_of(found))
        return dg.AssetCheckResult(
            passed=not found.problems,
            severity=dg.AssetCheckSeverity.ERROR if blocking else dg.AssetCheckSeverity.WARN,
            description=_sentence_of(found),
            metadata=_evidence(found.evidence),
        )

    return check


def recorded(partition: str, artifact: Artifact, shown: dg.MaterializeResult[None]) -> dg.AssetMaterialization:
    """The event of another asset's partition that a run has made on its way: out of date once an input is made again.

    Without the versions of its inputs Dagster goes by the order of the events, so those of the inputs come first."""
    tags = {DATA_VERSION_TAG: artifact.digest}
    return dg.AssetMaterialization(artifact.kind, partition=partition, metadata=shown.metadata, tags=tags)


def recorded_check(
    examine: Callable[[Place, str], Findings], place: Place, asset: str, partition: str
) -> dg.AssetCheckEvaluation:
    """The answer of a blocking check about such a partition."""
    found = ask(place, asset, examine, partition)
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey(asset),
        check_name=examine.__name__,
        passed=not found.problems,
        description=_sentence_of(found),
        metadata=_evidence(found.evidence),
        blocking=True,
        partition=partition,
    )


def _sentence_of(found: Findings) -> str:
    return "; ".join(found.problems) or found.summary


def _evidence(evidence: Mapping[str, object]) -> dict[str, dg.MetadataValue]:
    """Numbers as numbers, which the UI plots from run to run; tables as Markdown; what is not known is left out."""
    shown: dict[str, dg.MetadataValue] = {}
    for key, value in evidence.items():
        if isinstance(value, str):
            shown[key] = dg.MetadataValue.md(value) if "\n" in value else dg.MetadataValue.text(value)
        elif isinstance(value, int):
            shown[key] = dg.MetadataValue.int(value)
        elif isinstance(value, float):
            shown[key] = dg.MetadataValue.float(round(value, 6))
        elif value is not None:
            shown[key] = dg.MetadataValue.json(list(value) if isinstance(value, Sequence) else value)
    return shown


def _file_table(artifact: Artifact) -> str:
    files = artifact.manifest.files
    rows = [f"| {entry.path} | {entry.bytes:,} | `{entry.sha256[:_SHORT]}` |" for entry in files[:_FILES_SHOWN]]
    more = [f"| and {len(files) - _FILES_SHOWN} more | | |"] if len(files) > _FILES_SHOWN else []
    return "\n".join(["| file | bytes | sha256 |", "|---|--:|---|", *rows, *more])


def _input_list(artifact: Artifact) -> str:
    named = [f"- {reference.kind} `{reference.digest[:_SHORT]}`" for reference in artifact.manifest.inputs]
    return "\n".join(named) or "raw files and config only"


def near(path: Path) -> str:
    """The path as a person in the checkout would type it."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _rounded(value: str | float) -> str | float:
    """Six decimals: more are noise on a page."""
    return round(value, 6) if isinstance(value, float) else value
