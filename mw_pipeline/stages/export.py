"""The network that a recipe releases: its best checkpoint as int8 ONNX, the same bytes each time it is asked for."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from mw_pipeline.dataset.text_sample import sample_texts
from mw_pipeline.digest import sha256_file
from mw_pipeline.model.checkpoint import load_checkpoint
from mw_pipeline.package.build import CALIBRATION_ROWS, PARITY_ROWS, ExportedModel, export_model
from mw_pipeline.recipe import Recipe
from mw_pipeline.stages import line
from mw_pipeline.stages.corpus import EXCLUSIONS_FILE
from mw_pipeline.stages.dataset import files_in_use
from mw_pipeline.stages.place import Place
from mw_pipeline.tokenizer import MODEL_NAME as TOKENIZER_FILE


def exported(place: Place, recipe: Recipe, work: Path) -> ExportedModel:
    """The exported network of a recipe's full run, with its parity; its files lie in `work`."""
    full = line.full_checkpoint.demand(place, recipe)
    tokenizer = line.tokenizer.demand(place, recipe).file(TOKENIZER_FILE)
    checkpoint = load_checkpoint(full.folder("best"), labels=recipe.label_set, tokenizer_sha256=sha256_file(tokenizer))
    excluded = line.corpus_manifest.demand(place, recipe.corpus).file(EXCLUSIONS_FILE)
    texts = partial(sample_texts, files_in_use(place, recipe), seed=recipe.train.seed, exclusions=excluded)
    return export_model(
        checkpoint,
        tokenizer_path=tokenizer,
        texts=texts(rows=PARITY_ROWS, split="validation"),
        calibration=texts(rows=CALIBRATION_ROWS),
        work=work,
    )
