from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_rows_schema import row

from mw_pipeline.corpus.lints import (
    FirstNumber,
    ScriptShare,
    first_numbers,
    foreign_scripts,
    label_conflicts,
    ordinal_house_numbers,
    script_shares,
)
from mw_pipeline.records.tables import ROW_SCHEMA


def line(source: str, *parts: tuple[str | None, str], **changes: Any) -> dict[str, Any]:
    """A training row written as labelled parts with spaces between them; a part labelled None is no component."""
    raw, spans = "", []
    for tag, text in parts:
        raw += " " if raw else ""
        if tag is not None:
            spans.append((tag, len(raw), len(raw) + len(text), text))
        raw += text
    return row(0, source=source, raw=raw, **changes) | {
        "components": [(tag, text) for tag, _, _, text in spans],
        "span_tags": [tag for tag, *_ in spans],
        "span_starts": [start for _, start, _, _ in spans],
        "span_ends": [end for _, _, end, _ in spans],
    }


@pytest.fixture
def shard(tmp_path: Path) -> Any:
    def write(*rows: dict[str, Any]) -> list[Path]:
        pq.write_table(pa.Table.from_pylist(list(rows), schema=ROW_SCHEMA), tmp_path / "rows.parquet")
        return [tmp_path / "rows.parquet"]

    return write


def test_a_shard_that_contradicts_the_base_is_found_by_word_and_by_pair(shard: Any):
    base = [line("base", ("locality", "Grand Rapids"))] * 1000
    new = [line("new", ("venue", "Grand Rapids"))] * 60

    assert [str(conflict) for conflict in label_conflicts(shard(*base, *new))] == [
        "'grand' is locality in base (1000 times) and venue in new (60 times)",
        "'grand rapids' is locality in base (1000 times) and venue in new (60 times)",
        "'rapids' is locality in base (1000 times) and venue in new (60 times)",
    ]


def test_a_conflict_has_a_row_of_either_side(shard: Any):
    base = [line("base", ("house_number", str(n)), ("locality", "Grand  RAPIDS"), (None, "MI")) for n in range(60)]
    new = [line("new", ("venue", "Hotel Rapids")), *[line("new", ("venue", "Grand Rapids Mall"))] * 60]

    (conflict,) = [found for found in label_conflicts(shard(*base, *new)) if found.words == "grand rapids"]

    assert (conflict.example, conflict.other_example) == ("0 Grand  RAPIDS MI", "Grand Rapids Mall")


def test_sources_that_agree_or_are_of_two_minds_have_no_findings(shard: Any):
    base = [line("base", ("locality", "Paris"))] * 100
    torn = [line("new", ("locality", "Paris"))] * 20 + [line("new", ("street", "Paris"))] * 80
    few = [line("few", ("venue", "Paris"))] * 49
    held_out = [line("other", ("venue", "Paris"), split="test")] * 100

    assert label_conflicts(shard(*base, *torn, *few, *held_out)) == []


def test_an_ordinal_taught_as_a_house_number_is_found(shard: Any):
    sound = line("good", ("house_number", "5"), ("street", "5th Avenue"))
    wrong = line("bad", ("house_number", "5th"), ("street", "Avenue Theatre"))

    lettered = line("good", ("house_number", "104e"), ("street", "Husky Way"))

    assert ordinal_house_numbers(shard(sound, lettered)) == []
    assert [str(found) for found in ordinal_house_numbers(shard(sound, wrong))] == [
        "bad: 1 house numbers are ordinals, as in '5th Avenue Theatre'"
    ]


def test_the_first_number_of_each_row_is_counted_by_its_context_and_label(shard: Any):
    rows = (
        line("made", ("house_number", "12"), ("street", "rue du 4 Septembre")),
        line("made", ("house_number", "7"), ("street", "Oak St")),
        line("made", ("venue", "🏠 5th Avenue Theatre"), ("postcode", "98101")),
        line("made", ("locality", "Seattle"), ("postcode", "98101")),
        line("made", (None, "Apt 4B"), ("house_number", "12")),
        line("made", ("locality", "Seattle")),
        line("made", ("postcode", "98101"), split="test"),
    )

    assert first_numbers(shard(*rows)) == [
        FirstNumber("made", "five digits after words", "postcode", 1, "Seattle 98101"),
        FirstNumber("made", "number at the start", "house_number", 2, "12 rue du 4 Septembre"),
        FirstNumber("made", "number with letters after words", "none", 1, "Apt 4B 12"),
        FirstNumber("made", "ordinal after words", "venue", 1, "🏠 5th Avenue Theatre 98101"),
    ]


def test_exonyms_in_a_foreign_script_are_found(shard: Any):
    home = [line("home", ("locality", "Москва"), country="RU"), line("home", ("locality", "Paris"))]
    some = [line("some", ("locality", name)) for name in ("Париж", "Lyon", "75001")]
    foreign = [line("foreign", ("locality", name)) for name in ("Париж", "Лион", "Nice")]

    assert foreign_scripts(shard(*home, *some)) == []
    assert [str(found) for found in foreign_scripts(shard(*home, *some, *foreign))] == [
        "foreign: 2 of 3 rows of FR are in a foreign script, most of them Cyrillic"
    ]


def test_a_country_that_a_source_hardly_mentions_may_stand_in_a_visitors_script(shard: Any):
    many, few = [line("made", ("locality", "Paris"))] * 99, [line("made", ("locality", "Берлин"), country="DE")]

    assert [str(found) for found in foreign_scripts(shard(*many, *few))] == [
        "made: 1 of 1 rows of DE are in a foreign script, most of them Cyrillic"
    ]
    assert foreign_scripts(shard(*many, *many, *few)) == []


def test_the_profile_of_scripts_says_how_each_source_writes_each_country(shard: Any):
    home = [line("home", ("locality", "Москва"), country="RU", locale="ru-RU")]
    rows = [*home, *[line("home", ("locality", "Paris"))] * 3, line("abroad", ("locality", "Paris"), split="test")]

    assert script_shares(shard(*rows)) == [
        ScriptShare("home", "FR", "fr", "Latin", 3, 0.75),
        ScriptShare("home", "RU", "ru", "Cyrillic", 1, 0.25),
    ]
    assert len(script_shares(shard(*rows), most=1)) == 1
