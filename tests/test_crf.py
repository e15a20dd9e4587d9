"""The CRF against brute force over every label sequence, and against autograd through a plain log-space recursion."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mw_pipeline.labels import STAGE2, LabelSet
from mw_pipeline.model.crf import LinearChainCrf, crf_nll

TINY = LabelSet(("a",))  # O, B-a, I-a
LEGAL = torch.tensor(TINY.legal_moves())
STARTS = torch.tensor(TINY.legal_starts())


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)
    torch.manual_seed(0)


def brute_force_nll(
    emissions: Tensor, tags: Tensor, lengths: list[int], transitions: Tensor, start: Tensor
) -> list[float]:
    """Sums exp(score) over every label sequence of each row, in plain Python floats."""
    found = []
    for row, length in enumerate(lengths):

        def score(path: tuple[int, ...], row: int = row) -> float:
            total = float(start[path[0]]) + sum(float(emissions[row, t, k]) for t, k in enumerate(path))
            return total + sum(float(transitions[i, j]) for i, j in itertools.pairwise(path))

        paths = itertools.product(range(emissions.shape[2]), repeat=length)
        log_total = math.log(math.fsum(math.exp(score(path)) for path in paths))
        found.append(log_total - score(tuple(tags[row, :length].tolist())))
    return found


def plain_nll(emissions: Tensor, tags: Tensor, mask: Tensor, transitions: Tensor, start: Tensor) -> Tensor:
    """The textbook recursion in log space, differentiable by autograd."""
    ahead = start + emissions[:, 0]
    gold = start[tags[:, 0]] + emissions[:, 0].gather(1, tags[:, :1])[:, 0]
    for t in range(1, emissions.shape[1]):
        onward = torch.logsumexp(ahead[:, :, None] + transitions, dim=1) + emissions[:, t]
        ahead = torch.where(mask[:, t, None], onward, ahead)
        step = transitions[tags[:, t - 1], tags[:, t]] + emissions[:, t].gather(1, tags[:, t : t + 1])[:, 0]
        gold = gold + torch.where(mask[:, t], step, torch.zeros(()))
    return ahead.logsumexp(1) - gold


def mask_of(lengths: list[int]) -> Tensor:
    return torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]


def test_likelihood_equals_brute_force_over_all_sequences():
    emissions, transitions, start = torch.randn(3, 4, 3) * 2, torch.randn(3, 3), torch.randn(3)
    tags, lengths = torch.randint(0, 3, (3, 4)), [4, 2, 1]

    found = crf_nll(emissions, tags, mask_of(lengths), transitions, start)

    assert found.tolist() == pytest.approx(brute_force_nll(emissions, tags, lengths, transitions, start), abs=1e-5)


def test_likelihood_equals_brute_force_where_bio_forbids_moves():
    emissions = torch.randn(2, 4, 3)
    transitions = torch.randn(3, 3).masked_fill(~LEGAL, -torch.inf)
    start = torch.randn(3).masked_fill(~STARTS, -torch.inf)
    tags, lengths = torch.tensor([[0, 1, 2, 2], [1, 2, 0, 0]]), [4, 3]

    found = crf_nll(emissions, tags, mask_of(lengths), transitions, start)

    assert found.tolist() == pytest.approx(brute_force_nll(emissions, tags, lengths, transitions, start), abs=1e-5)


def test_zero_parameters_cost_length_times_log_of_the_label_count():
    nll = crf_nll(torch.zeros(2, 3, 2), torch.zeros(2, 3, dtype=torch.int64), mask_of([3, 1]), torch.zeros(2, 2))

    assert nll.tolist() == pytest.approx([3 * math.log(2), math.log(2)])
    assert float(nll.mean()) == pytest.approx(1.3863, abs=1e-4)
    assert float(nll.sum() / 4) == pytest.approx(0.6931, abs=1e-4)


@given(
    rows=st.integers(1, 4), pieces=st.integers(1, 7), scale=st.sampled_from([0.1, 1.0, 10.0]), seed=st.integers(0, 999)
)
@settings(max_examples=30, deadline=None)
def test_gradients_equal_those_of_autograd_through_the_plain_recursion(rows, pieces, scale, seed):
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, pieces + 1, (rows,), generator=generator).tolist()
    lengths[0] = pieces
    mask, tags = mask_of(lengths), torch.randint(0, 3, (rows, pieces), generator=generator) % 2  # O and B: legal
    upstream = torch.rand(rows, generator=generator)
    leaves = [
        (torch.randn(*shape, generator=generator) * scale).requires_grad_()
        for shape in ((rows, pieces, 3), (3, 3), (3,))
    ]
    exact = [leaf.detach().double().requires_grad_() for leaf in leaves]

    def masked(parts: list[Tensor]) -> tuple[Tensor, Tensor]:
        return parts[1].masked_fill(~LEGAL, -torch.inf), parts[2].masked_fill(~STARTS, -torch.inf)

    fast = torch.autograd.grad((crf_nll(leaves[0], tags, mask, *masked(leaves)) * upstream).sum(), leaves)
    slow = torch.autograd.grad(
        (plain_nll(exact[0], tags, mask, *masked(exact)) * upstream).sum(), exact, materialize_grads=True
    )

    for found, expected in zip(fast, slow, strict=True):
        torch.testing.assert_close(found.double(), expected, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("lengths", [[5, 3, 1], [4, 4, 4], [1, 1, 1]])
def test_gradients_pass_a_numerical_check_in_float64(lengths):
    mask, tags = mask_of(lengths), torch.zeros(3, max(lengths), dtype=torch.int64)
    leaves = tuple(torch.randn(*shape).double().requires_grad_() for shape in ((3, max(lengths), 3), (3, 3), (3,)))

    def nll(emissions: Tensor, transitions: Tensor, start: Tensor) -> Tensor:
        legal = transitions.masked_fill(~LEGAL, -torch.inf), start.masked_fill(~STARTS, -torch.inf)
        return crf_nll(emissions, tags, mask, *legal)

    assert torch.autograd.gradcheck(nll, leaves)


def test_a_second_derivative_is_refused_and_not_wrong():
    emissions = torch.randn(1, 3, 3, requires_grad=True)
    nll = crf_nll(emissions, torch.zeros(1, 3, dtype=torch.int64), None, torch.zeros(3, 3))
    (gradient,) = torch.autograd.grad(nll.square().sum(), emissions, create_graph=True)

    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


def test_the_value_is_the_same_where_no_gradient_is_asked_for():
    emissions, tags, transitions = torch.randn(2, 5, 3, requires_grad=True), torch.zeros(2, 5).long(), torch.randn(3, 3)
    with torch.no_grad():
        bare = crf_nll(emissions, tags, mask_of([5, 2]), transitions)

    assert not bare.requires_grad
    torch.testing.assert_close(bare, crf_nll(emissions, tags, mask_of([5, 2]), transitions).detach(), rtol=0, atol=0)


def test_autocast_to_bf16_changes_neither_value_nor_gradient():
    tags, mask = torch.zeros(3, 9, dtype=torch.int64), mask_of([9, 4, 1])
    leaves = [torch.randn(3, 9, 3, requires_grad=True), torch.randn(3, 3, requires_grad=True)]

    def found() -> tuple[Tensor, ...]:
        value = crf_nll(leaves[0], tags, mask, leaves[1])
        return (value.detach(), *torch.autograd.grad(value.sum(), leaves))

    plain = found()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(found(), plain, rtol=0, atol=0)


def test_scores_in_bf16_are_summed_up_in_float32():
    emissions, tags = torch.randn(2, 60, 3).bfloat16(), torch.zeros(2, 60, dtype=torch.int64)

    found = crf_nll(emissions, tags, None, torch.zeros(3, 3))

    assert found.dtype == torch.float32
    torch.testing.assert_close(found, crf_nll(emissions.float(), tags, None, torch.zeros(3, 3)))


def test_no_mask_and_a_mask_without_padding_are_the_same():
    emissions, tags, transitions = torch.randn(4, 6, 3), torch.randint(0, 3, (4, 6)), torch.randn(3, 3)
    full = torch.ones(4, 6, dtype=torch.bool)

    torch.testing.assert_close(crf_nll(emissions, tags, None, transitions), crf_nll(emissions, tags, full, transitions))


def test_padding_changes_neither_value_nor_gradient_and_may_hold_any_tag():
    emissions, tags = torch.randn(1, 3, 3), torch.tensor([[0, 1, 2]])
    longer = torch.cat((emissions, torch.full((1, 5, 3), 1e3)), dim=1).requires_grad_()
    padded_tags = torch.cat((tags, torch.full((1, 5), -100)), dim=1)
    transitions = torch.randn(3, 3)

    found = crf_nll(longer, padded_tags, torch.arange(8)[None] < 3, transitions)
    found.sum().backward()

    torch.testing.assert_close(found, crf_nll(emissions, tags, None, transitions))
    assert longer.grad is not None and not longer.grad[:, 3:].any()


def test_a_row_of_128_pieces_stays_exact_in_float32():
    emissions, transitions = torch.randn(2, 128, 21) * 30, torch.randn(21, 21) * 5
    crf = LinearChainCrf(STAGE2)
    tags, mask = torch.zeros(2, 128, dtype=torch.int64), torch.ones(2, 128, dtype=torch.bool)
    legal = transitions.masked_fill(~crf.legal_moves, -torch.inf)

    found = crf_nll(emissions, tags, mask, legal)
    expected = plain_nll(emissions.double(), tags, mask, legal.double(), torch.zeros(21, dtype=torch.float64))

    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-3)


def test_scores_hundreds_of_nats_apart_leave_a_legal_path():
    """The only legal way is against the scores: float32 exponentials would have no path of positive weight."""
    emissions = torch.zeros(1, 2, 3)
    emissions[0, 0, 0], emissions[0, 1, 2] = 300.0, 300.0  # O, then I-a, which may not follow
    transitions, start = (
        torch.zeros(3, 3).masked_fill(~LEGAL, -torch.inf),
        torch.zeros(3).masked_fill(~STARTS, -torch.inf),
    )

    nll = crf_nll(emissions, torch.tensor([[1, 2]]), None, transitions, start)

    # three paths of 300 nats: O O, O B-a (from the first piece) and B-a I-a (to the second)
    assert float(nll) == pytest.approx(math.log(3), abs=1e-4)


def test_an_illegal_gold_sequence_costs_infinity():
    crf = LinearChainCrf(TINY)

    assert crf(torch.zeros(1, 2, 3), torch.tensor([[0, 2]]), None).isinf().all()


def test_the_module_learns_legal_moves_and_leaves_forbidden_ones_alone():
    crf = LinearChainCrf(TINY)
    crf(torch.randn(8, 5, 3), torch.tensor([[0, 1, 2, 2, 0]]).expand(8, 5), None).sum().backward()

    gradient = crf.transitions.grad
    assert gradient is not None
    assert gradient[LEGAL].abs().min() > 0
    assert not gradient[~LEGAL].any()
    assert crf.masked_transitions()[0, 2] == -torch.inf
    assert crf.masked_start().tolist() == [0.0, 0.0, -math.inf]
    assert set(crf.state_dict()) == {"transitions", "start"}
