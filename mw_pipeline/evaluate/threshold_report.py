"""What the thresholds of a soft-span checkpoint do on rows that did not choose them (M60)."""

from __future__ import annotations

from pathlib import Path

import torch

from mw_pipeline.dataset.batches import fixed_batches
from mw_pipeline.dataset.tokenized import TokenizedDataset
from mw_pipeline.digest import JSON
from mw_pipeline.errors import ArtifactError
from mw_pipeline.metrics.thresholds import ThresholdScore
from mw_pipeline.model.checkpoint import load_checkpoint
from mw_pipeline.train.validation import answers_of, of_tag, pieces_of

TEST_ROWS = 2000


def threshold_report(checkpoint_path: Path, dataset_path: Path, *, most_rows: int = TEST_ROWS) -> dict[str, JSON]:
    """Tag → threshold (a logit, chosen on validation rows), and its F1 over pieces of the test split, by `tags`.

    Beside each stands the F1 of saying yes everywhere; `findings` names the tags that do not beat it. Raises
    ArtifactError for a checkpoint without thresholds."""
    checkpoint = load_checkpoint(checkpoint_path)
    thresholds = checkpoint.facts.thresholds
    if not thresholds:
        raise ArtifactError(f"{checkpoint_path}: holds no thresholds. Name the best/ checkpoint of a soft-span run.")
    with torch.inference_mode():
        batches = fixed_batches(TokenizedDataset(dataset_path, "test"), most_rows)
        scores, gold = pieces_of(answers_of(checkpoint.tagger, batches))
    found = {
        tag: {
            "threshold": thresholds[tag],
            **ThresholdScore.of(*of_tag(scores, gold, number), thresholds[tag]).as_json(),
        }
        for number, tag in enumerate(checkpoint.labels.tags)
    }
    return {"chosen_on": "validation", "scored_on": "test", "tags": found, "findings": _findings(found)}


def _findings(found: dict[str, dict[str, JSON]]) -> list[str]:
    return [
        f"{tag}: F1 {facts['f1']:.4f} over test pieces is not above the {facts['all_positive_f1']:.4f} of saying yes "
        "everywhere"
        for tag, facts in found.items()
        if facts["base_rate"] > 0 and facts["f1"] <= facts["all_positive_f1"]
    ]
