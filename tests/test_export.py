"""Export and quantisation against torch and against int8 arithmetic by hand."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from tiny_package import CONFIG, TEXTS, tiny_checkpoint

from mw_pipeline.decode import Moves, hard_mask
from mw_pipeline.errors import ArtifactError
from mw_pipeline.labels import STAGE2
from mw_pipeline.model.checkpoint import load_checkpoint
from mw_pipeline.model.encoder import PLACES_IN_WORD
from mw_pipeline.package.build import export_model
from mw_pipeline.package.export import calibration_feeds, compare, export_onnx, quantise, torch_logits
from mw_pipeline.parse import PieceBatch, ReadTexts, onnx_logits
from mw_pipeline.tokenizer import Tokenizer
from mw_pipeline.words import BEGINS, INSIDE


@pytest.fixture(scope="module")
def checkpoint(tiny_release):
    return load_checkpoint(tiny_release / "best")


@pytest.fixture(scope="module")
def tokenizer(tiny_release) -> Tokenizer:
    return Tokenizer(tiny_release / "tokenizer.model")


@pytest.fixture(scope="module")
def exported(tiny_release) -> Path:
    """The folder with fp32.onnx and its int8 model.onnx."""
    return tiny_release


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 1), (3, 32)])
def test_the_export_answers_any_batch_and_sequence_like_the_checkpoint(checkpoint, exported, shape):
    ids = np.random.default_rng(0).integers(1, 300, shape)
    mask = np.ones_like(ids)
    mask[-1, 1:] = 0

    found = onnx_logits(exported / "fp32.onnx", label_count=21)(ids, mask)

    expected = torch_logits(checkpoint.model)(ids, mask)
    assert found.shape == (*shape, 21)
    np.testing.assert_allclose(found[mask == 1], expected[mask == 1], atol=1e-4)


def test_equal_weights_give_equal_bytes_and_name_no_path_of_this_machine(checkpoint, tokenizer, exported, tmp_path):
    export_onnx(checkpoint.model, tmp_path / "again.onnx")
    feeds = calibration_feeds(tokenizer, TEXTS[40:], CONFIG.max_length)
    quantise(tmp_path / "again.onnx", tmp_path / "int8.onnx", calibration=feeds)

    assert (tmp_path / "again.onnx").read_bytes() == (exported / "fp32.onnx").read_bytes()
    assert (tmp_path / "int8.onnx").read_bytes() == (exported / "model.onnx").read_bytes()
    for name in ("again.onnx", "int8.onnx"):
        assert b"mw_pipeline" not in (tmp_path / name).read_bytes()
        assert str(tmp_path).encode() not in (tmp_path / name).read_bytes()


def test_every_weight_matrix_is_int8_within_half_a_step_of_its_value(checkpoint, exported):
    tensors = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(exported / "model.onnx").graph.initializer}
    before = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(exported / "fp32.onnx").graph.initializer}
    matrices = {name: value for name, value in before.items() if value.ndim == 2 and min(value.shape) > PLACES_IN_WORD}

    assert len(matrices) == 1 + 4 * CONFIG.layers + 1  # embedding, four matrices a layer, head
    assert not any(t.ndim == 2 and t.dtype == np.float32 and min(t.shape) > PLACES_IN_WORD for t in tensors.values())
    for name, floats in matrices.items():
        whole, scale = tensors[f"{name}.int8"], tensors[f"{name}.scale"]
        assert whole.dtype == np.int8
        assert 64 <= abs(whole.astype(int)).max() <= 127
        assert (np.abs(whole * scale - floats) <= scale / 2 * 1.001).all()


def test_no_pair_of_products_overflows_sixteen_bits(exported):
    model = onnx.load(exported / "model.onnx")
    tensors = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    rounded = [node for node in model.graph.node if node.op_type == "QuantizeLinear"]
    matrices = [
        tensors[node.input[0]]
        for node in model.graph.node
        if node.op_type == "DequantizeLinear"
        if node.input[0] in tensors
    ]

    assert len(rounded) == len(matrices) == 4 * CONFIG.layers + 1
    assert {tensors[node.input[2]].dtype for node in rounded} == {np.dtype(np.uint8)}
    for size in (abs(matrix.astype(int)) for matrix in matrices):
        assert 255 * (size[::2] + size[1::2]).max() < 2**15


@pytest.mark.parametrize("size", [1, 7, 64])
def test_a_row_is_answered_to_the_last_bit_the_same_in_any_company(tokenizer, exported, size):
    logits_of = onnx_logits(exported / "model.onnx", label_count=21)
    read = ReadTexts.of(tokenizer, TEXTS[:64], CONFIG.max_length)

    def answers(size: int) -> dict[int, bytes]:
        batches = [PieceBatch.of(read, rows) for rows in read.batches(size)]
        return {
            int(row): logits[mask].tobytes()
            for batch in batches
            for row, logits, mask in zip(
                batch.rows, logits_of(batch.input_ids, batch.mask.astype(np.int64)), batch.mask, strict=True
            )
        }

    assert answers(size) == answers(64)


def test_an_activation_beyond_what_was_calibrated_is_cut_and_still_answered(checkpoint, tokenizer, tmp_path):
    export_onnx(checkpoint.model, tmp_path / "fp32.onnx")
    quantise(
        tmp_path / "fp32.onnx",
        tmp_path / "int8.onnx",
        calibration=calibration_feeds(tokenizer, TEXTS[:1], CONFIG.max_length),
    )
    ids = np.arange(1, 61).reshape(4, 15)

    assert np.isfinite(onnx_logits(tmp_path / "int8.onnx", label_count=21)(ids, np.ones_like(ids))).all()


def never_in_a_span(read: ReadTexts) -> int:
    """Pieces that both models below leave outside: each row's first word, and what no span may begin with."""
    found = 0
    for kinds in np.split(read.kinds, read.pieces.offsets[1:-1]):
        words = np.cumsum(kinds != INSIDE)
        found += int(((words == 1) | (kinds[np.searchsorted(words, words)] != BEGINS)).sum())
    return found


def test_the_comparison_counts_differing_labels_and_the_largest_difference(tokenizer):
    moves = Moves.of(*hard_mask(STAGE2))

    def constant(label: int):
        def logits_of(input_ids, attention_mask):
            logits = np.full((*input_ids.shape, len(STAGE2)), -1, dtype=np.float32)
            logits[:, :, 0] = 0.0
            logits[:, :, label] = 40.0
            logits[:, 0, 0] = 999.0  # both say O first, and so of the whole first word
            return logits

        return logits_of

    texts = TEXTS[:20]
    found = compare(
        constant(0),
        constant(1),
        tokenizer=tokenizer,
        texts=texts,
        max_length=32,
        moves=moves,
    )

    read = ReadTexts.of(tokenizer, texts, 32)
    pieces = len(read.pieces.ids)
    outside = never_in_a_span(read)
    assert (found.texts, found.pieces, found.max_logit_difference) == (20, pieces, 41.0)
    assert 20 < outside < pieces
    assert found.label_agreement_share == pytest.approx(outside / pieces)


def test_a_comparison_over_nothing_is_refused(tokenizer):
    moves = Moves.of(*hard_mask(STAGE2))

    with pytest.raises(ArtifactError, match="the 1 texts to compare on hold no piece"):
        compare(
            lambda ids, mask: np.zeros((*ids.shape, 21)),
            lambda ids, mask: np.zeros((*ids.shape, 21)),
            tokenizer=tokenizer,
            texts=[""],
            max_length=32,
            moves=moves,
        )


def test_a_comparison_with_nan_is_refused_and_not_taken_for_agreement(tokenizer):
    moves = Moves.of(*hard_mask(STAGE2))

    with pytest.raises(ArtifactError, match="are NaN or infinite"):
        compare(
            lambda ids, mask: np.zeros((*ids.shape, 21)),
            lambda ids, mask: np.full((*ids.shape, 21), np.nan),
            tokenizer=tokenizer,
            texts=TEXTS[:2],
            max_length=32,
            moves=moves,
        )


def test_a_drifted_export_is_seen_by_its_parity(checkpoint, tokenizer, exported):
    drifted = load_checkpoint(checkpoint.path)
    with torch.no_grad():
        drifted.model.head.bias += 0.01 * torch.arange(21)
    moves = Moves.of(*hard_mask(STAGE2))

    found = compare(
        torch_logits(drifted.model),
        onnx_logits(exported / "fp32.onnx", label_count=21),
        tokenizer=tokenizer,
        texts=TEXTS[:5],
        max_length=32,
        moves=moves,
    )

    assert found.max_logit_difference == pytest.approx(0.2, abs=1e-3)


def test_another_tokenizer_than_the_checkpoints_is_refused(tiny_release, tmp_path):
    foreign = tmp_path / "tokenizer.model"
    shutil.copyfile(tiny_release / "tokenizer.model", foreign)
    checkpoint = tiny_checkpoint(tmp_path / "best", foreign)
    foreign.write_bytes(foreign.read_bytes() + b"\x08\x01")

    with pytest.raises(ArtifactError, match="the checkpoint was trained with"):
        export_model(checkpoint, tokenizer_path=foreign, texts=TEXTS[:2], calibration=TEXTS[2:], work=tmp_path)


def test_without_a_text_there_is_nothing_to_calibrate_on(checkpoint, tokenizer, tmp_path):
    export_onnx(checkpoint.model, tmp_path / "fp32.onnx")

    with pytest.raises(ArtifactError, match="the texts to calibrate on hold no piece"):
        quantise(tmp_path / "fp32.onnx", tmp_path / "int8.onnx", calibration=calibration_feeds(tokenizer, [""], 32))
