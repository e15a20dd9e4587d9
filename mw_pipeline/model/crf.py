"""Linear-chain CRF whose partition function runs in exponential space with a backward pass written by hand.

Shape letters: B rows, T pieces, K labels. The hard BIO mask is the label set's: a forbidden move scores -inf.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from mw_pipeline.labels import LabelSet


class LinearChainCrf(nn.Module):
    """Learned scores of moves between labels and of first labels; what BIO forbids, no learning allows."""

    legal_moves: Tensor
    legal_starts: Tensor

    def __init__(self, labels: LabelSet) -> None:
        super().__init__()
        count = len(labels.labels)
        self.transitions = nn.Parameter(torch.zeros(count, count))
        self.start = nn.Parameter(torch.zeros(count))
        self.register_buffer("legal_moves", torch.tensor(labels.legal_moves()), persistent=False)
        self.register_buffer("legal_starts", torch.tensor(labels.legal_starts()), persistent=False)

    def masked_transitions(self) -> Tensor:
        """(K, K) score of label j after label i; -inf where BIO forbids it."""
        return self.transitions.masked_fill(~self.legal_moves, -torch.inf)

    def masked_start(self) -> Tensor:
        """(K,) score of label j on the first piece; -inf where BIO forbids it."""
        return self.start.masked_fill(~self.legal_starts, -torch.inf)

    def forward(self, emissions: Tensor, tags: Tensor, mask: Tensor | None) -> Tensor:
        """(B,) negative log-likelihood in nats; arguments as in `crf_nll`."""
        return crf_nll(emissions, tags, mask, self.masked_transitions(), self.masked_start())


def crf_nll(
    emissions: Tensor, tags: Tensor, mask: Tensor | None, transitions: Tensor, start: Tensor | None = None
) -> Tensor:
    """Negative log-likelihood of each row under a linear-chain CRF, in nats.

    emissions    (B, T, K) float   unnormalised label scores
    tags         (B, T)    int64   gold label ids; any value under padding
    mask         (B, T)    bool    True on real pieces, which are a prefix of each row; None when nothing is padded
    transitions  (K, K)    float   score of label j after label i; -inf where BIO forbids it
    start        (K,)      float   score of label j on the first piece; None for zeros
    returns      (B,)      float   +inf for a gold sequence that the mask forbids

    Scores in half precision are summed up in float32; float64 stays what it is.
    """
    emissions = emissions if emissions.dtype == torch.float64 else emissions.float()
    start = emissions.new_zeros(emissions.shape[2]) if start is None else start
    log_partition: Tensor = _LogPartition.apply(emissions, mask, transitions, start)  # type: ignore[no-untyped-call]
    return log_partition - _gold_score(emissions, tags, mask, transitions, start)


def _gold_score(emissions: Tensor, tags: Tensor, mask: Tensor | None, transitions: Tensor, start: Tensor) -> Tensor:
    """(B,) unnormalised score of the gold labels."""
    if mask is not None:
        tags = tags.masked_fill(~mask, 0)
    unary = emissions.gather(2, tags[:, :, None])[:, :, 0]  # (B, T)
    move = transitions[tags[:, :-1], tags[:, 1:]]  # (B, T-1)
    if mask is not None:
        unary, move = unary.masked_fill(~mask, 0.0), move.masked_fill(~mask[:, 1:], 0.0)
    return start[tags[:, 0]] + unary.sum(1) + move.sum(1)


class _LogPartition(torch.autograd.Function):
    """log Z of each row; its gradient is the marginals, from one forward and one backward sweep run side by side.

    Both sweeps carry vectors scaled to sum 1, in float64: exp() of a 700-nat gap between scores is still a number
    there, where float32 would flush it to zero after 87 and take the row's only legal path with it.
    """

    @staticmethod
    def forward(ctx: Any, emissions: Tensor, mask: Tensor | None, transitions: Tensor, start: Tensor) -> Tensor:
        """emissions (B, T, K), mask (B, T) bool | None, transitions (K, K), start (K,) -> (B,), typed as emissions."""
        scores = emissions.detach().double().transpose(0, 1).contiguous()  # (T, B, K)
        peak = scores.amax(2, keepdim=True)  # (T, B, 1)
        weight = (scores - peak).exp_()
        move_peak = transitions.detach().double().amax()
        move = (transitions.detach().double() - move_peak).exp_()
        first = start.detach().double().exp()
        real = None if mask is None else mask.t()[:, :, None]  # (T, B, 1)
        ahead, ahead_scale, behind = _sweep(weight, move, first, real)
        log_scale = ahead_scale.log() + peak
        log_scale[1:] += move_peak
        if real is not None:
            log_scale = log_scale.masked_fill(~real, 0.0)
        ctx.save_for_backward(weight, move, ahead, ahead_scale, behind, mask)
        ctx.dtypes = (emissions.dtype, transitions.dtype, start.dtype)
        return log_scale.sum(0)[:, 0].to(emissions.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, Tensor, Tensor]:
        """The marginals of labels and moves, each row weighted by its share of the loss."""
        weight, move, ahead, ahead_scale, behind, mask = ctx.saved_tensors
        share = gradients[0].double()[None, :, None]  # (1, B, 1)
        joint = ahead * behind  # (T, B, K)
        norm = joint.sum(2, keepdim=True)
        unary = joint * (share / norm)
        arriving = weight[1:] * behind[1:] * (share / (norm[1:] * ahead_scale[1:]))
        if mask is not None:
            real = mask.t()[:, :, None]
            unary, arriving = unary.masked_fill(~real, 0.0), arriving.masked_fill(~real[1:], 0.0)
        pairs = move * (ahead[:-1].flatten(0, 1).t() @ arriving.flatten(0, 1))  # (K, K)
        found = (unary.transpose(0, 1), pairs, unary[0].sum(0))
        emissions, transitions, start = (part.to(dtype) for part, dtype in zip(found, ctx.dtypes, strict=True))
        return emissions, None, transitions, start


def _sweep(weight: Tensor, move: Tensor, first: Tensor, real: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Scaled forward vectors, their scales, and scaled backward vectors.

    weight   (T, B, K)  exp of emissions, largest 1
    move     (K, K)     exp of transitions; first (K,) exp of start
    real     (T, B, 1)  bool, or None when nothing is padded; past a row's end both vectors stand still
    returns  ahead (T, B, K) sum 1, ahead_scale (T, B, 1), behind (T, B, K)
    """
    pieces, rows, _ = weight.shape
    ahead, behind = torch.empty_like(weight), torch.empty_like(weight)
    scale = weight.new_ones(pieces, rows, 1)
    both_moves = torch.stack((move, move.t()))
    state = torch.stack((first * weight[0], torch.ones_like(weight[0])))  # (2, B, K): ahead and behind
    scale[0] = state[0].sum(1, keepdim=True)
    state[0] /= scale[0]
    ahead[0], behind[-1] = state
    for step in range(1, pieces):
        mirror = pieces - step
        carried = torch.stack((state[0], state[1] * weight[mirror]))
        moved = torch.bmm(carried, both_moves)
        moved[0] *= weight[step]
        total = moved.sum(2, keepdim=True)
        moved /= total
        if real is not None:
            moved[0] = torch.where(real[step], moved[0], state[0])
            moved[1] = torch.where(real[mirror], moved[1], state[1])
        scale[step] = total[0]
        state = moved
        ahead[step], behind[mirror - 1] = state
    return ahead, scale, behind
