"""Inputs of Who's On First: packed, damaged, of something else, too many to keep in memory."""

from __future__ import annotations

import io
import json
import sqlite3
import tarfile
from pathlib import Path

import pytest
import zstandard
from source_files import read_all
from wof_records import ADMIN, BRITTANY, BRITTANY_TAGS, by_id, record, write_sqlite, write_tree

from mw_pipeline.cli import main
from mw_pipeline.errors import CorpusError
from mw_pipeline.sources.whosonfirst import feature, gazetteer


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (b"{", "bad_json"),
        (b"[" * 100_000, "bad_json"),
        (b"", "bad_json"),
        (b"\xff\xfe{}", "bad_json"),
        (b"[]", "not_a_feature"),
        (b'{"type":"FeatureCollection","features":[]}', "not_a_feature"),
        (b'{"type":"Feature","properties":[]}', "not_a_feature"),
        (b'{"type":"Feature","properties":{}}', "no_wof_id"),
        (json.dumps(record(-1, "locality", "a")).encode(), "bad_id"),
        (json.dumps(record(2**70, "locality", "a")).encode(), "bad_id"),
        (json.dumps(record(1, "locality", "")).encode(), "no_wof_name"),
        (json.dumps(record(1, "locality", {"a": 1})).encode(), "bad_name"),
        (json.dumps(record(1, "locality", "\ud800")).encode(), "bad_name"),
        (json.dumps(record(1, "locality", "a\0b")).encode(), "bad_name"),
        (json.dumps(record(1, "locality", "12")).encode(), "no_letter"),
        (json.dumps(record(1, "village", "a")).encode(), "unknown_placetype"),
        (json.dumps(record(1, "locality", "a", "XX")).encode(), "unknown_country"),
    ],
)
def test_an_unusable_record_is_quarantined_for_its_reason(tmp_path: Path, document: bytes, reason: str) -> None:
    write_tree(tmp_path, record(7, "locality", "Carnac"))
    (tmp_path / "data" / "bad.geojson").write_bytes(document)
    if not document:
        with pytest.raises(CorpusError, match=r"bad.geojson: the file is empty"):
            read_all(ADMIN, tmp_path)
        return

    found = read_all(ADMIN, tmp_path)
    assert found.quarantined == {reason: 1}
    assert len(found.records) == 1


def test_unusable_rows_of_a_database_are_quarantined_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "wof.db"
    good = record(7, "locality", "Carnac")
    write_sqlite(path, good, record("x", "locality", "a"), record(2, "locality", ""), columns=")")  # type: ignore[arg-type]
    with sqlite3.connect(path) as db:
        db.execute("insert into spr values (3, null, 'a', 'village', 'FR'), (4, null, 'b', 'locality', 'XX')")
        db.execute("insert into spr values (5, null, null, 'locality', 'FR'), (6, null, x'ff', 'locality', 'FR')")
    db.close()

    found = read_all(ADMIN, path)
    assert found.quarantined == {
        "bad_id": 1,
        "no_wof_name": 2,
        "unknown_placetype": 1,
        "unknown_country": 1,
        "no_letter": 1,
    }
    assert [row["line"] for row in found.quarantine][:2] == [2, 3]


def test_of_a_record_with_a_huge_geometry_the_properties_are_read(tmp_path: Path) -> None:
    path = tmp_path / "1.geojson"
    start = json.dumps(record(1, "country", "France"))[:-1].encode()
    path.write_bytes(start + b', "more": [' + b"[1.5, 2.5]," * (feature.MAX_RECORD_BYTES // 11) + b"[0, 0]]}")

    assert by_id(read_all(ADMIN, path)) == {"1": {"country": "France"}}


def test_a_packed_tree_reads_as_the_tree_does(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "tree", *BRITTANY)
    (tree / "README.md").write_text("papers\n")
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.add(tree, "wof")
    (tmp_path / "wof.tar.zst").write_bytes(zstandard.compress(archive.getvalue()))
    database = write_sqlite(tmp_path / "wof.db", *BRITTANY, columns=")")
    (tmp_path / "wof.db.zst").write_bytes(zstandard.compress(database.read_bytes()))

    assert by_id(read_all(ADMIN, tmp_path / "wof.tar.zst")) == BRITTANY_TAGS
    assert by_id(read_all(ADMIN, tmp_path / "wof.db.zst")) == BRITTANY_TAGS


def test_no_more_records_are_made_than_asked_for_and_other_countries_are_filtered(tmp_path: Path) -> None:
    tree = write_tree(tmp_path, *BRITTANY, record(30, "locality", "Ghent", "BE"))

    assert len(read_all(ADMIN, tree, max_records=2).records) == 2
    found = read_all(ADMIN, tree, countries=("BE",))
    assert [row["country_code"] for row in found.records] == ["BE"]
    assert found.filtered["country_not_wanted"] == len(BRITTANY)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"id,name\n1,Carnac\n", r"a.csv: bad_json: b'id,name.*expected Who's On First"),
        ("a.db", b"SQLite format 3\0" + b"x" * 200, r"a.db: not readable as SQLite: .*Fetch the file again"),
        ("a.tar.zst", zstandard.compress(b"x" * 9999)[:-4], r"not readable to its end"),
        ("a.geojson", b"\0" * 3_000_000, r"a.geojson: bad_json"),
    ],
)
def test_what_is_no_such_data_is_refused_in_a_sentence(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)

    with pytest.raises(CorpusError, match=message):
        read_all(ADMIN, tmp_path / name)


def test_a_database_of_something_else_is_refused_with_what_it_holds(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "a.db") as db:
        db.execute("create table people (id integer)")
        db.execute("create table spr (id integer, name text)")
    db.close()

    with pytest.raises(CorpusError, match=r"table spr has no placetype, country: found id, name\. Give the adapter"):
        read_all(ADMIN, tmp_path / "a.db")
    with sqlite3.connect(tmp_path / "a.db") as db:
        db.execute("drop table spr")
    db.close()
    with pytest.raises(CorpusError, match=r"table spr has no id, .*found tables people"):
        read_all(ADMIN, tmp_path / "a.db")


def test_missing_and_empty_inputs_are_named(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"nowhere: there is no such file or folder"):
        read_all(ADMIN, tmp_path / "nowhere")
    with pytest.raises(CorpusError, match=r"holds no \.geojson or"):
        read_all(ADMIN, tmp_path)
    with pytest.raises(CorpusError, match=r"input: nothing is given"):
        read_all(ADMIN)


def test_a_temporary_folder_without_room_is_named() -> None:
    with pytest.raises(CorpusError, match=r"disk is full: .*Set TMPDIR"), gazetteer.gazetteer() as places:
        places.database.execute("pragma max_page_count = 8")
        places.add([feature.Place(n, "x" * 9000, "locality", "FR", "s") for n in range(1, 99)])


def test_many_unusable_records_do_not_pile_up_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mw_pipeline.sources.whosonfirst.adapter.MAX_PENDING", 10)
    tree, out = write_tree(tmp_path / "tree", record(7, "locality", "Carnac")), tmp_path / "out"
    for n in range(40):
        (tree / "data" / "7" / f"z{n}.geojson").write_text("{")

    assert main(["corpus", "--adapter", "wof-admin", "--input", str(tree), "--out", str(out)]) == 0
    flow = json.loads((out / "waterfall.json").read_text())
    assert (flow["read"], flow["kept"], flow["quarantined"]) == (41, 1, {"bad_json": 40})
