"""Training rows cut by models that lack pieces: other pieces, the same text and labels, the same again everywhere."""

from __future__ import annotations

import random
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from aligned_rows import address, aligned_row, shard, table_of
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mw_pipeline.dataset.build import build_dataset
from mw_pipeline.dataset.cutting import AS_PARSED, Cutting, with_words_of
from mw_pipeline.dataset.tokenized import TokenizedDataset
from mw_pipeline.dataset.tokenizing import tokenize_rows
from mw_pipeline.labels import STAGE2
from mw_pipeline.piece_dropout import without_pieces
from mw_pipeline.recipe import TokenizerConfig
from mw_pipeline.tokenizer import Tokenizer, train_tokenizer

NAMES = (
    "Partridge", "Meadow", "Larkspur", "Brattleboro", "Montpelier",
    "Highland", "Ridgefield", "Cavendish", "Springfield", "Westminster",
)  # fmt: skip
VOCABULARY = 420
ALL_ROWS = Cutting(share=1.0, dropped_pieces=0.3)


def place_row(number: int, **given: str) -> dict:
    """An address of words that the tokenizer knows whole."""
    street, town = f"{NAMES[number % 10]} {NAMES[number // 10 % 10]} Rd", NAMES[(number + number // 10) % 10]
    parts = [("house_number", str(number % 90)), ("", " "), ("street", street), ("", ", "), ("locality", town)]
    return aligned_row(f"row {number}", parts, **given)


ADDRESSES = [place_row(number)["raw"] for number in range(200)]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory) -> Tokenizer:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.model"
    train_tokenizer(
        [*ADDRESSES, *(address(n)["raw"] for n in range(100))], TokenizerConfig(vocab_size=VOCABULARY), path
    )
    return Tokenizer(path)


def place_rows(count: int) -> pa.Table:
    return table_of([place_row(number) for number in range(count)])


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=40), seed=st.integers(0, 3))
@example(text="▁already▁marked ▁ twice", seed=1)
@example(text="12 \ud800 rue \udfff", seed=1)
@example(text="  two  spaces  ", seed=1)
def test_a_model_that_lacks_pieces_covers_a_text_as_the_whole_one_does(tokenizer, text, seed):
    pieces, as_parsed = tokenizer.encode_without([text, text], 0.5, seed=seed), tokenizer.encode([text, text])

    assert tokenizer.decode(pieces.ids.tolist()) == tokenizer.decode(as_parsed.ids.tolist())
    assert pieces.lengths.sum() == len(pieces.ids)
    for row in range(2):
        assert covered(pieces, row) == covered(as_parsed, row)


def covered(pieces, row):
    """The code points of a text that its pieces cover, each as often as it is."""
    part = slice(pieces.offsets[row], pieces.offsets[row + 1])
    ranges = zip(pieces.starts[part].tolist(), pieces.ends[part].tolist(), strict=True)
    return [position for start, end in ranges for position in range(start, end)]


def ids_of(pieces, row):
    return pieces.ids[pieces.offsets[row] : pieces.offsets[row + 1]].tolist()


def test_without_all_longer_pieces_a_text_is_cut_into_its_characters(tokenizer):
    text = "12 Larkspur Rd"
    pieces, as_parsed = tokenizer.encode_without([text], 1.0, seed=0), tokenizer.encode([text])

    assert "▁Larkspur" in [tokenizer.piece(piece) for piece in as_parsed.ids]
    assert [tokenizer.piece(piece) for piece in pieces.ids] == ["▁" if one == " " else one for one in f" {text}"]


def test_without_no_piece_a_text_is_cut_as_it_is_parsed(tokenizer):
    assert tokenizer.encode_without(ADDRESSES, 0.0, seed=0).ids.tolist() == tokenizer.encode(ADDRESSES).ids.tolist()


def test_another_seed_lacks_other_pieces_and_the_same_the_same(tokenizer):
    first, other, again = (tokenizer.encode_without(ADDRESSES, 0.3, seed=seed).ids.tolist() for seed in (1, 2, 1))

    assert first == again != other


def test_ids_are_those_of_the_whole_model(tokenizer):
    pieces = tokenizer.encode_without(ADDRESSES, 0.3, seed=1)

    assert tokenizer.decode(ids_of(pieces, 3)) == ADDRESSES[3]
    assert tokenizer.encode(ADDRESSES).ids.tolist() != pieces.ids.tolist()


def test_rows_are_cut_the_same_in_another_process_and_in_other_company(tokenizer):
    code = (
        "import sys; from pathlib import Path; import pyarrow as pa\n"
        "from mw_pipeline.dataset.cutting import Cutting; from mw_pipeline.tokenizer import Tokenizer\n"
        "ids = pa.array(f'row {number}' for number in range(5))\n"
        "cut = Cutting(1.0, 0.3).pieces_of(ids, sys.argv[2:], Tokenizer(Path(sys.argv[1])))\n"
        "print(cut.ids.tolist())"
    )
    asked = [sys.executable, "-c", code, str(tokenizer.path), *ADDRESSES[:5]]
    found = subprocess.run(asked, capture_output=True, text=True, check=True).stdout

    together, _ = tokenize_rows(place_rows(200), tokenizer, STAGE2, 128, ALL_ROWS)
    assert found.strip() == str([piece for ids in together["input_ids"].to_pylist()[:5] for piece in ids])


def test_the_share_of_rows_is_cut_otherwise_and_the_others_are_left_alone(tokenizer):
    found, _ = tokenize_rows(place_rows(2000), tokenizer, STAGE2, 128, Cutting(0.3, 0.9))
    plain, _ = tokenize_rows(place_rows(2000), tokenizer, STAGE2, 128)
    every, _ = tokenize_rows(place_rows(2000), tokenizer, STAGE2, 128, Cutting(1.0, 0.9))

    pairs = list(zip(*(table["input_ids"].to_pylist() for table in (found, plain, every)), strict=True))
    assert 0.27 < sum(ids != as_parsed for ids, as_parsed, _ in pairs) / 2000 < 0.33
    assert all(ids in (as_parsed, otherwise) for ids, as_parsed, otherwise in pairs)


def test_without_a_share_no_other_model_is_asked(tokenizer, monkeypatch):
    monkeypatch.setattr(Tokenizer, "encode_without", lambda *_, **__: pytest.fail("asked"))
    table, _ = tokenize_rows(place_rows(200), tokenizer, STAGE2, 128, AS_PARSED)

    assert table["input_ids"].to_pylist() == [tokenizer.encode([text]).ids.tolist() for text in ADDRESSES]


def test_more_pieces_than_fit_give_way_to_the_parsers_cut(tokenizer):
    plain, free = (
        tokenize_rows(place_rows(200), tokenizer, STAGE2, 128, cutting)[0] for cutting in (AS_PARSED, ALL_ROWS)
    )
    at_most = int(np.median([len(ids) for ids in free["input_ids"]]))
    table, losses = tokenize_rows(place_rows(200), tokenizer, STAGE2, at_most, ALL_ROWS)

    assert losses.dropped == {}
    for ids, as_parsed, otherwise in zip(
        *(each["input_ids"].to_pylist() for each in (table, plain, free)), strict=True
    ):
        assert ids == (as_parsed if len(otherwise) > at_most else otherwise)


def unspaced_row(number: int) -> dict:
    """Region, city and street in a script without spaces: what is between them is for the tokenizer to guess."""
    draw = random.Random(number).choice
    words = [
        draw("東西南北") + draw("京山川") + "県",
        draw(["町", "山田", "中"]) + draw("市区"),
        draw("川市東中") + draw("町通"),
    ]
    return aligned_row(f"row {number}", list(zip(("region", "locality", "street"), words, strict=True)))


def test_a_row_that_would_lose_a_span_is_cut_as_it_is_parsed_and_spans_are_counted_so(tmp_path):
    rows = [unspaced_row(number) for number in range(600)]
    path = tmp_path / "tokenizer.model"
    train_tokenizer([row["raw"] for row in rows], TokenizerConfig(vocab_size=330), path)
    tokenizer, table = Tokenizer(path), table_of(rows)
    plain, losses = tokenize_rows(table, tokenizer, STAGE2, 64)
    found, counted = tokenize_rows(table, tokenizer, STAGE2, 64, ALL_ROWS)

    assert losses.survived["street"] < losses.gold["street"] == 600
    assert (counted, found["row_id"]) == (losses, plain["row_id"])
    changed = 0
    for row, as_parsed, otherwise in zip(rows, plain.to_pylist(), found.to_pylist(), strict=True):
        bounds = zip(row["span_tags"], row["span_starts"], row["span_ends"], strict=True)
        written = [(tag, row["raw"][start:end]) for tag, start, end in bounds]
        assert otherwise == as_parsed or spans(tokenizer, otherwise) == written
        changed += otherwise != as_parsed
    assert changed > 100


@pytest.mark.parametrize("count", [0, VOCABULARY - 1, VOCABULARY + 1])
def test_another_number_of_pieces_than_the_model_has_is_refused(tokenizer, count):
    with pytest.raises(ValueError, match="pieces"):
        without_pieces(tokenizer.path.read_bytes(), np.zeros(count, bool))


def test_a_field_that_is_no_message_is_refused(tokenizer):
    with pytest.raises(ValueError, match="tag 8, expected messages alone"):
        without_pieces(b"\x08\x01" + tokenizer.path.read_bytes(), np.zeros(VOCABULARY, bool))


def test_a_model_that_lacks_nothing_is_the_same_file(tokenizer):
    model = tokenizer.path.read_bytes()

    assert without_pieces(model, np.zeros(VOCABULARY, bool)) == model


def test_spans_of_rows_cut_otherwise_are_those_of_their_texts(tokenizer):
    rows = table_of([place_row(n) for n in range(200)])
    table, losses = tokenize_rows(rows, tokenizer, STAGE2, 128, ALL_ROWS)
    plain, _ = tokenize_rows(rows, tokenizer, STAGE2, 128)

    assert losses.dropped == {}
    assert losses.survival()["street"] == {"gold": 200, "survived": 200}
    assert table["input_ids"] != plain["input_ids"]
    assert table["row_id"] == plain["row_id"]
    assert [spans(tokenizer, row) for row in table.to_pylist()] == [spans(tokenizer, row) for row in plain.to_pylist()]


def spans(tokenizer, row):
    """(tag, text) of a tokenized row, from its pieces alone."""
    found = []
    for piece, label in zip(row["input_ids"], row["labels"], strict=True):
        name = STAGE2.labels[label]
        if name.startswith("B-"):
            found.append((name[2:], []))
        if name != "O":
            found[-1][1].append(piece)
    return [(tag, tokenizer.decode(ids).strip()) for tag, ids in found]


def test_only_training_rows_are_cut_otherwise(tmp_path, tokenizer):
    splits = {0: "validation", 1: "test"}
    files = {
        "ban": [shard(tmp_path / "ban.parquet", [place_row(n, split=splits.get(n % 10, "train")) for n in range(100)])]
    }
    for name in ("plain", "cut"):
        (tmp_path / name).mkdir()
    plain = build_dataset(files, tokenizer, STAGE2, 128, tmp_path / "plain")["splits"]
    found = build_dataset(files, tokenizer, STAGE2, 128, tmp_path / "cut", cutting=ALL_ROWS)["splits"]

    assert {split: found[split]["pieces"] == plain[split]["pieces"] for split in found} == {
        "train": False,
        "validation": True,
        "test": True,
    }
    for split in splits.values():
        ids = [flat(TokenizedDataset(tmp_path / name, split)) for name in ("plain", "cut")]
        assert ids[0] == ids[1]


def flat(dataset):
    return dataset.rows(np.arange(len(dataset))).ids.tolist()


def named_country_row(number):
    """A street of words and a country of the same words."""
    street, country = f"{NAMES[number % 10]} {NAMES[number // 10 % 10]}", NAMES[(number + number // 10) % 10]
    parts = [("street", street), ("", ", "), ("country", country), ("", " "), ("postcode", str(number % 90))]
    return aligned_row(f"row {number}", parts)


def test_words_of_kept_tags_are_cut_as_they_are_parsed_and_the_others_are_not(tokenizer):
    rows = table_of([named_country_row(n) for n in range(200)])
    plain, _ = tokenize_rows(rows, tokenizer, STAGE2, 128)
    kept, losses = tokenize_rows(rows, tokenizer, STAGE2, 128, Cutting(1.0, 0.5, ("country", "venue")))
    free, _ = tokenize_rows(rows, tokenizer, STAGE2, 128, Cutting(1.0, 0.5))

    as_parsed, found, without = ([pieces_by_tag(row) for row in table.to_pylist()] for table in (plain, kept, free))
    assert losses.dropped == {}
    assert [row["country"] for row in found] == [row["country"] for row in as_parsed]
    assert [row["country"] for row in without] != [row["country"] for row in as_parsed]
    assert (
        [row["street"] for row in found] == [row["street"] for row in without] != [row["street"] for row in as_parsed]
    )
    assert [spans(tokenizer, row) for row in kept.to_pylist()] == [spans(tokenizer, row) for row in plain.to_pylist()]


def pieces_by_tag(row):
    """Tag to the ids of the pieces that are labelled so."""
    found = {}
    for piece, label in zip(row["input_ids"], row["labels"], strict=True):
        found.setdefault(STAGE2.labels[label][2:], []).append(piece)
    return found


@settings(max_examples=200, deadline=None)
@given(
    texts=st.lists(st.text(alphabet="ab Larkspur,-.3▁é日", max_size=30), min_size=1, max_size=4), chosen=st.randoms()
)
def test_whatever_is_kept_each_character_has_one_piece(tokenizer, texts, chosen):
    ids, as_parsed = pa.array(map(str, range(len(texts))), pa.string()), tokenizer.encode(texts)
    kept = np.array([chosen.random() < 0.3 for _ in as_parsed.ids], dtype=bool)
    pieces = with_words_of(texts, as_parsed, kept, Cutting(1.0, 0.7).pieces_of(ids, texts, tokenizer))

    assert tokenizer.decode(pieces.ids.tolist()) == tokenizer.decode(as_parsed.ids.tolist())
    for row in range(len(texts)):
        assert covered(pieces, row) == covered(as_parsed, row)
        there = ids_of(as_parsed, row), kept[as_parsed.offsets[row] : as_parsed.offsets[row + 1]]
        assert {piece for piece, is_kept in zip(*there, strict=True) if is_kept} <= set(ids_of(pieces, row))


def test_a_text_whose_words_begin_elsewhere_once_it_is_cut_otherwise_is_still_spelt(tmp_path):
    texts = [f"{NAMES[n % 10]}#{n % 20} {NAMES[n // 10 % 10]}#{n % 7}" for n in range(200)]
    train_tokenizer(texts, TokenizerConfig(vocab_size=314), tmp_path / "tokenizer.model")
    tokenizer = Tokenizer(tmp_path / "tokenizer.model")
    ids, whole = pa.array(map(str, range(len(texts))), pa.string()), tokenizer.encode(texts)
    kept = np.array([tokenizer.piece(piece).startswith("#") for piece in whole.ids])
    pieces = with_words_of(texts, whole, kept, Cutting(1.0, 0.5).pieces_of(ids, texts, tokenizer))

    assert kept.any()
    assert [tokenizer.decode(ids_of(pieces, row)) for row in range(len(texts))] == texts


def test_a_row_without_text_is_cut_like_any(tokenizer):
    table, losses = tokenize_rows(table_of([aligned_row("empty", [])]), tokenizer, STAGE2, 64, ALL_ROWS)

    assert (table.num_rows, losses.dropped) == (0, {"empty": 1})
