"""A package by its layout alone: network, tokenizer, card with labels, CRF scores. Whoever built it, it can be scored.

Our own reader wants more: our `package.json`, sealed, of this version. A baseline may be a release of years ago, or
another project's, with other labels. Shape letters: B rows, T pieces, K labels of the label set, L labels of the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mw_pipeline.checksums import SUMS_NAME, sums_findings
from mw_pipeline.decode import Ids
from mw_pipeline.digest import JSON, sha256_remembered
from mw_pipeline.errors import ArtifactError
from mw_pipeline.labels import LabelSet
from mw_pipeline.parse import LogitsOf, Parser, onnx_logits
from mw_pipeline.parser_files import CARD_NAME, ONNX_NAME, TRANSITIONS_NAME, read_json, score_array
from mw_pipeline.tokenizer import MODEL_NAME as TOKENIZER_NAME
from mw_pipeline.tokenizer import Tokenizer

LAYOUT = (ONNX_NAME, TOKENIZER_NAME, CARD_NAME, TRANSITIONS_NAME)
"""The files that make a folder a package, in anyone's hands."""

DEFAULT_MAX_LENGTH = 128
_STARTS, _ENDS = ("start_transitions", "start"), ("end_transitions", "end")
_ABSENT = np.float32(-1e9)  # the score of a label that the network does not know


@dataclass(frozen=True)
class PackageLayout:
    """A folder in the layout of a package. `written` are its labels as they stand there, L of them.

    label_set    LabelSet                    the tags among them, as this project numbers labels
    source       (K,)    int64               the place of each of its labels in `written`; -1 where it is not there
    transitions  (L, L)  float64             score of label j after label i
    starts, ends (L,)    float64             of label j on the first and on the last piece
    """

    path: Path
    card: Mapping[str, JSON]
    written: tuple[str, ...]
    label_set: LabelSet
    source: NDArray[np.int64]
    transitions: NDArray[np.float64]
    starts: NDArray[np.float64]
    ends: NDArray[np.float64]

    @classmethod
    def read(cls, path: Path) -> PackageLayout:
        """Opens a package. Raises ArtifactError for a file that is not there, not as sealed where there are sums, or
        not of this layout."""
        _demand_files(path)
        if (path / SUMS_NAME).is_file() and (findings := sums_findings(path, only=LAYOUT)):
            raise ArtifactError(f"{path}: {findings[0]}. Fetch the package again.")
        card, crf = (_table(path / name) for name in (CARD_NAME, TRANSITIONS_NAME))
        written = _labels_of(card, path / CARD_NAME)
        if crf.get("labels", [*written]) != [*written]:
            raise ArtifactError(
                f"{path / TRANSITIONS_NAME}: its labels are not those of {CARD_NAME}. Fetch the package again."
            )
        label_set = LabelSet(tuple(dict.fromkeys(label[2:] for label in written if label != "O")))
        source = [written.index(label) if label in written else -1 for label in label_set.labels]
        size = len(written)
        return cls(
            path,
            card,
            written,
            label_set,
            np.array(source, dtype=np.int64),
            _scores(crf, ("transitions",), (size, size), path),
            _scores(crf, _STARTS, (size,), path),
            _scores(crf, _ENDS, (size,), path),
        )

    @property
    def max_length(self) -> int:
        """The most pieces that the network reads: as the card says, else what clients read at most."""
        network = self.card.get("model")
        length = (network if isinstance(network, Mapping) else {}).get("max_length", self.card.get("max_length"))
        return length if isinstance(length, int) and length > 0 else DEFAULT_MAX_LENGTH

    def parser(self) -> Parser:
        """The parser of these bytes, which decodes as that of every package does."""
        known = self.source >= 0
        return Parser(
            tokenizer=Tokenizer(self.path / TOKENIZER_NAME),
            labels=self.label_set,
            logits_of=self._logits(),
            max_length=self.max_length,
            transitions=np.where(
                known[:, None] & known[None, :], self.transitions[np.ix_(self.source, self.source)], 0
            ),
            starts=np.where(known, self.starts[self.source], 0),
            ends=np.where(known, self.ends[self.source], 0),
        )

    def _logits(self) -> LogitsOf:
        network = onnx_logits(self.path / ONNX_NAME, label_count=len(self.written))
        known = self.source >= 0

        def logits_of(input_ids: Ids, attention_mask: Ids) -> NDArray[np.float32]:
            """(B, T), (B, T) -> (B, T, K)"""
            return np.where(known, network(input_ids, attention_mask)[..., self.source], _ABSENT)

        return logits_of


def layout_hashes(path: Path) -> dict[str, str]:
    """SHA-256 (hex) of each file of a package. Raises ArtifactError for one that is not there."""
    _demand_files(path)
    return {name: sha256_remembered(path / name) for name in LAYOUT}


def locale_on_card(path: Path) -> str | None:
    """The locale that a package's card names, if it names one. Raises ArtifactError as `PackageLayout.read` does."""
    _demand_files(path)
    locale = _table(path / CARD_NAME).get("locale")
    return locale if isinstance(locale, str) else None


def _demand_files(path: Path) -> None:
    if absent := [name for name in LAYOUT if not (path / name).is_file()]:
        raise ArtifactError(
            f"{path}: has no {', '.join(absent)}, so it is no package. Name a folder with {', '.join(LAYOUT)}."
        )


def _table(path: Path) -> Mapping[str, JSON]:
    value: JSON = read_json(path)
    if not isinstance(value, dict):
        raise ArtifactError(f"{path}: is {value!s:.40}, expected an object. Fetch the package again.")
    return value


def _labels_of(card: Mapping[str, JSON], where: Path) -> tuple[str, ...]:
    names = card.get("labels")
    labels = tuple(label for label in names if isinstance(label, str)) if isinstance(names, list) else ()
    bio = all(label == "O" or (label[:2] in ("B-", "I-") and label[2:]) for label in labels)
    whole = isinstance(names, list) and len({*labels}) == len(names) > 1
    if not (bio and whole and "O" in labels):
        raise ArtifactError(
            f"{where}: labels is {names!s:.80}, expected O and B-tag and I-tag in the order of the logits, each "
            "once. Fetch the package again."
        )
    return labels


def _scores(crf: Mapping[str, JSON], names: tuple[str, ...], shape: tuple[int, ...], path: Path) -> NDArray[np.float64]:
    """The first of these keys as scores, -inf for null; zeros where none is there, as no score is added then."""
    name = next((name for name in names if name in crf), None)
    if name is None:
        return np.zeros(shape)
    scores = score_array(crf[name], f"{path / TRANSITIONS_NAME}: {name}")
    if scores.shape != shape:
        raise ArtifactError(
            f"{path / TRANSITIONS_NAME}: {name} has the shape {scores.shape}, expected numbers or null in {shape}. "
            "Fetch the package again."
        )
    return scores
