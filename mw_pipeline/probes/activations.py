"""What every stage of the network puts out on the same rows: the trace of a checkpoint.

Shape letters: N pieces of a token set, D width of a stage.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mw_pipeline.dataset.batches import Batch, fixed_batches
from mw_pipeline.digest import JSON
from mw_pipeline.errors import CorpusError
from mw_pipeline.model.encoder import Encoder, Layer, tensors_of
from mw_pipeline.model.precision import multiplying_in
from mw_pipeline.probes.subject import Subject
from mw_pipeline.probes.traces import TOKEN_SETS, StageTrace, Stats, TokenSet, Trace, compare, outliers_of
from mw_pipeline.recipe import Precision

ROWS = 64


@dataclass(frozen=True)
class Tap:
    """Where a stage is read: what a module puts out, or, with `reads_input`, what goes into it.

    `inputs` names the stages that it is made of; a stage without any is made of the piece ids. What a stage `of_words`
    puts out for a word stands for each of its pieces."""

    name: str
    module: nn.Module
    inputs: tuple[str, ...]
    reads_input: bool = False
    layer: int | None = None
    of_words: bool = False


def taps_of(encoder: Encoder) -> list[Tap]:
    """The stages of an encoder, each after its inputs."""
    taps = [Tap("embedding", encoder.embedding, ()), Tap("words", encoder.dropout, ("embedding",), of_words=True)]
    hidden = "words"
    for number, layer in enumerate(encoder.layers):
        assert isinstance(layer, Layer)
        taps += _layer_taps(number, layer, hidden)
        hidden = f"layers.{number}.out"
    return [*taps, Tap("norm", encoder.norm, (hidden, "embedding")), Tap("logits", encoder.head, ("norm",))]


def _layer_taps(number: int, layer: Layer, hidden: str) -> list[Tap]:
    def tap(name: str, module: nn.Module, *inputs: str, reads_input: bool = False) -> Tap:
        sources = tuple(source if source == hidden else f"layers.{number}.{source}" for source in inputs)
        return Tap(f"layers.{number}.{name}", module, sources, reads_input, number, of_words=True)

    return [
        tap("attention_norm", layer.attention_norm, hidden),
        tap("query_key_value", layer.attention.query_key_value, "attention_norm"),
        tap("mixed_values", layer.attention.output, "query_key_value", reads_input=True),
        tap("attention_output", layer.attention.output, "mixed_values"),
        tap("after_attention", layer.feed_forward_norm, hidden, "attention_output", reads_input=True),
        tap("feed_forward_norm", layer.feed_forward_norm, "after_attention"),
        tap("expand", layer.expand, "feed_forward_norm"),
        tap("gelu", layer.contract, "expand", reads_input=True),
        tap("contract", layer.contract, "gelu"),
        tap("out", layer, "after_attention", "contract"),
    ]


def probe_activations(
    subject: Subject, mine: Trace, reference: Trace | None, *, tokens: str = "all"
) -> dict[str, JSON]:
    """A checkpoint's `trace`, and its `comparison` with a reference; without one the `outliers` in it.

    Raises ArtifactError for a reference of other pieces or another shape (M59)."""
    return {
        "probe": "activations",
        "checkpoint": subject.facts,
        "tokens": tokens,
        "trace": mine.as_json(),
        "outliers": [] if reference else outliers_of(mine, tokens=tokens),
        "comparison": None if reference is None else compare(mine, reference, tokens=tokens),
    }


def trace_of(subject: Subject, *, name: str = "", rows: int = ROWS, precision: Precision = "fp32") -> Trace:
    """The trace of a checkpoint on `rows` validation rows, evenly spaced over the split; `name` says whose it is.

    Raises CorpusError when the split has none."""
    batches = fixed_batches(subject.split("validation"), rows, batch_size=rows)
    if not batches:
        raise CorpusError(f"{subject.dataset_path}: has no validation rows to trace. Name a dataset that has some.")
    return trace(subject.checkpoint.tagger.encoder, batches[0], precision=precision, name=name)


def trace(encoder: Encoder, batch: Batch, *, precision: Precision = "fp32", name: str = "") -> Trace:
    """The trace of an encoder in evaluation mode on one batch, by token set; `name` says whose it is."""
    ids, _, mask = tensors_of(batch, next(encoder.parameters()).device)
    taps = taps_of(encoder)
    half = multiplying_in(precision, ids.device)
    with torch.inference_mode(), half, _recording(taps) as seen:
        encoder(ids, mask)
    chosen = token_masks(batch.attention_mask)
    word = encoder.word_begins(ids).long().cumsum(1) - 1  # (B, T)

    def of_pieces(tap: Tap) -> NDArray[np.float32]:
        values = seen[tap.name].float()
        if tap.of_words:
            values = values.gather(1, word.clamp(max=values.shape[1] - 1)[:, :, None].expand(-1, -1, values.shape[2]))
        found: NDArray[np.float32] = values.cpu().numpy()
        return found

    stages = tuple(
        StageTrace(
            name=tap.name,
            layer=tap.layer,
            inputs=tap.inputs,
            width=seen[tap.name].shape[-1],
            stats={tokens: stats_of(of_pieces(tap)[chosen[tokens]]) for tokens in TOKEN_SETS},
        )
        for tap in taps
    )
    return Trace(
        name, precision, {tokens: _token_set(batch.input_ids, chosen[tokens]) for tokens in TOKEN_SETS}, stages
    )


def token_masks(mask: NDArray[np.bool_]) -> dict[str, NDArray[np.bool_]]:
    """Token set → (B, T): all pieces that are no padding, the first of each row, and the rest."""
    first = np.zeros_like(mask)
    first[:, 0] = mask[:, 0]
    return {"all": mask, "first": first, "rest": mask & ~first}


def stats_of(values: NDArray[np.float32]) -> Stats:
    """Numbers over (N, D); mean, std (n − 1), min and max are those of the finite ones, None where there are none."""
    flat = values.astype(np.float64).ravel()
    finite = flat[np.isfinite(flat)]
    return Stats(
        n=flat.size,
        mean=float(finite.mean()) if finite.size else None,
        std=float(finite.std(ddof=1)) if finite.size > 1 else None,
        min=float(finite.min()) if finite.size else None,
        max=float(finite.max()) if finite.size else None,
        nan=int(np.isnan(flat).sum()),
        inf=int(np.isinf(flat).sum()),
        zero=int((flat == 0).sum()),
    )


@contextmanager
def _recording(taps: Sequence[Tap]) -> Iterator[Mapping[str, Tensor]]:
    """Stage → what it put out, filled while the encoder runs."""
    seen: dict[str, Tensor] = {}

    def keep_input(name: str) -> object:
        return lambda module, args: seen.__setitem__(name, args[0].detach())

    def keep_output(name: str) -> object:
        return lambda module, args, output: seen.__setitem__(name, output.detach())

    handles = [
        tap.module.register_forward_pre_hook(keep_input(tap.name))  # type: ignore[arg-type]
        if tap.reads_input
        else tap.module.register_forward_hook(keep_output(tap.name))  # type: ignore[arg-type]
        for tap in taps
    ]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _token_set(ids: NDArray[np.int64], chosen: NDArray[np.bool_]) -> TokenSet:
    """The ids of a set, row by row: what two traces must have in common."""
    digest = hashlib.sha256(chosen.sum(axis=1).astype("<i8").tobytes())
    digest.update(ids[chosen].astype("<i8").tobytes())
    return TokenSet(count=int(chosen.sum()), digest=digest.hexdigest())
