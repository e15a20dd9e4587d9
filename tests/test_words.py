"""Where spans may begin and end: the vectors of the rule, and any text in any pieces against a walk over characters."""

from __future__ import annotations

import itertools
import sys
import unicodedata

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from mw_pipeline.corpus.align import Misfit, align
from mw_pipeline.corpus.align import Span as AlignedSpan
from mw_pipeline.decode import trim
from mw_pipeline.golden.reach import occurrences
from mw_pipeline.words import BARRED, BEGINS, INSIDE, UNREAD, Characters, PieceJoints, character_kinds

# Letters, digits, accents, scripts with and without spaces, and everything that may stand between words.
WILD = st.text(
    st.one_of(st.sampled_from("aZé9 '’-,.(\u0301\ufe0f東リー\u3099กิາကា½ß🏠\u2581\n\u200d"), st.characters()),
    max_size=12,
)


def cuts(text: str) -> list[int]:
    """The positions between two words, read off a piece for each character."""
    return np.flatnonzero(Characters([text]).joints).tolist()


def values(text: str) -> set[str]:
    """Every value that a span may have."""
    found = set()
    for start, end in itertools.combinations(cuts(text), 2):
        kept = trim(text, start, end)
        if kept:
            found.add(text[slice(*kept)])
    return found


def test_halloran_is_neither_hal_nor_loran():
    assert values("ROBERT J HALLORAN") == {"ROBERT", "J", "HALLORAN", "ROBERT J", "J HALLORAN", "ROBERT J HALLORAN"}


def test_qld_is_whole_or_nothing():
    assert values("QLD") == {"QLD"}


def test_an_apostrophe_or_a_hyphen_ends_a_word():
    for text in ("d'Assas", "d’Assas", "d-Assas"):
        assert values(text) == {"d", "Assas", text}


def test_letters_and_digits_make_one_word():
    assert values("12bis") == {"12bis"}


def test_in_scripts_without_spaces_any_cut_is_allowed():
    text = "鹿児島県出水市"

    assert cuts(text) == list(range(len(text) + 1))
    assert all(cuts(word) == [0, 1, 2] for word in ("ひら", "カタ", "カー", "กข", "ກຂ", "កខ", "ကခ", "2丁", "丁A"))


def test_a_mark_belongs_to_the_character_before_it():
    assert values("Cafe\u0301 B") == {"Cafe\u0301", "B", "Cafe\u0301 B"}
    assert cuts("กิน") == [0, 2, 3]


def test_kinds_are_unicode_categories_for_every_code_point():
    kinds = character_kinds()
    for code_point in range(sys.maxunicode + 1):
        category = unicodedata.category(chr(code_point))[0]
        assert kinds[code_point] & 3 == {"L": 2, "N": 2, "M": 1}.get(category, 0), hex(code_point)


def test_the_unspaced_scripts_are_those_of_unicode():
    """RE2 has Unicode's own table of scripts. What two kana scripts share, and marks of Han, belong to none there."""
    word = [chr(c) for c in range(sys.maxunicode + 1) if unicodedata.category(chr(c))[0] in "LMN"]
    scripts = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"
    expected = pc.match_substring_regex(pa.array(word), scripts).to_numpy(zero_copy_only=False)
    found = character_kinds()[[ord(c) for c in word]] & 4 > 0

    assert not (expected & ~found).any()
    shared = [unicodedata.name(c) for c, more in zip(word, found & ~expected, strict=True) if more]
    assert all("KANA" in name or "IDEOGRAPHIC" in name or "MASU" in name for name in shared), shared


def joined(text: str, index: int) -> bool:
    """Whether one word goes on over an index, character by character."""
    if not 0 < index < len(text):
        return False
    left, right = text[index - 1], text[index]
    if not all(unicodedata.category(c)[0] in "LMN" for c in (left, right)):
        return False
    return unicodedata.category(right)[0] == "M" or not (unspaced(left) or unspaced(right))


def unspaced(character: str) -> bool:
    return bool(character_kinds()[ord(character)] & 4)


@given(st.lists(WILD, max_size=4))
@settings(max_examples=300, deadline=None)
def test_joints_agree_with_a_walk_over_the_characters_alone_and_in_company(texts):
    together = Characters(texts)

    for row, text in enumerate(texts):
        here = together.joints[together.offsets[row] : together.offsets[row] + len(text) + 1]
        assert here.tolist() == [not joined(text, index) for index in range(len(text) + 1)]
        assert np.flatnonzero(here).tolist() == cuts(text)


@given(WILD, st.data())
@settings(max_examples=300, deadline=None)
def test_gold_labelled_sources_and_labels_give_one_answer_to_where_a_value_may_stand(text, data):
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    value = text[start:end]
    alone = bool(value) and value == value.strip() and text.count(value) == 1
    assume(alone and text.find(value, start + 1) < 0)
    whole = not (joined(text, start) or joined(text, end))

    in_gold = list(occurrences(text, value))
    aligned = align(text, {"street": value})
    labelled = bool(Characters([text]).joints[[start, end]].all())

    assert labelled == whole
    assert in_gold == ([(start, end)] if whole else [])
    assert isinstance(aligned, Misfit) or whole or (aligned[0].start, aligned[0].end) != (start, end)
    assert not whole or aligned == (AlignedSpan(start, end, "street"),)


@pytest.mark.parametrize(
    ("text", "value", "stands"),
    [
        ("12bis", "12", False),
        ("HALLORAN", "HAL", False),
        ("d'Assas", "Assas", True),
        ("鹿児島県出水市", "出水市", True),
        ("서울특별시", "서울", False),
        ("ラーメンㇰ丁", "ㇰ丁", True),
        ("12〇", "〇", True),
    ],
)
def test_the_vectors_of_words_hold_for_gold_and_labelled_sources_alike(text, value, stands):
    assert bool(list(occurrences(text, value))) == stands
    assert (not isinstance(align(text, {"street": value}), Misfit)) == stands


@given(st.lists(st.tuples(WILD, st.integers(0, 12), st.integers(0, 12)), max_size=4))
@settings(max_examples=300, deadline=None)
def test_many_spans_are_trimmed_as_one_is(cases):
    texts = [text for text, _, _ in cases]
    bounds = [sorted((min(a, len(text)), min(b, len(text)))) for text, a, b in cases]
    starts, ends = np.array(bounds, dtype=np.int64).reshape(-1, 2).T

    found = Characters(texts).trimmed(np.arange(len(texts)), starts, ends)

    for text, (start, end), kept in zip(texts, bounds, zip(*found, strict=True), strict=True):
        expected = trim(text, start, end)
        assert (kept[0] == kept[1]) if expected is None else tuple(kept) == expected


@st.composite
def cut_texts(draw):
    """A text in any pieces that a tokenizer could cut it into: spaces left out at the front, empty pieces anywhere."""
    text = draw(WILD)
    places = sorted(draw(st.lists(st.integers(0, len(text)), max_size=8)))
    pieces = []
    for start, end in itertools.pairwise([0, *places, len(text)]):
        while start < end and text[start] in (" ", "\u2581"):
            start += 1
        pieces.append((start, end))
    return text, pieces[: draw(st.integers(0, len(pieces)))]  # what follows was not read


def kinds_of(rows) -> list[list[int]]:
    """The kinds of each row's pieces, all rows at once."""
    pieces = [piece for _, row in rows for piece in row]
    starts, ends = np.array(pieces, dtype=np.int32).reshape(-1, 2).T
    offsets = np.cumsum([0, *(len(row) for _, row in rows)]).astype(np.int64)
    kinds = Characters([text for text, _ in rows]).piece_kinds(starts, ends, offsets)
    return [kinds[a:b].tolist() for a, b in itertools.pairwise(offsets.tolist())]


def spans_allowed(kinds: list[int]) -> list[tuple[int, int]]:
    """(first, end) of every run of pieces that may be a span."""
    words = [t for t, kind in enumerate(kinds) if kind != INSIDE] + [len(kinds)]
    return [
        (first, end)
        for first, end in itertools.combinations(words, 2)
        if kinds[first] == BEGINS and UNREAD not in kinds[first:end]
    ]


@given(st.lists(cut_texts(), max_size=4))
@example([("e\u0301, \u0301x y", [(0, 1), (1, 2), (2, 3), (4, 6), (7, 8)]), ("\u0301a", [(0, 2)])])
@example([("d'Assas", [(0, 3), (3, 7)]), ("12-14", [(0, 2), (2, 4), (4, 5)]), ("HALLORAN", [(0, 3)])])
@settings(max_examples=500, deadline=None)
def test_in_any_pieces_no_allowed_span_is_half_a_word(rows):
    for (text, pieces), kinds in zip(rows, kinds_of(rows), strict=True):
        assert kinds == (kinds_of([(text, pieces)])[0])
        for first, end in spans_allowed(kinds):
            kept = trim(text, pieces[first][0], pieces[end - 1][1])
            assert kept is None or not (joined(text, kept[0]) or joined(text, kept[1]))


@given(WILD)
@settings(max_examples=200, deadline=None)
def test_with_a_piece_for_each_character_every_run_of_words_is_allowed(text):
    pieces = [(index, index + 1) for index in range(len(text))]
    (kinds,) = kinds_of([(text, pieces)])

    allowed = {text[slice(*kept)] for span in spans_allowed(kinds) if (kept := trim(text, *span))}

    letter = [unicodedata.category(c)[0] in "LN" for c in text]
    places = [index for index in range(len(text) + 1) if not joined(text, index)]
    expected = {text[a:b] for a, b in itertools.combinations(places, 2) if letter[a] and trim(text, a, b) == (a, b)}
    assert allowed == expected


@pytest.mark.parametrize(
    ("text", "pieces", "kinds"),
    [
        ("HALLORAN", [(0, 3), (3, 8)], [BEGINS, INSIDE]),
        ("d'Assas", [(0, 2), (2, 7)], [BEGINS, BEGINS]),
        ("d'Assas", [(0, 4), (4, 7)], [BEGINS, INSIDE]),  # d ends and Assas begins in one piece: both or neither
        ("a  b", [(0, 1), (2, 2), (3, 4)], [BEGINS, BARRED, BEGINS]),  # a lone space
        ("島é島", [(0, 1), (1, 2), (2, 2), (2, 3)], [BEGINS, BEGINS, INSIDE, BEGINS]),  # a byte belongs to its letter
        ("HALLORAN", [(0, 3)], [UNREAD]),  # cut off by max_length
        ("J HALLORAN", [(0, 1), (2, 5), (5, 7)], [BEGINS, UNREAD, INSIDE]),
        ("x \u0301abc", [(0, 1), (2, 6)], [BEGINS, BARRED]),
        ("", [(0, 0)], [BARRED]),
    ],
)
def test_pieces_begin_words_or_go_on_with_them(text, pieces, kinds):
    assert kinds_of([(text, pieces)]) == [kinds]


def test_no_texts_have_no_pieces():
    assert kinds_of([]) == []
    assert kinds_of([("", []), ("a", [])]) == [[], []]


def words_by_ids(pieces: list[str]) -> list[str]:
    """What pieces make of a text when they are told by their ids alone, word by word."""
    joints = PieceJoints.of(pieces)
    begins = joints.begins(np.arange(len(pieces)), np.array([0, len(pieces)])).tolist()
    words: list[str] = []
    for piece, first in zip(pieces, begins, strict=True):
        words = [*words, piece] if first else [*words[:-1], words[-1] + piece]
    return words


@pytest.mark.parametrize(
    ("pieces", "words"),
    [
        ("_ 585 54 _L ark spur _Dr , _ND", ["_58554", "_Larkspur", "_Dr,", "_ND"]),
        ("_12 - 14 _d ' Assa s", ["_12-", "14", "_d'", "Assas"]),
        ("_d'As sas", ["_d'Assas"]),
        ("_Dr _# 21 50 , _( France )", ["_Dr", "_#2150,", "_(France)"]),
        ("_A _ - _B", ["_A", "_-", "_B"]),
        ("_東京都 千 代 田 _1 丁目", ["_東京都", "千", "代", "田", "_1", "丁目"]),
        ("_e \u0301 t é", ["_e\u0301té"]),
    ],
)
def test_a_network_tells_words_by_pieces_with_the_signs_that_belong_to_them(pieces, words):
    found = words_by_ids(pieces.replace("_", "\u2581").replace(" ", "|").replace("\u2581", " ").split("|"))

    assert [word.replace(" ", "_") for word in found] == words


@given(WILD.filter(str.strip), st.data())
@settings(max_examples=300, deadline=None)
def test_a_piece_begins_a_word_by_its_id_unless_it_goes_on_with_one_or_holds_none(text, data):
    text = text.replace(" ", "")
    assume(text)
    characters = Characters([text])
    places = st.sets(st.integers(1, len(text) - 1), max_size=6) if len(text) > 1 else st.just(set())
    cut = [0, *sorted(data.draw(places)), len(text)]
    # what a mark of a script without spaces belongs to is not told by ids: it begins a word
    assume(not any(characters.unspaced[start] and not characters.joints[start] for start in cut[:-1]))

    pieces = [text[start:end] for start, end in itertools.pairwise(cut)]
    begins = PieceJoints.of(pieces).begins(np.arange(len(pieces)), np.array([0, len(pieces)]))

    for first, (start, end) in zip(begins[1:], list(itertools.pairwise(cut))[1:], strict=True):
        assert first == bool(characters.joints[start] and characters.in_word[start:end].any())


def test_rows_of_no_pieces_begin_no_word():
    joints = PieceJoints.of(["", "a"])

    assert joints.begins(np.array([1, 1]), np.array([0, 0, 1, 1, 2, 2])).tolist() == [True, True]
    assert joints.begins(np.array([], dtype=np.int64), np.array([0, 0])).tolist() == []
