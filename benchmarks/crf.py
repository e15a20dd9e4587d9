"""The CRF against pytorch-crf and a plain log-space loop: forward and backward on 128 rows × 64 pieces × 21 labels.

Run as `python benchmarks/crf.py`; it needs the `[bench]` extra. The three take turns in one process, so that whatever
else the machine does falls on all of them; what counts is the ratio of their medians.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torchcrf import CRF

from mw_pipeline.model.crf import crf_nll

ROWS, PIECES, LABELS = 128, 64, 21
ROUNDS = 31
WARM_ROUNDS = 3
THREADS = 2

Nll = Callable[[Tensor], Tensor]


def contenders(mask: Tensor, tags: Tensor) -> dict[str, tuple[Nll, list[Tensor]]]:
    """Name → its mean negative log-likelihood of emissions (B, T, K), and its own parameters; all have equal values."""
    torch.manual_seed(0)
    peer = CRF(LABELS, batch_first=True)
    torch.nn.init.zeros_(peer.end_transitions)
    peer.end_transitions.requires_grad_(False)
    own = [peer.transitions.detach().clone().requires_grad_(), peer.start_transitions.detach().clone().requires_grad_()]
    loop = [parameter.detach().clone().requires_grad_() for parameter in own]
    return {
        "own": (lambda emissions: crf_nll(emissions, tags, mask, *own).mean(), own),
        "pytorch-crf": (
            lambda emissions: -peer(emissions, tags, mask=mask, reduction="mean"),
            [peer.transitions, peer.start_transitions],
        ),
        "loop": (lambda emissions: loop_nll(emissions, tags, mask, *loop).mean(), loop),
    }


def loop_nll(emissions: Tensor, tags: Tensor, mask: Tensor, transitions: Tensor, start: Tensor) -> Tensor:
    """(B,) the textbook recursion in log space, differentiated by autograd step for step."""
    ahead = start + emissions[:, 0]
    gold = start[tags[:, 0]] + emissions[:, 0].gather(1, tags[:, :1])[:, 0]
    for t in range(1, emissions.shape[1]):
        onward = torch.logsumexp(ahead[:, :, None] + transitions, dim=1) + emissions[:, t]
        ahead = torch.where(mask[:, t, None], onward, ahead)
        step = transitions[tags[:, t - 1], tags[:, t]] + emissions[:, t].gather(1, tags[:, t : t + 1])[:, 0]
        gold = gold + torch.where(mask[:, t], step, 0.0)
    return ahead.logsumexp(1) - gold


def kept_bytes(nll: Nll, emissions: Tensor) -> int:
    """Bytes that the forward pass keeps for the backward pass, each storage counted once."""
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        value = nll(emissions)
    assert bool(value.isfinite())
    return sum(kept.values())


def measure() -> None:
    """Prints one line for each contender: median milliseconds, ratio to our own, bytes kept, and how far it is off."""
    torch.set_num_threads(THREADS)
    generator = torch.Generator().manual_seed(1)
    emissions = torch.randn(ROWS, PIECES, LABELS, generator=generator).requires_grad_()
    tags = torch.randint(0, LABELS, (ROWS, PIECES), generator=generator)
    lengths = torch.randint(PIECES // 2, PIECES + 1, (ROWS,), generator=generator)
    lengths[0] = PIECES
    mask = torch.arange(PIECES) < lengths[:, None]
    named = contenders(mask, tags)
    seconds: dict[str, list[float]] = {name: [] for name in named}
    results: dict[str, list[Tensor]] = {}
    for number in range(WARM_ROUNDS + ROUNDS):
        for name, (nll, parameters) in named.items():
            begun = time.perf_counter()
            value = nll(emissions)
            gradients = torch.autograd.grad(value, [emissions, *parameters])
            if number >= WARM_ROUNDS:
                seconds[name].append(time.perf_counter() - begun)
            results[name] = [value.detach(), *gradients]
    middle = {name: 1000 * statistics.median(found) for name, found in seconds.items()}
    for name, (nll, _) in named.items():
        off = max(float((a - b).abs().max()) for a, b in zip(results[name], results["own"], strict=True))
        print(
            f"{name:12} {middle[name]:6.1f} ms forward + backward  {middle[name] / middle['own']:5.2f} × own  "
            f"{kept_bytes(nll, emissions) / 1e6:6.1f} MB kept  differs by at most {off:.1e}"
        )


if __name__ == "__main__":
    measure()
