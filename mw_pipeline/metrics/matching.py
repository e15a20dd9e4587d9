"""Match policies: when a predicted value equals a gold value, and the hashes that travel with scores."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable

from mw_pipeline.errors import CorpusError


def strict(value: str) -> str:
    """The value without outer white space: what the strict policy compares."""
    return value.strip()


def normalised(value: str) -> str:
    """The value under NFKC and case folding, white space collapsed, surrounding punctuation and symbols off.

    Accents count: "Orléans" and "Orleans" stay different."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", value).casefold())
    start, end = 0, len(folded)
    while start < end and _is_edge(folded[start]):
        start += 1
    while end > start and _is_edge(folded[end - 1]):
        end -= 1
    return " ".join(folded[start:end].split())


def _is_edge(character: str) -> bool:
    return character.isspace() or unicodedata.category(character)[0] in "PSZ"


POLICIES: dict[str, Callable[[str], str]] = {"strict": strict, "normalised": normalised}


def match_policy(name: str) -> Callable[[str], str]:
    """The function whose equal results mean equal values. Raises CorpusError for a policy that does not exist."""
    if name not in POLICIES:
        raise CorpusError(
            f"match policy {name!r} is not known: expected one of {', '.join(POLICIES)}. Name one of them."
        )
    return POLICIES[name]


def policy_hash(name: str) -> str:
    """A hash that changes with the rule behind a policy: raise its version here when the rule is edited."""
    return _hash(f"match-policy:{match_policy(name).__name__}:1")


def decoder_hash(description: str) -> str:
    """A hash of how predictions were decoded: "constrained-viterbi+whole-words+trim", "external", …"""
    return _hash(f"decoder:{description}")


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
