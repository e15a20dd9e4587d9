"""A reading of one address, cut into what can be asked about: its spans, and the words that are read as nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mw_pipeline.dataset.batches import Batch
from mw_pipeline.dataset.labelling import Spans, Texts, labels_of
from mw_pipeline.errors import CorpusError
from mw_pipeline.model.checkpoint import Checkpoint
from mw_pipeline.model.losses import Extent, TaggingLoss
from mw_pipeline.parse import Parser
from mw_pipeline.teaching.last_layer import LastLayer, last_layer
from mw_pipeline.tokenizer import Pieces


@dataclass(frozen=True)
class Stretch:
    """A part of an address that is read as one thing; its tag is "" where it is read as nothing.

    pieces  (n,)  int64  its pieces"""

    tag: str
    value: str
    start: int
    end: int
    confidence: float | None
    pieces: NDArray[np.int64]


@dataclass(frozen=True)
class Reading:
    """What an address is read as, and the last layer of each checkpoint under the labels of that reading.

    truncated  whether the address is longer than what is read of it"""

    raw: str
    truncated: bool
    stretches: tuple[Stretch, ...]
    layers: Mapping[str, LastLayer]


def read_address(
    parser: Parser, raw: str, checkpoints: Mapping[str, Checkpoint], loss: TaggingLoss, window: Extent
) -> Reading:
    """The parser's reading of an address. Raises CorpusError for a text without a letter or digit, and for half of a
    surrogate pair, which no row of a corpus can hold."""
    if any("\ud800" <= character <= "\udfff" for character in raw):
        raise CorpusError(f"the address is {raw!r}, which is no text in UTF-8. Write it anew where it is broken.")
    texts, pieces = Texts([raw]), parser.tokenizer.encode([raw]).head(parser.max_length)
    parsed = parser.parse(raw)
    found = parsed.spans
    tags = [parser.labels.tags.index(span.tag) for span in found]
    spans = Spans(
        *(np.array(c, np.int64) for c in ([0] * len(found), tags, [s.start for s in found], [s.end for s in found]))
    )
    labels = labels_of(texts, pieces, spans)
    anchors = texts.anchors(pieces)
    read = [
        Stretch(
            s.tag,
            s.value,
            s.start,
            s.end,
            s.confidence,
            np.flatnonzero((labels > 0) & (s.start <= anchors) & (anchors < s.end)),
        )
        for s in found
    ]
    stretches = sorted([*read, *_unread(raw, pieces, labels)], key=lambda stretch: stretch.start)
    if not stretches:
        raise CorpusError(f"the address is {raw!r}, which has no letter or digit. Ask about a text that has.")
    ids = pieces.ids.astype(np.int64)[None]
    one = np.zeros(1, dtype=np.int64)
    batch = Batch(ids, labels.astype(np.int64)[None], texts.kinds_of(pieces)[None], np.ones_like(ids, bool), one, one)
    layers = {name: last_layer(found.tagger, loss, batch, window) for name, found in checkpoints.items()}
    return Reading(raw, parsed.truncated, tuple(stretches), layers)


def _unread(raw: str, pieces: Pieces, labels: NDArray[np.uint8]) -> Iterator[Stretch]:
    """Runs of pieces without a label that hold a letter or digit."""
    for run in np.split(np.arange(len(labels)), np.flatnonzero(np.diff(labels > 0)) + 1):
        if len(run) and not labels[run[0]]:
            start, end = int(pieces.starts[run[0]]), int(pieces.ends[run[-1]])
            value = raw[start:end]
            if any(map(str.isalnum, value)):
                start += len(value) - len(value.lstrip(" ,;"))
                value = value.strip(" ,;")
                yield Stretch("", value, start, start + len(value), None, run)
