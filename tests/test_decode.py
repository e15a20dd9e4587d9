"""Decoding against brute force over every label sequence, and the span trim against its rule for every code point."""

from __future__ import annotations

import itertools
import sys
import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mw_pipeline.decode import (
    LabelSpan,
    Posterior,
    Span,
    best_paths,
    components_of,
    constrained_viterbi,
    hard_mask,
    label_spans,
    trim,
)
from mw_pipeline.labels import STAGE2, LabelSet

TWO_TAGS = LabelSet(("a", "b"))  # O, B-a, I-a, B-b, I-b
K = len(TWO_TAGS)


def crf(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    transitions, starts = hard_mask(TWO_TAGS)
    return transitions + rng.normal(size=(K, K)).astype(np.float32), starts + rng.normal(size=K).astype(np.float32)


def all_paths(logits: np.ndarray, transitions: np.ndarray, starts: np.ndarray) -> dict[tuple[int, ...], float]:
    """Every label sequence of one row with its score, the forbidden ones left out."""
    scores = {}
    for path in itertools.product(range(K), repeat=len(logits)):
        score = starts[path[0]] + sum(logits[t, label] for t, label in enumerate(path))
        score += sum(transitions[i, j] for i, j in itertools.pairwise(path))
        if np.isfinite(score):
            scores[path] = float(score)
    return scores


def spans_of_path(path: tuple[int, ...]) -> set[tuple[int, int, int]]:
    """(tag, first, end) of one legal path, found by walking it."""
    found, open_span = set(), None
    for t, label in enumerate((*path, 0)):
        if open_span and not (label and label % 2 == 0):
            found.add((open_span[0], open_span[1], t))
            open_span = None
        if label % 2 == 1:
            open_span = ((label - 1) // 2, t)
    return found


ragged_batches = st.tuples(st.integers(0, 2**32 - 1), st.lists(st.integers(1, 5), min_size=1, max_size=4))


def draw(case: tuple[int, list[int]]) -> tuple[np.random.Generator, np.ndarray, np.ndarray]:
    seed, lengths = case
    rng = np.random.default_rng(seed)
    mask = np.arange(max(lengths)) < np.array(lengths)[:, None]
    return rng, rng.normal(scale=2, size=(*mask.shape, K)).astype(np.float32), mask


@given(ragged_batches)
@settings(max_examples=25, deadline=None)
def test_viterbi_finds_the_best_of_all_legal_sequences_in_ragged_batches(case):
    rng, logits, mask = draw(case)
    transitions, starts = crf(rng)

    labels = constrained_viterbi(logits, mask, transitions, starts)

    for row, length in enumerate(mask.sum(axis=1)):
        scores = all_paths(logits[row, :length], transitions, starts)
        assert scores[tuple(labels[row, :length])] == pytest.approx(max(scores.values()), abs=1e-4)
        assert (labels[row, length:] == 0).all()


@given(ragged_batches)
@settings(max_examples=25, deadline=None)
def test_posteriors_are_sums_over_all_legal_sequences(case):
    rng, logits, mask = draw(case)
    transitions, starts = crf(rng)
    labels = constrained_viterbi(logits, mask, transitions, starts)
    spans = label_spans(labels, mask)

    posterior = Posterior.of(logits, mask, transitions, starts)

    confidences = posterior.of_spans(labels, mask, spans)
    for row, length in enumerate(mask.sum(axis=1)):
        scores = all_paths(logits[row, :length], transitions, starts)
        log_total = np.logaddexp.reduce(list(scores.values()))
        probabilities = {path: np.exp(score - log_total) for path, score in scores.items()}
        assert posterior.log_total[row] == pytest.approx(log_total, abs=1e-4)
        marginals = np.zeros((length, K))
        for path, probability in probabilities.items():
            marginals[np.arange(length), list(path)] += probability
        np.testing.assert_allclose(posterior.marginals[row, :length], marginals, atol=1e-5)
        for span, confidence in zip(spans, confidences, strict=True):
            if span.row == row:
                wanted = (span.tag, span.first_piece, span.end_piece)
                exact = sum(p for path, p in probabilities.items() if wanted in spans_of_path(path))
                assert confidence == pytest.approx(exact, abs=1e-5)


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 40))
@settings(max_examples=25, deadline=None)
def test_the_best_paths_are_the_head_of_the_sorted_list_of_all(seed, pieces, count):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(pieces, K)).astype(np.float32)
    transitions, starts = crf(rng)
    expected = sorted(all_paths(logits, transitions, starts).values(), reverse=True)[:count]

    paths, scores = best_paths(logits, transitions, starts, count)

    np.testing.assert_allclose(scores, expected, atol=1e-4)
    assert len({tuple(path) for path in paths}) == len(expected)
    known = all_paths(logits, transitions, starts)
    np.testing.assert_allclose([known[tuple(path)] for path in paths], expected, atol=1e-4)


def test_without_a_crf_a_lone_inside_label_is_never_chosen():
    transitions, starts = hard_mask(TWO_TAGS)
    logits = np.zeros((1, 2, K), dtype=np.float32)
    logits[0, :, 2] = 5.0  # I-a is the best label of both pieces and may not begin

    assert constrained_viterbi(logits, np.ones((1, 2), bool), transitions, starts).tolist() == [[1, 2]]


def test_wild_logits_still_have_a_legal_path_and_probabilities():
    transitions, starts = hard_mask(TWO_TAGS)
    logits = np.full((1, 3, K), -1e6, dtype=np.float32)
    logits[0, :, 4] = 1e6  # only I-b has any weight, and nothing may lead into it
    mask = np.ones((1, 3), bool)

    posterior = Posterior.of(logits, mask, transitions, starts)
    labels = constrained_viterbi(logits, mask, transitions, starts)

    assert labels.tolist() == [[3, 4, 4]]
    assert np.isfinite(posterior.marginals).all()
    assert 0 <= posterior.of_spans(labels, mask, label_spans(labels, mask))[0] <= 1


def test_no_rows_and_no_pieces_give_no_labels():
    transitions, starts = hard_mask(STAGE2)

    labels = constrained_viterbi(np.zeros((2, 0, 21), np.float32), np.zeros((2, 0), bool), transitions, starts)

    assert labels.shape == (2, 0)


def test_spans_end_where_another_begins_and_at_the_end_of_the_row():
    labels = np.array([[1, 2, 1, 0, 3], [3, 4, 4, 0, 0]])
    mask = np.array([[True] * 5, [True, True, False, False, False]])

    assert label_spans(labels, mask) == [
        LabelSpan(0, 0, 0, 2),
        LabelSpan(0, 0, 2, 3),
        LabelSpan(0, 1, 4, 5),
        LabelSpan(1, 1, 0, 2),
    ]


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        (", 7647", "7647"),
        ("(Montréal)", "Montréal"),
        ("Sainte-Livrade-sur-Lot", "Sainte-Livrade-sur-Lot"),
        ("—", None),
        ("", None),
        ("  \u00a0", None),
        ("«Le Moulin»", "Le Moulin"),
        ("👨‍👩‍👧 12 bis.", "12 bis"),
        ("Cafe\u0301,", "Cafe\u0301"),  # the accent belongs to its letter
        ("दिल्ली ।", "दिल्ली"),  # so does a vowel sign
        ("\u0301", None),  # a mark without a letter is none
        ("½ Ⅷ ٣", "½ Ⅷ ٣"),
    ],
)
def test_the_trim_shrinks_to_letters_and_digits(raw, kept):
    found = trim(raw, 0, len(raw))

    assert (raw[slice(*found)] if found else None) == kept


def test_what_counts_as_letter_or_digit_is_unicode_l_and_n_for_every_code_point():
    for code_point in range(sys.maxunicode + 1):
        character = chr(code_point)
        expected = (0, 1) if unicodedata.category(character)[0] in "LN" else None
        assert trim(character, 0, 1) == expected, hex(code_point)


@given(st.text(), st.integers(0, 30), st.integers(0, 30))
def test_the_trim_stays_inside_and_leaves_letters_at_both_ends(text, first, second):
    start, end = sorted((min(first, len(text)), min(second, len(text))))

    kept = trim(text, start, end)

    if kept is None:
        assert not any(character.isalnum() for character in text[start:end])
    else:
        assert start <= kept[0] < kept[1] <= end
        assert text[kept[0]].isalnum()
        assert text[slice(*kept)].rstrip("".join(c for c in text if unicodedata.category(c)[0] == "M"))[-1].isalnum()
        assert not any(character.isalnum() for character in text[start : kept[0]] + text[kept[1] : end])


def test_of_several_spans_of_a_tag_the_most_confident_is_the_component():
    spans = (Span("street", "A", 0, 1, 0.4), Span("street", "B", 2, 3, 0.9), Span("street", "C", 4, 5, 0.9))

    assert components_of(spans) == {"street": "B"}
