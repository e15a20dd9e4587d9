"""The real files of Who's On First, whole."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from source_files import read_all
from wof_records import POSTCODES

from mw_pipeline.cli import main
from mw_pipeline.sources.registry import get_adapter

# documents in the archive, of which alternative geometries; records quarantined
REAL = [
    ("wof-admin", "admin-mc.tar.zst", 18, 6, 0),
    ("wof-admin", "admin-fr-overseas.tar.zst", 3_382, 20, 0),
    ("wof-admin", "admin-us-territories.tar.zst", 3_430, 81, 0),
    ("wof-admin", "sfomuseum-subset-us-fr.tar.zst", 305, 0, 0),
    ("wof-admin", "sqlite/whosonfirst-data-admin-us-fr-mini.db.zst", 7_028, 0, 0),
    ("wof-postalcode", "postalcode-us-subset.tar.zst", 11_543, 0, 6),
    pytest.param("wof-postalcode", "postalcode-fr.tar.zst", 27_118, 0, 0, marks=pytest.mark.slow),
    pytest.param("wof-postalcode", "sqlite", 45_689, 0, 6, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("adapter", "name", "documents", "alternatives", "quarantined"), REAL)
def test_every_record_of_a_real_file_is_accounted_for(
    raw_data: Path, adapter: str, name: str, documents: int, alternatives: int, quarantined: int
) -> None:
    found = read_all(get_adapter(adapter), raw_data / "whosonfirst" / name)
    further = sum("@" in row["source_id"] for row in found.records)

    assert found.read == documents + further
    assert found.filtered.get("alt_geometry", 0) == alternatives
    assert sum(found.quarantined.values()) == quarantined


def test_the_waterfall_of_the_real_databases_adds_up(
    raw_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = raw_data / "whosonfirst" / "sqlite" / "whosonfirst-data-admin-us-fr-mini.db.zst"
    assert main(["corpus", "--adapter", "wof-admin", "--input", str(path), "--out", str(tmp_path / "out")]) == 0

    flow = json.loads(capsys.readouterr().out)
    gone = sum(flow["quarantined"].values()) + sum(flow["filtered"].values())
    assert flow["read"] == flow["kept"] + gone + flow["deduplicated"]
    assert flow["findings"] == []


@pytest.mark.slow
def test_the_real_files_show_what_they_are_known_for(raw_data: Path) -> None:
    folder = raw_data / "whosonfirst"
    french = read_all(POSTCODES, folder / "postalcode-fr.tar.zst").records
    assert Counter(row["region_key"] for row in french)["FR:corse"] > 200

    both = read_all(POSTCODES, folder / "sqlite").records
    american = [row for row in both if row["country_code"] == "US" and "region" in row]
    assert all(row["region_key"] == f"US:{row['region'].casefold()}" for row in american)
