"""What every materialization and check shows: digests, files, links between artifacts, findings."""

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ParamSpec, TypeVar

import dagster as dg
import pyarrow as pa

from mw_pipeline.artifact import Artifact
from mw_pipeline.errors import MwError
from mw_pipeline.stages.findings import Findings
from resources.refusal import Refusal

_SHORT = 12  # hex digits, where a digest only has to be recognised
_FILES_SHOWN = 20

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


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


def sentence_of(found: Findings) -> str:
    """The problems, or that there are none."""
    return "; ".join(found.problems) or found.summary


def evidence_of(found: Findings) -> dict[str, dg.MetadataValue]:
    """Numbers as numbers, which the UI plots from run to run; tables as Markdown; what is not known is left out."""
    shown: dict[str, dg.MetadataValue] = {}
    for key, value in found.evidence.items():
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
