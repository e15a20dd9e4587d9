"""The files of a package that the parser reads, and the names of all of them. Needs no more than the parser does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mw_pipeline.checksums import SUMS_NAME, sums_findings
from mw_pipeline.client import FORBIDDEN_SCORE
from mw_pipeline.digest import JSON, json_value
from mw_pipeline.errors import ArtifactError, RecipeError
from mw_pipeline.labels import LabelSet, label_set_of
from mw_pipeline.tokenizer import MODEL_NAME as TOKENIZER_NAME
from mw_pipeline.tokenizer import Tokenizer

FACTS_NAME = "package.json"
ONNX_NAME = "model.onnx"
TRANSITIONS_NAME = "crf-transitions.json"
CARD_NAME = "model-card.json"
README_NAME = "README.md"
ATTRIBUTION_NAME = "ATTRIBUTION.md"
READ_BY_PARSER = (FACTS_NAME, ONNX_NAME, TOKENIZER_NAME, TRANSITIONS_NAME)


@dataclass(frozen=True)
class ParserFiles:
    """A package whose parser files are as sealed and fit each other.

    transitions  (K, K)  float64  score of label j after label i; -inf where BIO forbids it
    starts       (K,)    float64  score of label j on the first piece
    ends         (K,)    float64  score of label i on the last piece; zeros in our own packages
    """

    path: Path
    facts: dict[str, JSON]
    labels: LabelSet
    max_length: int
    transitions: NDArray[np.float64]
    starts: NDArray[np.float64]
    ends: NDArray[np.float64]

    @classmethod
    def read(cls, path: Path) -> ParserFiles:
        """Opens a package. Raises ArtifactError when a byte that the parser reads is not as sealed or labels differ."""
        path = Path(path)
        if not path.exists():
            raise ArtifactError(f"{path}: there is no such folder. Check the path.")
        if not (path / FACTS_NAME).is_file():
            raise ArtifactError(f"{path}: has no {FACTS_NAME}, so it is not a package. {_where_packages_are(path)}")
        if findings := sums_findings(path, only=READ_BY_PARSER):
            raise ArtifactError(f"{path}: {findings[0]}. Fetch the package again, or run `mw-pipeline inspect {path}`.")
        facts, crf = read_json(path / FACTS_NAME), read_json(path / TRANSITIONS_NAME)
        try:
            labels = label_set_of(tuple(facts["labels"]))
            sealed = {FACTS_NAME: facts["label_hash"], TRANSITIONS_NAME: crf["label_hash"]}
            transitions, starts, ends = _crf_scores(crf, path / TRANSITIONS_NAME)
            max_length = _count(facts["max_length"])
        except (KeyError, TypeError, ValueError, OverflowError, RecipeError) as error:
            raise ArtifactError(f"{path}: not a package of this version ({error!r}). Build it again.") from None
        for name, found in sealed.items():
            if found != labels.hash:
                raise ArtifactError(
                    f"{path / name}: label_hash {found!r} is not that of the package's labels, {labels.hash!r}. "
                    "Build the package again from one checkpoint."
                )
        size = len(labels)
        if (transitions.shape, starts.shape, ends.shape) != ((size, size), (size,), (size,)):
            raise ArtifactError(
                f"{path / TRANSITIONS_NAME}: transitions {transitions.shape}, start {starts.shape}, end {ends.shape}, "
                f"expected {size} labels in every axis. Build the package again."
            )
        return cls(path, facts, labels, max_length, transitions, starts, ends)

    @property
    def model_path(self) -> Path:
        """The int8 ONNX model."""
        return self.path / ONNX_NAME

    @property
    def locale(self) -> str:
        """The locale that the package is for, such as `en-us`."""
        return str(self.facts["locale"])

    def tokenizer(self) -> Tokenizer:
        """The tokenizer that the model was trained with."""
        return Tokenizer(self.path / TOKENIZER_NAME)


def transitions_json(labels: LabelSet, transitions: NDArray[np.floating], starts: NDArray[np.floating]) -> JSON:
    """What `crf-transitions.json` holds: finite numbers alone, for every reader adds them up as they are.

    Our CRF has no scores for ends: any label may be the last, at no cost."""
    return {
        "meaning": (
            "transitions[i][j] is added when label j follows label i, start_transitions[j] on the first piece, "
            f"end_transitions[i] on the last; {FORBIDDEN_SCORE:g} forbids"
        ),
        "labels": list(labels.labels),
        "label_hash": labels.hash,
        "transitions": [_finite(row) for row in transitions],
        "start_transitions": _finite(starts),
        "end_transitions": [0.0] * len(labels),
    }


def package_at(path: Path, locale: str | None) -> Path:
    """The package folder meant by a path, which may be a package or a release folder of one package per locale.

    Raises ArtifactError when there is no such package or the package is for another locale."""
    if locale is None:
        return path
    inside = path / locale
    if not (path / FACTS_NAME).is_file():
        if (inside / FACTS_NAME).is_file():
            return inside
        raise ArtifactError(f"{path}: holds no package for locale {locale!r}. {_where_packages_are(path)}")
    found = ParserFiles.read(path).locale
    if found != locale:
        raise ArtifactError(f"{path}: is the package for {found!r}, not {locale!r}. Name the release folder above it.")
    return path


def packages_below(path: Path) -> list[str]:
    """The locales that a release folder has packages for; a folder that was sealed is one, whatever it has lost.

    Hidden folders are drafts that a kill or a full disk has left."""
    found = {file.parent.name for name in (FACTS_NAME, SUMS_NAME) for file in path.glob(f"*/{name}")}
    return sorted(name for name in found if not name.startswith("."))


def read_json(path: Path) -> dict[str, JSON]:
    """The value of a package's JSON file. Raises ArtifactError when it cannot be read as JSON."""
    try:
        value: dict[str, JSON] = json_value(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ArtifactError(f"{path}: cannot be read as JSON ({reason}). Fetch or build the package again.") from None
    return value


def score_array(value: JSON, where: str) -> NDArray[np.float64]:
    """Nested lists of numbers as float64, -inf for null, which forbids. Raises ArtifactError for what is no score: a
    text, NaN, an infinity, or a number so large that nothing beside it would count."""
    found = np.array(value, dtype=object)
    for score in found.flat:
        if score is not None and not (type(score) in (int, float) and abs(score) <= -FORBIDDEN_SCORE):
            raise ArtifactError(
                f"{where} holds {score!r:.40}, expected numbers from {FORBIDDEN_SCORE:g} to {-FORBIDDEN_SCORE:g}, or "
                "null for what is forbidden. Fetch or build the package again."
            )
    numbers = [-np.inf if score is None else float(score) for score in found.flat]
    return np.array(numbers, dtype=np.float64).reshape(found.shape)


def _where_packages_are(path: Path) -> str:
    locales = packages_below(path)
    if locales:
        return f"It holds packages for {', '.join(locales)}: choose one with --locale."
    return f"Name a folder with {FACTS_NAME} and {SUMS_NAME}, or a release folder with one per locale."


def _finite(row: NDArray[np.floating]) -> list[float]:
    return [FORBIDDEN_SCORE if np.isneginf(score) else float(score) for score in row]


def _count(value: JSON) -> int:
    if type(value) is not int or value < 1:
        raise ValueError(f"max_length is {value!r:.40}, expected a whole number above 0")
    return value


def _crf_scores(crf: JSON, where: Path) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Transitions, starts and ends. Older packages say `start`, no ends, and null for what is forbidden."""
    starts = "start_transitions" if "start_transitions" in crf else "start"
    ends = crf["end_transitions"] if "end_transitions" in crf else [0.0] * len(crf["transitions"])
    named = {"transitions": crf["transitions"], starts: crf[starts], "end_transitions": ends}
    moves, first, last = (score_array(value, f"{where}: {key}") for key, value in named.items())
    return _forbidding(moves), _forbidding(first), _forbidding(last)


def _forbidding(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(scores <= FORBIDDEN_SCORE, -np.inf, scores)
