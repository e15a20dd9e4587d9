"""A real package of an untrained network, small enough to be built in seconds."""

from __future__ import annotations

from pathlib import Path

import torch

from mw_pipeline.client.npm import Imprint, package_name
from mw_pipeline.labels import STAGE2
from mw_pipeline.model.checkpoint import Checkpoint, CheckpointFacts, Tagger, load_checkpoint, save_checkpoint
from mw_pipeline.package.build import ExportedModel, build_package, export_model
from mw_pipeline.package.card import Evidence, Licence
from mw_pipeline.recipe import ModelConfig, TokenizerConfig
from mw_pipeline.tokenizer import Tokenizer, train_tokenizer

torch.set_num_threads(1)

STREETS = ("Oak St", "Maple Hill Rd", "rue Haute", "chemin des Prés", "Pennsylvania Ave NW", "улица Тверская", "東町")
CITIES = ("Washington, DC 20500", "75001 Paris", "New York, NY 10118", "47110 Sainte-Livrade-sur-Lot, France")
TEXTS = [f"{n} {STREETS[n % 7]}, {CITIES[n % 4]}" for n in range(1, 301)]
CONFIG = ModelConfig(width=16, layers=2, heads=2, feed_forward=32, max_length=32)
EVIDENCE = Evidence(
    run={"kind": "full", "recipe": "tiny", "step": 7, "best_step": 5, "effective_batch": 32, "train_rows": 12_000},
    corpus={"name": "tiny", "version": "1"},
    diagnosis={
        "meanings": {"empty_pred": "no prediction"},
        "failure_modes": [{"tag": "street", "bucket": "empty_pred", "missed": 3, "share_of_gold": 0.75}],
        "examples": {"empty_pred": ["too long for a card"]},
    },
    lineage={"roots": [], "nodes": []},
    licences=(Licence("ban", "Etalab-2.0", "Base Adresse Nationale", 12_000),),
)

SCORES = {
    "golden": {
        "rows": 4,
        "core_macro_f1": 0.51,
        "macro_f1": 0.5,
        "exact_match": None,
        "intervals": {"core_macro_f1": [0.4, 0.6]},
        "ceiling": {"core_macro_f1": 0.99},
        "per_tag": {"street": {"support": 4, "precision": 1.0, "recall": 0.25, "f1": 0.4, "interval": None}},
        "not_scored": {"gold": {"unit": 2, "po_box": 1}},
    }
}


def tiny_tokenizer(folder: Path) -> Path:
    """A tokenizer trained on TEXTS."""
    path = folder / "tokenizer.model"
    train_tokenizer(TEXTS, TokenizerConfig(vocab_size=360), path)
    return path


def tiny_checkpoint(folder: Path, tokenizer_path: Path) -> Checkpoint:
    """A checkpoint with random weights, spread widely enough that its labels differ from piece to piece."""
    tokenizer = Tokenizer(tokenizer_path)
    torch.manual_seed(3)
    tagger = Tagger(CONFIG, vocab_size=tokenizer.vocab_size, labels=STAGE2)
    with torch.no_grad():
        tagger.encoder.head.weight.normal_(std=1.0)
        tagger.crf.transitions.normal_(std=0.5)
    facts = CheckpointFacts(CONFIG, STAGE2, tokenizer.vocab_size, tokenizer.sha256, step=7, digests={})
    save_checkpoint(folder, tagger, facts, optimizer={})
    return load_checkpoint(folder)


def tiny_model(folder: Path) -> ExportedModel:
    """The tiny checkpoint, exported and compared."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer_path = tiny_tokenizer(folder)
    checkpoint = tiny_checkpoint(folder / "best", tokenizer_path)
    return export_model(
        checkpoint, tokenizer_path=tokenizer_path, texts=TEXTS[:40], calibration=TEXTS[40:], work=folder
    )


def imprint(locale: str) -> Imprint:
    """What a recipe that says nothing of it gives a locale."""
    return Imprint(package_name(locale), "0.1.0", locale)


def build_release(folder: Path) -> ExportedModel:
    """A release folder `packages/` with both locales, beside what it was made from."""
    model = tiny_model(folder)
    for locale in ("en-us", "fr-fr"):
        build_package(
            folder / "packages" / locale,
            model=model,
            imprint=imprint(locale),
            measure=lambda path: SCORES,
            evidence=EVIDENCE,
        )
    return model
