"""Span F1 while training, against sets of spans built one by one, and the parser's own view of the same labels."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_run import toy_plan, toy_recipe

from mw_pipeline.dataset.batches import Batch
from mw_pipeline.decode import label_spans
from mw_pipeline.labels import LabelSet
from mw_pipeline.model.checkpoint import Tagger
from mw_pipeline.model.losses import TaggingLoss
from mw_pipeline.recipe import LossConfig, ModelConfig
from mw_pipeline.train.data import TrainingData
from mw_pipeline.train.validation import SpanCounts, count_spans, examine
from mw_pipeline.words import BEGINS, INSIDE

TAGS = LabelSet(("a", "b"))  # O, B-a, I-a, B-b, I-b


@st.composite
def legal_rows(draw, pieces: int = 6):
    """(rows, pieces) legal labels: an I- only goes on with its own span."""
    choices = draw(st.lists(st.lists(st.integers(0, 4), min_size=pieces, max_size=pieces), min_size=3, max_size=3))
    rows = np.zeros((3, pieces), dtype=np.int64)
    for r, row in enumerate(choices):
        for t, label in enumerate(row):
            inside = label > 0 and label % 2 == 0
            legal = not inside or (t > 0 and rows[r, t - 1] in (label, label - 1))
            rows[r, t] = label if legal else label - 1
    return rows


@given(gold=legal_rows(), predicted=legal_rows())
@settings(max_examples=100, deadline=None)
def test_counts_equal_those_of_sets_of_spans(gold, predicted):
    mask = np.ones_like(gold, dtype=bool)
    gold_spans, predicted_spans = set(label_spans(gold, mask)), set(label_spans(predicted, mask))

    counts = count_spans(gold, predicted, tags=2)

    for tag in (0, 1):
        assert counts.gold[tag] == sum(span[1] == tag for span in gold_spans)
        assert counts.predicted[tag] == sum(span[1] == tag for span in predicted_spans)
        assert counts.correct[tag] == sum(span[1] == tag for span in gold_spans & predicted_spans)


def test_a_span_of_another_length_or_tag_is_wrong():
    gold = np.array([[1, 2, 0, 3, 4, 1]])
    predicted = np.array([[1, 2, 2, 3, 0, 3]])

    counts = count_spans(gold, predicted, tags=2)

    assert (counts.gold.tolist(), counts.predicted.tolist(), counts.correct.tolist()) == ([2, 1], [1, 2], [0, 0])


def counts(gold: list[int], predicted: list[int], correct: list[int]) -> SpanCounts:
    return SpanCounts(*(np.array(values, dtype=np.int64) for values in (gold, predicted, correct)))


def test_macro_f1_is_the_mean_over_tags_that_the_gold_holds():
    found = counts([4, 0], [2, 3], [2, 0])

    assert found.f1(TAGS) == {"a": pytest.approx(2 * 2 / 6), "b": 0.0}
    assert found.macro_f1(TAGS) == pytest.approx(2 / 3)


def test_a_tag_that_nobody_names_has_no_f1():
    found = counts([4, 0], [4, 0], [4, 0])

    assert found.f1(TAGS) == {"a": 1.0, "b": None}
    assert found.macro_f1(TAGS) == 1.0


def test_counts_add_up_over_batches():
    total = counts([1, 2], [3, 4], [1, 1]) + counts([10, 20], [30, 40], [5, 6])

    assert (total.gold.tolist(), total.predicted.tolist(), total.correct.tolist()) == ([11, 22], [33, 44], [6, 7])


def test_gold_without_any_span_scores_zero():
    assert counts([0, 0], [5, 5], [0, 0]).macro_f1(TAGS) == 0.0


def test_weights_that_are_not_finite_are_counted_though_no_row_uses_them(toy):
    recipe = toy_recipe(train={"eval_rows": 5})
    data = TrainingData.open(toy_plan(toy, toy.dataset.parent / "unused", recipe=recipe))
    tagger = Tagger(recipe.model, vocab_size=data.summary["vocab_size"], labels=recipe.label_set)
    loss = TaggingLoss(recipe.loss, recipe.label_set)
    used = {int(piece) for batch in data.validation for piece in batch.input_ids.flat}
    unused = next(piece for piece in range(data.summary["vocab_size"]) if piece not in used)
    embedding = next(p for p in tagger.encoder.parameters() if p.shape[0] == data.summary["vocab_size"])

    assert examine(tagger, data.validation, recipe.label_set, loss=loss).scores["nonfinite_parameters"] == 0
    with torch.no_grad():
        embedding[unused, :3] = torch.nan
    found = examine(tagger, data.validation, recipe.label_set, loss=loss).scores

    assert (found["nonfinite_parameters"], math.isfinite(found["val_loss"])) == (3, True)


def test_spans_are_counted_as_the_parser_decodes_them_among_whole_words(monkeypatch):
    """M67: the network likes `J HAL` of `J HALLORAN`; the gold has the whole, as a decoder of words finds."""
    mask = np.ones((1, 3), dtype=bool)
    gold = np.array([[1, 2, 2]])
    logits = torch.zeros(1, 3, len(TAGS))
    logits[0, 0, 1] = logits[0, 1, 2] = 4.0
    logits[0, 2, 0] = 3.0
    tagger = Tagger(ModelConfig(width=8, layers=1, heads=1, feed_forward=8), vocab_size=9, labels=TAGS)
    monkeypatch.setattr(tagger.encoder, "forward", lambda ids, mask: logits)

    def f1(*kinds: int) -> float:
        rows = np.zeros(1, dtype=np.int64)
        batch = Batch(gold + 2, gold, np.array([kinds], dtype=np.uint8), mask, rows, rows)
        return examine(tagger, [batch], TAGS, loss=TaggingLoss(LossConfig(kind="ce"), TAGS)).scores["val_macro_f1"]

    assert f1(BEGINS, BEGINS, INSIDE) == 1.0
    assert f1(BEGINS, BEGINS, BEGINS) == 0.0
