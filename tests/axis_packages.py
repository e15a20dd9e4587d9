"""Real packages of one trained toy network, each spoilt on one axis of a release and on no other that can be spared."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from tiny_package import EVIDENCE, SCORES, imprint
from toy_run import Toy, toy_row

from mw_pipeline.golden.gold import GoldenSet
from mw_pipeline.golden.rows import row_of
from mw_pipeline.model.checkpoint import Checkpoint, load_checkpoint
from mw_pipeline.package.build import ExportedModel, build_package, export_model
from mw_pipeline.package.card import Evidence

STEADY, SHAKY = 0.01, 0.09
TEXTS = ["12 Main St 12345 Paris", "75001 Lyon 9 Oak Ave"]


def toy_gold(rows: int = 240) -> GoldenSet:
    """Addresses as the toy corpus has them, that no training row was; one of four is adversarial."""
    rng = random.Random(99)
    found = []
    for number in range(rows):
        row = toy_row(rng, ("alpha", "beta")[number % 2], number)
        spans = zip(row["span_tags"], row["span_starts"], row["span_ends"], strict=True)
        components = {tag: row["raw"][start:end] for tag, start, end in spans}
        value = {"raw": row["raw"], "components": components, "country": "US", "source": "toy", "notes": "made up"}
        stratum = "adversarial" if number % 4 == 0 else "plain"
        found.append(row_of(value, where=f"toy:{number}", stratum=stratum))
    return GoldenSet(tuple(found))


def swapped(checkpoint: Checkpoint, first: str, second: str) -> None:
    """Takes every `first` for a `second` and the other way round: as sure of itself as before, and wrong."""
    labels = checkpoint.labels
    order = list(range(len(labels)))
    for offset in (0, 1):
        a, b = labels.begin(first) + offset, labels.begin(second) + offset
        order[a], order[b] = b, a
    with torch.no_grad():
        head, crf = checkpoint.model.head, checkpoint.crf
        head.weight.copy_(head.weight[order].clone())
        if head.bias is not None:
            head.bias.copy_(head.bias[order].clone())
        crf.transitions.copy_(crf.transitions[order][:, order].clone())
        crf.start.copy_(crf.start[order].clone())


def unsure(checkpoint: Checkpoint, *, share: float = 0.3) -> None:
    """Scales every score: the same best path, with less confidence."""
    with torch.no_grad():
        for scores in (checkpoint.model.head.weight, checkpoint.crf.transitions, checkpoint.crf.start):
            scores.mul_(share)
        if checkpoint.model.head.bias is not None:
            checkpoint.model.head.bias.mul_(share)


SPOILERS: dict[str, Any] = {
    "good": lambda checkpoint: None,
    "coarse_f1": lambda checkpoint: swapped(checkpoint, "locality", "region"),
    "fine_f1": lambda checkpoint: swapped(checkpoint, "street", "house_number"),
    "calibration": unsure,
    "training_stability": lambda checkpoint: None,
}


def evidence(fall: float | None) -> Evidence:
    """What a card says of a training that fell by so much at worst."""
    run = {**EVIDENCE.run, "stability": None if fall is None else {"largest_fall": fall, "evaluations": 5}}
    return replace(EVIDENCE, run=run)


def spoilt_model(run: Path, toy: Toy, axis: str, work: Path) -> ExportedModel:
    """The toy's best checkpoint, spoilt on an axis and exported."""
    checkpoint = load_checkpoint(run / "best")
    SPOILERS[axis](checkpoint)
    work.mkdir(parents=True)
    return export_model(checkpoint, tokenizer_path=toy.tokenizer, texts=TEXTS, calibration=TEXTS, work=work)


def axis_package(folder: Path, run: Path, toy: Toy, axis: str) -> Path:
    """A whole package of it in `folder`."""
    fall = SHAKY if axis == "training_stability" else STEADY
    build_package(
        folder,
        model=spoilt_model(run, toy, axis, folder.with_name(f"{folder.name}.work")),
        imprint=imprint("en-us"),
        measure=lambda path: SCORES,
        evidence=evidence(fall),
    )
    return folder
