from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from aligned_rows import keys_beside
from hypothesis import given
from hypothesis import strategies as st
from test_rows_schema import row

from mw_pipeline.corpus.census import (
    counts_of,
    licence_counts,
    licences_are_allowed,
    query,
    row_ids_are_unique,
    script_of,
    summed,
    town_counts,
)
from mw_pipeline.corpus.keys import KEY_SCHEMA
from mw_pipeline.corpus.leaks import (
    Overlap,
    exclusion_counts,
    golden_is_not_in_train,
    overlaps,
    sources_share_no_text,
    splits_are_disjoint,
    write_exclusions,
)
from mw_pipeline.errors import CorpusError
from mw_pipeline.records.tables import ROW_SCHEMA


def text(number: int, raw: str, split: str = "train", **changes: Any) -> dict[str, Any]:
    spans: dict[str, Any] = {"components": [], "span_tags": [], "span_starts": [], "span_ends": []}
    return row(number, raw=raw, split=split, **(spans | changes))


def test_rows_are_counted_by_what_they_are(shards: Any):
    files = shards(
        [row(1), row(2, method="case+order"), text(3, "Москва Moscow", country="RU", locale="ru-RU", source="other")],
        [text(4, "東京", "test", license="ODbL-1.0"), text(5, "75001", method="case")],
    )

    assert summed(counts_of(pq.read_table(path)) for path in files) == {
        "rows": 5,
        "source": {"made": 4, "other": 1},
        "split": {"test": 1, "train": 4},
        "country": {"FR": 4, "RU": 1},
        "locale": {"fr-FR": 4, "ru-RU": 1},
        "licence": {"CC0-1.0": 4, "ODbL-1.0": 1},
        "script": {"Cyrillic": 1, "Han": 1, "Latin": 2, "none": 1},
        "method": {"case": 2, "none": 3, "order": 1},
        "tag": {"house_number": 2, "street": 2},
    }


def test_no_rows_are_counted_as_an_empty_table():
    assert summed([]) == summed([counts_of(ROW_SCHEMA.empty_table())])


@given(st.lists(st.text("aZé 1東ひカ한Жα ابשहবதతไაԲȃɎɐÆ-", max_size=4), min_size=1))
def test_the_script_of_a_text_is_that_of_its_pattern(texts: list[str]):
    table = pa.table({"raw": pa.array(texts, pa.string())})
    rows = pa.Table.from_pylist([text(n, raw) for n, raw in enumerate(texts)], schema=ROW_SCHEMA)

    with duckdb.connect() as connection:
        connection.register("texts", table)
        expected = connection.execute(f"select {script_of('raw')} from texts").fetchall()

    assert counts_of(rows)["script"] == dict(sorted(Counter(script for (script,) in expected).items()))


def test_a_licence_that_is_not_listed_is_a_finding(shards: Any):
    counts = counts_of(pq.read_table(shards([row(1), row(2, license="ODbL-1.0")])))

    assert licences_are_allowed(counts, ("CC0-1.0", "ODbL-1.0")) == []
    assert licences_are_allowed(counts, ("CC0-1.0",)) == [
        "1 rows are under 'ODbL-1.0', and licences_allowed lists CC0-1.0"
    ]


def test_a_row_id_that_stands_twice_is_a_finding(shards: Any):
    assert row_ids_are_unique(shards([row(1), row(2)])) == []
    assert row_ids_are_unique(shards([row(1)], [row(1), row(2)])) == ["row id 'made:1:0' stands 2 times"]


def test_disjoint_splits_have_no_findings(keyed: Any):
    assert splits_are_disjoint(keyed([text(1, "Lyon"), text(2, "Nice", "test"), text(3, "Brest", "validation")])) == []


def test_a_family_in_two_splits_is_found(keyed: Any):
    files = keyed([text(1, "Lyon", base_id="f")], [text(2, "Nice", "test", base_id="f")])

    assert splits_are_disjoint(files) == [
        "1 of one family stand in several splits: 'made:1:0' and 'made:2:0' (test, train)"
    ]


def test_a_lower_cased_copy_of_a_held_out_row_is_found(keyed: Any):
    files = keyed([text(1, "12, Rue de l'Été"), text(2, "12 rue de l ete", "validation")])

    assert splits_are_disjoint(files) == [
        "1 of one text stand in several splits: 'made:1:0' and 'made:2:0' (train, validation)"
    ]


def test_excluded_rows_leave_nothing_in_two_splits(keyed: Any, tmp_path: Path):
    files = keyed(
        [text(1, "Lyon"), text(2, "LYON", "validation"), text(3, "lyon", "test"), text(4, "Nice")],
        [
            text(5, "Brest", base_id="family 6"),
            text(6, "Dijon", "test"),
            text(7, "Metz, France"),
            text(8, "Caen", "test"),
        ],
    )
    path = tmp_path / "exclusions.parquet"

    reasons = write_exclusions(files, path, gold_texts=["metz france"], gold_families=["family 8", "family 4"])

    assert reasons == {"family_held_out": 1, "gold": 2, "text_held_out": 2}
    assert pq.read_table(path).to_pylist() == [
        {
            "row_id": "made:1:0",
            "source": "made",
            "part": "part-0.parquet",
            "split": "train",
            "reason": "text_held_out",
            "repeats": None,
        },
        {
            "row_id": "made:2:0",
            "source": "made",
            "part": "part-0.parquet",
            "split": "validation",
            "reason": "text_held_out",
            "repeats": None,
        },
        {
            "row_id": "made:4:0",
            "source": "made",
            "part": "part-0.parquet",
            "split": "train",
            "reason": "gold",
            "repeats": None,
        },
        {
            "row_id": "made:5:0",
            "source": "made",
            "part": "part-1.parquet",
            "split": "train",
            "reason": "family_held_out",
            "repeats": None,
        },
        {
            "row_id": "made:7:0",
            "source": "made",
            "part": "part-1.parquet",
            "split": "train",
            "reason": "gold",
            "repeats": None,
        },
    ]
    assert splits_are_disjoint(files, path) == []
    assert golden_is_not_in_train(files, ["metz france"], ["family 4"], path) == []


def test_a_text_that_two_sources_have_counts_for_the_first_of_them(keyed: Any, tmp_path: Path):
    # written out of order: neither the order of the files nor that of the rows has a say
    files = keyed(
        [text(1, "Lyon", row_id="b:1:0", source="b"), text(2, "LYON", row_id="b:2:0", source="b")],
        [text(3, "Lyon", row_id="a:3:0", source="a"), text(4, "Nice", "test", row_id="a:4:0", source="a")],
        [text(5, "Lyon", row_id="c:5:0", source="c"), text(6, "Nice", row_id="c:6:0", source="c")],
    )
    path = tmp_path / "exclusions.parquet"
    assert sources_share_no_text(files) == [
        "2 of one text stand in several sources: 'a:3:0' and 'c:5:0'; 'a:4:0' and 'c:6:0'"
    ]

    assert write_exclusions(files, path) == {"other_source": 2, "text_held_out": 1}

    assert [(row["row_id"], row["repeats"]) for row in pq.read_table(path).to_pylist()] == [
        ("b:1:0", "a:3:0"), ("c:5:0", "a:3:0"), ("c:6:0", None),
    ]  # fmt: skip
    assert exclusion_counts(path) == {
        "b": {"excluded": {"other_source": 1}, "repeats": {"a": 1}},
        "c": {"excluded": {"other_source": 1, "text_held_out": 1}, "repeats": {"a": 1}},
    }
    assert sources_share_no_text(files, path) == []


def test_a_source_that_has_a_text_twice_which_others_repeat_is_named_and_one_that_nobody_repeats_costs_nothing(
    keyed: Any, tmp_path: Path
):
    twice = [text(1, "Lyon", row_id="a:1:0", source="a"), text(2, "Lyon", row_id="a:2:0", source="a")]
    path = tmp_path / "exclusions.parquet"
    assert write_exclusions(keyed(twice, [text(3, "Nice", row_id="b:3:0", source="b")]), path) == {}

    files = keyed(twice, [text(3, "Lyon", row_id="b:3:0", source="b")])
    with pytest.raises(CorpusError, match=r"source 'a' has one text in several rows, as in 'a:1:0' and 'a:2:0': .* 1 "):
        write_exclusions(files, path)


def test_a_row_that_must_go_does_not_stand_in_for_another(keyed: Any, tmp_path: Path):
    files = keyed(
        [text(1, "Lyon", row_id="a:1:0", source="a", base_id="held")],
        [text(2, "Lyon", row_id="b:2:0", source="b")],
        [text(3, "Nice", "test", row_id="b:3:0", source="b", base_id="held")],
    )
    path = tmp_path / "exclusions.parquet"

    assert write_exclusions(files, path) == {"family_held_out": 1}
    assert pq.read_table(path)["row_id"].to_pylist() == ["a:1:0"]


def closed(number: int, raw: str, split: str = "train", tag: str = "region", **changes: Any) -> dict[str, Any]:
    spans = {"components": [(tag, raw)], "span_tags": [tag], "span_starts": [0], "span_ends": [len(raw)]}
    return text(number, raw, split, **(spans | changes))


def test_a_held_out_row_of_closed_words_alone_takes_no_word_from_training(keyed: Any, tmp_path: Path):
    """M65: a test row that reads `Vermont` once kept every training row of that text from being taught."""
    files = keyed(
        [closed(1, "Vermont"), closed(2, "VERMONT", "validation"), closed(3, "vermont", "test")],
        [closed(4, "Ohio", "test"), closed(5, "Ohio", "validation", row_id="made:5b:0")],
        [closed(6, "Lyon", tag="locality"), closed(7, "LYON", "test", tag="locality")],
        [closed(8, "Iowa", base_id="held"), closed(9, "IOWA", "test"), closed(10, "1 Elm St", "test", base_id="held")],
    )
    path = tmp_path / "exclusions.parquet"

    assert write_exclusions(files, path) == {"family_held_out": 1, "text_held_out": 1, "text_is_taught": 3}

    left = {row["row_id"]: row["reason"] for row in pq.read_table(path).to_pylist()}
    assert left == {
        "made:2:0": "text_is_taught",
        "made:3:0": "text_is_taught",
        "made:4:0": "text_is_taught",
        "made:6:0": "text_held_out",
        "made:8:0": "family_held_out",
    }
    assert splits_are_disjoint(files, path) == []


def test_nothing_to_exclude_is_an_empty_list(keyed: Any, tmp_path: Path):
    assert write_exclusions(keyed([text(1, "Lyon"), text(2, "Nice", "test")]), tmp_path / "x.parquet") == {}
    assert pq.read_table(tmp_path / "x.parquet").num_rows == 0


def test_gold_in_the_training_rows_is_found_by_text_and_by_family(keyed: Any):
    files = keyed([text(1, "1 Rue Haute, Lyon"), text(2, "Nice"), text(3, "Brest", "test"), text(4, "Metz")])

    assert golden_is_not_in_train(files, ["Paris", "brest"], ["family 9"]) == []
    assert golden_is_not_in_train(files, ["1 rue haute lyon"], ["family 2"]) == [
        "2 training rows are gold rows or of their families: 'made:1:0', 'made:2:0'"
    ]


def test_an_empty_gold_set_finds_nothing(keyed: Any):
    assert golden_is_not_in_train(keyed([text(1, "Lyon")]), []) == []


def test_gold_in_the_validation_rows_is_found_and_excluded_as_well(keyed: Any, tmp_path: Path):
    files = keyed([text(1, "Lyon", "validation"), text(2, "Nice", "validation"), text(3, "Metz", "test")])

    assert golden_is_not_in_train(files, ["LYON", "metz"], ["family 3"]) == [
        "1 validation rows are gold rows or of their families: 'made:1:0'"
    ]
    assert write_exclusions(files, tmp_path / "x.parquet", gold_texts=["LYON", "metz"]) == {"gold": 1}
    assert golden_is_not_in_train(files, ["LYON", "metz"], (), tmp_path / "x.parquet") == []


def test_what_every_two_splits_and_the_gold_share_is_counted(keyed: Any):
    files = keyed(
        [text(1, "Lyon"), text(2, "Nice"), text(3, "Nice!", base_id="family 1"), text(4, "Brest")],
        [text(5, "LYON", "validation"), text(6, "Metz", "validation", base_id="family 1"), text(7, "Caen", "test")],
        [text(8, "nice", "test", row_id="made:2:0"), text(9, "Dijon", "validation")],
    )

    assert overlaps(files, ["brest", "caen"], ["family 9"]) == [
        Overlap("train", "validation", rows=4, row_ids=0, families=2, texts=1),
        Overlap("train", "test", rows=4, row_ids=1, families=0, texts=2),
        Overlap("validation", "test", rows=3, row_ids=0, families=0, texts=0),
        Overlap("train", "golden", rows=4, row_ids=None, families=0, texts=1),
        Overlap("validation", "golden", rows=3, row_ids=None, families=1, texts=0),
        Overlap("test", "golden", rows=2, row_ids=None, families=0, texts=1),
    ]


def test_disjoint_splits_and_gold_share_nothing(keyed: Any):
    files = keyed([text(1, "Lyon"), text(2, "Nice", "validation"), text(3, "Metz", "test")])

    assert [(o.rows, o.row_ids or 0, o.families, o.texts) for o in overlaps(files, ["Brest"], ["family 9"])] == [
        (1, 0, 0, 0)
    ] * 6


def test_a_query_keeps_within_its_memory_and_spills_the_rest():
    ((limit,),) = query("select current_setting('memory_limit')")

    assert limit == "488.2 MiB"
    assert query("select ?::varchar", ["it's"]) == [("it's",)]


def test_the_user_says_how_much_memory_a_query_may_hold(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MW_MEMORY", "2GB")

    assert query("select current_setting('memory_limit')") == [("1.8 GiB",)]


@pytest.mark.parametrize("limit", ["plenty", "512", "100MB", "-1GB"])
def test_a_limit_of_memory_that_nobody_understands_is_refused(monkeypatch: pytest.MonkeyPatch, limit: str):
    monkeypatch.setenv("MW_MEMORY", limit)

    with pytest.raises(CorpusError, match=f"MW_MEMORY is '{limit}': expected a limit from 128MB, as in 512MB or 16GB"):
        query("select 1")


@pytest.mark.slow
def test_joins_that_do_not_fit_are_spilled_and_find_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Two million rows, which take more than the least limit: each text stands in two splits, but for the odd ones."""
    monkeypatch.setenv("MW_MEMORY", "128MB")
    rows = 1_000_000
    for part, split in enumerate(("train", "test")):
        numbers = np.arange(rows, dtype=np.uint64)
        key = np.where(numbers % 2 == 0, numbers, numbers + np.uint64(part * rows)) * np.uint64(0x9E3779B97F4A7C15)
        columns = {
            "row_id": pa.array(np.char.add(f"{split}:", numbers.astype(str))),
            **{name: pa.repeat(value, rows) for name, value in (("source", "made"), ("split", split))},
            "family": pa.array(numbers + np.uint64(part * rows)), "text": pa.array(key), "raw": pa.array(key),
            "closed": pa.repeat(False, rows), "streets": pa.array([[]] * rows, pa.list_(pa.uint64())),
        }  # fmt: skip
        pq.write_table(pa.table(columns, schema=KEY_SCHEMA), tmp_path / f"part-{part}.parquet")
    files = sorted(tmp_path.glob("part-*.parquet"))

    assert splits_are_disjoint(files)[0].startswith("500000 of one text stand in several splits")
    assert write_exclusions(files, tmp_path / "x.parquet") == {"text_held_out": 500_000}
    assert splits_are_disjoint(files, tmp_path / "x.parquet") == []


def test_training_rows_are_counted_by_place_excluded_ones_left_aside(shards: Any, tmp_path: Path):
    lyon, nice = {"place": "FR:a:lyon"}, {"place": "FR::nice"}
    files = shards(
        [text(n, f"{n} Lyon", **lyon) for n in range(3)]
        + [text(9, "9 Lyon", "test", **lyon), text(4, "4 Nice", **nice)],
        [text(5, "France"), text(6, "6 Brest", place="FR::brest", source="b"), text(7, "LYON", **lyon)],
        [text(8, "Lyon", "test", **lyon)],
    )
    assert write_exclusions(keys_beside(files), tmp_path / "x.parquet") == {"text_held_out": 1}

    found = town_counts(files, tmp_path / "x.parquet")

    assert {name: (c.rows.tolist(), c.commonest, c.placeless) for name, c in found.items()} == {
        "b": ([1], "FR::brest", 0),
        "made": ([3, 1], "FR:a:lyon", 1),
    }


def test_licences_are_counted_in_the_rows_of_each_source(tmp_path: Path) -> None:
    rows = {"a1": ["MIT", "ODbL"], "a2": ["MIT"], "b": ["CC0"]}
    for name, licences in rows.items():
        pq.write_table(pa.table({"license": licences}), tmp_path / name)

    found = licence_counts({"a": [tmp_path / "a1", tmp_path / "a2"], "b": [tmp_path / "b"], "empty": []})

    assert found == {"a": {"MIT": 2, "ODbL": 1}, "b": {"CC0": 1}, "empty": {}}
    assert licence_counts({}) == {}
