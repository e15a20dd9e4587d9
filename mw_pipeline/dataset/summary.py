"""`dataset.json`: what a tokenized dataset says of itself, and what follows from its counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from mw_pipeline.digest import JSON, json_value
from mw_pipeline.errors import CorpusError
from mw_pipeline.json_shapes import Amount, Count, Counts, Shape, demand_shape

DATASET_JSON = "dataset.json"
SURVIVAL_SHARE = 0.995
WORD_REASONS = ("span_inside_word", "piece_across_words")

_AtLeastOne = Annotated[int, Field(ge=1)]


class _Split(Shape):
    rows: Count
    pieces: Count
    longest: Count
    digest: str
    sources: dict[str, Annotated[list[Count], Field(min_length=2, max_length=2)]]


class _Splits(Shape):
    train: _Split
    validation: _Split
    test: _Split


class _Survival(Shape):
    gold: _AtLeastOne
    survived: Count

    @model_validator(mode="after")
    def _counts_fit(self) -> Self:
        if self.survived > self.gold:
            raise ValueError("more spans survived than there were")
        return self


class DatasetSummary(Shape):
    """The keys of `dataset.json` that its readers rely on."""

    labels: Annotated[list[str], Field(min_length=1)]
    label_hash: str
    tokenizer_sha256: str
    vocab_size: _AtLeastOne
    max_length: _AtLeastOne
    splits: _Splits
    rows: Count
    dropped: dict[str, Counts]
    survival: dict[str, _Survival]
    label_counts: Counts
    label_entropy: Amount


def read_dataset_json(path: Path) -> dict[str, JSON]:
    """The dataset.json of a tokenized dataset's folder. Raises CorpusError when it is missing or unreadable,
    ArtifactError when it is not of its shape."""
    where = path / DATASET_JSON
    try:
        found: dict[str, JSON] = json_value(where.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CorpusError(
            f"{path}: no readable {DATASET_JSON} ({error}). Point at the folder that build_dataset wrote."
        ) from None
    demand_shape(found, DatasetSummary, where=where, remedy="Build the dataset again.")
    return found


def labels_survive_tokenizing(summary: Mapping[str, JSON]) -> tuple[str, ...]:
    """Findings of a dataset.json: tags of which fewer than 99.5 % of gold spans come back from their own labels."""
    survival = summary["survival"]
    findings = [] if survival else ["no gold span was counted: nothing is labelled"]
    for tag, counts in survival.items():
        share = counts["survived"] / counts["gold"]
        if share < SURVIVAL_SHARE:
            findings.append(
                f"{tag}: {counts['survived']} of {counts['gold']} spans survive ({share:.2%}), "
                f"expected at least {SURVIVAL_SHARE:.1%}"
            )
    illegal = sum(dropped.get("illegal_labels", 0) for dropped in summary["dropped"].values())
    if illegal:
        findings.append(f"{illegal} rows have labels that the transition mask forbids")
    return tuple(findings)


def dropped_rows(summary: Mapping[str, JSON]) -> dict[str, int]:
    """Reason → rows that tokenizing left out, of all sources of a dataset.json; the reasons about words always."""
    total = Counter(dict.fromkeys(WORD_REASONS, 0))
    for reasons in summary["dropped"].values():
        total.update(reasons)
    return dict(total)
