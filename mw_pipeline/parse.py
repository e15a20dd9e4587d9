"""The parser: text in, spans and components out. Needs onnxruntime, sentencepiece and numpy, nothing of training.

Shape letters: B rows, T pieces, K labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from mw_pipeline.decode import (
    Floats,
    Ids,
    LabelSpan,
    Mask,
    Posterior,
    Span,
    best_paths,
    components_of,
    constrained_viterbi,
    hard_mask,
    label_spans,
    trim,
)
from mw_pipeline.digest import JSON
from mw_pipeline.errors import ArtifactError
from mw_pipeline.labels import LabelSet
from mw_pipeline.package_files import PackageFiles
from mw_pipeline.tokenizer import Pieces, Tokenizer

LogitsOf: TypeAlias = Callable[[Ids, Ids], NDArray[np.float32]]
"""(input_ids (B, T) int64, attention_mask (B, T) int64) -> logits (B, T, K) float32."""

_Found: TypeAlias = dict[int, tuple[Span, ...]]

# Twice the longest piece (16 code points): what lies beyond cannot be among the first max_length pieces.
_CODE_POINTS_PER_PIECE = 32
# A batch ends where its longest row would make its shortest pay for more padding than this share.
_MAX_PADDING_SHARE = 0.25


@dataclass(frozen=True)
class ParsedAddress:
    """What was found in one text, spans from left to right. `truncated`: the text was longer than what was read."""

    raw: str
    spans: tuple[Span, ...]
    components: dict[str, str]
    truncated: bool

    def as_json(self) -> JSON:
        """A prediction row (`raw`, `components`) with the spans behind it."""
        spans = [{**asdict(span), "confidence": round(span.confidence, 6)} for span in self.spans]
        return {"raw": self.raw, "components": self.components, "spans": spans, "truncated": self.truncated}


@dataclass(frozen=True)
class Candidate:
    """One reading of a text; `probability` sums over the examined label sequences that give these spans."""

    parsed: ParsedAddress
    probability: float


class Parser:
    """Parses texts with any source of logits: the packaged model, or a checkpoint while it is trained and measured.

    An address is answered the same alone and in company: neither batching nor padding changes a label."""

    def __init__(
        self,
        *,
        tokenizer: Tokenizer,
        labels: LabelSet,
        logits_of: LogitsOf,
        max_length: int,
        transitions: Floats | None = None,
        starts: Floats | None = None,
        threads: int = 1,
    ) -> None:
        """transitions (K, K) and starts (K,) are added to the BIO mask; `threads` batches are worked on at a time."""
        blank_transitions, blank_starts = hard_mask(labels)
        self.tokenizer = tokenizer
        self.labels = labels
        self.max_length = max_length
        self.threads = threads
        self._logits_of = logits_of
        self._transitions = blank_transitions if transitions is None else transitions + blank_transitions
        self._starts = blank_starts if starts is None else starts + blank_starts

    @classmethod
    def load(cls, path: Path, *, threads: int = 2) -> Parser:
        """The parser of a package folder. Raises ArtifactError unless bytes and label hash are as sealed (M32)."""
        files = PackageFiles.read(path)
        return cls(
            tokenizer=files.tokenizer(),
            labels=files.labels,
            logits_of=onnx_logits(files.model_path, label_count=len(files.labels)),
            max_length=files.max_length,
            transitions=files.transitions,
            starts=files.starts,
            threads=threads,
        )

    def parse(self, text: str) -> ParsedAddress:
        """The one best reading of one text. Raises TypeError for anything that is no str."""
        return self.parse_many([text])[0]

    def parse_many(self, texts: Sequence[str], *, batch_size: int = 64) -> list[ParsedAddress]:
        """The best reading of every text, in order. Any str is answered, however long, empty or broken."""
        pieces, truncated = self._encode(texts)

        def answer(rows: Ids) -> _Found:
            batch = PieceBatch.of(pieces, rows, self.max_length)
            logits = self._logits_of(batch.input_ids, batch.mask.astype(np.int64))
            labels = constrained_viterbi(logits, batch.mask, self._transitions, self._starts)
            posterior = Posterior.of(logits, batch.mask, self._transitions, self._starts)
            found = self._spans(batch, labels, posterior, [texts[row] for row in rows])
            return {int(rows[index]): spans for index, spans in found.items()}

        spans_of: _Found = {}
        for found in self._map(answer, list(batches_of(np.diff(pieces.offsets), self.max_length, batch_size))):
            spans_of |= found
        spans = [spans_of.get(row, ()) for row in range(len(texts))]
        return [ParsedAddress(t, s, components_of(s), cut) for t, s, cut in zip(texts, spans, truncated, strict=True)]

    def candidates(self, text: str, count: int) -> list[Candidate]:
        """Up to `count` different readings of one text, most probable first.

        Label sequences that differ only outside the trimmed spans are one reading: four times `count` are examined."""
        pieces, truncated = self._encode([text])
        if len(pieces.ids) == 0:
            return [Candidate(ParsedAddress(text, (), {}, truncated[0]), 1.0)]
        batch = PieceBatch.of(pieces, np.zeros(1, dtype=np.int64), self.max_length)
        logits = self._logits_of(batch.input_ids, batch.mask.astype(np.int64))
        posterior = Posterior.of(logits, batch.mask, self._transitions, self._starts)
        paths, scores = best_paths(logits[0], self._transitions, self._starts, 4 * count)
        found: dict[tuple[tuple[str, int, int], ...], Candidate] = {}
        for path, log_probability in zip(paths, scores - posterior.log_total[0], strict=True):
            spans = self._spans(batch, path[None, :], posterior, [text]).get(0, ())
            reading = tuple((span.tag, span.start, span.end) for span in spans)
            known = found.get(reading)
            parsed = known.parsed if known else ParsedAddress(text, spans, components_of(spans), truncated[0])
            probability = min(1.0, (known.probability if known else 0.0) + float(np.exp(log_probability)))
            found[reading] = Candidate(parsed, probability)
        return sorted(found.values(), key=lambda candidate: -candidate.probability)[:count]

    def _map(self, answer: Callable[[Ids], _Found], batches: list[Ids]) -> Iterator[_Found]:
        """The answer to each batch. onnxruntime runs without the interpreter's lock: one decodes while another runs."""
        if self.threads == 1 or len(batches) == 1:
            yield from map(answer, batches)
            return
        with ThreadPoolExecutor(self.threads) as pool:
            yield from pool.map(answer, batches)

    def _encode(self, texts: Sequence[str]) -> tuple[Pieces, list[bool]]:
        """Pieces of every text, and whether a text is longer than what will be read of it."""
        limit = self.max_length * _CODE_POINTS_PER_PIECE
        pieces = self.tokenizer.encode([text[:limit] for text in checked_texts(texts)])
        long = np.diff(pieces.offsets) > self.max_length
        return pieces, [bool(cut) or len(text) > limit for cut, text in zip(long, texts, strict=True)]

    def _spans(self, batch: PieceBatch, labels: Ids, posterior: Posterior, texts: list[str]) -> _Found:
        """Index within the batch → its spans, for every row that has any."""
        found = label_spans(labels, batch.mask)
        confidences = posterior.of_spans(labels, batch.mask, found).tolist()
        by_row: dict[int, list[Span]] = {}
        for label_span, confidence in zip(found, confidences, strict=True):
            start, end = batch.code_points(label_span)
            kept = trim(texts[label_span.row], start, end)
            if kept is not None:
                value = texts[label_span.row][kept[0] : kept[1]]
                span = Span(self.labels.tags[label_span.tag], value, *kept, confidence)
                by_row.setdefault(label_span.row, []).append(span)
        return {row: tuple(spans) for row, spans in by_row.items()}


@dataclass(frozen=True)
class PieceBatch:
    """Rows of similar length, padded with piece 0: ids, mask and code-point ranges, (B, T) each."""

    input_ids: Ids
    mask: Mask
    starts: Ids
    ends: Ids

    @classmethod
    def of(cls, pieces: Pieces, rows: Ids, max_length: int) -> PieceBatch:
        """The first `max_length` pieces of some rows."""
        lengths = np.minimum(np.diff(pieces.offsets)[rows], max_length)
        columns = np.arange(lengths.max())
        mask = columns < lengths[:, None]
        where = np.where(mask, pieces.offsets[rows][:, None] + columns, 0)
        ids, starts, ends = (
            np.where(mask, flat[where], 0).astype(np.int64) for flat in (pieces.ids, pieces.starts, pieces.ends)
        )
        return cls(ids, mask, starts, ends)

    def code_points(self, span: LabelSpan) -> tuple[int, int]:
        """The code-point range of a span of pieces."""
        return int(self.starts[span.row, span.first_piece]), int(self.ends[span.row, span.end_piece - 1])


def batches_of(lengths: NDArray[np.int64], max_length: int, batch_size: int) -> Iterator[Ids]:
    """Row numbers in batches of similar length, shortest first; rows without pieces are in none."""
    capped = np.minimum(lengths, max_length)
    order = np.argsort(capped, kind="stable")
    order = order[capped[order] > 0]
    first = 0
    while first < len(order):
        limit = max(capped[order[first]] / (1 - _MAX_PADDING_SHARE), capped[order[first]] + 1)
        end = min(first + batch_size, int(np.searchsorted(capped[order], limit, side="right")))
        yield order[first:end]
        first = end


def checked_texts(texts: Sequence[str]) -> Sequence[str]:
    """The texts themselves. Raises TypeError naming the first that is no str."""
    if isinstance(texts, str | bytes):
        raise TypeError(f"texts is one {type(texts).__name__}, expected a sequence of str. Call parse for one text.")
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(
                f"text {index} is {text!r:.80} of type {type(text).__name__}, expected str. "
                "Decode bytes and leave missing values out before parsing."
            )
    return texts


def onnx_logits(path: Path, *, label_count: int) -> LogitsOf:
    """The model of a package as a function. Raises ArtifactError when onnxruntime refuses it or its labels differ."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1  # two batches side by side beat one batch on two threads by a third
    options.log_severity_level = 3
    try:
        session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own exceptions share no base below Exception
        raise ArtifactError(f"{path}: onnxruntime cannot load it ({error}). Fetch the package again.") from None
    found = (sorted(i.name for i in session.get_inputs()), [o.name for o in session.get_outputs()])
    shape = session.get_outputs()[0].shape
    if found != (["attention_mask", "input_ids"], ["logits"]) or shape[-1] != label_count:
        raise ArtifactError(
            f"{path}: has inputs {found[0]} and outputs {found[1]} of shape {shape}, expected input_ids and "
            f"attention_mask to logits [batch, sequence, {label_count}]. Package the checkpoint again."
        )

    def logits_of(input_ids: Ids, attention_mask: Ids) -> NDArray[np.float32]:
        feeds = {"input_ids": input_ids, "attention_mask": attention_mask}
        logits: NDArray[np.float32] = session.run(["logits"], feeds)[0]
        return logits

    return logits_of
