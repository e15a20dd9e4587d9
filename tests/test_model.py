"""The encoder: what its mask hides, what its positions see, and that it exports and quantises as a package needs it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from mw_pipeline.dataset.batches import Batch
from mw_pipeline.model.encoder import Encoder, place_in_word, rotary_angles, rotate, tensors_of
from mw_pipeline.recipe import ModelConfig
from mw_pipeline.words import PieceJoints

CONFIG = ModelConfig(width=32, layers=2, heads=4, feed_forward=64, dropout=0.5, max_length=16)


@pytest.fixture
def encoder() -> Encoder:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    return Encoder(CONFIG, vocab_size=50, label_count=5).eval()


def test_logits_have_one_row_of_labels_for_each_piece(encoder):
    assert encoder(torch.randint(1, 50, (3, 7))).shape == (3, 7, 5)


def test_padding_changes_no_logit_of_a_real_piece(encoder):
    ids = torch.randint(1, 50, (2, 6))
    padded = torch.cat((ids, torch.zeros(2, 4, dtype=torch.int64)), dim=1)
    mask = torch.arange(10).expand(2, 10) < 6

    torch.testing.assert_close(encoder(padded, mask)[:, :6], encoder(ids), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(encoder(padded, mask.long()), encoder(padded, mask))


def test_the_mask_reaches_the_attention(encoder):
    """A channel that were dropped on the way would go unnoticed for months (M33)."""
    ids = torch.randint(1, 50, (1, 6))

    hidden = encoder(ids, torch.tensor([[1, 1, 1, 1, 0, 0]]))
    seen = encoder(ids, torch.ones(1, 6, dtype=torch.int64))

    assert (hidden[:, :4] - seen[:, :4]).abs().max() > 1e-4


def test_every_piece_sees_the_whole_row(encoder):
    ids = torch.randint(1, 50, (1, 6))
    other = ids.clone()
    other[0, 5] = (ids[0, 5] + 1) % 49 + 1

    assert ((encoder(ids) - encoder(other)).abs().amax(2) > 0).all()


def test_order_matters(encoder):
    ids = torch.tensor([[3, 9, 4]])

    assert not torch.allclose(encoder(ids)[0, 1], encoder(ids.flip(1))[0, 1])


JOINTS = PieceJoints.of(["", "", "\u2581a", "b", ",", "\u2581", "1", "\u5cf6"] + ["c"] * 42)


def test_words_by_ids_are_those_that_the_batches_count(encoder):
    encoder.know_words(JOINTS)
    ids = torch.randint(1, 50, (20, 9))

    offsets = np.arange(21, dtype=np.int64) * 9
    counted = JOINTS.begins(ids.numpy().ravel(), offsets).reshape(20, 9)

    assert encoder.word_begins(ids).tolist() == counted.tolist()


def test_layers_see_one_position_for_each_word(encoder):
    encoder.know_words(JOINTS)
    seen = []
    encoder.layers[0].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].shape))

    logits = encoder(
        torch.tensor([[2, 3, 4, 5, 6, 7], [2, 3, 3, 3, 3, 3]])
    )  # `a b , | \u2581 1 | island`, and one word

    assert seen == [(2, 3, 32)] and logits.shape == (2, 6, 5)


def test_a_row_with_fewer_words_than_others_is_read_as_alone(encoder):
    encoder.know_words(JOINTS)
    few, many = torch.tensor([[2, 3, 4, 2, 3, 3]]), torch.tensor([[2, 2, 2, 2, 2, 2]])

    together = encoder(torch.cat((few, many)))

    torch.testing.assert_close(together, torch.cat((encoder(few), encoder(many))), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("words", [3, 4, 16])
def test_a_number_of_words_that_is_given_saves_the_count_and_changes_no_logit(encoder, words):
    encoder.know_words(JOINTS)
    ids = torch.tensor([[2, 3, 4, 5, 6, 7], [2, 3, 3, 3, 3, 3]])

    torch.testing.assert_close(encoder(ids, None, words), encoder(ids), atol=1e-6, rtol=1e-6)
    assert encoder.to("meta")(ids.to("meta"), None, words).shape == (2, 6, 5)  # where nothing has a value to count


def test_the_order_of_pieces_within_a_word_matters(encoder):
    encoder.know_words(JOINTS)

    one, other = encoder(torch.tensor([[2, 3, 8, 2], [2, 8, 3, 2]]))

    assert (one[3] - other[3]).abs().max() > 1e-4


def test_places_in_a_word_are_counted_up_to_the_last_one_that_is_told_apart():
    begins = torch.tensor([[1, 0, 0, 0, 0, 1, 0, 1], [1, 1, 0, 1, 0, 0, 0, 0]], dtype=torch.bool)

    assert place_in_word(begins).tolist() == [[0, 1, 2, 3, 3, 0, 1, 0], [0, 0, 1, 0, 1, 2, 3, 3]]


def test_rotary_scores_depend_on_distance_alone():
    heads = torch.randn(1, 1, 1, 8).expand(1, 20, 1, 8)

    turned = rotate(heads, rotary_angles(20, 8, like=heads))[0, :, 0]
    scores = turned @ turned.T

    for distance in range(1, 20):
        torch.testing.assert_close(
            scores.diagonal(distance), scores[0, distance].expand(20 - distance), atol=1e-4, rtol=0
        )


def test_rotation_turns_each_pair_by_position_times_frequency():
    heads = torch.zeros(1, 3, 1, 4)
    heads[..., 0] = 1.0

    turned = rotate(heads, rotary_angles(3, 4, like=heads))[0, :, 0]

    assert turned[2].tolist() == pytest.approx([math.cos(2), 0.0, math.sin(2), 0.0], abs=1e-6)


def test_rows_longer_than_any_trained_length_are_taken(encoder):
    assert torch.isfinite(encoder(torch.randint(1, 50, (1, 300)))).all()


def test_dropout_acts_in_training_only_and_follows_the_seed(encoder):
    ids = torch.randint(1, 50, (2, 6))
    torch.testing.assert_close(encoder(ids), encoder(ids), atol=0, rtol=0)

    encoder.train()
    torch.manual_seed(7)
    first = encoder(ids)
    assert not torch.equal(first, encoder(ids))
    torch.manual_seed(7)
    assert torch.equal(first, encoder(ids))


def test_the_gradient_reaches_every_parameter(encoder):
    encoder.know_words(JOINTS)
    encoder(torch.randint(1, 50, (4, 9))).logsumexp(2).sum().backward()

    silent = [name for name, p in encoder.named_parameters() if p.grad is None or not p.grad.any()]
    # a softmax is blind to a shift of all scores of a query, and half of the key bias does just that
    assert silent == []


def test_the_embedding_of_padding_is_zero_and_stays_so(encoder):
    encoder(torch.tensor([[3, 0]]), torch.tensor([[1, 0]])).sum().backward()

    assert not encoder.embedding.weight[0].any()
    assert not encoder.embedding.weight.grad[0].any()


def test_fresh_logits_are_near_uniform(encoder):
    p = encoder(torch.randint(1, 50, (8, 10))).softmax(2)

    assert p.min() > 0.1 and p.max() < 0.4


def _batch(*lengths: int) -> Batch:
    mask = np.arange(max(lengths)) < np.array(lengths)[:, None]
    zeros = np.zeros(len(lengths), dtype=np.int64)
    return Batch(mask.astype(np.int64) * 5, mask.astype(np.int64), mask.astype(np.uint8), mask, zeros, zeros)


def test_a_batch_without_padding_has_no_mask_to_work_on():
    ids, labels, mask = tensors_of(_batch(3, 3), torch.device("cpu"))

    assert mask is None and ids.tolist() == [[5, 5, 5]] * 2 and labels.tolist() == [[1, 1, 1]] * 2


def test_a_padded_batch_keeps_its_mask():
    _, _, mask = tensors_of(_batch(3, 1), torch.device("cpu"))

    assert mask is not None and mask.tolist() == [[True, True, True], [True, False, False]]


def test_a_gpu_is_sent_its_batches_from_pinned_memory_without_a_wait(monkeypatch):
    """Written without a GPU: what torch is asked for, not what it does."""
    asked: list[tuple[str, torch.Tensor, object]] = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda t: asked.append(("pin", t, None)) or t)
    monkeypatch.setattr(torch.Tensor, "to", lambda t, *args, **named: asked.append(("copy", t, (args, named))) or t)
    gpu = torch.device("cuda", 0)

    ids, labels, mask = tensors_of(_batch(3, 1), gpu)

    assert [what for what, _, _ in asked] == ["pin", "copy"] * 3
    assert {id(tensor) for _, tensor, _ in asked} == {id(ids), id(labels), id(mask)}
    assert all(how == ((gpu,), {"non_blocking": True}) for what, _, how in asked if what == "copy")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_exported_graph_takes_any_batch_and_length(encoder, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    batch, sequence = torch.export.Dim("batch"), torch.export.Dim("sequence")
    example = (torch.randint(1, 50, (2, 7)), torch.ones(2, 7, dtype=torch.int64))
    axes = {0: batch, 1: sequence}
    torch.onnx.export(encoder, example, dynamo=True, dynamic_shapes=(axes, axes), verbose=False).save(
        tmp_path / "m.onnx"
    )
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    names = [entry.name for entry in session.get_inputs()]

    for rows, pieces in ((1, 1), (5, 3), (2, 40)):
        ids, mask = torch.randint(1, 50, (rows, pieces)), torch.ones(rows, pieces, dtype=torch.int64)
        found = session.run(None, dict(zip(names, (ids.numpy(), mask.numpy()), strict=True)))[0]
        np.testing.assert_allclose(found, encoder(ids, mask).detach().numpy(), atol=1e-5)
