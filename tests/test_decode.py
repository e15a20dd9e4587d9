"""Decoding against brute force over every label sequence whose spans are whole words, and the span trim."""

from __future__ import annotations

import itertools
import sys
import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mw_pipeline.decode import (
    Moves,
    Posterior,
    Span,
    Words,
    best_paths,
    components_of,
    constrained_viterbi,
    hard_mask,
    label_spans,
    most_probable_path,
    trim,
    word_viterbi,
)
from mw_pipeline.labels import STAGE2, STAGE3, LabelSet
from mw_pipeline.words import BARRED, BEGINS, INSIDE, UNREAD

TWO_TAGS = LabelSet(("a", "b"))  # O, B-a, I-a, B-b, I-b
K = len(TWO_TAGS)

Path = tuple[int, ...]


def crf(rng: np.random.Generator, labels: LabelSet = TWO_TAGS) -> tuple[np.ndarray, np.ndarray]:
    transitions, starts = hard_mask(labels)
    size = len(labels)
    return transitions + rng.normal(size=(size, size)).astype(np.float32), starts + rng.normal(size=size).astype("f4")


def all_paths(logits: np.ndarray, kinds: np.ndarray, transitions: np.ndarray, starts: np.ndarray) -> dict[Path, float]:
    """Every label sequence of one row's pieces that may be, with its score."""
    scores = {}
    for path in itertools.product(range(K), repeat=len(logits)):
        score = starts[path[0]] + sum(logits[t, label] for t, label in enumerate(path))
        score += sum(transitions[i, j] for i, j in itertools.pairwise(path))
        if np.isfinite(score) and all(may_be(span, kinds) for span in spans_of_path(path)):
            scores[path] = float(score)
    return scores


def may_be(span: tuple[int, int, int], kinds: np.ndarray) -> bool:
    """Whether a span is of whole words, begins with none that bars it, and holds none whose end was not read."""
    _, first, end = span
    whole = end == len(kinds) or kinds[end] != INSIDE
    return kinds[first] == BEGINS and whole and UNREAD not in kinds[first:end]


def spans_of_path(path: Path) -> set[tuple[int, int, int]]:
    """(tag, first, end) of one legal path, found by walking it."""
    found, open_span = set(), None
    for t, label in enumerate((*path, 0)):
        if open_span and not (label and label % 2 == 0):
            found.add((open_span[0], open_span[1], t))
            open_span = None
        if label % 2 == 1:
            open_span = ((label - 1) // 2, t)
    return found


piece_kinds = st.sampled_from((INSIDE, BEGINS, BEGINS, BARRED, UNREAD))
ragged_batches = st.tuples(
    st.integers(0, 2**32 - 1), st.lists(st.lists(piece_kinds, min_size=1, max_size=5), min_size=1, max_size=4)
)


class Batch:
    """Rows of pieces with random logits; the first piece of a row begins its word."""

    def __init__(self, case: tuple[int, list[list[int]]], *, sharpness: float = 2.0) -> None:
        seed, rows = case
        self.rng = np.random.default_rng(seed)
        lengths = np.array([len(row) for row in rows])
        self.mask = np.arange(lengths.max()) < lengths[:, None]
        self.kinds = np.zeros(self.mask.shape, dtype=np.uint8)
        self.kinds[self.mask] = [kind for row in rows for kind in (row[0] or BEGINS, *row[1:])]
        self.logits = self.rng.normal(scale=sharpness, size=(*self.mask.shape, K)).astype(np.float32)
        self.transitions, self.starts = crf(self.rng)
        self.moves = Moves.of(self.transitions, self.starts)
        self.words = Words.of(self.logits, self.mask, self.kinds, self.moves)

    def paths(self, row: int) -> dict[Path, float]:
        length = self.mask[row].sum()
        return all_paths(self.logits[row, :length], self.kinds[row, :length], self.transitions, self.starts)

    def decoded(self) -> np.ndarray:
        return constrained_viterbi(self.words, self.moves)

    def posterior(self) -> Posterior:
        return Posterior.of(self.words, self.moves)

    def pieces(self, row: int, first: int, end: int) -> tuple[int, int]:
        """The pieces of a run of words."""
        return int(self.words.firsts[row, first]), int(self.words.lasts[row, end - 1]) + 1


@given(ragged_batches)
@settings(max_examples=40, deadline=None)
def test_viterbi_finds_the_best_of_all_legal_sequences_in_ragged_batches(case):
    batch = Batch(case)

    labels = word_viterbi(batch.logits, batch.mask, batch.kinds, batch.moves)

    for row, length in enumerate(batch.mask.sum(axis=1)):
        scores = batch.paths(row)
        assert scores[tuple(labels[row, :length].tolist())] == pytest.approx(max(scores.values()), abs=1e-4)
        assert (labels[row, length:] == 0).all()


@given(ragged_batches)
@settings(max_examples=40, deadline=None)
def test_posteriors_are_sums_over_all_legal_sequences(case):
    batch = Batch(case)
    labels, posterior = batch.decoded(), batch.posterior()
    spans = label_spans(labels, batch.words.mask)

    confidences = posterior.of_spans(labels, spans)

    for row in range(len(batch.mask)):
        scores = batch.paths(row)
        log_total = np.logaddexp.reduce(list(scores.values()))
        assert posterior.log_total[row] == pytest.approx(log_total, abs=1e-4)
        probabilities = {path: np.exp(score - log_total) for path, score in scores.items()}
        firsts = batch.words.firsts[row][batch.words.mask[row]]
        marginals = np.zeros((len(firsts), K))
        for path, probability in probabilities.items():
            marginals[np.arange(len(firsts)), [path[first] for first in firsts]] += probability
        np.testing.assert_allclose(posterior.marginals[row, : len(firsts)], marginals, atol=1e-5)
        for (where, tag, first, end), confidence in zip(spans, confidences, strict=True):
            if where == row:
                wanted = (tag, *batch.pieces(row, first, end))
                exact = sum(p for path, p in probabilities.items() if wanted in spans_of_path(path))
                assert confidence == pytest.approx(exact, abs=1e-5)


@given(ragged_batches, st.sampled_from((0.1, 2.0, 9.0)))
@settings(max_examples=40, deadline=None)
def test_what_has_more_than_half_of_the_probability_is_taken_for_the_best_path_and_nothing_else(case, sharpness):
    batch = Batch(case, sharpness=sharpness)
    posterior = batch.posterior()

    labels = most_probable_path(posterior)

    assert labels.tolist() == batch.decoded().tolist()
    for row, held in enumerate(posterior.holds_half(labels).tolist()):
        scores = np.array(list(batch.paths(row).values()))
        highest = np.exp(scores.max() - np.logaddexp.reduce(scores))
        assert highest > 0.5 if held else highest < 0.52 or sharpness > 2  # there a floored weight may prove nothing


@given(st.integers(0, 2**32 - 1), st.lists(piece_kinds, min_size=1, max_size=4), st.integers(1, 40))
@settings(max_examples=40, deadline=None)
def test_the_best_paths_are_the_head_of_the_sorted_list_of_all(seed, kinds, count):
    batch = Batch((seed, [kinds]))
    known = batch.paths(0)
    expected = sorted(known.values(), reverse=True)[:count]

    paths, scores = best_paths(batch.words, batch.moves, count)

    np.testing.assert_allclose(scores, expected, atol=1e-4)
    found = [tuple(batch.words.piece_labels(path[None], batch.mask, batch.kinds)[0].tolist()) for path in paths]
    assert len(set(found)) == len(expected)
    np.testing.assert_allclose([known[path] for path in found], expected, atol=1e-4)


@pytest.mark.parametrize("labels", [STAGE2, STAGE3], ids=["21 labels", "33 labels"])
def test_neither_the_batch_nor_its_padding_changes_a_bit_of_an_answer(labels):
    rng = np.random.default_rng(7)
    lengths = rng.integers(1, 20, 70)
    mask = np.arange(24) < lengths[:, None]
    logits = rng.normal(scale=3, size=(*mask.shape, len(labels))).astype(np.float32)
    kinds = rng.choice([INSIDE, BEGINS, BEGINS, BARRED], size=mask.shape).astype(np.uint8)
    kinds[:, 0] = BEGINS
    moves = Moves.of(*crf(rng, labels))

    def answers(rows, pieces: int):
        words = Words.of(logits[rows, :pieces], mask[rows, :pieces], kinds[rows, :pieces], moves)
        posterior = Posterior.of(words, moves)
        found = most_probable_path(posterior)
        spans = label_spans(found, words.mask)
        by_row: dict[int, list[tuple[object, ...]]] = {row: [] for row in range(len(words.mask))}
        for (row, *span), confidence in zip(spans, posterior.of_spans(found, spans).tolist(), strict=True):
            by_row[row].append((*span, confidence))
        return [(float(total), by_row[row]) for row, total in enumerate(posterior.log_total)]

    together = answers(slice(None), 24)

    for row, length in enumerate(lengths.tolist()):
        assert answers(slice(row, row + 1), length) == [together[row]]
    for size in (2, 3, 16):
        assert [found for first in range(0, 70, size) for found in answers(slice(first, first + size), 24)] == together


def test_a_value_that_would_be_half_a_word_is_not_found():
    """M67: `MERIDIAN TRADING ROBERT J HAL` of `… HALLORAN`, and the network likes HAL alone."""
    moves = Moves.of(*hard_mask(TWO_TAGS))
    logits = np.zeros((1, 3, K), dtype=np.float32)
    logits[0, 0, 1] = logits[0, 1, 2] = 4.0  # J HAL is an a
    logits[0, 2, 0] = 3.0  # LORAN is none
    mask = np.ones((1, 3), dtype=bool)

    def labels(*kinds: int) -> list[int]:
        return word_viterbi(logits, mask, np.array([kinds], np.uint8), moves)[0].tolist()

    assert labels(BEGINS, BEGINS, INSIDE) == [1, 2, 2]
    assert labels(BEGINS, BEGINS, BEGINS) == [1, 2, 0]  # were LORAN a word of its own


@pytest.mark.parametrize("better", [1, 3], ids=["the first tag is better", "the second tag is better"])
@pytest.mark.parametrize("kinds", [[BEGINS] * 40, [BEGINS] + [INSIDE] * 39, [BEGINS, INSIDE] * 20])
def test_two_paths_that_are_nearly_equal_are_told_apart_by_viterbi_posterior_and_k_best(better, kinds):
    """Forty scores near 1,000 add up to 40,000, where neighbours in float32 are 0.004 apart and these paths 4e-5."""
    gap, other = 4e-5, 4 - better
    transitions, starts = hard_mask(TWO_TAGS)
    logits = np.full((1, 40, K), -1000.0, dtype=np.float32)
    logits[0, :, 1:] = 1000.0
    logits[0, :, 0] = 0.0
    transitions = transitions.astype(np.float64)
    transitions[better, better + 1] += gap
    transitions[1:, 1:5:2] -= 100  # one span of forty pieces beats forty of one
    mask, piece_kinds = np.ones((1, 40), bool), np.array([kinds], np.uint8)
    moves = Moves.of(transitions, starts)
    words = Words.of(logits, mask, piece_kinds, moves)

    labels = word_viterbi(logits, mask, piece_kinds, moves)
    posterior = Posterior.of(words, moves)
    spans = label_spans(constrained_viterbi(words, moves), words.mask)
    (confidence,) = posterior.of_spans(constrained_viterbi(words, moves), spans)
    paths, scores = best_paths(words, moves, 2)

    assert labels.tolist() == [[better] + [better + 1] * 39]
    assert paths[:, 0].tolist() == [better, other]
    assert scores[0] - scores[1] == pytest.approx(gap, rel=1e-5)
    assert confidence == pytest.approx(1 / (1 + np.exp(-gap)), abs=1e-9)


def test_without_a_crf_a_lone_inside_label_is_never_chosen():
    moves = Moves.of(*hard_mask(TWO_TAGS))
    logits = np.zeros((1, 2, K), dtype=np.float32)
    logits[0, :, 2] = 5.0  # I-a is the best label of both pieces and may not begin

    words = Words.of_pieces(logits, np.ones((1, 2), bool))
    assert constrained_viterbi(words, moves).tolist() == [[1, 2]]


def test_wild_logits_still_have_a_legal_path_and_probabilities():
    moves = Moves.of(*hard_mask(TWO_TAGS))
    logits = np.full((1, 3, K), -1e6, dtype=np.float32)
    logits[0, :, 4] = 1e6  # only I-b has any weight, and nothing may lead into it
    words = Words.of_pieces(logits, np.ones((1, 3), bool))

    posterior = Posterior.of(words, moves)
    labels = most_probable_path(posterior)

    assert labels.tolist() == constrained_viterbi(words, moves).tolist() == [[3, 4, 4]]
    assert np.isfinite(posterior.marginals).all()
    assert 0 <= posterior.of_spans(labels, label_spans(labels, words.mask))[0] <= 1


@pytest.mark.parametrize("scale", [10, 1e3, 1e6])
def test_however_wild_the_scores_of_a_long_row_are_its_spans_have_probabilities(scale):
    rng = np.random.default_rng(1)
    transitions, starts = hard_mask(STAGE3)
    for _ in range(10):
        moves = Moves.of(transitions + rng.normal(scale=30, size=transitions.shape), starts)
        logits = rng.normal(scale=scale, size=(3, 128, len(STAGE3))).astype(np.float32)
        words = Words.of_pieces(logits, np.ones((3, 128), bool))

        posterior = Posterior.of(words, moves)
        labels = constrained_viterbi(words, moves)

        assert most_probable_path(posterior).tolist() == labels.tolist()
        confidences = posterior.of_spans(labels, label_spans(labels, words.mask))
        assert len(confidences) and ((confidences >= 0) & (confidences <= 1)).all()
        assert np.isfinite(posterior.marginals).all() and np.isfinite(posterior.log_total).all()


def test_no_rows_and_no_pieces_give_no_labels():
    moves = Moves.of(*hard_mask(STAGE2))

    none = np.zeros((2, 0))
    labels = word_viterbi(np.zeros((2, 0, 21), np.float32), none.astype(bool), none.astype("u1"), moves)

    assert labels.shape == (2, 0)


def test_spans_end_where_another_begins_and_at_the_end_of_the_row():
    labels = np.array([[1, 2, 1, 0, 3], [3, 4, 4, 0, 0]])
    mask = np.array([[True] * 5, [True, True, False, False, False]])

    assert list(label_spans(labels, mask)) == [(0, 0, 0, 2), (0, 0, 2, 3), (0, 1, 4, 5), (1, 1, 0, 2)]


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
