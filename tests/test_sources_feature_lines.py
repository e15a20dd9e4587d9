"""Line-delimited GeoJSON: properties as columns, and what JSON can spell that text cannot hold."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from source_files import drained

from mw_pipeline.errors import CorpusError
from mw_pipeline.records.tables import Rejects
from mw_pipeline.sources.feature_lines import read_features

GOOD = '{"type":"Feature","properties":{"number":"5","street":"Main St"},"geometry":null}'


def read(text: str) -> tuple[list[dict[str, Any]], Rejects]:
    rejects = Rejects(source="test")
    stream = io.BytesIO(text.encode())
    return drained(read_features(stream, ("NUMBER", "STREET"), label="f", rejects=rejects)), rejects


def feature(number: str) -> str:
    return f'{{"type":"Feature","properties":{{"number":{number},"street":null}}}}'


def test_properties_become_columns_and_absent_ones_null() -> None:
    rows, _ = read(f'{GOOD}\n{{"type":"Feature","properties":{{}}}}\n')

    assert rows == [
        {"source_id": "f:1", "line": 1, "NUMBER": "5", "STREET": "Main St"},
        {"source_id": "f:2", "line": 2, "NUMBER": None, "STREET": None},
    ]


@pytest.mark.parametrize(
    ("number", "text"), [("12", "12"), ("12.0", "12"), ("12.5", "12.5"), ("1" + "0" * 400, "1" + "0" * 400)]
)
def test_numbers_become_text(number: str, text: str) -> None:
    assert read(feature(number))[0][0]["NUMBER"] == text


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"type":"Feature"', "bad_json"),
        ("[" * 100_000, "bad_json"),
        (feature("1" * 5000), "bad_json"),
        ("[1]", "not_a_feature"),
        ('{"type":"Point"}', "not_a_feature"),
        ('{"type":"Feature","properties":null}', "not_a_feature"),
        (feature("[1]"), "bad_value"),
        (feature("true"), "bad_value"),
        (feature('"\\ud800"'), "bad_value"),
        (feature('"a\\u0000"'), "bad_value"),
    ],
)
def test_a_bad_line_is_quarantined_and_the_others_are_read(line: str, reason: str) -> None:
    rows, rejects = read(f"{line}\n{GOOD}\n")

    assert [row["line"] for row in rows] == [2]
    assert rejects.counts == {reason: 1}
    assert rejects.drain().to_pylist()[0]["line"] == 1


def test_a_pretty_printed_collection_is_refused_with_what_to_do() -> None:
    with pytest.raises(CorpusError, match=r"f: the first line is '\{', expected a whole GeoJSON Feature on every line"):
        read('{\n"type": "FeatureCollection",\n"features": [\n' + GOOD + ",\n" + GOOD + "\n]}\n")


def test_a_file_without_text_is_refused() -> None:
    with pytest.raises(CorpusError, match="holds no line of text, expected one GeoJSON Feature per line"):
        read("\n\n")


@given(junk=st.lists(st.text(st.sampled_from('{}[]":,\\ud8e1 tn'), max_size=30), max_size=8))
def test_junk_around_a_good_line_is_never_fatal(junk: list[str]) -> None:
    rows, rejects = read("\n".join([*junk, GOOD, *junk]))

    assert len(rows) + sum(rejects.counts.values()) == 1 + 2 * sum(bool(line.strip("\r")) for line in junk)
