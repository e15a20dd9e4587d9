"""The index of teaching rows: training rows drawn by source, with the last layer of each of their pieces.

rows.parquet                        the rows as the corpus has them, with the shard that each lies in
offsets.npy  labels.npy             pieces of each row, and their gold labels
norms.npy                           length of each row's gradient by the last layer, over all checkpoints
CHECKPOINT.hidden.npy  .errors.npy  the last layer of each piece at a checkpoint: float16, float32, memory-mapped
index.json                          sources with rows, rows here and draws; checkpoints; what the loss is a mean over

Shape letters: R rows, N pieces of all of them, C width, K labels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from mw_pipeline.dataset.batches import batches_of
from mw_pipeline.dataset.text_sample import root_quotas
from mw_pipeline.dataset.tokenized import TokenizedDataset
from mw_pipeline.digest import JSON, write_json_atomically
from mw_pipeline.errors import ArtifactError
from mw_pipeline.model.checkpoint import Checkpoint
from mw_pipeline.model.losses import Extent, TaggingLoss
from mw_pipeline.teaching.index_facts import INDEX_FILE, read_index_json
from mw_pipeline.teaching.last_layer import last_layer, mean_extent

ROWS_FILE = "rows.parquet"
_BATCH_ROWS = 256

Ids = NDArray[np.int64]
Layer = tuple[NDArray[np.float16], NDArray[np.float32]]
"""Hidden (N, C) and errors (N, K)."""


@dataclass(frozen=True)
class TeachingIndex:
    """An index that was written, memory-mapped.

    facts    what index.json holds
    rows     R       the rows of rows.parquet
    offsets  (R+1,)  int64
    labels   (N,)    uint8
    norms    (R,)    float64
    layers   checkpoint → hidden and errors
    """

    facts: Mapping[str, JSON]
    rows: pa.Table
    offsets: Ids
    labels: NDArray[np.uint8]
    norms: NDArray[np.float64]
    layers: Mapping[str, Layer]

    @classmethod
    def read(cls, path: Path) -> TeachingIndex:
        """The index in a folder. Raises ArtifactError as `read_index_json`."""
        facts = read_index_json(path)
        layers = {
            name: (_mapped(path, f"{name}.hidden"), _mapped(path, f"{name}.errors")) for name in facts["checkpoints"]
        }
        offsets, labels, norms = (np.load(path / f"{name}.npy") for name in ("offsets", "labels", "norms"))
        return cls(facts, pq.read_table(path / ROWS_FILE), offsets, labels, norms, layers)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def window(self) -> Extent:
        """What the loss of its rows was a mean over."""
        return Extent(*self.facts["window"])

    @property
    def draws(self) -> NDArray[np.float64]:
        """(R,) how many draws of the run each row here stands for."""
        each = {name: found["draws"] / found["indexed"] for name, found in self.facts["sources"].items()}
        return np.array([each[name] for name in self.rows["source"].to_pylist()], dtype=np.float64)


def draw_rows(dataset: TokenizedDataset, *, rows: int, seed: int) -> Ids:
    """Rising numbers of at most `rows` rows of a split, the same for the same seed.

    A source gets a share in proportion to the square root of its rows, so that a rare one is not lost; within it rows
    are drawn evenly, without putting back."""
    counts = {(source, ""): count for source, count in dataset.rows_per_source.items() if count}
    quotas = root_quotas(counts, rows)
    drawn = [
        first + np.random.default_rng([seed, number]).choice(end - first, quotas[source, ""], replace=False)
        for number, (source, (first, end)) in enumerate(dataset.source_ranges.items())
        if (source, "") in quotas
    ]
    return np.sort(np.concatenate(drawn)).astype(np.int64)


def write_index(
    out: Path,
    dataset: TokenizedDataset,
    drawn: Ids,
    checkpoints: Mapping[str, Checkpoint],
    loss: TaggingLoss,
    *,
    texts_of: Callable[[Sequence[str]], pa.Table],
    draws: Mapping[str, float],
    recipe: JSON,
) -> dict[str, JSON]:
    """Writes the index of the drawn rows and returns what its index.json holds.

    `texts_of` gives the rows of some ids in that order; `draws` says how often the run draws from each source; `recipe`
    names it. Raises ArtifactError when a row is not in the corpus."""
    row_ids = dataset.row_ids(drawn)
    table = texts_of(row_ids)
    if table["row_id"].to_pylist() != row_ids:
        raise ArtifactError(
            f"{dataset.path}: {len(row_ids)} of its rows were sought in the corpus and {table.num_rows} found. "
            "Build the dataset again from this corpus."
        )
    pq.write_table(table, out / ROWS_FILE, compression="zstd")
    tokens = dataset.rows(drawn)
    np.save(out / "offsets.npy", tokens.offsets)
    np.save(out / "labels.npy", tokens.labels)
    window = mean_extent(loss, batches_of(dataset, drawn, batch_size=_BATCH_ROWS))
    squares = np.zeros(len(drawn))
    for name, checkpoint in checkpoints.items():
        squares += _write_layer(out, name, dataset, drawn, tokens.offsets, checkpoint, loss, window)
    np.save(out / "norms.npy", np.sqrt(squares))
    found: dict[str, JSON] = {
        "recipe": recipe,
        "rows": len(drawn),
        "pieces": len(tokens.labels),
        "window": [window.rows, window.pieces, window.weight],
        "checkpoints": {name: checkpoint.step for name, checkpoint in checkpoints.items()},
        "sources": _sources(dataset, drawn, draws),
    }
    write_json_atomically(out / INDEX_FILE, found)
    return found


def _write_layer(
    out: Path,
    name: str,
    dataset: TokenizedDataset,
    drawn: Ids,
    offsets: Ids,
    checkpoint: Checkpoint,
    loss: TaggingLoss,
    window: Extent,
) -> NDArray[np.float64]:
    """(R,) the squared lengths of the rows' gradients. Batch by batch into files: memory does not grow with rows."""
    pieces, config = int(offsets[-1]), checkpoint.facts.config
    hidden = open_memmap(out / f"{name}.hidden.npy", "w+", np.float16, (pieces, config.width))
    errors = open_memmap(out / f"{name}.errors.npy", "w+", np.float32, (pieces, len(checkpoint.labels)))
    squares = np.zeros(len(drawn))
    for batch in batches_of(dataset, drawn, batch_size=_BATCH_ROWS):
        layer = last_layer(checkpoint.tagger, loss, batch, window)
        place = np.searchsorted(drawn, batch.rows)
        lengths = batch.attention_mask.sum(axis=1)
        ends = np.cumsum(lengths)
        where = np.repeat(offsets[place] - (ends - lengths), lengths) + np.arange(ends[-1])
        hidden[where], errors[where] = layer.hidden, layer.errors
        squares[place] = [
            layer.only(slice(end - length, end)).square for end, length in zip(ends, lengths, strict=True)
        ]
    return squares


def _sources(dataset: TokenizedDataset, drawn: Ids, draws: Mapping[str, float]) -> dict[str, JSON]:
    return {
        source: {"rows": end - first, "indexed": indexed, "draws": draws[source]}
        for source, (first, end) in dataset.source_ranges.items()
        if (indexed := int(((first <= drawn) & (drawn < end)).sum()))
    }


def _mapped(path: Path, name: str) -> NDArray[Any]:
    array: NDArray[Any] = np.load(path / f"{name}.npy", mmap_mode="r")
    return array
