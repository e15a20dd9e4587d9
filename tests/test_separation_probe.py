"""The separation probe: which labels a checkpoint can tell from the rest, by hand, by brute force and on a toy run."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from toy_run import Toy

from mw_pipeline.dataset.batches import fixed_batches
from mw_pipeline.dataset.tokenized import TOKENIZED_SCHEMA, SplitWriter, TokenizedDataset
from mw_pipeline.errors import CorpusError
from mw_pipeline.labels import STAGE2
from mw_pipeline.model.encoder import tensors_of
from mw_pipeline.probes.separation import (
    Pieces,
    auroc,
    families_of,
    kind_of,
    pieces_of,
    probe_separation,
    separation_of,
    thresholds_of,
)
from mw_pipeline.probes.subject import Subject

torch.set_num_threads(1)

TAGS = ("known", "shuffled")


@pytest.fixture(scope="module")
def run(toy: Toy, unbroken: tuple[Any, Any, Any]) -> Subject:
    return Subject.open(unbroken[0].out, toy.dataset)


def two_labels(families: int = 300, *, scale: float = 1.0) -> Pieces:
    """Ten pieces a family: p of the first label is high inside its spans; the second's spans lie elsewhere."""
    rng = np.random.default_rng(5)
    inside = rng.random((10 * families, 2)) < 0.2
    probability = np.where(inside, 0.6, 0.2) + rng.uniform(-0.19, 0.19, inside.shape)
    inside[:, 1] = rng.permutation(inside[:, 1])
    return Pieces(scale * probability, inside, np.repeat(np.arange(families), 10))


def test_a_label_with_shuffled_spans_is_collapsed_and_its_clean_twin_is_not() -> None:
    found = separation_of(two_labels(), TAGS)

    assert found["known"]["collapsed"] is False
    assert found["known"]["separation"] == pytest.approx(0.4, abs=0.02)
    assert found["known"]["auroc"] > 0.99
    assert found["shuffled"]["collapsed"] is True
    assert found["shuffled"]["interval"][0] <= 0 <= found["shuffled"]["interval"][1]
    assert found["shuffled"]["auroc"] == pytest.approx(0.5, abs=0.05)


def test_the_separation_is_a_difference_of_means() -> None:
    pieces = Pieces(
        np.array([[0.9], [0.7], [0.1], [0.3], [0.2]]),
        np.array([[True], [True], [False], [False], [False]]),
        np.array([0, 1, 0, 1, 1]),
    )

    found = separation_of(pieces, ("tag",))["tag"]

    assert (found["mean_inside"], found["mean_outside"]) == pytest.approx((0.8, 0.2))
    assert (found["separation"], found["base_rate"], found["pieces_inside"]) == (pytest.approx(0.6), 0.4, 2)


def test_a_label_that_never_occurs_is_not_judged() -> None:
    pieces = Pieces(np.full((4, 1), 0.5), np.zeros((4, 1), dtype=bool), np.arange(4))

    found = separation_of(pieces, ("tag",))["tag"]

    assert (found["base_rate"], found["separation"], found["auroc"], found["collapsed"]) == (0.0, None, None, None)


def test_auroc_is_the_share_of_pairs_in_order_with_ties_for_half() -> None:
    rng = np.random.default_rng(1)
    scores, positives = rng.integers(0, 6, 60) / 5, rng.random(60) < 0.4
    pairs = [(a > b) + 0.5 * (a == b) for a in scores[positives] for b in scores[~positives]]

    assert auroc(scores, positives) == pytest.approx(np.mean(pairs))


def test_families_are_drawn_together() -> None:
    """Copies of one row in a family add nothing that is known: the interval stays as wide."""
    pieces = two_labels(40)
    copied = Pieces(np.tile(pieces.probability, (5, 1)), np.tile(pieces.inside, (5, 1)), np.tile(pieces.family, 5))

    alone, together = (separation_of(found, TAGS)["shuffled"]["interval"] for found in (pieces, copied))

    assert together == pytest.approx(alone)


def test_probabilities_that_all_lie_below_a_tenth_still_find_their_threshold() -> None:
    # M60
    low = two_labels(scale=0.1)

    found = thresholds_of(low, low, TAGS)["known"]

    assert float(low.probability.max()) < 0.1
    assert 0.03 < found["threshold"] < 0.045
    assert found["f1"] > 0.95


def test_a_threshold_is_scored_on_rows_that_did_not_choose_it() -> None:
    # M60
    chosen_on = two_labels()
    scored_on = replace(chosen_on, inside=~chosen_on.inside)

    assert thresholds_of(chosen_on, scored_on, TAGS)["known"]["f1"] < 0.05
    assert thresholds_of(chosen_on, chosen_on, TAGS)["known"]["f1"] > 0.95


def test_a_trained_checkpoint_tells_its_labels_apart(run: Subject) -> None:
    found = probe_separation(run, resamples=200)

    assert (found["split"], found["thresholds"]) == ("validation", None), "the toy has no test rows"
    assert found["labels"]["house_number"]["collapsed"] is False
    assert found["labels"]["house_number"]["separation"] > 0.3
    assert found["labels"]["venue"]["collapsed"] is None


def test_with_test_rows_thresholds_are_chosen_on_validation_and_scored_on_them(
    toy: Toy, unbroken: tuple[Any, Any, Any], tmp_path: Path
) -> None:
    # M60
    dataset = Path(shutil.copytree(toy.dataset, tmp_path / "dataset"))
    shutil.copyfile(dataset / "validation.arrow", dataset / "test.arrow")

    found = probe_separation(Subject.open(unbroken[0].out, dataset), resamples=50)

    assert found["split"] == "test"
    assert (found["thresholds"]["chosen_on"], found["thresholds"]["scored_on"]) == ("validation", "test")
    assert found["thresholds"]["labels"]["street"]["f1"] > 0.8


def test_the_probabilities_are_the_marginals_of_the_crf_that_decodes(run: Subject) -> None:
    """The marginals are the gradient of log Z in the logits: here by a central difference of the CRF's own log Z."""
    split = TokenizedDataset(run.dataset_path, "validation")
    found = pieces_of(run.checkpoint, split, 1)
    ids, tags, _ = tensors_of(fixed_batches(split, 1)[0], torch.device("cpu"))
    logits = run.checkpoint.tagger.encoder(ids).detach().double()
    begin = STAGE2.begin("street")

    def log_z(piece: int, step: float) -> float:
        moved = logits.clone()
        moved[0, piece, begin : begin + 2] += step
        held = (tags[0, piece] == begin) | (tags[0, piece] == begin + 1)  # the gold path moves along
        return float(run.checkpoint.crf(moved, tags, None).detach()) + step * float(held)

    assert kind_of(run.checkpoint) == "CRF marginal"
    for piece in range(ids.shape[1]):
        slope = (log_z(piece, 1e-4) - log_z(piece, -1e-4)) / 2e-4
        assert found.probability[piece, STAGE2.tags.index("street")] == pytest.approx(slope, abs=1e-5)


def test_a_crf_that_never_learned_leaves_the_softmax(run: Subject) -> None:
    checkpoint = run.checkpoint
    kept = {name: value.clone() for name, value in checkpoint.crf.state_dict().items()}
    with torch.no_grad():
        for parameter in checkpoint.crf.parameters():
            parameter.zero_()
    split = TokenizedDataset(run.dataset_path, "validation")
    kind, found = kind_of(checkpoint), pieces_of(checkpoint, split, 10)
    checkpoint.crf.load_state_dict(kept)

    assert kind == "softmax"
    assert found.probability.sum(axis=1).max() <= 1.0


def test_rows_are_told_from_a_dataset_that_held_none_out(
    toy: Toy, unbroken: tuple[Any, Any, Any], tmp_path: Path
) -> None:
    bare = Path(shutil.copytree(toy.dataset, tmp_path / "dataset"))
    shutil.copyfile(bare / "test.arrow", bare / "validation.arrow")

    with pytest.raises(CorpusError, match="has no rows outside training"):
        probe_separation(Subject.open(unbroken[0].out, bare))


def test_variants_of_one_row_are_one_family(tmp_path: Path) -> None:
    writer = SplitWriter(tmp_path / "test.arrow", len(STAGE2))
    names = ["ban:7:0", "ban:7:1", "ban:8:0"]
    columns = [
        names,
        ["ban"] * 3,
        [0] * 3,
        [1] * 3,
        [[5, 6], [5, 6, 7], [8, 9, 9, 9]],
        [[0, 0], [0, 0, 0], [0, 0, 0, 0]],
    ]
    columns.append([[1] * len(labels) for labels in columns[-1]])
    writer.add(
        pa.table([pa.array(c, f.type) for c, f in zip(columns, TOKENIZED_SCHEMA, strict=True)], TOKENIZED_SCHEMA)
    )
    writer.end_source("ban")
    writer.close()
    split = TokenizedDataset(tmp_path, "test")

    assert families_of(split, fixed_batches(split, 3)).tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 1]
