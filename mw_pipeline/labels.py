"""The label vocabulary: which tags exist, their BIO labels in a fixed order, and the hash that travels with them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from mw_pipeline.errors import RecipeError

Facts = TypeVar("Facts")

STAGE2_TAGS: tuple[str, ...] = (
    "country",
    "region",
    "locality",
    "dependent_locality",
    "postcode",
    "subregion",
    "cedex",
    "venue",
    "street",
    "house_number",
)
STAGE3_TAGS: tuple[str, ...] = (
    *STAGE2_TAGS,
    "street_prefix",
    "street_suffix",
    "unit",
    "po_box",
    "intersection_a",
    "intersection_b",
)
CORE_TAGS: tuple[str, ...] = ("country", "region", "locality", "postcode", "venue", "street", "house_number")


@dataclass(frozen=True)
class LabelSet:
    """BIO labels over an ordered tuple of tags: `O` is 0, `B-tag` is odd, `I-tag` follows its `B-tag`."""

    tags: tuple[str, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """All K labels in id order."""
        return ("O", *(f"{prefix}-{tag}" for tag in self.tags for prefix in "BI"))

    @property
    def hash(self) -> str:
        """SHA-256 (hex) of the labels joined by newlines: equal hashes mean equal ids for equal names (M32)."""
        return hashlib.sha256("\n".join(self.labels).encode()).hexdigest()

    def __len__(self) -> int:
        return 1 + 2 * len(self.tags)

    def index(self, label: str) -> int:
        """The id of a label. Raises RecipeError when the set does not have it."""
        try:
            return self.labels.index(label)
        except ValueError:
            raise RecipeError(
                f"label {label!r} is not in this label set: it has {', '.join(self.labels)}. "
                "Use one of them, or another label stage."
            ) from None

    def begin(self, tag: str) -> int:
        """The id of `B-tag`; `I-tag` is the next id."""
        return self.index(f"B-{tag}")

    def legal_moves(self) -> tuple[tuple[bool, ...], ...]:
        """(K, K): entry [i][j] is true when label j may follow label i. I-y only after B-y or I-y (M31)."""
        size = len(self)
        return tuple(tuple(_may_follow(i, j) for j in range(size)) for i in range(size))

    def legal_starts(self) -> tuple[bool, ...]:
        """(K,): true when a sequence may begin with the label. No sequence begins inside a span."""
        return tuple(label == 0 or label % 2 == 1 for label in range(len(self)))


def _may_follow(previous: int, label: int) -> bool:
    if label == 0 or label % 2 == 1:
        return True
    return previous in (label - 1, label)


STAGE2 = LabelSet(STAGE2_TAGS)
STAGE3 = LabelSet(STAGE3_TAGS)


def label_set(stage: int) -> LabelSet:
    """The label set of a stage. Stage 2 has 21 labels, stage 3 has 33. Raises RecipeError for any other stage."""
    if stage == 2:
        return STAGE2
    if stage == 3:
        return STAGE3
    raise RecipeError(f"labels: {stage!r} is not a label stage: expected 2 or 3. Set labels = 3 in the recipe.")


def label_set_of(labels: tuple[str, ...]) -> LabelSet:
    """The label set whose labels are exactly these, in this order. Raises RecipeError when they are not BIO pairs."""
    tags = tuple(label[2:] for label in labels[1::2])
    found = LabelSet(tags)
    if found.labels != tuple(labels):
        raise RecipeError(
            f"labels {tuple(labels)!r} are not an O followed by B-/I- pairs. "
            "Store the labels of a LabelSet as they are."
        )
    return found


def by_tag(facts: Mapping[str, Facts]) -> list[tuple[str, Facts]]:
    """Facts by tag in the order of the label set, others behind: a file holds them by alphabet."""
    place = {tag: number for number, tag in enumerate(STAGE3_TAGS)}
    return sorted(facts.items(), key=lambda item: place.get(item[0], len(place)))
