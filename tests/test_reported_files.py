"""Files in the shape that people reported elsewhere, through the command, where they are there."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq
import pytest

from mw_pipeline.cli import main


@pytest.fixture(scope="session")
def cases(project: Path) -> Path:
    """The folder of reported files: `cases/data` of MW_SHARED, else of `shared` beside the checkout."""
    places = [Path(os.environ.get("MW_SHARED", "shared")), project.parent / "shared"]
    path = next((place / "cases" / "data" for place in places if (place / "cases" / "data").is_dir()), None)
    if path is None:
        pytest.skip(f"no reported files in {' or '.join(map(str, places))}")
    return path


class Answer(NamedTuple):
    """What the command made of a case: its exit code, the values of each row, reasons and filters, and its words."""

    code: int
    rows: set[str]
    lost: dict[str, int]
    words: str


def ask(path: Path, adapter: str, out: Path, capsys: pytest.CaptureFixture[str]) -> Answer:
    code = main(["corpus", "--adapter", adapter, "--input", str(path), "--out", str(out)])
    output = capsys.readouterr()
    if code == 2:
        return Answer(code, set(), {}, output.err)
    told = json.loads(output.out)
    rows = pq.read_table(out / "shards").to_pylist()
    return Answer(
        code,
        {"|".join(dict(row["components"]).values()) for row in rows},
        told["quarantined"] | told["filtered"],
        output.err,
    )


@pytest.mark.parametrize(
    ("case", "adapter", "rows", "lost"),
    [
        (
            "b01_oa_null_words",
            "openaddresses",
            {
                "10|MAPLE ST|LAKEVIEW|OR|97630",
                "12|LAKEVIEW|OR|97630",
                "OAK AVE|LAKEVIEW|OR|97630",
                "13|LAKEVIEW|OR|97630",
                "15|ELM ST|LAKEVIEW|OR|97630",
            },
            {"no_street_or_number": 2},
        ),
        (
            "b03_oa_tail_in_street",
            "openaddresses",
            {"COTTON RD|WHITLEY|NE|69367", "460|COTTON RD|CHADMOOR|NE|69337", "18574|HWY 385|CHADMOOR|NE|69337"},
            {},
        ),
        (
            "b04_oa_unit_in_number",
            "openaddresses",
            {
                "24047|Lewis Georgetown Highway|UNIT 21|DE|19947",
                "37347|Harbor Avenue Extension|UNIT 2|DE|19971",
            },
            {},
        ),
        (
            "b05_oa_decimal_half",
            "openaddresses",
            {"2300 1/2|DELMAR ST|OK", "211 1/2|N 3RD ST|OK", "359|ROBERTS ST|OK|74401"},
            {},
        ),
        ("b06_oa_street_twice", "openaddresses", set(), {"street_in_number": 2}),
        (
            "b08_oa_collected",
            "openaddresses",
            {"21|MAPLE ST|LAKEVIEW|OR|97630", "22|MAPLE ST|LAKEVIEW|OR|97630"},
            {"no_address_table": 1},
        ),
        (
            "b08b_oa_collected_clean",
            "openaddresses",
            {"21|MAPLE ST|LAKEVIEW|OR|97630", "22|MAPLE ST|LAKEVIEW|OR|97630", "23|MAPLE ST|LAKEVIEW|CA|97630"},
            {},
        ),
        ("b12_ban_latin1", "ban", set(), {"invalid_encoding": 2}),
        ("b22_geonames_mojibake", "geonames-postal", set(), {"mojibake": 2}),
        (
            "b24b_nppes_unpacked",
            "usgov-nppes",
            {
                "LAKESIDE CLINIC|12|MAPLE ST|STE 4|LAKEVIEW|OR|97630-1234",
                'THE "OLD MILL" CLINIC|14|MAPLE ST|LAKEVIEW|OR|97630',
            },
            {"no_address_table": 1},
        ),
        ("b31b_oa_geojsonseq_rs", "openaddresses", {"1|MAPLE ST|LAKEVIEW|OR", "2|MAPLE ST|LAKEVIEW|OR"}, {}),
    ],
)
def test_a_reported_file_gives_what_is_right(
    cases: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    case: str,
    adapter: str,
    rows: set[str],
    lost: dict[str, int],
) -> None:
    found = ask(cases / case, adapter, tmp_path / "out", capsys)

    assert (found.code, found.rows, found.lost) == (0, rows, lost)
    assert ("nothing was kept" in found.words) == (not rows)


@pytest.mark.parametrize(
    ("case", "adapter", "words"),
    [
        ("b14_ban_cr_only", "ban", "lines end in a carriage return alone"),
        ("b15_ban_utf16", "ban", "as in UTF-16"),
        ("b21_geonames_latin1", "geonames-postal", "is not UTF-8"),
    ],
)
def test_a_reported_file_that_cannot_be_read_says_why(
    cases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str, adapter: str, words: str
) -> None:
    found = ask(cases / case, adapter, tmp_path / "out", capsys)

    assert found.code == 2
    assert words in found.words
