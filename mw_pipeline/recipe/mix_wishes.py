"""What someone wants of a mix: how much of some sources, and what to do with the others."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from mw_pipeline.recipe.section import Section, Share


class Wish(Section):
    """A source: its share of all samples (0..1; 0 leaves it out), or how often the run sees each of its rows."""

    share: Share | None = None
    repetitions: Annotated[float, Field(gt=0.0)] | None = None

    @model_validator(mode="after")
    def _one_of_the_two(self) -> Self:
        if (self.share is None) == (self.repetitions is None):
            found = "neither" if self.share is None else "both"
            raise ValueError(f"has {found} of share and repetitions, expected one of them")
        return self


class MixWishes(Section):
    """The wanted doses of a recipe's sources. What is left goes to the sources without a wish.

    `rest` says how they divide it: by "rows", so that each of their rows is seen equally often, or by "weights", as the
    recipe weighs them against each other now."""

    rest: Literal["rows", "weights"] = "rows"
    sources: dict[str, Wish] = Field(min_length=1)
