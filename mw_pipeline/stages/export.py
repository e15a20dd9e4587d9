"""The network that a recipe releases, as int8 ONNX: exported once for the matrix that is measured on it and for the
packages that ship it, and the same bytes each time it is exported."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from mw_pipeline.dataset.text_sample import sample_texts
from mw_pipeline.digest import sha256_file, write_json_atomically
from mw_pipeline.model.checkpoint import Checkpoint, load_checkpoint
from mw_pipeline.package.build import CALIBRATION_ROWS, PARITY_ROWS, ExportedModel, agreement_of, export_model
from mw_pipeline.package.export import Agreement
from mw_pipeline.parser_files import ONNX_NAME
from mw_pipeline.stages.checks import PARITY_FILE
from mw_pipeline.stages.corpus import EXCLUSIONS_FILE, row_files
from mw_pipeline.stages.evidence import Parity, read_evidence
from mw_pipeline.stages.place import Progress
from mw_pipeline.stages.stage import Metrics, Request
from mw_pipeline.tokenizer import MODEL_NAME as TOKENIZER_FILE
from mw_pipeline.tokenizer import Tokenizer


def export_network(request: Request, out: Path, progress: Progress) -> Metrics:
    """`model.onnx`, the bytes that ship, and `parity.json`: how near to the checkpoint they and the fp32 export are."""
    progress("exporting the network that will be packaged")
    with tempfile.TemporaryDirectory() as work:
        model = exported(request, Path(work))
        shutil.copyfile(model.int8_path, out / ONNX_NAME)
    write_json_atomically(out / PARITY_FILE, model.parity())
    return {"bytes": (out / ONNX_NAME).stat().st_size, "label_agreement_share": model.int8.label_agreement_share}


def network_of(request: Request) -> ExportedModel:
    """The exported network that goes into a request, beside the full run and the tokenizer that it was made of."""
    network = request.input("exported_network")
    parity = read_evidence(network, PARITY_FILE, Parity)
    fp32, int8 = (Agreement(**parity[f"{name}_against_checkpoint"]) for name in ("fp32", "int8"))
    return ExportedModel(_checkpoint(request), _tokenizer_path(request), network.file(ONNX_NAME), fp32, int8)


def compared_again(model: ExportedModel, request: Request) -> ExportedModel:
    """The network with the parity that it has here: what lies in a store beside it could be of another one."""
    texts = _texts(request)(rows=PARITY_ROWS, split="validation")
    int8 = agreement_of(model.checkpoint, model.int8_path, Tokenizer(model.tokenizer_path), texts)
    return replace(model, int8=int8)


def exported(request: Request, work: Path) -> ExportedModel:
    """The full run that goes into a request, exported here, with its parity; its files lie in `work`."""
    texts = _texts(request)
    return export_model(
        _checkpoint(request),
        tokenizer_path=_tokenizer_path(request),
        texts=texts(rows=PARITY_ROWS, split="validation"),
        calibration=texts(rows=CALIBRATION_ROWS),
        work=work,
    )


def _texts(request: Request) -> Callable[..., list[str]]:
    """What samples texts of the corpus that the tokenizer of a request has learnt from."""
    recipe = request.recipe
    (manifest,) = request.input("tokenizer").inputs("corpus_manifest")
    files, excluded = row_files(manifest, recipe.sources_in_use), manifest.file(EXCLUSIONS_FILE)
    return partial(sample_texts, files, seed=recipe.train.seed, exclusions=excluded)


def _checkpoint(request: Request) -> Checkpoint:
    best, tokenizer = request.input("full_checkpoint").folder("best"), _tokenizer_path(request)
    return load_checkpoint(best, labels=request.recipe.label_set, tokenizer_sha256=sha256_file(tokenizer))


def _tokenizer_path(request: Request) -> Path:
    return request.input("tokenizer").file(TOKENIZER_FILE)
