"""The exception tree: every expected failure of the library is an `MwError`."""

from __future__ import annotations


class MwError(Exception):
    """An expected failure whose message names the place, what was found, what was expected and the next move."""


class RecipeError(MwError):
    """A recipe or corpus spec says something that cannot be carried out."""


class CorpusError(MwError):
    """Rows, raw files or gold that are not what they claim to be."""


class ArtifactError(MwError):
    """An artifact is missing, incomplete, damaged or does not fit its reader."""


class StoreError(MwError):
    """Object storage did not answer, or did not take what it was given: nothing is there for others, and what was made
    is kept here."""


class UnfinishedError(MwError):
    """Work was stopped in good order before its end: the same command goes on with it."""


class GateError(MwError):
    """A gate refuses to go on: the evidence it asks for is missing, stale or negative."""
