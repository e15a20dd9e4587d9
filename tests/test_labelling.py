"""Labels from spans against a character-by-character oracle, on any Unicode text and any sound spans."""

from __future__ import annotations

import unicodedata
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mw_pipeline.dataset.labelling import (
    NO_TAG,
    Spans,
    Texts,
    labels_of,
    rows_are_legal,
    spans_are_sound,
    spans_from,
    spans_survive,
    words_are_whole,
)
from mw_pipeline.labels import STAGE2, LabelSet
from mw_pipeline.recipe import TokenizerConfig
from mw_pipeline.tokenizer import Pieces, Tokenizer, train_tokenizer

SMALL = LabelSet(("street", "postcode"))
TEXTS = [f"{n} rue de la Paix, {75000 + n} Paris (Île) · 東京 {n}" for n in range(200)]

Row = tuple[str, list[tuple[int, int, int]]]  # text, [(tag, start, end)]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory) -> Tokenizer:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.model"
    train_tokenizer(TEXTS, TokenizerConfig(vocab_size=400), path)
    return Tokenizer(path)


def flat(rows: list[list[tuple[int, int, int]]]) -> Spans:
    items = [(row, *span) for row, spans in enumerate(rows) for span in spans]
    columns = np.array(items, dtype=np.int64).reshape(-1, 4).T
    return Spans(*columns)


def pieces_of(*rows: list[tuple[int, int]]) -> Pieces:
    ranges = [r for row in rows for r in row]
    starts, ends = np.array(ranges, dtype=np.int32).reshape(-1, 2).T
    offsets = np.cumsum([0, *(len(row) for row in rows)]).astype(np.int64)
    return Pieces(ids=np.full(len(ranges), 2, dtype=np.int32), offsets=offsets, starts=starts, ends=ends)


def label_names(labels: np.ndarray, label_set: LabelSet) -> list[str]:
    return [label_set.labels[label] for label in labels]


def test_begin_and_inside_follow_the_change_of_span():
    # "12 rue X 75": pieces 12 | rue | X | 7 | 5
    texts = Texts(["12 rue X 75"])
    pieces = pieces_of([(0, 2), (3, 6), (7, 8), (9, 10), (10, 11)])

    labels = labels_of(texts, pieces, flat([[(0, 3, 8), (1, 9, 11)]]))

    assert label_names(labels, SMALL) == ["O", "B-street", "I-street", "B-postcode", "I-postcode"]


def test_two_neighbours_of_one_tag_stay_two_spans():
    labels = labels_of(Texts(["ab"]), pieces_of([(0, 1), (1, 2)]), flat([[(0, 0, 1), (0, 1, 2)]]))

    assert label_names(labels, SMALL) == ["B-street", "B-street"]


def test_the_first_piece_of_a_row_begins_even_when_the_row_before_ended_in_the_same_tag():
    labels = labels_of(Texts(["a", "b"]), pieces_of([(0, 1)], [(0, 1)]), flat([[(0, 0, 1)], [(0, 0, 1)]]))

    assert label_names(labels, SMALL) == ["B-street", "B-street"]


def test_a_lone_space_inside_a_span_keeps_it_whole_and_outside_one_is_o():
    # "a  b c": pieces a | ▁ | b | ▁ | c with the space pieces empty
    pieces = pieces_of([(0, 1), (2, 2), (3, 4), (5, 5), (5, 6)])

    labels = labels_of(Texts(["a  b c"]), pieces, flat([[(0, 0, 4)]]))

    assert label_names(labels, SMALL) == ["B-street", "I-street", "I-street", "O", "O"]


def test_punctuation_at_the_front_of_a_piece_does_not_cost_the_span():
    labels = labels_of(Texts(["(Paris)"]), pieces_of([(0, 3), (3, 7)]), flat([[(0, 1, 6)]]))

    assert label_names(labels, SMALL) == ["B-street", "I-street"]


def test_the_empty_piece_before_a_text_is_o():
    labels = labels_of(Texts(["ab"]), pieces_of([(0, 0), (0, 2)]), flat([[(0, 0, 2)]]))

    assert label_names(labels, SMALL) == ["O", "B-street"]


def test_a_tag_outside_the_label_set_becomes_o():
    labels = labels_of(Texts(["ab"]), pieces_of([(0, 1), (1, 2)]), flat([[(NO_TAG, 0, 1), (1, 1, 2)]]))

    assert label_names(labels, SMALL) == ["O", "B-postcode"]


def test_no_rows_have_no_labels():
    empty = pieces_of()

    assert labels_of(Texts([]), empty, flat([])).tolist() == []
    assert spans_survive(Texts([]), empty, np.empty(0, dtype=np.uint8), flat([])).tolist() == []


@pytest.mark.parametrize(
    ("spans", "sound"),
    [
        ([(0, 0, 2), (1, 2, 4)], True),
        ([], True),
        ([(0, 0, 3), (1, 2, 4)], False),
        ([(0, 2, 4), (1, 0, 2)], False),
        ([(0, 1, 1)], False),
        ([(0, 3, 2)], False),
        ([(0, -1, 2)], False),
        ([(0, 2, 5)], False),
    ],
)
def test_spans_are_sound_when_they_are_sorted_disjoint_not_empty_and_inside(spans, sound):
    assert spans_are_sound(flat([[(0, 0, 1)], spans, []]), np.array([1, 4, 0])).tolist() == [True, sound, True]


@pytest.mark.parametrize(
    ("labels", "legal"),
    [
        ([0, 1, 2, 2, 0, 3, 4], True),
        ([1, 1, 3], True),
        ([2], False),
        ([0, 2], False),
        ([1, 4], False),
        ([1, 2, 0, 2], False),
        ([9], False),
        ([], True),
    ],
)
def test_a_row_is_legal_when_the_transition_mask_allows_every_move(labels, legal):
    """M31: one gold sequence that the mask forbids puts the loss in the millions."""
    flat_labels = np.array([1, *labels, 0, 1, 2], dtype=np.uint8)
    offsets = np.cumsum([0, 1, len(labels), 3])

    assert rows_are_legal(flat_labels, offsets, SMALL).tolist() == [True, legal, True]


@pytest.mark.parametrize(
    ("pieces", "span", "whole"),
    [
        ([(0, 2), (2, 7)], (2, 7), True),  # d' | Assas
        ([(0, 2), (2, 4), (4, 7)], (2, 7), True),  # d' | As | sas
        ([(0, 4), (4, 7)], (2, 7), False),  # d'As | sas: no label begins Assas
        ([(0, 4), (4, 7)], (0, 1), False),  # and none ends d
        ([(0, 4), (4, 7)], (0, 7), True),
    ],
)
def test_labels_keep_words_whole_unless_a_piece_holds_the_end_of_one_and_the_start_of_the_next(pieces, span, whole):
    texts, found = Texts(["d'Assas", "12"]), pieces_of(pieces, [(0, 2)])
    labels = labels_of(texts, found, flat([[(0, *span)], [(1, 0, 2)]]))

    assert words_are_whole(labels, texts.kinds_of(found), found.offsets).tolist() == [whole, True]


def test_spans_from_labels_end_with_their_row():
    pieces = pieces_of([(0, 1), (1, 2)], [(0, 1), (1, 3)])
    spans = spans_from(np.array([0, 1, 3, 4], dtype=np.uint8), pieces)

    assert spans.row.tolist() == [0, 1]
    assert spans.tag.tolist() == [0, 1]
    assert list(zip(spans.starts.tolist(), spans.ends.tolist(), strict=True)) == [(1, 2), (0, 3)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [(", 7647", "7647"), ("(Montréal)", "Montréal"), ("Sainte-Livrade-sur-Lot", "Sainte-Livrade-sur-Lot"), ("—", None)],
)
def test_trimming_follows_its_vectors(text, expected):
    spans = Texts(["x", text]).values(flat([[], [(0, 0, len(text))]]))

    assert [text[s:e] for s, e in zip(spans.starts, spans.ends, strict=True)] == ([expected] if expected else [])


def test_a_span_inside_one_piece_does_not_survive():
    texts, pieces = Texts(["75001Paris"]), pieces_of([(0, 10)])
    spans = flat([[(1, 0, 5), (0, 5, 10)]])

    survived = spans_survive(texts, pieces, labels_of(texts, pieces, spans), spans)

    assert survived.tolist() == [False, False]


def test_a_gold_span_without_letters_or_digits_does_not_survive():
    texts, pieces = Texts(["a —"]), pieces_of([(0, 1), (2, 3)])
    spans = flat([[(0, 0, 1), (1, 2, 3)]])

    assert spans_survive(texts, pieces, labels_of(texts, pieces, spans), spans).tolist() == [True, False]


ALPHABET = st.one_of(st.characters(), st.sampled_from("  ,.-()ab12é東🏠\u0301\u200d▁\n\x00"))


@st.composite
def rows(draw) -> Row:
    text = draw(st.text(alphabet=ALPHABET, max_size=40))
    cuts = sorted(draw(st.sets(st.integers(0, len(text)), max_size=8)))
    spans = [(draw(st.integers(-1, 1)), a, b) for a, b in pairwise(cuts) if draw(st.booleans())]
    return text, spans


def oracle_labels(text: str, spans: list[tuple[int, int, int]], starts: list[int], ends: list[int]) -> list[int]:
    """One piece at a time, one character at a time."""
    labels, previous = [], None
    for start, end in zip(starts, ends, strict=True):
        if start == end:
            anchor = end - 1
        else:
            core = [i for i in range(start, end) if unicodedata.category(text[i])[0] in "LN"]
            anchor = core[0] if core else start
        inside = [k for k, (tag, a, b) in enumerate(spans) if a <= anchor < b and tag != NO_TAG]
        span = inside[0] if inside else None
        labels.append(0 if span is None else 1 + 2 * spans[span][0] + (span == previous))
        previous = span
    return labels


def oracle_decoded(text: str, labels: list[int], starts: list[int], ends: list[int]) -> set[tuple[int, int, int]]:
    """Walks the labels, joins pieces to spans, trims both ends one character at a time."""
    found: list[list[int]] = []
    for label, start, end in zip(labels, starts, ends, strict=True):
        if label % 2 == 1:
            found.append([(label - 1) // 2, start, end])
        elif label > 0:
            found[-1][2] = end
    return {span for tag, a, b in found for span in oracle_trim(text, tag, a, b)}


def oracle_trim(text: str, tag: int, start: int, end: int) -> list[tuple[int, int, int]]:
    while start < end and unicodedata.category(text[start])[0] not in "LN":
        start += 1
    kept = end
    while start < kept and unicodedata.category(text[kept - 1])[0] not in "LN":
        kept -= 1
    while start < kept < end and unicodedata.category(text[kept])[0] == "M":
        kept += 1
    return [(tag, start, kept)] if start < kept else []


@settings(max_examples=300, deadline=None)
@given(st.lists(rows(), max_size=5))
@example([("", []), ("a🏠b", [(0, 0, 1), (1, 1, 2)]), ("", [])])
def test_labels_and_survival_agree_with_a_walk_over_the_characters(tokenizer, chunk):
    texts, pieces = Texts([text for text, _ in chunk]), tokenizer.encode([text for text, _ in chunk])
    spans = flat([spans for _, spans in chunk])
    labels = labels_of(texts, pieces, spans)
    survived = spans_survive(texts, pieces, labels, spans).tolist()

    assert rows_are_legal(labels, pieces.offsets, SMALL).all()
    for row, (text, gold) in enumerate(chunk):
        here = slice(pieces.offsets[row], pieces.offsets[row + 1])
        starts, ends = pieces.starts[here].tolist(), pieces.ends[here].tolist()
        assert labels[here].tolist() == oracle_labels(text, gold, starts, ends)
        decoded = oracle_decoded(text, labels[here].tolist(), starts, ends)
        expected = [bool(oracle_trim(text, *span)) and oracle_trim(text, *span)[0] in decoded for span in gold]
        assert [survived[k] for k in np.flatnonzero(spans.row == row)] == expected


def test_stage_two_labels_fit_a_byte():
    assert len(STAGE2) == 21
    assert labels_of(Texts(["a"]), pieces_of([(0, 1)]), flat([[(9, 0, 1)]])).tolist() == [19]
