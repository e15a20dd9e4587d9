"""The tagger's network: a small transformer encoder over pieces, one row of label logits for each piece.

Shape letters: B rows, T pieces, K labels, C width, H heads, D = C / H.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from mw_pipeline.dataset.batches import Batch
from mw_pipeline.recipe import ModelConfig
from mw_pipeline.tokenizer import PAD_ID

ROTARY_BASE = 10_000.0
MASKED_SCORE = -1e4  # finite, so that a row of padding alone stays a number; far below any real attention score


class Encoder(nn.Module):
    """Pre-norm transformer with rotary positions; no learned position table, so no length is out of range.

    Attention is two plain batched matmuls: at a dozen pieces a row they are about three times faster on a CPU than
    `scaled_dot_product_attention`. Dropout acts on the embeddings only.
    """

    def __init__(self, config: ModelConfig, vocab_size: int, label_count: int) -> None:
        super().__init__()
        self.head_width = config.width // config.heads
        self.embedding = nn.Embedding(vocab_size, config.width, padding_idx=PAD_ID)
        self.dropout = nn.Dropout(config.dropout)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        self.head = nn.Linear(config.width, label_count)
        self._initialise(config.layers)

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Label logits of every piece.

        input_ids       (B, T)     int64         piece ids; PAD_ID under padding
        attention_mask  (B, T)     bool | int64  true on real pieces; None: nothing is padded
        returns         (B, T, K)  float         unspecified under padding
        """
        hidden = self.dropout(self.embedding(input_ids))  # (B, T, C)
        rotation = rotary_angles(input_ids.shape[1], self.head_width, like=hidden)
        bias = None if attention_mask is None else attention_bias(attention_mask, like=hidden)
        for layer in self.layers:
            hidden = layer(hidden, rotation, bias)
        return self.head(self.norm(hidden))  # type: ignore[no-any-return]

    def _initialise(self, layers: int) -> None:
        """Normal(0, 0.02) everywhere; projections back into the residual stream are shrunk by sqrt(2 layers)."""
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                residual = name.endswith(("attention.output.weight", "contract.weight"))
                nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * layers) if residual else 0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)
        nn.init.normal_(self.embedding.weight, std=1.0 / math.sqrt(self.embedding.embedding_dim))
        with torch.no_grad():
            self.embedding.weight[PAD_ID].zero_()


class Layer(nn.Module):
    """x + attention(norm(x)), then x + feed_forward(norm(x))."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(config.width)
        self.attention = Attention(config.width, config.heads)
        self.feed_forward_norm = nn.LayerNorm(config.width)
        self.expand = nn.Linear(config.width, config.feed_forward)
        self.contract = nn.Linear(config.feed_forward, config.width)

    def forward(self, hidden: Tensor, rotation: tuple[Tensor, Tensor], bias: Tensor | None) -> Tensor:
        """hidden (B, T, C) -> (B, T, C)."""
        hidden = hidden + self.attention(self.attention_norm(hidden), rotation, bias)
        expanded = nn.functional.gelu(self.expand(self.feed_forward_norm(hidden)))
        return hidden + self.contract(expanded)  # type: ignore[no-any-return]


class Attention(nn.Module):
    """Multi-head self-attention with rotary positions on queries and keys."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.head_width = width // heads
        self.query_key_value = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)

    def forward(self, hidden: Tensor, rotation: tuple[Tensor, Tensor], bias: Tensor | None) -> Tensor:
        """hidden (B, T, C) -> (B, T, C); bias (B, 1, 1, T) is added to the scores of every query."""
        rows, pieces, width = hidden.shape
        projected = self.query_key_value(hidden).view(rows, pieces, 3 * self.heads, self.head_width)
        query, key = rotate(projected[:, :, : 2 * self.heads], rotation).transpose(1, 2).chunk(2, dim=1)  # (B, H, T, D)
        value = projected[:, :, 2 * self.heads :].transpose(1, 2)
        scores = torch.matmul(query, key.transpose(2, 3)) * self.head_width**-0.5  # (B, H, T, T)
        if bias is not None:
            scores = scores + bias
        mixed = torch.matmul(scores.softmax(dim=-1), value)  # (B, H, T, D)
        return self.output(mixed.transpose(1, 2).reshape(rows, pieces, width))  # type: ignore[no-any-return]


def rotary_angles(pieces: int, head_width: int, *, like: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines and signed sines, (T, 1, D) each, of position × frequency (Su et al. 2021, the half-split layout)."""
    half = torch.arange(head_width // 2, device=like.device, dtype=torch.float32)
    frequencies = torch.exp(half * (-2.0 * math.log(ROTARY_BASE) / head_width))
    angles = torch.arange(pieces, device=like.device, dtype=torch.float32)[:, None, None] * frequencies
    cosine, sine = angles.cos(), angles.sin()
    return torch.cat((cosine, cosine), dim=-1), torch.cat((-sine, sine), dim=-1)


def rotate(heads: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Each pair (d, d + D/2) of heads (B, T, any, D) turned by its position's angle; the scores see distances only."""
    cosine, sine = (part.to(heads.dtype) for part in rotation)
    first, second = heads.chunk(2, dim=-1)
    return heads * cosine + torch.cat((second, first), dim=-1) * sine


def attention_bias(attention_mask: Tensor, *, like: Tensor) -> Tensor:
    """(B, T) true on real pieces -> (B, 1, 1, T) float: 0 on real pieces, MASKED_SCORE on padding."""
    return (1.0 - attention_mask.to(like.dtype))[:, None, None, :] * MASKED_SCORE


def tensors_of(batch: Batch, device: torch.device) -> tuple[Tensor, Tensor, Tensor | None]:
    """Ids, labels and mask of a batch on a device; the mask is None when nothing is padded, which saves its work."""
    mask = None if batch.attention_mask.all() else torch.from_numpy(batch.attention_mask).to(device)
    return torch.from_numpy(batch.input_ids).to(device), torch.from_numpy(batch.labels).to(device), mask
