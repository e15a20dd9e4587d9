"""A checkpoint's encoder as ONNX: exported, quantised to int8 weights, and compared with the checkpoint.

Why torch's exporter and not a graph written by hand: the encoder stays the one description of the network, so a change
to it exports itself; what the exporter gets wrong, `compare` sees before anything is packaged (M53).

Why int8 with scales that were measured once, and not onnxruntime's dynamic quantisation: that one scales activations
by the largest value in the whole batch, so an address would be answered differently in other company. With fixed scales
the products are sums of whole numbers, the same everywhere, and take half the time of float32.

Why not its static quantisation: it keeps weights to eight bits, of which two products overflow the sixteen that
processors without VNNI sum them in, so that a package would answer differently there; or to seven, for which the scales
below need a step 0.7 times as wide; and it takes ranges from the extremes, or from texts of one length alone.

Shape letters: B rows, T pieces, K labels.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mw_pipeline.decode import Ids, Moves, word_viterbi
from mw_pipeline.errors import ArtifactError
from mw_pipeline.model.encoder import PLACES_IN_WORD
from mw_pipeline.parse import LogitsOf, PieceBatch, ReadTexts
from mw_pipeline.tokenizer import Tokenizer

OPSET = 20
_COMPARED_ROWS = 64
# Of how many pieces the extremes are answered for; the range of the others would make every step coarser.
_PIECES_IN_RANGE = 0.999
_make_node = onnx.helper.make_node
Feed = dict[str, Ids]
"""`input_ids` and `attention_mask`, (B, T) int64 each."""
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


def quantise(source: Path, target: Path, *, calibration: Iterable[Feed]) -> None:
    """Writes the model with int8 products: one scale per output channel of a matrix, one per row of an embedding, and
    one for what a matrix is multiplied with, over the range that it has in the calibration feeds."""
    model = onnx.load(source)
    floats = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer if len(t.dims) == 2}
    products = {
        node.output[0]: node for node in model.graph.node if node.op_type == "MatMul" and node.input[1] in floats
    }
    ranges = _ranges(model, [node.input[0] for node in products.values()], calibration)
    stored: dict[str, NDArray[np.generic]] = {}
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        if node.output[0] in products:
            nodes += _int8_product(node, floats[node.input[1]], ranges[node.input[0]], stored)
        elif node.op_type == "Gather" and len(floats.get(node.input[0], ())) > PLACES_IN_WORD:
            nodes += _int8_gather(node, floats[node.input[0]], stored)
        else:
            nodes.append(node)
    kept = [tensor for tensor in model.graph.initializer if f"{tensor.name}.int8" not in stored]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    del model.graph.initializer[:]
    model.graph.initializer.extend([*kept, *(onnx.numpy_helper.from_array(v, name) for name, v in stored.items())])
    _save(model, target)


def _ranges(
    model: onnx.ModelProto, names: Sequence[str], calibration: Iterable[Feed]
) -> dict[str, tuple[float, float]]:
    """The lowest and highest value of activations, and 0 between them, but for the rarest pieces.

    Of three digits: the last bits of float32 differ from processor to processor, and the bytes that ship should not.
    Raises ArtifactError when the feeds hold nothing."""
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    watched.graph.output.extend(onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, None) for n in names)
    session = ort.InferenceSession(watched.SerializeToString(), providers=["CPUExecutionProvider"])
    seen = [[(value.min(axis=-1), value.max(axis=-1)) for value in session.run(names, feed)] for feed in calibration]
    if not seen:
        raise ArtifactError("the texts to calibrate on hold no piece. Give texts of the training split.")
    found = {}
    for name, ends in zip(names, zip(*seen, strict=True), strict=True):
        low, high = (np.concatenate([end.ravel() for end in side]) for side in zip(*ends, strict=True))
        lowest, highest = np.quantile(low, 1 - _PIECES_IN_RANGE), np.quantile(high, _PIECES_IN_RANGE)
        found[name] = (min(0.0, float(f"{lowest:.2e}")), max(0.0, float(f"{highest:.2e}")))
    return found


def _int8_product(
    node: onnx.NodeProto,
    matrix: NDArray[np.float32],
    span: tuple[float, float],
    stored: dict[str, NDArray[np.generic]],
) -> list[onnx.NodeProto]:
    """A product of whole numbers, in the form in which onnxruntime knows one: both sides rounded, and taken back."""
    (left, right), out = node.input, node.output[0]
    scale = np.float32((span[1] - span[0]) / 255 or 1.0)  # what is always 0 has any scale
    stored[f"{left}.scale"] = np.array(scale)
    stored[f"{left}.zero"] = np.array(np.rint(-span[0] / scale), np.uint8)
    stored[f"{right}.int8"], stored[f"{right}.scale"] = _int8_columns(matrix)
    of_left = [f"{left}.scale", f"{left}.zero"]
    return [
        _make_node("QuantizeLinear", [left, *of_left], [f"{out}.left.uint8"]),
        _make_node("DequantizeLinear", [f"{out}.left.uint8", *of_left], [f"{out}.left"]),
        _make_node("DequantizeLinear", [f"{right}.int8", f"{right}.scale"], [f"{out}.right"], axis=1),
        _make_node("MatMul", [f"{out}.left", f"{out}.right"], [out]),
    ]


def _int8_columns(matrix: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """A matrix (rows, columns) as int8, and a scale per column under which no two products of a pair can overflow.

    Processors without VNNI add the products of rows 0 and 1, of 2 and 3, … in sixteen bits and cut off what is above:
    with uint8 on the other side, the two must not exceed 128 together. Rounding may add half to each."""
    size = np.abs(matrix)
    scale = np.add.reduceat(size, np.arange(0, len(size), 2), axis=0).max(axis=0) / np.float32(127)
    scale = np.where(scale == 0, np.float32(1), scale)
    return np.rint(matrix / scale).astype(np.int8), scale


def _int8_gather(
    node: onnx.NodeProto, table: NDArray[np.float32], stored: dict[str, NDArray[np.generic]]
) -> list[onnx.NodeProto]:
    """An embedding look-up that fetches int8 rows and their scales, so that the float table never exists."""
    (name, ids), out = node.input, node.output[0]
    scale = np.abs(table).max(axis=1, keepdims=True) / np.float32(127)
    stored[f"{name}.scale"] = scale = np.where(scale == 0, np.float32(1), scale)
    stored[f"{name}.int8"] = np.rint(table / scale).astype(np.int8)
    return [
        _make_node("Gather", [f"{name}.int8", ids], [f"{out}.int8"]),
        _make_node("Gather", [f"{name}.scale", ids], [f"{out}.scale"]),
        _make_node("Cast", [f"{out}.int8"], [f"{out}.whole"], to=onnx.TensorProto.FLOAT),
        _make_node("Mul", [f"{out}.whole", f"{out}.scale"], [out]),
    ]


def calibration_feeds(tokenizer: Tokenizer, texts: Sequence[str], max_length: int) -> Iterator[Feed]:
    """Texts as what the network is fed, in batches of one size: padding is nothing that it will answer."""
    read = ReadTexts.of(tokenizer, texts, max_length)
    sizes = np.stack((read.words, np.diff(read.pieces.offsets)), axis=1)
    for size in np.unique(sizes[read.words > 0], axis=0):
        batch = PieceBatch.of(read, np.flatnonzero((sizes == size).all(axis=1)))
        yield {"input_ids": batch.input_ids, "attention_mask": batch.mask.astype(np.int64)}


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
    moves: Moves,
) -> Agreement:
    """Runs both over the texts and decodes both.

    Raises ArtifactError when the texts hold no piece to compare, or one side answers with NaN or infinity."""
    count, equal, largest = 0, 0, 0.0
    read = ReadTexts.of(tokenizer, texts, max_length)
    for rows in read.batches(_COMPARED_ROWS):
        batch = PieceBatch.of(read, rows)
        both = [logits_of(batch.input_ids, batch.mask.astype(np.int64)) for logits_of in (reference, other)]
        if not all(np.isfinite(logits[batch.mask]).all() for logits in both):
            raise ArtifactError(
                f"logits of {texts[rows[0]]!r:.80} or its neighbours are NaN or infinite. Use an earlier checkpoint."
            )
        labels = [word_viterbi(logits, batch.mask, batch.kinds, moves) for logits in both]
        count += int(batch.mask.sum())
        equal += int(((labels[0] == labels[1]) & batch.mask).sum())
        largest = max(largest, float(np.abs(both[0] - both[1])[batch.mask].max()))
    if count == 0:
        raise ArtifactError(f"the {len(texts)} texts to compare on hold no piece. Give texts of the validation split.")
    return Agreement(len(texts), count, largest, equal / count)
