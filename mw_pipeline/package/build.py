"""Packages: a checkpoint as a folder that parses with onnxruntime, sentencepiece and numpy alone.

A package is built in two steps, so that no number in its card can come from other bytes than those that ship (M51):
first the files that the parser reads, then, from what `measure` found with exactly these, the card and the README.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from mw_pipeline import __version__
from mw_pipeline.checksums import write_sums
from mw_pipeline.client.npm import Imprint
from mw_pipeline.decode import Floats, Moves
from mw_pipeline.digest import JSON, sha256_file, toolchain
from mw_pipeline.errors import ArtifactError
from mw_pipeline.model.checkpoint import Checkpoint
from mw_pipeline.package.axes import axes_on_card
from mw_pipeline.package.card import Evidence, model_card
from mw_pipeline.package.contract import ALL_NAMES, EXPORTS, LISTED_NAMES, ROLES, client_keys
from mw_pipeline.package.export import Agreement, calibration_feeds, compare, export_onnx, quantise, torch_logits
from mw_pipeline.package.lineage import LINEAGE_NAME
from mw_pipeline.package.readme import EXAMPLES, attribution_text, package_readme
from mw_pipeline.parse import Parser, onnx_logits
from mw_pipeline.parser_files import (
    ATTRIBUTION_NAME,
    CARD_NAME,
    FACTS_NAME,
    ONNX_NAME,
    README_NAME,
    TRANSITIONS_NAME,
    read_json,
    transitions_json,
)
from mw_pipeline.tokenizer import MODEL_NAME as TOKENIZER_NAME
from mw_pipeline.tokenizer import PAD_ID, Tokenizer

PARITY_ROWS = 500
CALIBRATION_ROWS = 2000
"""Texts of the validation split that the exported files are compared on, and of the train split that they are
calibrated on."""

Measure = Callable[[Path], Mapping[str, JSON]]
"""Scores of the package in a folder, by name of the gold they were measured on."""


@dataclass(frozen=True)
class ExportedModel:
    """A checkpoint ready to be packaged: its int8 file, its tokenizer, and how near the exported files are to it.

    `fp32` compares the unquantised export with the checkpoint, `int8` the file that ships."""

    checkpoint: Checkpoint
    tokenizer_path: Path
    int8_path: Path
    fp32: Agreement
    int8: Agreement

    def parity(self) -> dict[str, JSON]:
        """Both comparisons as JSON."""
        return {"fp32_against_checkpoint": asdict(self.fp32), "int8_against_checkpoint": asdict(self.int8)}


def export_model(
    checkpoint: Checkpoint, *, tokenizer_path: Path, texts: Sequence[str], calibration: Sequence[str], work: Path
) -> ExportedModel:
    """Exports and quantises into the folder `work`, and compares both files with the checkpoint over the texts.

    `calibration` are the texts whose activations say which range each of them has: others than those compared on, and
    of the kind that will be parsed. Raises ArtifactError when the tokenizer is not the one that the checkpoint was
    trained with."""
    tokenizer = Tokenizer(tokenizer_path)
    if tokenizer.sha256 != checkpoint.facts.tokenizer_sha256:
        raise ArtifactError(
            f"{tokenizer_path}: has sha256 {tokenizer.sha256[:12]}, the checkpoint was trained with "
            f"{checkpoint.facts.tokenizer_sha256[:12]}. Use the tokenizer of the checkpoint's dataset."
        )
    fp32_path, int8_path = work / "fp32.onnx", work / ONNX_NAME
    export_onnx(checkpoint.model, fp32_path)
    max_length = checkpoint.facts.config.max_length
    quantise(fp32_path, int8_path, calibration=calibration_feeds(tokenizer, calibration, max_length))
    fp32, int8 = (agreement_of(checkpoint, path, tokenizer, texts) for path in (fp32_path, int8_path))
    return ExportedModel(checkpoint, tokenizer_path, int8_path, fp32, int8)


def agreement_of(checkpoint: Checkpoint, path: Path, tokenizer: Tokenizer, texts: Sequence[str]) -> Agreement:
    """How near an exported file is to its checkpoint over some texts. Raises ArtifactError as `compare`."""
    return compare(
        torch_logits(checkpoint.model),
        onnx_logits(path, label_count=len(checkpoint.labels)),
        tokenizer=tokenizer,
        texts=texts,
        max_length=checkpoint.facts.config.max_length,
        moves=Moves.of(*crf_scores(checkpoint)),
    )


def crf_scores(checkpoint: Checkpoint) -> tuple[Floats, Floats]:
    """Transitions (K, K) and starts (K,) of a checkpoint as arrays, -inf where BIO forbids a move."""
    crf = checkpoint.crf
    return crf.masked_transitions().detach().numpy(), crf.masked_start().detach().numpy()


def build_package(
    out: Path,
    *,
    model: ExportedModel,
    imprint: Imprint,
    measure: Measure,
    evidence: Evidence,
    capability: Mapping[str, JSON] | None = None,
    axes: Mapping[str, JSON] | None = None,
) -> dict[str, JSON]:
    """Writes a whole package into an empty or new folder and returns its card. Equal inputs give equal bytes.

    `measure` is called with the folder once the parser's files are in it. `capability` is the summary of the network's
    capability matrix, where it was measured, `axes` its comparison with a baseline. Raises ArtifactError for a folder
    in use."""
    write_model_files(out, model=model, imprint=imprint)
    return write_card(
        out, model=model, imprint=imprint, scores=measure(out), evidence=evidence, capability=capability, axes=axes
    )


def write_model_files(out: Path, *, model: ExportedModel, imprint: Imprint) -> None:
    """Writes the files that the parser reads, and seals them: the folder can be loaded and measured."""
    if out.exists() and any(out.iterdir()):
        raise ArtifactError(f"{out}: holds files already. Name a new folder, or remove it first.")
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = model.checkpoint
    shutil.copyfile(model.int8_path, out / ONNX_NAME)
    shutil.copyfile(model.tokenizer_path, out / TOKENIZER_NAME)
    _write_json(out / TRANSITIONS_NAME, transitions_json(checkpoint.labels, *crf_scores(checkpoint)))
    _write_json(out / FACTS_NAME, _facts(checkpoint, imprint))
    write_sums(out)


def _facts(checkpoint: Checkpoint, imprint: Imprint) -> dict[str, JSON]:
    """What `package.json` holds, and `contract.FACTS_KEYS` names: what npm asks for, and what a reader has to know
    before it runs the network."""
    return {
        "name": imprint.name,
        "version": imprint.version,
        "license": imprint.license,
        "description": imprint.description,
        "files": list(ALL_NAMES),
        "exports": EXPORTS,
        "locale": imprint.locale,
        "labels": list(checkpoint.labels.labels),
        "label_hash": checkpoint.labels.hash,
        "max_length": checkpoint.facts.config.max_length,
        "pad_id": PAD_ID,
        "roles": ROLES,
        "created_by": f"mw-pipeline {__version__}",
    }


def write_card(
    out: Path,
    *,
    model: ExportedModel,
    imprint: Imprint,
    scores: Mapping[str, JSON],
    evidence: Evidence,
    capability: Mapping[str, JSON] | None = None,
    axes: Mapping[str, JSON] | None = None,
) -> dict[str, JSON]:
    """Writes lineage, attribution, card and README beside the parser's files, seals the folder, returns the card."""
    parser = Parser.load(out)
    facts = read_json(out / FACTS_NAME)
    _write_json(out / LINEAGE_NAME, evidence.lineage)
    licences = [vars(licence) for licence in evidence.licences]
    (out / ATTRIBUTION_NAME).write_text(attribution_text(facts["name"], licences), encoding="utf-8")
    card = model_card(
        facts=facts,
        model=_described_network(model, parser),
        files={
            name: {"bytes": (out / name).stat().st_size, "sha256": sha256_file(out / name)} for name in LISTED_NAMES
        },
        scores=scores,
        evidence=evidence,
        capability=capability,
        toolchain=toolchain(),
    )
    card["release_axes"] = axes_on_card(axes)
    card |= client_keys(out, card, channels=imprint.optional_channels)
    _write_json(out / CARD_NAME, card)
    example = parser.parse(EXAMPLES.get(facts["locale"], EXAMPLES["en-us"]))
    (out / README_NAME).write_text(package_readme(card, example), encoding="utf-8")
    write_sums(out)
    return card


def _described_network(model: ExportedModel, parser: Parser) -> dict[str, JSON]:
    """What the card says of the network itself."""
    checkpoint = model.checkpoint
    return {
        "architecture": checkpoint.facts.config.model_dump(mode="json"),
        "parameters": sum(parameter.numel() for parameter in checkpoint.model.parameters()),
        "step": checkpoint.step,
        "weights": "int8, one scale per output channel or embedding row; activations uint8, with scales measured once",
        "parity": model.parity(),
        "inputs": {"input_ids": "int64 [batch, sequence]", "attention_mask": "int64 [batch, sequence]"},
        "output": {"logits": f"float32 [batch, sequence, {len(checkpoint.labels)}]"},
        "max_length": parser.max_length,
        "pad_id": PAD_ID,
        "vocab_size": parser.tokenizer.vocab_size,
        "tokenizer_sha256": parser.tokenizer.sha256,
        "decoder": "constrained Viterbi over whole words; confidence is the exact posterior of the span; edges trimmed",
    }


def _write_json(path: Path, value: JSON) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
