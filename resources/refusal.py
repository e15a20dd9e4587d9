"""An expected failure of an asset or check: one sentence, and as little of Dagster's traceback as it allows."""

from __future__ import annotations

import dagster as dg


class Refusal(dg.Failure):
    """A failure that nobody traces and no retry cures: a gate that refuses, an input that is missing, a wrong recipe.

    Dagster prints the frames of every failure, twice, and it cannot be told not to. It asks for the description just
    before it formats them: there all frames but its own first are cut off."""

    def __init__(self, sentence: str, **metadata: str) -> None:
        super().__init__(sentence, metadata=metadata, allow_retries=False)

    @property
    def description(self) -> str | None:
        """The sentence. Forgets where it was raised."""
        if self.__traceback__ is not None:
            self.__traceback__.tb_next = None
        return self._sentence

    @description.setter
    def description(self, sentence: str | None) -> None:
        self._sentence = sentence
