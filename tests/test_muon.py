"""Muon moves matrices as torch's own does, to within the rounding of that one's iterations."""

from __future__ import annotations

import pytest
import torch

from mw_pipeline.model.muon import Muon, orthogonalised

SHAPES = [(8, 8), (6, 40), (40, 6)]
TORCHS = {"lr": 0.1, "weight_decay": 0.1, "adjust_lr_fn": "match_rms_adamw"}


def coefficients() -> tuple[float, float, float]:
    found: tuple[float, float, float] = Muon([torch.nn.Parameter(torch.ones(2, 2))]).defaults["ns_coefficients"]
    return found


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("nesterov", [True, False])
def test_some_steps_lead_where_those_of_torch_do(shape, nesterov):
    torch.manual_seed(3)
    start, gradients = torch.randn(shape), [torch.randn(shape) for _ in range(4)]

    def moved(kind: type[torch.optim.Muon]) -> tuple[torch.Tensor, torch.Tensor]:
        matrix = torch.nn.Parameter(start.clone())
        muon = kind([matrix], nesterov=nesterov, **TORCHS)
        for gradient in gradients:
            matrix.grad = gradient.clone()
            muon.step()
        return matrix.detach(), muon.state[matrix]["momentum_buffer"]

    (ours, momentum), (theirs, their_momentum) = moved(Muon), moved(torch.optim.Muon)
    assert torch.equal(momentum, their_momentum)
    assert (ours - theirs).norm() < 0.03 * (theirs - start).norm()  # bf16 has three digits
    assert not torch.equal(ours, theirs)


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_orthogonalised_has_singular_values_about_1_and_the_same_directions(shape):
    torch.manual_seed(4)
    matrix = torch.randn(shape, dtype=torch.float64)

    found = orthogonalised(matrix, coefficients(), steps=5, eps=1e-7)

    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    turned = left.T @ found @ right.T
    assert ((turned.diagonal() > 0.6) & (turned.diagonal() < 1.3)).all()
    assert (turned - turned.diagonal().diag()).abs().max() < 1e-9
    assert found.dtype == torch.float64


def test_a_matrix_without_a_gradient_stays_and_nothing_is_kept_of_it():
    matrix = torch.nn.Parameter(torch.ones(2, 3))
    muon = Muon([matrix], **TORCHS)

    muon.step()

    assert torch.equal(matrix.detach(), torch.ones(2, 3)) and not muon.state[matrix]
