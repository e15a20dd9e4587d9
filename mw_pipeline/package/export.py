"""A checkpoint's encoder as ONNX: exported, quantised to int8 weights, and compared with the checkpoint.

Why torch's exporter and not a graph written by hand: the encoder stays the one description of the network, so a change
to it exports itself; what the exporter gets wrong, `compare` sees before anything is packaged (M53).

Why int8 weights with float32 arithmetic and not onnxruntime's dynamic quantisation: that one scales activations by the
largest value in the whole batch, so an address would be answered differently in other company (0.01 to 0.02 nats in the
logits of an untrained 128 × 3 model). Weights alone, with a scale per output channel, halve the error, give every row
the same answer everywhere and make the same small file; a wide model pays for it with up to half its speed.

Shape letters: B rows, T pieces, K labels.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mw_pipeline.decode import Floats, Ids, word_viterbi
from mw_pipeline.errors import ArtifactError
from mw_pipeline.parse import LogitsOf, PieceBatch, ReadTexts, batches_of
from mw_pipeline.tokenizer import Tokenizer

OPSET = 20
_COMPARED_ROWS = 64
_make_node = onnx.helper.make_node
_EXAMPLE_SHAPE = (2, 3)  # any shape above 1: the exporter takes a size of 1 for a constant


class _Contract(nn.Module):
    """The encoder behind the inputs that a package promises: both int64."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """input_ids, attention_mask (B, T) int64 -> logits (B, T, K) float32."""
        return self.encoder(input_ids, attention_mask)  # type: ignore[no-any-return]


def export_onnx(encoder: nn.Module, path: Path) -> None:
    """Writes the encoder as fp32 ONNX with free batch and sequence axes. Equal weights give equal bytes."""
    example = torch.ones(_EXAMPLE_SHAPE, dtype=torch.int64)
    axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("sequence")}
    with _exporter_warnings_silenced():
        program = torch.onnx.export(
            _Contract(encoder).eval(),
            (example, example.clone()),
            dynamo=True,
            verbose=False,
            opset_version=OPSET,
            input_names=["input_ids", "attention_mask"],
            output_names=["logits"],
            dynamic_shapes={"input_ids": axes, "attention_mask": axes},
        )
    assert program is not None  # None is the answer of the old exporter alone
    _save(program.model_proto, path)


@contextlib.contextmanager
def _exporter_warnings_silenced() -> Iterator[None]:
    """The exporter warns about torchvision, its own internals and its own names: nothing here can act on that."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _save(model: onnx.ModelProto, path: Path) -> None:
    """Writes a model without what the exporter notes down about this machine: stack traces and source paths."""
    for part in (model, model.graph, *model.graph.node, *model.graph.input, *model.graph.output):
        del part.metadata_props[:]
        part.ClearField("doc_string")
    for initializer in model.graph.initializer:
        del initializer.metadata_props[:]
    del model.graph.value_info[:]
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString(deterministic=True))


def quantise(source: Path, target: Path) -> None:
    """Writes the model with int8 weights: one scale per output channel of a matrix, one per row of an embedding."""
    model = onnx.load(source)
    floats = {tensor.name: tensor for tensor in model.graph.initializer if len(tensor.dims) == 2}
    quantised: dict[str, tuple[NDArray[np.int8], NDArray[np.float32]]] = {}
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        if node.op_type == "MatMul" and node.input[1] in floats:
            name = node.input[1]
            whole, scale = _int8(onnx.numpy_helper.to_array(floats[name]), over=0)
            if name not in quantised:
                nodes.append(_make_node("DequantizeLinear", [f"{name}.int8", f"{name}.scale"], [name], axis=1))
            quantised[name] = (whole, scale[0])
            nodes.append(node)
        elif node.op_type == "Gather" and node.input[0] in floats:
            quantised[node.input[0]] = _int8(onnx.numpy_helper.to_array(floats[node.input[0]]), over=1)
            nodes += _int8_gather(node)
        else:
            nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    for name, (whole, scale) in quantised.items():
        model.graph.initializer.remove(floats[name])
        model.graph.initializer.append(onnx.numpy_helper.from_array(whole, f"{name}.int8"))
        model.graph.initializer.append(onnx.numpy_helper.from_array(scale, f"{name}.scale"))
    _save(model, target)


def _int8_gather(node: onnx.NodeProto) -> list[onnx.NodeProto]:
    """An embedding look-up that fetches int8 rows and their scales, so that the float table never exists."""
    table, ids, out = node.input[0], node.input[1], node.output[0]
    return [
        _make_node("Gather", [f"{table}.int8", ids], [f"{out}.int8"]),
        _make_node("Gather", [f"{table}.scale", ids], [f"{out}.scale"]),
        _make_node("Cast", [f"{out}.int8"], [f"{out}.whole"], to=onnx.TensorProto.FLOAT),
        _make_node("Mul", [f"{out}.whole", f"{out}.scale"], [out]),
    ]


def _int8(weights: NDArray[np.float32], *, over: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Symmetric int8 of a matrix, and its scales with both axes kept: the peak along axis `over` becomes 127."""
    scale = np.abs(weights).max(axis=over, keepdims=True) / np.float32(127)
    scale = np.where(scale == 0, np.float32(1), scale)
    return np.rint(weights / scale).astype(np.int8), scale


def torch_logits(encoder: nn.Module) -> LogitsOf:
    """A torch encoder as a logits function for the parser."""

    def logits_of(input_ids: Ids, attention_mask: Ids) -> NDArray[np.float32]:
        with torch.inference_mode():
            logits: NDArray[np.float32] = encoder(torch.from_numpy(input_ids), torch.from_numpy(attention_mask)).numpy()
        return logits

    return logits_of


@dataclass(frozen=True)
class Agreement:
    """How near one source of logits is to another over the same texts.

    `max_logit_difference` is in nats; `label_agreement_share` is of decoded pieces."""

    texts: int
    pieces: int
    max_logit_difference: float
    label_agreement_share: float


def compare(
    reference: LogitsOf,
    other: LogitsOf,
    *,
    tokenizer: Tokenizer,
    texts: Sequence[str],
    max_length: int,
    transitions: Floats,
    starts: Floats,
) -> Agreement:
    """Runs both over the texts and decodes both.

    Raises ArtifactError when the texts hold no piece to compare, or one side answers with NaN or infinity."""
    count, equal, largest = 0, 0, 0.0
    read = ReadTexts.of(tokenizer, texts, max_length)
    for rows in batches_of(np.diff(read.pieces.offsets), _COMPARED_ROWS):
        batch = PieceBatch.of(read, rows)
        both = [logits_of(batch.input_ids, batch.mask.astype(np.int64)) for logits_of in (reference, other)]
        if not all(np.isfinite(logits[batch.mask]).all() for logits in both):
            raise ArtifactError(
                f"logits of {texts[rows[0]]!r:.80} or its neighbours are NaN or infinite. Use an earlier checkpoint."
            )
        labels = [word_viterbi(logits, batch.mask, batch.kinds, transitions, starts) for logits in both]
        count += int(batch.mask.sum())
        equal += int(((labels[0] == labels[1]) & batch.mask).sum())
        largest = max(largest, float(np.abs(both[0] - both[1])[batch.mask].max()))
    if count == 0:
        raise ArtifactError(f"the {len(texts)} texts to compare on hold no piece. Give texts of the validation split.")
    return Agreement(len(texts), count, largest, equal / count)
