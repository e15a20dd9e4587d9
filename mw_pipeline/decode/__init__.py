"""From logits to spans: constrained Viterbi, exact span posteriors, k-best paths and the span trim. numpy only.

A path is a legal label sequence: BIO, with spans of whole words. Viterbi, posteriors and k-best search among exactly
these: all three run over the steps of `Words`.
"""

from __future__ import annotations

from mw_pipeline.decode.moves import Floats, Ids, Moves, hard_mask
from mw_pipeline.decode.paths import best_paths, constrained_viterbi, most_probable_path, word_viterbi
from mw_pipeline.decode.posterior import Posterior
from mw_pipeline.decode.spans import LabelSpans, Span, components_of, label_spans, trim
from mw_pipeline.decode.steps import Mask, Words

__all__ = [
    "Floats",
    "Ids",
    "LabelSpans",
    "Mask",
    "Moves",
    "Posterior",
    "Span",
    "Words",
    "best_paths",
    "components_of",
    "constrained_viterbi",
    "hard_mask",
    "label_spans",
    "most_probable_path",
    "trim",
    "word_viterbi",
]
