"""How often the training rows of a corpus teach each closed word, as what, and in how many subsets of components.

One pass over the shards, batch by batch: memory grows with words and subsets, never with rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mw_pipeline.corpus.closed_words import DIRECTIONAL, ClosedWord, Where, folded
from mw_pipeline.corpus.exclusions import Excluded, nothing_excluded
from mw_pipeline.labels import STAGE3_TAGS
from mw_pipeline.recipe import ClosedKind

MIN_ROWS = 50
MIN_SUBSETS = 3
"""A closed word is taught when so many training rows label it as what it is, across so many subsets of components."""

_NAMED = 20
"""Words of a kind that a finding names; the table has them all."""

_BATCH_ROWS = 65_536
_COLUMNS = ["row_id", "split", "components"]
# Text, tag and subset of a row are counted as one number; there are as many subsets of tags as this.
_SUBSETS = 1 << len(STAGE3_TAGS)

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Taught:
    """What the training rows make of one word: rows by the tag that they give it, and subsets in which it is itself."""

    word: ClosedWord
    rows_by_tag: Mapping[str, int]
    subsets: int

    @property
    def rows(self) -> int:
        """Rows that label the word as what it is."""
        return sum(self.rows_by_tag.get(tag, 0) for tag in self.word.tags)

    @property
    def is_taught(self) -> bool:
        """Whether the rows are enough, and differ enough."""
        return self.rows >= MIN_ROWS and self.subsets >= MIN_SUBSETS

    def __str__(self) -> str:
        """The word with how often and how differently it is taught."""
        return f"{self.word.word!r} ({self.rows:,} rows, {self.subsets} subsets)"

    def as_json(self) -> dict[str, Any]:
        """The word, what it should be, and what the rows make of it, the most frequent tag first."""
        return {
            "kind": self.word.kind,
            "word": self.word.word,
            "tags": list(self.word.tags),
            "where": self.word.where,
            "rows": self.rows,
            "subsets": self.subsets,
            "rows_by_tag": dict(sorted(self.rows_by_tag.items(), key=lambda item: (-item[1], item[0]))),
            "taught": self.is_taught,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Taught:
        """The counts that `as_json` wrote; what follows from them is asked of them again."""
        word = ClosedWord(value["kind"], value["word"], tuple(value["tags"]), value["where"])
        return cls(word, value["rows_by_tag"], value["subsets"])


def closed_words_are_taught(words: Sequence[Taught], *, but: Sequence[ClosedKind] = ()) -> list[str]:
    """Findings: one sentence per kind of closed words that the rows do not teach whole, the least taught words first.

    Kinds in `but` are no findings: a recipe says of these that its packages may lack them."""
    findings = []
    for kind in dict.fromkeys(found.word.kind for found in words if found.word.kind not in but):
        alike = [found for found in words if found.word.kind == kind]
        lacking = worst_first(found for found in alike if not found.is_taught)
        if lacking:
            findings.append(
                f"{kind}: {len(lacking)} of {len(alike)} are in fewer than {MIN_ROWS} training rows as what they are, "
                f"or in fewer than {MIN_SUBSETS} subsets of components: {_listed(lacking)}"
            )
    return findings


def closed_words_are_counted(words: Iterable[Taught], wanted: Sequence[ClosedWord]) -> list[str]:
    """Findings: one sentence when a table of counts lacks closed words that it should have, or counts them as others.

    What nobody has counted is not taught, whatever the rest of the table says."""
    counted = {found.word for found in words}
    missing = [word for word in wanted if word not in counted]
    if not missing:
        return []
    named = _listed([f"{word.kind} {word.word!r}" for word in missing])
    return [f"the table lacks {len(missing)} of {len(wanted)} closed words of its locales: {named}. Count again"]


def _listed(words: Sequence[object]) -> str:
    more = f", and {len(words) - _NAMED} more" if len(words) > _NAMED else ""
    return ", ".join(map(str, words[:_NAMED])) + more


def worst_first(words: Iterable[Taught]) -> list[Taught]:
    """The words by what they lack: those not taught before the others, then the fewest rows, the fewest subsets."""
    return sorted(words, key=lambda found: (found.is_taught, found.rows, found.subsets, found.word.word))


def taught_words(
    row_files: Mapping[str, Sequence[Path]], words: Sequence[ClosedWord], *, excluded: Excluded = nothing_excluded
) -> tuple[Taught, ...]:
    """What the training rows of each source's shards make of each word, in the order of the words.

    Rows of other splits and excluded rows teach nothing. A row counts once for a word and tag."""
    directions = _texts_of(word for word in words if word.kind == DIRECTIONAL)
    sought = {where: _texts_of(word for word in words if word.where == where) for where in {w.where for w in words}}
    found: dict[Where, Counter[int]] = {where: Counter() for where in sought}
    for rows in _training_rows(row_files, excluded):
        values = _values_of(rows, directions)
        for where, texts in sought.items():
            found[where].update(_counted(values, *_hits(values, where, texts), texts))
    lessons = {where: _lessons(found[where], texts) for where, texts in sought.items()}
    return tuple(
        _taught(word, lessons[word.where].get(text, {})) for word, text in zip(words, _folded(words), strict=True)
    )


@dataclass(frozen=True)
class _Values:
    """The values of a batch of rows, folded, and cut into words.

    texts     (V,) string  the values themselves
    row, tag  (V,) int64   the row that a value stands in, and the index of its tag
    subset    (R,) int64   bit t is set where the row has a value of tag t
    words     (W,) string  the words of all values; those of value v are words[first[v]:end[v]]
    inner     (V,) int64   the end of its words without a direction that ends the value
    """

    texts: pa.StringArray
    row: Ints
    tag: Ints
    subset: Ints
    words: pa.StringArray
    first: Ints
    end: Ints
    inner: Ints


def _training_rows(row_files: Mapping[str, Sequence[Path]], excluded: Excluded) -> Iterator[pa.Table]:
    for source, shards in row_files.items():
        for shard in shards:
            left_out = excluded(source, shard)
            with pq.ParquetFile(shard) as parquet:
                for batch in parquet.iter_batches(_BATCH_ROWS, columns=_COLUMNS):
                    stays = pc.invert(pc.is_in(batch["row_id"], value_set=left_out))
                    yield pa.Table.from_batches([batch]).filter(pc.and_(pc.equal(batch["split"], "train"), stays))


def _values_of(rows: pa.Table, directions: pa.StringArray) -> _Values:
    components = rows["components"].combine_chunks()
    offsets = components.offsets.to_numpy().astype(np.int64)
    keys, items = (column.slice(offsets[0], offsets[-1] - offsets[0]) for column in (components.keys, components.items))
    tag = pc.index_in(keys, value_set=pa.array(STAGE3_TAGS, pa.string())).to_numpy().astype(np.int64)
    row = np.repeat(np.arange(len(rows), dtype=np.int64), np.diff(offsets))
    subset = np.zeros(len(rows), np.int64)
    np.bitwise_or.at(subset, row, np.int64(1) << tag)
    distinct = items.dictionary_encode()  # a fold costs more than a look-up, and most values repeat
    texts = folded(distinct.dictionary).take(distinct.indices)
    cut = pc.split_pattern(texts, " ")
    bounds = cut.offsets.to_numpy().astype(np.int64)
    first, end = bounds[:-1], bounds[1:]
    inner = end.copy()
    for length in _lengths_of(directions):
        at = np.flatnonzero(end - first > length)
        inner[at] -= length * (_index(_runs(cut.values, end[at] - length, length), directions) >= 0)
    return _Values(texts, row, tag, subset, cut.values, first, end, inner)


def _hits(values: _Values, where: Where, texts: pa.StringArray) -> tuple[Ints, Ints]:
    """The values that hold one of the texts in its place, and which: value and text, one pair per find."""
    everywhere = np.arange(len(values.row), dtype=np.int64)
    if where == "value":
        found = _index(values.texts, texts)
        return everywhere[found >= 0], found[found >= 0]
    pairs = []
    for length in _lengths_of(texts):
        for start, value in _places(values, where, length):
            found = _index(_runs(values.words, start, length), texts)
            pairs.append((value[found >= 0], found[found >= 0]))
    return np.concatenate([value for value, _ in pairs]), np.concatenate([text for _, text in pairs])


def _places(values: _Values, where: Where, length: int) -> Iterator[tuple[Ints, Ints]]:
    """Where so many words may begin, and in which value: one pair of arrays per kind of place."""
    if where == "any":
        value = np.repeat(np.arange(len(values.row), dtype=np.int64), values.end - values.first)
        start = np.arange(len(values.words), dtype=np.int64)
        yield _pairs(start, value, start + length <= values.end[value])
    every = np.arange(len(values.row), dtype=np.int64)
    if where in ("first", "edge"):
        yield _pairs(values.first, every, values.first + length <= values.end)
    if where in ("last", "edge"):
        end = values.inner if where == "last" else values.end
        yield _pairs(end - length, every, values.first + length <= end)


def _pairs(start: Ints, value: Ints, holds: npt.NDArray[np.bool_]) -> tuple[Ints, Ints]:
    return start[holds], value[holds]


def _runs(words: pa.StringArray, start: Ints, length: int) -> pa.StringArray:
    """So many words from each start on, as one text."""
    columns = [words.take(pa.array(start + step)) for step in range(length)]
    return pc.binary_join_element_wise(*columns, " ") if length > 1 else columns[0]


def _index(texts: pa.StringArray, among: pa.StringArray) -> Ints:
    """Which of the others each text is, -1 for none."""
    found: Ints = pc.fill_null(pc.index_in(texts, value_set=among), -1).to_numpy().astype(np.int64)
    return found


def _counted(values: _Values, value: Ints, text: Ints, texts: pa.StringArray) -> dict[int, int]:
    """Rows by text, tag and subset of components, in one number; a row that holds a text twice is one row."""
    tags = len(STAGE3_TAGS)
    once = np.unique((values.row[value] * tags + values.tag[value]) * len(texts) + text)
    rest, text = np.divmod(once, len(texts))
    row, tag = np.divmod(rest, tags)
    keys, counts = np.unique((text * tags + tag) * _SUBSETS + values.subset[row], return_counts=True)
    return dict(zip(keys.tolist(), counts.tolist(), strict=True))


Lesson = dict[tuple[str, int], int]
"""Rows by the tag that they give a text, and their subset of components."""


def _lessons(counts: Mapping[int, int], texts: pa.StringArray) -> dict[str, Lesson]:
    lessons: dict[str, Lesson] = {}
    for key, rows in counts.items():
        rest, subset = divmod(key, _SUBSETS)
        text, tag = divmod(rest, len(STAGE3_TAGS))
        lessons.setdefault(texts[text].as_py(), {})[STAGE3_TAGS[tag], subset] = rows
    return lessons


def _taught(word: ClosedWord, lesson: Lesson) -> Taught:
    rows_by_tag: Counter[str] = Counter()
    for (tag, _), rows in lesson.items():
        rows_by_tag[tag] += rows
    return Taught(word, rows_by_tag, len({subset for tag, subset in lesson if tag in word.tags}))


def _folded(words: Iterable[ClosedWord]) -> list[str]:
    texts: list[str] = folded(pa.array([word.word for word in words], pa.string())).to_pylist()
    return texts


def _texts_of(words: Iterable[ClosedWord]) -> pa.StringArray:
    return pa.array(list(dict.fromkeys(_folded(words))), pa.string())


def _lengths_of(texts: pa.StringArray) -> list[int]:
    """Numbers of words that the texts have."""
    return sorted({text.count(" ") + 1 for text in texts.to_pylist()})
