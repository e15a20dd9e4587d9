"""The parser on a real package: any text is answered, alone or in company."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tiny_package import TEXTS
from yardstick import in_yardsticks

from mw_pipeline.labels import STAGE2, STAGE3, LabelSet
from mw_pipeline.parse import Parser, batches_of
from mw_pipeline.recipe import TokenizerConfig
from mw_pipeline.tokenizer import Tokenizer, train_tokenizer

MEBIBYTE = 1 << 20


@pytest.fixture(scope="module")
def package(tiny_release) -> Path:
    return tiny_release / "packages" / "en-us"


@pytest.fixture(scope="module")
def parser(package) -> Parser:
    return Parser.load(package)


def street_parser(tokenizer: Tokenizer) -> Parser:
    """A parser whose model takes every text for one street."""
    begin = STAGE2.begin("street")

    def logits_of(input_ids, attention_mask):
        logits = np.zeros((*input_ids.shape, len(STAGE2)), dtype=np.float32)
        logits[:, 0, begin] = logits[:, 1:, begin + 1] = 9.0
        return logits

    return Parser(tokenizer=tokenizer, labels=STAGE2, logits_of=logits_of, max_length=32)


@given(st.lists(st.text(max_size=30), max_size=6))
@example(
    ["", " ", "\x00", "\ud800 12 \udfff", "👨‍👩‍👧 12 rue 🏠", "شارع 12\u200f الملك", "\ufeff", "e\u0301", "\n\r\t"]
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_answered_with_spans_of_itself(parser, texts):
    for text, parsed in zip(texts, parser.parse_many(texts), strict=True):
        assert parsed.raw == text
        assert all(text[span.start : span.end] == span.value for span in parsed.spans)
        assert all(0 <= span.confidence <= 1 and span.value for span in parsed.spans)
        assert all(a.end <= b.start for a, b in zip(parsed.spans, parsed.spans[1:], strict=False))
        assert set(parsed.components) == {span.tag for span in parsed.spans}


def test_an_address_is_answered_the_same_alone_and_in_company(parser):
    together = parser.parse_many(TEXTS, batch_size=64)

    for text, parsed in zip(TEXTS[:60], together, strict=False):
        alone = parser.parse(text)
        assert [(s.tag, s.start, s.end) for s in alone.spans] == [(s.tag, s.start, s.end) for s in parsed.spans]
        np.testing.assert_allclose([s.confidence for s in alone.spans], [s.confidence for s in parsed.spans], atol=1e-5)


def test_the_number_of_threads_changes_no_answer(package):
    assert Parser.load(package, threads=1).parse_many(TEXTS) == Parser.load(package, threads=3).parse_many(TEXTS)


def test_a_megabyte_is_read_up_to_max_length_and_says_so(parser):
    text = "12 Oak St, Washington " * (MEBIBYTE // 22)

    parsed = parser.parse(text)

    assert parsed.truncated
    assert parsed.raw == text
    assert max(span.end for span in parsed.spans) < 32 * 32
    assert in_yardsticks(lambda: parser.parse(text), tries=1) < 2


def test_exactly_max_length_pieces_are_not_truncated(tiny_release):
    tokenizer = Tokenizer(tiny_release / "tokenizer.model")
    parser = street_parser(tokenizer)
    text = "q" * 32
    assert len(tokenizer.encode([text]).ids) in (32, 33)
    fits = text[: 64 - len(tokenizer.encode([text]).ids)]

    assert not parser.parse(fits).truncated
    assert parser.parse(fits + "q").truncated


def test_spans_are_trimmed_and_their_offsets_are_code_points(tiny_release):
    parser = street_parser(Tokenizer(tiny_release / "tokenizer.model"))

    parsed = parser.parse("🏠🏠 (Montréal) ,")

    assert [(s.tag, s.value, s.start, s.end) for s in parsed.spans] == [("street", "Montréal", 4, 12)]
    assert parsed.components == {"street": "Montréal"}
    assert parsed.spans[0].confidence > 0.9


@pytest.fixture(scope="module")
def letters(tmp_path_factory) -> Tokenizer:
    """A tokenizer that cuts most words: it knows little more than single characters."""
    path = tmp_path_factory.mktemp("letters") / "tokenizer.model"
    train_tokenizer(TEXTS, TokenizerConfig(vocab_size=340), path)
    return Tokenizer(path)


def random_parser(tokenizer: Tokenizer, labels: LabelSet, seed: int, max_length: int) -> Parser:
    """A parser whose model says of each piece, by its id and place, something random and strong."""
    rng = np.random.default_rng(seed)
    table = rng.normal(scale=6, size=(tokenizer.vocab_size, len(labels))).astype(np.float32)
    places = rng.normal(scale=6, size=(max_length, len(labels))).astype(np.float32)
    size = (len(labels), len(labels))
    return Parser(
        tokenizer=tokenizer,
        labels=labels,
        logits_of=lambda ids, mask: table[ids] + places[: ids.shape[1]],
        max_length=max_length,
        transitions=rng.normal(size=size).astype(np.float32),
        starts=rng.normal(size=size[0]).astype(np.float32),
    )


def in_one_word(text: str, index: int) -> bool:
    """Whether the characters on both sides of an index are letters, marks or digits of scripts that have spaces."""
    sides = text[index - 1 : index + 1] if index else ""
    unspaced = re.compile("CJK|IDEOGRAPH|HIRAGANA|KATAKANA|HENTAIGANA|KANA |THAI |LAO |KHMER |MYANMAR |MASU")
    named = [unicodedata.name(side, "") for side in sides]
    return len(sides) == 2 and all(
        unicodedata.category(side)[0] in "LMN" and not unspaced.search(name)
        for side, name in zip(sides, named, strict=True)
    )


wild_texts = st.lists(
    st.text(st.one_of(st.sampled_from("aZé9 '-,\u0301東กิ🏠"), st.characters()), max_size=40), max_size=4
)


@given(wild_texts, st.integers(0, 2**32 - 1), st.sampled_from([3, 8, 64]))
@example(["MERIDIAN TRADING ROBERT J HALLORAN", "QLD", "12bis, rue d'Assas", "鹿児島県出水市"], 5, 64)
@settings(max_examples=150, deadline=None)
def test_whatever_the_model_says_no_value_begins_or_ends_inside_a_word(letters, texts, seed, max_length):
    """M67."""
    parser = random_parser(letters, STAGE3, seed, max_length)
    candidates = [candidate.parsed for text in texts for candidate in parser.candidates(text, 3)]
    for parsed in (*parser.parse_many(texts), *candidates):
        for span in parsed.spans:
            assert not in_one_word(parsed.raw, span.start), (parsed.raw, span)
            assert not in_one_word(parsed.raw, span.end), (parsed.raw, span)


@given(wild_texts, st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
def test_neither_company_nor_batch_size_changes_a_bit_of_an_answer(letters, texts, seed):
    """The network here answers each row the same in any company, so whatever differs is the decoder's doing."""
    parser = random_parser(letters, STAGE2, seed, 16)

    together = parser.parse_many([*texts, *TEXTS[:20]], batch_size=7)

    assert together == parser.parse_many([*texts, *TEXTS[:20]], batch_size=64)
    assert together[: len(texts)] == [parser.parse(text) for text in texts]


def test_a_word_that_max_length_cuts_off_is_in_no_value(tiny_release):
    parser = street_parser(Tokenizer(tiny_release / "tokenizer.model"))
    text = "Oak " + "q" * 60

    parsed = parser.parse(text)

    assert parsed.truncated
    assert parsed.components == {"street": "Oak"}


def test_a_text_without_letters_has_no_spans(tiny_release):
    assert street_parser(Tokenizer(tiny_release / "tokenizer.model")).parse("— ( ) …").spans == ()


def test_the_parse_as_json_is_a_prediction_row(parser):
    row = parser.parse("12 Oak St, Washington").as_json()

    assert json.loads(json.dumps(row)) == row
    assert set(row) == {"raw", "components", "spans", "truncated"}
    assert set(row["spans"][0]) == {"tag", "value", "start", "end", "start_utf16", "end_utf16", "confidence"}


@pytest.mark.parametrize("text", ["12 Main St", "𝟷𝟸 Main St", "🏠🏠 𝟷𝟸 rue Haute 🏠, 75001 Paris", "\ud800 Été 12"])
def test_offsets_are_told_in_code_points_and_in_the_units_of_javascript(letters, text):
    """M19."""
    parser = random_parser(letters, STAGE2, 5, 64)
    units = text.encode("utf-16-le", "surrogatepass")

    spans = parser.parse(text).as_json()["spans"]

    assert spans
    for span in spans:
        assert text[span["start"] : span["end"]] == span["value"]
        found = units[2 * span["start_utf16"] : 2 * span["end_utf16"]]
        assert found.decode("utf-16-le", "surrogatepass") == span["value"]


def test_candidates_differ_and_come_most_probable_first(parser):
    text = "12 Oak St"

    found = parser.candidates(text, 5)

    readings = [tuple((s.tag, s.start, s.end) for s in c.parsed.spans) for c in found]
    assert len(set(readings)) == len(found) == 5
    assert [c.probability for c in found] == sorted((c.probability for c in found), reverse=True)
    assert sum(c.probability for c in found) <= 1 + 1e-9
    best = tuple((s.tag, s.start, s.end) for s in parser.parse(text).spans)
    assert best in readings


def test_an_empty_text_has_one_candidate_without_spans(parser):
    assert [(c.probability, c.parsed.spans) for c in parser.candidates("", 3)] == [(1.0, ())]


@pytest.mark.parametrize("wrong", [None, b"12 rue", 12, ["12 rue"]])
def test_what_is_no_text_is_a_type_error_that_says_so(parser, wrong):
    with pytest.raises(TypeError, match=r"text 0 is .* of type .*, expected str"):
        parser.parse(wrong)


def test_one_text_given_as_many_is_a_type_error(parser):
    with pytest.raises(TypeError, match="texts is one str, expected a sequence"):
        parser.parse_many("12 rue")


@given(st.lists(st.tuples(st.integers(0, 32), st.integers(1, 3)), max_size=50), st.integers(1, 9))
def test_every_row_with_words_is_in_one_batch_and_padding_stays_below_its_share(sizes, size):
    words = np.array([count for count, _ in sizes], dtype=np.int64)
    lengths = words * np.array([pieces for _, pieces in sizes], dtype=np.int64)

    batches = list(batches_of(words, lengths, size))

    assert sorted(row for batch in batches for row in batch) == [row for row, n in enumerate(words) if n]
    for batch in batches:
        assert len(batch) <= size
        most, fewest = words[batch].max(), words[batch].min()
        assert most - fewest <= max(1, 0.25 * most)


def test_parsing_imports_nothing_of_training_or_of_the_graph(package):
    code = (
        "import sys\nfrom pathlib import Path\nfrom mw_pipeline.parse import Parser\n"
        f"Parser.load(Path({str(package)!r})).parse('12 rue')\n"
        "print(sorted({'torch', 'onnx', 'pyarrow', 'pydantic', 'dagster', 'duckdb'} & set(sys.modules)))"
    )

    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert said.stdout.strip() == "[]"
