"""The network that a recipe releases: its best checkpoint as int8 ONNX, the same bytes each time it is asked for."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from mw_pipeline.dataset.text_sample import sample_texts
from mw_pipeline.digest import sha256_file
from mw_pipeline.model.checkpoint import load_checkpoint
from mw_pipeline.package.build import CALIBRATION_ROWS, PARITY_ROWS, ExportedModel, export_model
from mw_pipeline.stages.corpus import EXCLUSIONS_FILE, row_files
from mw_pipeline.stages.stage import Request
from mw_pipeline.tokenizer import MODEL_NAME as TOKENIZER_FILE


def exported(request: Request, work: Path) -> ExportedModel:
    """The exported network of the full run that goes into a request, with its parity; its files lie in `work`."""
    recipe, learnt = request.recipe, request.input("tokenizer")
    (manifest,), tokenizer = learnt.inputs("corpus_manifest"), learnt.file(TOKENIZER_FILE)
    best = request.input("full_checkpoint").folder("best")
    checkpoint = load_checkpoint(best, labels=recipe.label_set, tokenizer_sha256=sha256_file(tokenizer))
    files, excluded = row_files(manifest, recipe.sources_in_use), manifest.file(EXCLUSIONS_FILE)
    texts = partial(sample_texts, files, seed=recipe.train.seed, exclusions=excluded)
    return export_model(
        checkpoint,
        tokenizer_path=tokenizer,
        texts=texts(rows=PARITY_ROWS, split="validation"),
        calibration=texts(rows=CALIBRATION_ROWS),
        work=work,
    )
