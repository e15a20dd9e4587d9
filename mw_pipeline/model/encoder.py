"""The tagger's network: a small transformer encoder over words, one row of label logits for each of their pieces.

Pieces are added up to words before the layers and each takes its word's vector after them. An address has half as many
words as pieces, and what the layers cost goes with the number of positions (docs/parse.md).

Shape letters: B rows, T pieces, W words, K labels, C width, H heads, D = C / H, V vocabulary.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mw_pipeline.dataset.batches import Batch
from mw_pipeline.recipe import ModelConfig
from mw_pipeline.tokenizer import PAD_ID
from mw_pipeline.words import PieceJoints

ROTARY_BASE = 10_000.0
PLACES_IN_WORD = 4  # first, second and third piece, and any later one
MASKED_SCORE = -1e4  # finite, so that a row of padding alone stays a number; far below any real attention score


class Encoder(nn.Module):
    """Pre-norm transformer with rotary positions; no learned position table, so no length is out of range.

    Attention is two plain batched matmuls: at a dozen positions a row they are about three times faster on a CPU than
    `scaled_dot_product_attention`. Scores have the queries last, for a CPU takes a softmax of so few numbers three
    times faster across memory than along it. Dropout acts on the embeddings only. What begins a word is told by piece
    ids alone, from buffers that are kept with the weights, so that a package needs no input but them.
    """

    leads: Tensor
    joins: Tensor
    open: Tensor

    def __init__(self, config: ModelConfig, vocab_size: int, label_count: int) -> None:
        """Every piece is a word of its own until `know_words` says otherwise."""
        super().__init__()
        self.heads, self.head_width = config.heads, config.width // config.heads
        self.register_buffer("leads", torch.ones(vocab_size, dtype=torch.bool))
        self.register_buffer("joins", torch.zeros(vocab_size, dtype=torch.bool))
        self.register_buffer("open", torch.zeros(vocab_size, dtype=torch.bool))
        self.embedding = nn.Embedding(vocab_size, config.width, padding_idx=PAD_ID)
        self.piece_scale = nn.Parameter(torch.empty(PLACES_IN_WORD, config.width))
        self.piece_shift = nn.Parameter(torch.zeros(PLACES_IN_WORD, config.width))
        self.dropout = nn.Dropout(config.dropout)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        self.head = nn.Linear(config.width, label_count)
        self._initialise(config.layers)

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None, words: int | None = None) -> Tensor:
        """Label logits of every piece.

        input_ids       (B, T)     int64         piece ids; PAD_ID under padding
        attention_mask  (B, T)     bool | int64  true on real pieces; None: nothing is padded
        words                      W, at least those of any row; None: it is counted, and a GPU waited for
        returns         (B, T, K)  float         unspecified under padding
        """
        begins = self.word_begins(input_ids)
        return self.logits_of(self.vectors_of(input_ids, begins), begins, attention_mask, words)

    def vectors_of(self, input_ids: Tensor, begins: Tensor) -> Tensor:
        """(B, T, C) of ids (B, T): each piece scaled and shifted by its place in a word, by `word_begins` (B, T)."""
        place = place_in_word(begins)
        looked_up: Tensor = self.embedding(input_ids)
        return looked_up * rows_of(self.piece_scale, place) + rows_of(self.piece_shift, place)

    def logits_of(self, pieces: Tensor, begins: Tensor, attention_mask: Tensor | None, words: int | None) -> Tensor:
        """(B, T, K) of pieces (B, T, C) as `vectors_of` makes them; other arguments as in `forward`."""
        member = membership(begins, attention_mask, words).to(pieces.dtype)  # (B, W, T)
        hidden = self.dropout(torch.matmul(member, pieces).to(pieces.dtype))  # (B, W, C)
        # Each is laid out once for all queries and keys: in a package, short runs of numbers are repeated slowly.
        rotation = rotary_angles(member.shape[1], self.head_width, heads=2 * self.heads, like=hidden)
        bias = attention_bias(member.amax(2), like=hidden).expand(-1, -1, -1, member.shape[1])
        for layer in self.layers:
            hidden = layer(hidden, rotation, bias)
        hidden = torch.matmul(member.transpose(1, 2), hidden) + pieces
        return self.head(self.norm(hidden))  # type: ignore[no-any-return]

    def know_words(self, joints: PieceJoints) -> None:
        """Takes what pieces say of words from a tokenizer of V pieces."""
        for mine, known in ((self.leads, joints.leads), (self.joins, joints.joins), (self.open, joints.open)):
            mine.copy_(torch.from_numpy(known))

    def word_begins(self, input_ids: Tensor) -> Tensor:
        """(B, T) bool, true for the first piece of each word, from ids (B, T) int64."""
        urge = 2 * self.leads.long() + (self.joins & ~self.leads)  # one that joins gives way to an open word before it
        open_before = nn.functional.pad(self.open.long()[input_ids], (1, -1), value=-1)  # to nothing, at the front
        return urge[input_ids] > open_before

    def _initialise(self, layers: int) -> None:
        """Normal(0, 0.02) everywhere; projections back into the residual stream are shrunk by sqrt(2 layers)."""
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2 and not name.startswith("piece_"):
                residual = name.endswith(("attention.output.weight", "contract.weight"))
                nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * layers) if residual else 0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)
        nn.init.normal_(self.embedding.weight, std=1.0 / math.sqrt(self.embedding.embedding_dim))
        nn.init.normal_(self.piece_scale, mean=1.0, std=0.3)  # so that a sum tells the order of what was added up
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

    def forward(self, hidden: Tensor, rotation: tuple[Tensor, Tensor], bias: Tensor) -> Tensor:
        """hidden (B, W, C) -> (B, W, C)."""
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

    def forward(self, hidden: Tensor, rotation: tuple[Tensor, Tensor], bias: Tensor) -> Tensor:
        """hidden (B, W, C) -> (B, W, C); bias (B, 1, keys, queries), W each, is added to the scores of every head."""
        rows, words, width = hidden.shape
        projected = self.query_key_value(hidden).view(rows, words, 3 * self.heads, self.head_width)
        query_key, value = projected.split((2 * self.heads, self.heads), dim=2)
        query, key = rotate(query_key, rotation).transpose(1, 2).chunk(2, dim=1)  # (B, H, W, D)
        scores = torch.matmul(key, query.transpose(2, 3)) * self.head_width**-0.5 + bias  # (B, H, keys, queries)
        mixed = torch.matmul(scores.softmax(dim=2).transpose(2, 3), value.transpose(1, 2))  # (B, H, W, D)
        return self.output(mixed.transpose(1, 2).reshape(rows, words, width))  # type: ignore[no-any-return]


def rows_of(table: Tensor, rows: Tensor) -> Tensor:
    """(N, C) at (B, T) -> (B, T, C). Its gradient adds up in one order; that of `table[rows]` in any, on a CPU too."""
    return nn.functional.embedding(rows, table)


def place_in_word(begins: Tensor) -> Tensor:
    """(B, T) int64: 0 for the first piece of a word, 1 for the second, and the last place for all after it."""
    place = goes_on = (~begins).long()
    for _ in range(PLACES_IN_WORD - 2):
        place = goes_on * (1 + nn.functional.pad(place, (1, -1)))
    return place


def membership(begins: Tensor, attention_mask: Tensor | None, words: int | None) -> Tensor:
    """(B, W, T) bool: which pieces each word is made of; none in a word that only longer rows have."""
    word = begins.long().cumsum(1)
    count = word.max() if words is None else words
    numbers = torch.arange(1, count + 1, device=begins.device)  # type: ignore[arg-type]
    word = word if attention_mask is None else word * attention_mask
    return word[:, None, :] == numbers[None, :, None]


def rotary_angles(positions: int, head_width: int, *, heads: int = 1, like: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines and signed sines, (W, heads, D) each, of position × frequency (Su et al. 2021, the half-split layout)."""
    half = torch.arange(head_width // 2, device=like.device, dtype=torch.float32)
    frequencies = torch.exp(half * (-2.0 * math.log(ROTARY_BASE) / head_width))
    places = torch.arange(positions, device=like.device, dtype=torch.float32)[:, None, None]
    cosine = (places * torch.cat((frequencies, frequencies))).cos()
    sine = (places * torch.cat((-frequencies, frequencies))).sin()
    return cosine.expand(-1, heads, -1), sine.expand(-1, heads, -1)


def rotate(heads: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Each pair (d, d + D/2) of heads (B, W, any, D) turned by its position's angle; the scores see distances only."""
    cosine, sine = (part.to(heads.dtype) for part in rotation)
    first, second = heads.chunk(2, dim=-1)
    return heads * cosine + torch.cat((second, first), dim=-1) * sine


def attention_bias(there: Tensor, *, like: Tensor) -> Tensor:
    """(B, W) 1 on real words, else 0 -> (B, 1, W, 1) float: 0 on real words, MASKED_SCORE on the others."""
    return (1.0 - there.to(like.dtype))[:, None, :, None] * MASKED_SCORE


def tensors_of(batch: Batch, device: torch.device) -> tuple[Tensor, Tensor, Tensor | None]:
    """Ids, labels and mask of a batch on a device; the mask is None when nothing is padded, which saves its work."""
    mask = None if batch.attention_mask.all() else _copied(batch.attention_mask, device)
    return _copied(batch.input_ids, device), _copied(batch.labels, device), mask


def _copied(array: NDArray[np.int64] | NDArray[np.bool_], device: torch.device) -> Tensor:
    """The array on a device. A GPU fetches it from pinned memory when it gets there, and nobody waits for that."""
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)
