"""Pieces and their code-point ranges, against SentencePiece's own alignment and against the text itself."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import sentencepiece as spm
from hypothesis import example, given, settings
from hypothesis import strategies as st
from yardstick import in_yardsticks

from mw_pipeline.errors import ArtifactError, RecipeError
from mw_pipeline.recipe import TokenizerConfig
from mw_pipeline.tokenizer import PAD_ID, Tokenizer, tokenizer_round_trips, train_tokenizer

PLACES = [
    "1600 Pennsylvania Ave NW, Washington, DC 20500",
    "12 bis rue de la République, 75001 Paris CEDEX 07",
    "350 5th Ave, New York, NY 10118-0110, USA",
    "Lieu-dit Le Moulin, 47110 Sainte-Livrade-sur-Lot, France",
    "東京都千代田区丸の内1-9-1",
    "улица Тверская, 13, Москва",
    "شارع الملك فهد، الرياض",
    "रिंग रोड, दिल्ली",
]
STREETS = ("Oak", "Maple Hill", "Rue Haute", "Chemin des Prés", "Königsallee", "Calle Mayor", "東町", "Ленина")
TEXTS = [f"{n} {STREETS[n % 8]} {n * 37 % 991}, {PLACES[n % len(PLACES)]}" for n in range(320)]
TRICKY = [
    "",
    " ",
    "   ",
    "a\x00b",
    "\x00",
    "line one\nline two\r\n\tthree",
    "▁already▁marked ▁ twice",
    "12 \ud800 rue \udfff",
    "👨\u200d👩\u200d👧\u200d👦 12 rue 🏠",
    "e\u0301cole \u0130 ﬁ",
    "رقم 12\u200f شارع",
    "  two  spaces  ",
    "\u00a012\u3000rue\u2028x",
    "𝟙𝟚 𠮷野家",
    "<0x41> <unk> <pad>",
    "\ufeff12",
    "\U0010ffff\ufffe",
]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory) -> Tokenizer:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.model"
    train_tokenizer(TEXTS, TokenizerConfig(vocab_size=450), path)
    return Tokenizer(path)


def content_of(tokenizer: Tokenizer, text: str) -> list[str]:
    pieces = tokenizer.encode([text])
    return [text[start:end] for start, end in zip(pieces.starts, pieces.ends, strict=True)]


def test_a_words_piece_leaves_its_leading_space_out(tokenizer):
    text = "12 rue  de"

    assert "".join(content_of(tokenizer, text)) == "12ruede"
    pieces = tokenizer.encode([text])
    assert (pieces.starts[0], pieces.ends[-1]) == (0, 10)


def test_rows_are_flat_and_independent(tokenizer):
    together = tokenizer.encode([*TEXTS[:8], "", "x"])
    alone = [tokenizer.encode([text]) for text in [*TEXTS[:8], "", "x"]]

    assert np.diff(together.offsets).tolist() == [len(pieces.ids) for pieces in alone]
    for field in ("ids", "starts", "ends"):
        assert getattr(together, field).tolist() == [v for one in alone for v in getattr(one, field).tolist()]
    assert together.row_of.tolist() == [row for row, one in enumerate(alone) for _ in one.ids]
    assert len(together) == 10


def test_no_texts_are_no_pieces(tokenizer):
    pieces = tokenizer.encode([])

    assert (len(pieces), pieces.ids.tolist(), pieces.offsets.tolist()) == (0, [], [0])


def test_a_lead_byte_owns_its_character_and_continuation_bytes_are_empty(tokenizer):
    pieces = tokenizer.encode(["x🏠y"])

    ranges = list(zip(pieces.starts.tolist(), pieces.ends.tolist(), strict=True))
    assert ranges[-5:] == [(1, 2), (2, 2), (2, 2), (2, 2), (2, 3)]


@pytest.mark.parametrize("text", TRICKY)
def test_tricky_texts_survive(tokenizer, text):
    assert tokenizer_round_trips(tokenizer, [text]) == ()


ANY_TEXT = st.text(alphabet=st.one_of(st.characters(), st.sampled_from(" ▁\n\t\x00é東🏠\u0301\u200d12,-ab\ud800")))


@settings(max_examples=300, deadline=None)
@given(ANY_TEXT)
@example("▁ ▁")
def test_any_unicode_text_survives_and_every_character_is_covered_once(tokenizer, text):
    assert tokenizer_round_trips(tokenizer, [text]) == ()


@settings(max_examples=300, deadline=None)
@given(st.lists(st.text(alphabet=st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from(" ▁é東🏠ab1")))))
def test_ranges_agree_with_sentencepiece_alignment(tokenizer, texts):
    model = spm.SentencePieceProcessor(model_file=str(tokenizer.path))
    pieces = tokenizer.encode(texts)

    for row, text in enumerate(texts):
        here = slice(pieces.offsets[row], pieces.offsets[row + 1])
        assert by_character(model, text) == ranges_of_content(pieces.starts[here], pieces.ends[here])


def by_character(model: spm.SentencePieceProcessor, text: str) -> list[tuple[int, int]]:
    """The model's own offsets: bytes of one character joined, leading spaces cut, empty ranges left out."""
    ranges = []
    for start, end in model.encode(text, return_type="offset_mapping")["offsets"]:
        while start < end and text[start] in " ▁":
            start += 1
        if start < end:
            ranges.append((start, end))
    return ranges


def ranges_of_content(starts, ends) -> list[tuple[int, int]]:
    return [(s, e) for s, e in zip(starts.tolist(), ends.tolist(), strict=True) if s < e]


def test_ranges_never_go_back(tokenizer):
    pieces = tokenizer.encode(TEXTS + TRICKY)

    assert (pieces.starts <= pieces.ends).all()
    same_row = np.diff(pieces.row_of) == 0
    assert (pieces.starts[1:] >= pieces.ends[:-1])[same_row].all()


def test_a_model_that_rewrites_its_text_still_gets_right_ranges(tmp_path):
    """A tokenizer from elsewhere that applies NFKC: lengths do not add up, so the row is aligned the slow way."""
    path = tmp_path / "foreign.model"
    with path.open("wb") as out:
        spm.SentencePieceTrainer.train(
            sentence_iterator=iter(TEXTS),
            model_writer=out,
            vocab_size=450,
            byte_fallback=True,
            normalization_rule_name="nmt_nfkc",
            pad_id=0,
            unk_id=1,
            bos_id=-1,
            eos_id=-1,
            minloglevel=2,
        )
    foreign = Tokenizer(path)

    assert [part for part in content_of(foreign, "№  12, 🏠 ﬁn") if part][-1].endswith("n")
    pieces = foreign.encode(["№  12, 🏠 ﬁn"])
    assert pieces.ends.max() == 11
    assert "🏠" in content_of(foreign, "№  12, 🏠 ﬁn")


def test_a_model_without_byte_fallback_reports_unknown_pieces_as_a_finding(tmp_path):
    path = tmp_path / "coarse.model"
    with path.open("wb") as out:
        spm.SentencePieceTrainer.train(
            sentence_iterator=iter(TEXTS),
            model_writer=out,
            vocab_size=180,
            normalization_rule_name="identity",
            pad_id=0,
            unk_id=1,
            bos_id=-1,
            eos_id=-1,
            minloglevel=2,
        )
    coarse = Tokenizer(path)

    assert "🏠🏠" in content_of(coarse, "a 🏠🏠 b")
    findings = tokenizer_round_trips(coarse, ["a 🏠🏠 b", "12"])
    assert any("1 of 2 texts: has an unknown or padding piece, first 'a 🏠🏠 b'" in finding for finding in findings)
    assert any("decodes to another text" in finding for finding in findings)


def test_ranges_that_miss_a_character_are_a_finding(tokenizer, monkeypatch):
    honest = Tokenizer.encode
    monkeypatch.setattr(Tokenizer, "encode", lambda self, texts: shifted(honest(self, texts)))

    findings = tokenizer_round_trips(tokenizer, ["12 rue"])

    assert findings == ("1 of 1 texts: has a character outside or twice inside its ranges, first '12 rue'",)


def shifted(pieces):
    return type(pieces)(pieces.ids, pieces.offsets, np.maximum(pieces.starts - 1, 0), np.maximum(pieces.ends - 1, 0))


def test_no_texts_prove_nothing(tokenizer):
    assert "0 rows prove nothing" in tokenizer_round_trips(tokenizer, [])[0]


def test_the_same_sample_gives_the_same_bytes(tmp_path, tokenizer):
    again = tmp_path / "tokenizer.model"
    train_tokenizer(iter(TEXTS), TokenizerConfig(vocab_size=450), again)

    assert again.read_bytes() == tokenizer.path.read_bytes()


def test_meta_says_what_the_model_is(tmp_path):
    meta = train_tokenizer(TEXTS, TokenizerConfig(vocab_size=450, sample_rows=300), tmp_path / "tokenizer.model")

    tokenizer = Tokenizer(tmp_path / "tokenizer.model")
    assert json.loads((tmp_path / "META.json").read_text()) == meta
    assert (meta["vocab_size"], meta["sha256"], meta["sample_rows"]) == (450, tokenizer.sha256, 300)
    assert (tokenizer.vocab_size, len(tokenizer), tokenizer.pad_id, tokenizer.piece(PAD_ID)) == (450, 450, 0, "<pad>")


def test_control_characters_in_the_sample_do_not_end_or_break_training(tmp_path):
    dirty = [*TEXTS, "a\x00b\nc\td", "▁▅ x", "\ud800"]

    train_tokenizer(dirty, TokenizerConfig(vocab_size=450), tmp_path / "tokenizer.model")

    assert tokenizer_round_trips(Tokenizer(tmp_path / "tokenizer.model"), ["a\x00b\nc\td"]) == ()


@pytest.mark.parametrize(
    ("texts", "vocab_size", "message"),
    [
        (TEXTS, 100_000, r"tokenizer\.vocab_size: 100000 does not fit a sample of 320 rows, expected at most \d+\."),
        (TEXTS, 260, r"tokenizer\.vocab_size: 260 does not fit a sample of 320 rows, expected at least \d+"),
        ([], 450, r"tokenizer\.sample_rows: the sample holds 0 rows and no text"),
        ([""], 450, r"tokenizer\.sample_rows: the sample holds 1 rows and no text"),
    ],
)
def test_a_sample_that_cannot_carry_the_vocabulary_is_refused(tmp_path, texts, vocab_size, message):
    with pytest.raises(RecipeError, match=message):
        train_tokenizer(texts, TokenizerConfig(vocab_size=vocab_size), tmp_path / "tokenizer.model")

    assert not (tmp_path / "tokenizer.model").exists()


def test_a_missing_model_is_named(tmp_path):
    with pytest.raises(ArtifactError, match=r"no tokenizer model can be read here \(No such file or directory\)"):
        Tokenizer(tmp_path / "nothing.model")


def test_bytes_that_are_no_model_are_refused(tmp_path):
    path = tmp_path / "tokenizer.model"
    path.write_bytes(b"not a model")

    with pytest.raises(ArtifactError, match="11 bytes that are not a SentencePiece model"):
        Tokenizer(path)


def test_a_model_with_other_pad_ids_is_refused(tmp_path):
    path = tmp_path / "tokenizer.model"
    with path.open("wb") as out:
        spm.SentencePieceTrainer.train(sentence_iterator=iter(TEXTS), model_writer=out, vocab_size=180, minloglevel=2)

    with pytest.raises(ArtifactError, match="pad id -1 and unk id 0, expected 0 and 1"):
        Tokenizer(path)


def test_loading_and_encoding_need_only_numpy_and_sentencepiece():
    allowed = "import sys; import mw_pipeline.tokenizer; print(sorted(sys.modules))"
    names = subprocess.run([sys.executable, "-c", allowed], capture_output=True, text=True, check=True).stdout

    for heavy in ("torch", "pyarrow", "pydantic", "duckdb", "onnx", "google.protobuf"):
        assert f"'{heavy}'" not in names


@pytest.mark.slow
def test_encoding_keeps_its_pace(tokenizer):
    texts = TEXTS * 100

    assert in_yardsticks(lambda: tokenizer.encode(texts)) < 13  # a third of that when written
