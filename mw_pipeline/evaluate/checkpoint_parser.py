"""A parser over a training checkpoint: the same decoding as a package's, before anything is exported."""

from __future__ import annotations

from pathlib import Path

from mw_pipeline.digest import sha256_file
from mw_pipeline.errors import ArtifactError
from mw_pipeline.model.checkpoint import FACTS, load_checkpoint
from mw_pipeline.package.build import crf_scores
from mw_pipeline.package.export import torch_logits
from mw_pipeline.parse import Parser
from mw_pipeline.tokenizer import MODEL_NAME as TOKENIZER
from mw_pipeline.tokenizer import Tokenizer
from mw_pipeline.train.log import BEST


def checkpoint_parser(path: Path, tokenizer_path: Path | None = None) -> Parser:
    """The parser of a checkpoint folder, or of the best checkpoint of a run folder.

    Without a tokenizer path, `tokenizer.model` is looked for beside the weights and in the folder above. Raises
    ArtifactError when there is none, when it is not the one of the training (M32), or for a damaged checkpoint."""
    folder = path / BEST if (path / BEST / FACTS).is_file() else path
    model_path = tokenizer_path or _tokenizer_near(folder)
    if not model_path.is_file():
        raise ArtifactError(f"{model_path}: no such tokenizer. Name the {TOKENIZER} of the checkpoint's dataset.")
    checkpoint = load_checkpoint(folder, tokenizer_sha256=sha256_file(model_path))
    transitions, starts = crf_scores(checkpoint)
    return Parser(
        tokenizer=Tokenizer(model_path),
        labels=checkpoint.labels,
        logits_of=torch_logits(checkpoint.model),
        max_length=checkpoint.facts.config.max_length,
        transitions=transitions,
        starts=starts,
    )


def _tokenizer_near(folder: Path) -> Path:
    for place in (folder, folder.parent):
        if (place / TOKENIZER).is_file():
            return place / TOKENIZER
    raise ArtifactError(
        f"{folder}: has no {TOKENIZER} beside it or in the folder above. Name the training's with --tokenizer PATH."
    )
