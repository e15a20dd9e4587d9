"""Predictions: anyone's components for gold rows, from a parser or from JSON lines, matched to gold by `raw`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from mw_pipeline.digest import JSON
from mw_pipeline.errors import CorpusError
from mw_pipeline.golden.gold import GoldenSet
from mw_pipeline.golden.rows import json_lines, raw_and_components


@dataclass(frozen=True)
class Prediction:
    """Components of one text; `confidences` holds the probability (0..1) of each tag's value, where one is known."""

    components: Mapping[str, str]
    confidences: Mapping[str, float] = field(default_factory=dict)

    def as_json(self, raw: str) -> JSON:
        """A prediction row that `read_predictions` reads back."""
        spans = [
            {"tag": tag, "value": self.components[tag], "confidence": confidence}
            for tag, confidence in self.confidences.items()
        ]
        return {"raw": raw, "components": dict(self.components), "spans": spans}


class _Span(Protocol):
    @property
    def tag(self) -> str: ...
    @property
    def value(self) -> str: ...
    @property
    def confidence(self) -> float: ...


class _Parsed(Protocol):
    @property
    def components(self) -> dict[str, str]: ...
    @property
    def spans(self) -> Sequence[_Span]: ...


class AnyParser(Protocol):
    """Whatever answers many texts at once: the packaged parser, or a checkpoint's."""

    def parse_many(self, texts: Sequence[str], /) -> Sequence[_Parsed]:
        """One answer for each text, in order."""


def predictions_of(parser: AnyParser, golden: GoldenSet) -> list[Prediction]:
    """What a parser says to every gold text, in row order."""
    return [
        Prediction(
            parsed.components, _confidences(parsed.components, [(s.tag, s.value, s.confidence) for s in parsed.spans])
        )
        for parsed in parser.parse_many(golden.raws)
    ]


def read_predictions(path: Path, golden: GoldenSet) -> list[Prediction]:
    """The predictions of a JSON lines file for every gold row, in row order; rows for other texts are ignored.

    Raises CorpusError for a line that is no prediction, for two different predictions of one text, and when a gold row
    has none: leaving hard rows out must not raise a score."""
    by_raw: dict[str, tuple[str, Prediction]] = {}
    for line, value in json_lines(path):
        where = f"{path}:{line}"
        raw, components = raw_and_components(value, where=where)
        prediction = Prediction(components, _confidences(components, _spans(value, where)))
        known, first = by_raw.setdefault(raw, (where, prediction))
        if first != prediction:
            raise CorpusError(
                f"{where}: predicts {components!r:.60} for {raw!r:.60}, {known} something else. Keep one line per text."
            )
    missing = [row for row in golden.rows if row.raw not in by_raw]
    if missing:
        raise CorpusError(
            f"{path}: has no prediction for {len(missing)} of {len(golden.rows)} gold rows, first {missing[0].where} "
            f"{missing[0].raw!r:.60}. Add a line for each; one that found nothing has components {{}}."
        )
    return [by_raw[row.raw][1] for row in golden.rows]


def _spans(value: Mapping[str, JSON], where: str) -> list[tuple[str, str, float]]:
    """Tag, value and confidence of the spans of a prediction row; spans without a confidence say nothing here."""
    try:
        found = [
            (str(span["tag"]), str(span["value"]), float(span["confidence"]))
            for span in value.get("spans") or ()
            if span.get("confidence") is not None
        ]
    except (KeyError, TypeError, ValueError, AttributeError):
        raise CorpusError(
            f"{where}: spans is {value['spans']!r:.60}, expected tag, value and confidence in each. Omit it."
        ) from None
    for tag, _, confidence in found:
        if not 0 <= confidence <= 1:
            raise CorpusError(
                f"{where}: the confidence of {tag} is {confidence!r}, expected a probability from 0 to 1. "
                "Write probabilities, not scores."
            )
    return found


def _confidences(components: Mapping[str, str], spans: Sequence[tuple[str, str, float]]) -> dict[str, float]:
    """The confidence of every component: that of the most confident span with its tag and value."""
    best: dict[str, float] = {}
    for tag, value, confidence in spans:
        if components.get(tag) == value:
            best[tag] = max(confidence, best.get(tag, confidence))
    return best
