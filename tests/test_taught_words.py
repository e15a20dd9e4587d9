"""How often rows teach a word, as what, and in how many subsets, against counts made by hand and by brute force."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from aligned_rows import aligned_row, shard

from mw_pipeline.corpus.closed_words import ClosedWord
from mw_pipeline.corpus.exclusions import Excluded
from mw_pipeline.corpus.taught_words import Taught, closed_words_are_taught, taught_words

VERMONT = ClosedWord("region name", "Vermont", ("region",))
CODE = ClosedWord("region code", "VT", ("region",))
DRIVE = ClosedWord("street type", "Dr", ("street",), "last")
ALLEY = ClosedWord("street type", "allée", ("street",), "first")
NORTH = ClosedWord("directional", "N", ("street",), "edge")
NORTHWEST = ClosedWord("directional", "N.W.", ("street",), "edge")
BOX = ClosedWord("box word", "PO Box", ("po_box",), "any")


def row(number: int, split: str = "train", **parts: str) -> dict:
    """One row with these components."""
    texts = [piece for tag, text in parts.items() for piece in ((tag, text), ("", ", "))]
    found = aligned_row(f"ban-{split}-{number}", texts[:-1], split=split)
    return {**found, "components": list(parts.items())}


def counted(folder: Path, rows: list[dict], *words: ClosedWord, **excluded: Excluded) -> list[Taught]:
    return list(taught_words({"ban": [shard(folder / "rows.parquet", rows)]}, words, **excluded))


def test_a_word_is_counted_by_the_tag_it_is_given_whatever_its_case(tmp_path: Path) -> None:
    rows = [
        row(1, locality="Stowe", region="VERMONT"),
        row(2, locality="Stowe", region="Vermont", postcode="05672"),
        row(3, locality="Vermont", region="IL"),
        row(4, street="Vermont Ave", locality="Stowe"),
    ]

    (found,) = counted(tmp_path, rows, VERMONT)

    assert found.rows_by_tag == {"region": 2, "locality": 1}
    assert (found.rows, found.subsets) == (2, 2)


def test_rows_of_other_splits_and_excluded_rows_teach_nothing(tmp_path: Path) -> None:
    rows = [
        row(1, region="VT"),
        row(2, region="VT"),
        row(3, split="validation", region="VT"),
        row(4, split="test", region="VT"),
    ]

    (found,) = counted(tmp_path, rows, CODE, excluded=lambda source, shard: pa.array(["ban-train-2"]))

    assert found.rows == 1


@pytest.mark.parametrize(
    ("street", "taught"),
    [
        ("Oak Dr", {"Dr"}),
        ("Oak Dr N", {"Dr", "N"}),
        ("Oak Dr. N.W", {"Dr", "N.W."}),
        ("Dr King Street", set()),
        ("N Oak Street", {"N"}),
        ("Oak N Street", set()),
        ("Dr", {"Dr"}),
        ("allée des Pins", {"allée"}),
        ("Grande allée", set()),
        ("allee des Pins", set()),
    ],
)
def test_a_street_teaches_the_words_that_stand_in_their_place(tmp_path: Path, street: str, taught: set[str]) -> None:
    found = counted(tmp_path, [row(1, street=street)], DRIVE, ALLEY, NORTH, NORTHWEST)

    assert {each.word.word for each in found if each.rows} == taught


def test_a_row_that_holds_a_word_twice_counts_once(tmp_path: Path) -> None:
    (found,) = counted(tmp_path, [row(1, po_box="PO Box 3, PO Box 4"), row(2, po_box="POBox 3")], BOX)

    assert found.rows_by_tag == {"po_box": 1}


def test_the_counts_are_those_of_a_loop_over_all_rows(tmp_path: Path) -> None:
    drawn = random.Random(4)
    texts = ["Dr", "N", "Oak", "allée", "VT", "Box", "PO", "Vermont"]
    tags = ("region", "street", "locality", "po_box")
    rows = []
    for number in range(2000):
        chosen = drawn.sample(tags, drawn.randint(1, 3))
        rows.append(row(number, **{tag: " ".join(drawn.choices(texts, k=drawn.randint(1, 4))) for tag in chosen}))

    for found in counted(tmp_path, rows, VERMONT, CODE, DRIVE, ALLEY, NORTH, BOX):
        by_tag: Counter[str] = Counter()
        subsets = set()
        for each in rows:
            parts = dict(each["components"])
            for tag, value in parts.items():
                if by_hand(found.word, value.split()):
                    by_tag[tag] += 1
                    subsets |= {frozenset(parts)} if tag in found.word.tags else set()
        assert found.rows_by_tag == by_tag, found.word
        assert found.subsets == len(subsets)


def by_hand(word: ClosedWord, value: list[str]) -> bool:
    sought = word.word.split()
    inner = value[:-1] if value[-1] == "N" and len(value) > 1 else value
    return {
        "value": value == sought,
        "first": value[: len(sought)] == sought,
        "last": inner[-len(sought) :] == sought,
        "edge": sought in (value[: len(sought)], value[-len(sought) :]),
        "any": f" {word.word} " in f" {' '.join(value)} ",
    }[word.where]


def test_fifty_rows_in_three_subsets_are_enough_and_one_fewer_of_either_is_not() -> None:
    # M65
    enough = Taught(CODE, {"region": 50, "street": 7}, 3)
    few, alike = Taught(CODE, {"region": 49, "street": 9_000}, 3), Taught(CODE, {"region": 9_000}, 2)

    assert closed_words_are_taught([enough]) == []
    assert closed_words_are_taught([few]) == [
        "region code: 1 of 1 are in fewer than 50 training rows as what they are, "
        "or in fewer than 3 subsets of components: 'VT' (49 rows, 3 subsets)"
    ]
    assert "'VT' (9,000 rows, 2 subsets)" in closed_words_are_taught([alike])[0]


def test_a_lower_area_is_taught_as_either_of_its_tags() -> None:
    department = ClosedWord("subregion name", "Morbihan", ("region", "subregion"))

    assert Taught(department, {"region": 20, "subregion": 30, "locality": 5}, 4).is_taught


def test_a_finding_names_the_least_taught_words_first_and_says_how_many_more() -> None:
    words = [Taught(ClosedWord("region code", f"X{n}", ("region",)), {"region": n}, 1) for n in range(30)]

    (finding,) = closed_words_are_taught(words)

    assert finding.startswith("region code: 30 of 30 are in fewer than 50 training rows")
    assert "'X0' (0 rows, 1 subsets), 'X1' (1 rows" in finding
    assert finding.endswith("'X19' (19 rows, 1 subsets), and 10 more")


def test_a_kind_that_the_recipe_leaves_out_is_no_finding() -> None:
    assert closed_words_are_taught([Taught(CODE, {}, 0)], but=("region code",)) == []
