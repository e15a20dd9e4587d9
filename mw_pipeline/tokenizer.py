"""SentencePiece unigram pieces with code-point ranges: training, loading and encoding. Needs sentencepiece and numpy.

Shape letters: R rows, N pieces of all rows together, V pieces in the vocabulary.
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import sentencepiece as spm
from numpy.typing import NDArray

from mw_pipeline.errors import ArtifactError, RecipeError
from mw_pipeline.piece_dropout import without_pieces
from mw_pipeline.words import PieceJoints

if TYPE_CHECKING:
    from mw_pipeline.recipe import TokenizerConfig

PAD_ID = 0
UNK_ID = 1
SPACE_MARK = "\u2581"
MODEL_NAME = "tokenizer.model"
META_NAME = "META.json"
LACKING_MODELS = 32
"""So many models without some of their pieces cut training rows, and a process keeps them all."""

_NEVER_ADDS_UP = 1 << 32
# Of UTF-8; from the second on, most letters are Han, kana or Hangul.
_FIRST_LEAD_BYTE, _FIRST_UNSPACED_BYTE = 0xC2, 0xE3
_SURROGATE = re.compile("[\ud800-\udfff]")
# The trainer reads one sentence per line, ends strings at NUL, and reserves U+2581 and U+2585 for itself.
_NOT_FOR_TRAINING = re.compile("[\x00-\x1f\u2581\u2585\ud800-\udfff]")
_SIZE_LIMIT = re.compile(r"set it to a value <= (\d+)")
_SIZE_FLOOR = re.compile(r"smaller than required_chars\. \d+ vs (\d+)")


@dataclass(frozen=True)
class Pieces:
    """Pieces of R texts, flat: row r is `offsets[r]:offsets[r + 1]`.

    ids      (N,)    int32   piece ids
    offsets  (R+1,)  int64   row boundaries
    starts   (N,)    int32   first code point of the piece in its own text, leading spaces left out
    ends     (N,)    int32   one past its last code point

    Ranges of one row never overlap and never go back. A piece without content (a lone space, or a continuation byte of
    a character that fell back to UTF-8 bytes) has starts == ends; the lead byte owns the whole character.
    """

    ids: NDArray[np.int32]
    offsets: NDArray[np.int64]
    starts: NDArray[np.int32]
    ends: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """(R,) pieces of every row."""
        return self.offsets[1:] - self.offsets[:-1]

    @property
    def row_of(self) -> NDArray[np.int64]:
        """(N,) the row of every piece."""
        return np.repeat(np.arange(len(self), dtype=np.int64), self.lengths)

    def head(self, count: int) -> Pieces:
        """The first `count` pieces of every text, or all that it has."""
        lengths = self.lengths
        if lengths.max(initial=0) <= count:
            return self
        kept = np.arange(len(self.ids)) - np.repeat(self.offsets[:-1], lengths) < count
        offsets = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(np.minimum(lengths, count))])
        return Pieces(self.ids[kept], offsets, self.starts[kept], self.ends[kept])

    def taken(self, rows: NDArray[np.int64]) -> Pieces:
        """Those of the texts with these numbers (K,), in that order."""
        lengths = self.lengths[rows]
        offsets = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths)])
        at = np.arange(offsets[-1]) + np.repeat(self.offsets[rows] - offsets[:-1], lengths)
        return Pieces(self.ids[at], offsets, self.starts[at], self.ends[at])

    @classmethod
    def joined(cls, parts: Sequence[Pieces]) -> Pieces:
        """The pieces of all texts of all parts, one behind the other."""
        ids, starts, ends, lengths = (
            np.concatenate([getattr(part, name) for part in parts]) for name in ("ids", "starts", "ends", "lengths")
        )
        return cls(ids, np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths)]), starts, ends)


class Tokenizer:
    """A trained SentencePiece model. Encoding is a pure function of the text; ids are `0 pad, 1 unk, 2.. pieces`."""

    pad_id = PAD_ID

    def __init__(self, path: Path) -> None:
        """Raises ArtifactError when the file is missing, is no SentencePiece model, or has other pad or unk ids."""
        self.path = Path(path)
        try:
            self._model_bytes = self.path.read_bytes()
        except OSError as error:
            raise ArtifactError(
                f"{self.path}: no tokenizer model can be read here ({error.strerror}). "
                f"Point at the {MODEL_NAME} of a tokenizer artifact or a package."
            ) from None
        self._model = _loaded(self._model_bytes, self.path)
        if (self._model.pad_id(), self._model.unk_id()) != (PAD_ID, UNK_ID):
            raise ArtifactError(
                f"{self.path}: pad id {self._model.pad_id()} and unk id {self._model.unk_id()}, expected 0 and 1. "
                "Train the tokenizer with train_tokenizer."
            )
        self._lengths, self._leading, self._dummy = _piece_table(self._model)

    def __len__(self) -> int:
        return self.vocab_size

    @property
    def vocab_size(self) -> int:
        """V, padding and unknown included."""
        return int(self._model.get_piece_size())

    @cached_property
    def sha256(self) -> str:
        """SHA-256 (hex) of the model file: checkpoints and datasets carry it."""
        return hashlib.sha256(self._model_bytes).hexdigest()

    def piece(self, piece_id: int) -> str:
        """The text of one piece, `▁` for a space and `<0xNN>` for a byte."""
        return str(self._model.id_to_piece(int(piece_id)))

    @cached_property
    def joints(self) -> PieceJoints:
        """What each piece says of words by itself; a character that fell back to bytes counts by its first byte."""
        return PieceJoints.of([self._readable(piece_id) for piece_id in range(self.vocab_size)])

    def words_of(self, pieces: Pieces) -> NDArray[np.int64]:
        """(R,) words of each text that these are the pieces of, as `joints` tells them."""
        begun = np.concatenate([[0], np.cumsum(self.joints.begins(pieces.ids, pieces.offsets))])
        return np.diff(begun[pieces.offsets])

    def _readable(self, piece_id: int) -> str:
        """A text that stands for a piece where only kinds of characters matter."""
        if piece_id <= UNK_ID or self._model.is_control(piece_id):
            return ""
        piece = self.piece(piece_id)
        if not self._model.is_byte(piece_id):
            return piece.replace(SPACE_MARK, " ")
        byte = int(piece[3:5], 16)
        return "" if byte < _FIRST_LEAD_BYTE else "a" if byte < _FIRST_UNSPACED_BYTE else "\u4e00"

    def decode(self, ids: Sequence[int]) -> str:
        """The text of the ids; equal to what was encoded, but for U+2581, which comes back as a space."""
        return str(self._model.decode([int(i) for i in ids]))

    def encode(self, texts: Sequence[str]) -> Pieces:
        """Pieces of every text, with code-point ranges into that text. Lone surrogates count as U+FFFD."""
        return self._cut(self._model, texts)

    def encode_without(self, texts: Sequence[str], dropped_share: float, *, seed: int) -> Pieces:
        """Pieces of every text as the model cuts it that lacks this share of its pieces of two characters or more,
        drawn by `seed`. Ids are those of the whole model."""
        return self._cut(_lacking(self._model_bytes, dropped_share, seed, self.path), texts)

    def _cut(self, model: spm.SentencePieceProcessor, texts: Sequence[str]) -> Pieces:
        readable = list(texts)
        try:
            encoded = [text.encode() for text in readable]
        except UnicodeEncodeError:
            readable = [_SURROGATE.sub("\ufffd", text) for text in texts]
            encoded = [text.encode() for text in readable]
        if len(encoded) == 1:  # a list is handed to a thread, which is started for it and takes longer than the text
            rows = [model.encode(encoded[0], return_type="numpy")]
        else:
            rows = model.encode(encoded, return_type="numpy", num_threads=1)
        offsets = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum([len(row) for row in rows], out=offsets[1:])
        ids = np.concatenate(rows) if rows else np.empty(0, dtype=np.int32)
        starts, ends, totals = self._ranges(ids, offsets)
        lengths = np.fromiter(map(len, readable), dtype=np.int64, count=len(readable))
        for row in np.flatnonzero(totals != lengths):
            piece = slice(offsets[row], offsets[row + 1])
            starts[piece], ends[piece] = self._ranges_by_alignment(model, readable[row])
        return Pieces(ids=ids, offsets=offsets, starts=starts.astype(np.int32), ends=ends.astype(np.int32))

    def _ranges(
        self, ids: NDArray[np.int32], offsets: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Starts (N,), ends (N,) and code points covered per row (R,), from cumulative piece lengths."""
        counts, lengths = offsets[1:] - offsets[:-1], self._lengths[ids]
        cumulative = np.zeros(len(ids) + 1, dtype=np.int64)
        lengths.cumsum(out=cumulative[1:])
        base = cumulative[offsets[:-1]] + self._dummy
        ends = cumulative[1:] - base.repeat(counts)
        starts = ends - lengths + self._leading[ids]
        totals = cumulative[offsets[1:]] - base
        return starts, ends, np.where(counts == 0, 0, totals)

    def _ranges_by_alignment(
        self, model: spm.SentencePieceProcessor, text: str
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Ranges of one text as SentencePiece aligns them: slow, and right where a model rewrites what it reads."""
        found = model.encode(text, return_type="offset_mapping")
        starts, ends = np.array(found["offsets"], dtype=np.int64).reshape(-1, 2).T
        for index, piece_id in enumerate(found["ids"]):
            if self._model.is_byte(piece_id):
                byte = int(self.piece(piece_id)[3:5], 16)
                starts[index] += 0x80 <= byte < 0xC0
                ends[index] = starts[index] + (byte < 0x80 or byte >= 0xC0)
            while starts[index] < ends[index] and text[starts[index]] in (" ", SPACE_MARK):
                starts[index] += 1
        return starts, ends


def train_tokenizer(texts: Iterable[str], config: TokenizerConfig, path: Path) -> dict[str, int | float | str]:
    """Trains a model on at most `config.sample_rows` texts, writes it to `path` and returns what META.json holds.

    META.json is written beside the model. One thread and a fixed order: the same texts give the same bytes. Raises
    RecipeError when the sample is empty or cannot carry `tokenizer.vocab_size`.
    """
    sample = [_NOT_FOR_TRAINING.sub(" ", text) for text in islice(texts, config.sample_rows)]
    model_bytes = _trained(sample, config)
    path.write_bytes(model_bytes)
    tokenizer = Tokenizer(path)
    pieces = tokenizer.encode(sample[:10_000])
    meta: dict[str, int | float | str] = {
        "algorithm": "sentencepiece unigram, byte fallback, identity normalisation",
        "sentencepiece_version": str(spm.__version__),
        "vocab_size": tokenizer.vocab_size,
        "sample_rows": len(sample),
        "character_coverage": config.character_coverage,
        "sample_seed": config.seed,
        "pad_id": PAD_ID,
        "unk_id": UNK_ID,
        "pieces_per_row": round(len(pieces.ids) / max(1, len(pieces)), 3),
        "sha256": tokenizer.sha256,
    }
    path.with_name(META_NAME).write_text(json.dumps(meta, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return meta


def tokenizer_round_trips(tokenizer: Tokenizer, texts: Sequence[str]) -> tuple[str, ...]:
    """Findings, empty when every text decodes to itself, has no unknown piece, and is covered by its ranges once."""
    checks: tuple[tuple[str, Callable[[str], bool]], ...] = (
        ("decodes to another text", lambda text: _decodes_to_itself(tokenizer, text)),
        ("has an unknown or padding piece", lambda text: _has_only_real_pieces(tokenizer, text)),
        ("has a character outside or twice inside its ranges", lambda text: _is_covered_once(tokenizer, text)),
    )
    findings = [] if texts else ["no text was given to round-trip: 0 rows prove nothing"]
    for what, holds in checks:
        failed = [text for text in texts if not holds(text)]
        if failed:
            findings.append(f"{len(failed)} of {len(texts)} texts: {what}, first {failed[0]!r}")
    return tuple(findings)


def _decodes_to_itself(tokenizer: Tokenizer, text: str) -> bool:
    expected = _SURROGATE.sub("\ufffd", text).replace(SPACE_MARK, " ")
    return tokenizer.decode(tokenizer.encode([text]).ids.tolist()) == expected


def _has_only_real_pieces(tokenizer: Tokenizer, text: str) -> bool:
    return bool((tokenizer.encode([text]).ids > UNK_ID).all())


def _is_covered_once(tokenizer: Tokenizer, text: str) -> bool:
    pieces = tokenizer.encode([text])
    covered = [0] * len(text)
    for start, end in zip(pieces.starts.tolist(), pieces.ends.tolist(), strict=True):
        for position in range(start, end):
            covered[position] += 1
    return all(times == 1 or (times == 0 and text[i] in (" ", SPACE_MARK)) for i, times in enumerate(covered))


def _loaded(model_bytes: bytes, path: Path) -> spm.SentencePieceProcessor:
    try:
        return spm.SentencePieceProcessor(model_proto=model_bytes)
    except RuntimeError:
        raise ArtifactError(
            f"{path}: {len(model_bytes)} bytes that are not a SentencePiece model. "
            f"Point at the {MODEL_NAME} of a tokenizer artifact or a package."
        ) from None


@functools.lru_cache(maxsize=LACKING_MODELS)
def _lacking(model_bytes: bytes, share: float, seed: int, path: Path) -> spm.SentencePieceProcessor:
    """The model of a file without a share of its pieces; loaded in some milliseconds, and kept for the next rows."""
    model = _loaded(model_bytes, path)
    special = (model.is_byte, model.is_control, model.is_unknown)
    droppable = [
        len(model.id_to_piece(piece_id)) > 1 and not any(is_special(piece_id) for is_special in special)
        for piece_id in range(model.get_piece_size())
    ]
    dropped = np.array(droppable) & (np.random.default_rng(seed).random(len(droppable)) < share)
    return _loaded(without_pieces(model_bytes, dropped), path)


def _piece_table(model: spm.SentencePieceProcessor) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Code points (V,) and leading spaces (V,) of every piece, and how many spaces the model puts before a text.

    A lead byte counts one code point and a continuation byte none. The unknown piece hides its length: it counts so
    much that no row with it can add up, which sends that row through `_ranges_by_alignment`.
    """
    size = model.get_piece_size()
    lengths = np.zeros(size, dtype=np.int64)
    leading = np.zeros(size, dtype=np.int64)
    for piece_id in range(size):
        piece = model.id_to_piece(piece_id)
        if model.is_byte(piece_id):
            byte = int(piece[3:5], 16)
            lengths[piece_id] = byte < 0x80 or byte >= 0xC0
        elif model.is_unknown(piece_id):
            lengths[piece_id] = _NEVER_ADDS_UP
        elif not model.is_control(piece_id):
            lengths[piece_id] = len(piece)
            leading[piece_id] = len(piece) - len(piece.lstrip(SPACE_MARK))
    probe = model.encode("a", return_type=str)
    return lengths, leading, int(probe[0].startswith(SPACE_MARK))


def _trained(sample: list[str], config: TokenizerConfig) -> bytes:
    if not any(sample):
        raise RecipeError(
            f"tokenizer.sample_rows: the sample holds {len(sample)} rows and no text, expected training rows. "
            "Build the corpus first, or check the weights of the mix."
        )
    model = io.BytesIO()
    try:
        spm.SentencePieceTrainer.train(
            sentence_iterator=iter(sample),
            model_writer=model,
            model_type="unigram",
            vocab_size=config.vocab_size,
            character_coverage=config.character_coverage,
            byte_fallback=True,
            normalization_rule_name="identity",
            remove_extra_whitespaces=False,
            pad_id=PAD_ID,
            unk_id=UNK_ID,
            bos_id=-1,
            eos_id=-1,
            num_threads=1,  # EM sums floats: two threads give another model
            minloglevel=2,
        )
    except RuntimeError as error:
        raise _size_error(config.vocab_size, len(sample), str(error)) from error
    return model.getvalue()


def _size_error(vocab_size: int, rows: int, message: str) -> RecipeError:
    """The trainer's own complaint in the words of the recipe."""
    if limit := _SIZE_LIMIT.search(message):
        bounds = f"at most {limit.group(1)}"
    elif floor := _SIZE_FLOOR.search(message):
        bounds = f"at least {floor.group(1)} (every kept character and byte needs a piece)"
    else:
        return RecipeError(f"tokenizer: training on {rows} rows failed: {message}. Check the sample's texts.")
    return RecipeError(
        f"tokenizer.vocab_size: {vocab_size} does not fit a sample of {rows} rows, expected {bounds}. "
        "Change vocab_size or sample_rows."
    )
