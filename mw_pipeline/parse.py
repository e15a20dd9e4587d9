"""The parser: text in, spans and components out. Needs onnxruntime, sentencepiece and numpy, nothing of training.

Shape letters: B rows, T pieces, S words, K labels, R texts, N pieces of all texts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from mw_pipeline.client.utf16 import utf16_offsets
from mw_pipeline.decode import (
    Floats,
    Ids,
    Mask,
    Moves,
    Posterior,
    Span,
    Words,
    best_paths,
    components_of,
    hard_mask,
    label_spans,
    most_probable_path,
    trim,
)
from mw_pipeline.digest import JSON
from mw_pipeline.errors import ArtifactError
from mw_pipeline.labels import LabelSet
from mw_pipeline.parser_files import ParserFiles
from mw_pipeline.tokenizer import PAD_ID, Pieces, Tokenizer
from mw_pipeline.words import Characters, PieceKinds

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
        """A prediction row (`raw`, `components`) with the spans behind it; offsets in code points and UTF-16."""
        units = utf16_offsets(self.raw, [offset for span in self.spans for offset in (span.start, span.end)])
        spans = [
            {
                "tag": span.tag,
                "value": span.value,
                "start": span.start,
                "end": span.end,
                "start_utf16": start,
                "end_utf16": end,
                "confidence": round(span.confidence, 6),
            }
            for span, start, end in zip(self.spans, units[::2], units[1::2], strict=True)
        ]
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
        ends: Floats | None = None,
        threads: int = 1,
    ) -> None:
        """transitions (K, K) and starts (K,) are added to the BIO mask, ends (K,) to the scores of the last piece.

        `threads` batches are worked on at a time."""
        blank_transitions, blank_starts = hard_mask(labels)
        self.tokenizer = tokenizer
        self.labels = labels
        self.max_length = max_length
        self.threads = threads
        self._logits_of = logits_of
        self._moves = Moves.of(
            blank_transitions if transitions is None else transitions + blank_transitions,
            blank_starts if starts is None else starts + blank_starts,
        )
        self._ends = ends if ends is not None and ends.any() else None

    @classmethod
    def load(cls, path: Path, *, threads: int = 2) -> Parser:
        """The parser of a package folder. Raises ArtifactError unless bytes and label hash are as sealed (M32)."""
        files = ParserFiles.read(path)
        return cls(
            tokenizer=files.tokenizer(),
            labels=files.labels,
            logits_of=onnx_logits(files.model_path, label_count=len(files.labels)),
            max_length=files.max_length,
            transitions=files.transitions,
            starts=files.starts,
            ends=files.ends,
            threads=threads,
        )

    def parse(self, text: str) -> ParsedAddress:
        """The one best reading of one text. Raises TypeError for anything that is no str."""
        return self.parse_many([text])[0]

    def parse_many(self, texts: Sequence[str], *, batch_size: int = 64) -> list[ParsedAddress]:
        """The best reading of every text, in order. Any str is answered, however long, empty or broken."""
        read = ReadTexts.of(self.tokenizer, texts, self.max_length)

        def answer(rows: Ids) -> _Found:
            batch, words = self._scored(read, rows)
            posterior = Posterior.of(words, self._moves)
            return self._spans(read, batch, most_probable_path(posterior), posterior)

        spans_of: _Found = {}
        for found in self._map(answer, list(read.batches(batch_size))):
            spans_of |= found
        spans = [spans_of.get(row, ()) for row in range(len(texts))]
        parsed = zip(texts, spans, read.truncated, strict=True)
        return [ParsedAddress(text, found, components_of(found), cut) for text, found, cut in parsed]

    def candidates(self, text: str, count: int) -> list[Candidate]:
        """Up to `count` different readings of one text, most probable first.

        Label sequences that differ only outside the trimmed spans are one reading: four times `count` are examined."""
        read = ReadTexts.of(self.tokenizer, [text], self.max_length)
        (truncated,) = read.truncated
        if len(read.pieces.ids) == 0:
            return [Candidate(ParsedAddress(text, (), {}, truncated), 1.0)]
        batch, words = self._scored(read, np.zeros(1, dtype=np.int64))
        posterior = Posterior.of(words, self._moves)
        paths, scores = best_paths(words, self._moves, 4 * count)
        found: dict[tuple[tuple[str, int, int], ...], Candidate] = {}
        for path, log_probability in zip(paths, scores - posterior.log_total[0], strict=True):
            spans = self._spans(read, batch, path[None, :], posterior).get(0, ())
            reading = tuple((span.tag, span.start, span.end) for span in spans)
            known = found.get(reading)
            parsed = known.parsed if known else ParsedAddress(text, spans, components_of(spans), truncated)
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

    def _scored(self, read: ReadTexts, rows: Ids) -> tuple[PieceBatch, Words]:
        """Some of the texts as a batch, and the network's scores of their words."""
        batch = PieceBatch.of(read, rows)
        logits: Floats = self._logits_of(batch.input_ids, batch.mask.astype(np.int64))
        if self._ends is not None:
            logits = logits.astype(np.float64)
            logits[np.arange(len(rows)), batch.mask.sum(axis=1) - 1] += self._ends
        return batch, Words.of(logits, batch.mask, batch.kinds, self._moves)

    def _spans(self, read: ReadTexts, batch: PieceBatch, labels: Ids, posterior: Posterior) -> _Found:
        """Number of a text → its spans, for every text of the batch that has any; labels (B, S) are of words."""
        words, pieces = posterior.words, read.pieces
        found = label_spans(labels, words.mask)
        confidences = posterior.of_spans(labels, found)
        rows = batch.rows[found.rows]
        begin = pieces.offsets[rows]
        starts = pieces.starts[begin + words.firsts[found.rows, found.firsts]]
        ends = pieces.ends[begin + words.lasts[found.rows, found.ends - 1]]
        columns = (rows.tolist(), found.tags.tolist(), starts.tolist(), ends.tolist(), confidences.tolist())
        tags, by_row = self.labels.tags, defaultdict[int, list[Span]](list)
        for row, tag, start, end, confidence in zip(*columns, strict=True):
            text = read.texts[row]
            if kept := trim(text, start, end):
                start, end = kept
                by_row[row].append(Span(tags[tag], text[start:end], start, end, confidence))
        return {row: tuple(spans) for row, spans in by_row.items()}


@dataclass(frozen=True)
class ReadTexts:
    """R texts as the network reads them: at most `max_length` pieces of each, and what these are to its words.

    texts       R        what was given
    tokenizer            what cut them
    pieces      N        their first pieces
    kinds       (N,)     INSIDE, BEGINS, BARRED or UNREAD, by mw_pipeline.words
    truncated   R        whether a text is longer than what is read of it
    """

    texts: Sequence[str]
    tokenizer: Tokenizer
    pieces: Pieces
    kinds: PieceKinds
    truncated: list[bool]

    @classmethod
    def of(cls, tokenizer: Tokenizer, texts: Sequence[str], max_length: int) -> ReadTexts:
        """Raises TypeError naming the first that is no str."""
        limit = max_length * _CODE_POINTS_PER_PIECE
        near = [text[:limit] for text in checked_texts(texts)]
        pieces = tokenizer.encode(near)
        truncated = [
            cut or len(text) > limit for cut, text in zip((pieces.lengths > max_length).tolist(), texts, strict=True)
        ]
        pieces = pieces.head(max_length)
        kinds = Characters(near).piece_kinds(pieces.starts, pieces.ends, pieces.offsets)
        return cls(texts, tokenizer, pieces, kinds, truncated)

    @cached_property
    def words(self) -> Ids:
        """(R,) words of each, as many as the network makes of its pieces."""
        return self.tokenizer.words_of(self.pieces)

    def batches(self, batch_size: int) -> Iterator[Ids]:
        """Numbers of texts in batches of about as many words, fewest first; texts without pieces are in none."""
        lengths = self.pieces.lengths
        if len(lengths) == 1:  # nobody asks how many words a lone text has
            return iter([np.flatnonzero(lengths)] if lengths[0] else [])
        return batches_of(self.words, lengths, batch_size)


@dataclass(frozen=True)
class PieceBatch:
    """Rows of similar length, padded with piece 0: ids, mask and kinds (B, T) of their pieces.

    `rows` (B,) are the numbers of their texts."""

    rows: Ids
    input_ids: Ids
    mask: Mask
    kinds: PieceKinds

    @classmethod
    def of(cls, read: ReadTexts, rows: Ids) -> PieceBatch:
        """Some of the texts that were read."""
        pieces = read.pieces
        lengths = pieces.lengths[rows]
        columns = np.arange(lengths.max())
        mask = columns < lengths[:, None]
        where = np.minimum(pieces.offsets[rows][:, None] + columns, len(pieces.ids) - 1)
        ids: Ids = np.where(mask, pieces.ids[where], np.int64(PAD_ID))
        return cls(rows, ids, mask, read.kinds[where])


def batches_of(words: Ids, lengths: Ids, batch_size: int) -> Iterator[Ids]:
    """Row numbers in batches of about as many words, and then pieces, fewest first; rows without words are in none."""
    order = np.lexsort((lengths, words))
    order = order[words[order] > 0]
    rising = words[order]
    first = 0
    while first < len(order):
        limit = max(rising[first] / (1 - _MAX_PADDING_SHARE), rising[first] + 1)
        end = min(first + batch_size, int(np.searchsorted(rising, limit, side="right")))
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
