"""The network that a recipe releases: its best checkpoint as int8 ONNX, the same bytes each time it is asked for."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from mw_pipeline.digest import sha256_file
from mw_pipeline.model.checkpoint import load_checkpoint
from mw_pipeline.package.build import ExportedModel, export_model
from mw_pipeline.recipe import Recipe
from mw_pipeline.stages import line
from mw_pipeline.stages.corpus import row_files
from mw_pipeline.stages.place import Place
from mw_pipeline.tokenizer import MODEL_NAME as TOKENIZER_FILE

PARITY_ROWS = 500
CALIBRATION_ROWS = 2000
"""Texts of the validation split that the exported files are compared on, and of the train split that they are
calibrated on."""


def exported(place: Place, recipe: Recipe, work: Path) -> ExportedModel:
    """The exported network of a recipe's full run, with its parity; its files lie in `work`."""
    full = line.full_checkpoint.demand(place, recipe)
    tokenizer = line.tokenizer.demand(place, recipe).file(TOKENIZER_FILE)
    checkpoint = load_checkpoint(full.folder("best"), labels=recipe.label_set, tokenizer_sha256=sha256_file(tokenizer))
    return export_model(
        checkpoint,
        tokenizer_path=tokenizer,
        texts=_texts(place, recipe, "validation", PARITY_ROWS),
        calibration=_texts(place, recipe, "train", CALIBRATION_ROWS),
        work=work,
    )


def _texts(place: Place, recipe: Recipe, split: str, rows: int) -> list[str]:
    """Texts of a split, shared out over the sources."""
    files = row_files(place.store, line.corpus_manifest.demand(place, recipe.corpus))
    each = max(1, rows // len(files))
    tables = (pq.read_table(paths[0], columns=["raw"], filters=[("split", "=", split)]) for paths in files.values())
    return [raw for table in tables for raw in table.slice(0, each)["raw"].to_pylist()]
