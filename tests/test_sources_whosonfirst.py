"""Who's On First as GeoJSON and as SQLite, from hand-made records and from the real files."""

from __future__ import annotations

import io
import json
import sqlite3
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import zstandard
from source_files import Reading, read_all

from mw_pipeline.cli import main
from mw_pipeline.errors import CorpusError
from mw_pipeline.sources.registry import get_adapter
from mw_pipeline.sources.whosonfirst import feature, gazetteer

ADMIN, POSTCODES = get_adapter("wof-admin"), get_adapter("wof-postalcode")


def record(id_: int, placetype: str, name: Any, country: str = "FR", **more: Any) -> dict[str, Any]:
    """A GeoJSON record; `above` gives its hierarchy, other words are properties with _ for the colon."""
    above = more.pop("above", {})
    hierarchy = {f"{level}_id": place for level, place in {**above, placetype: id_}.items()}
    named = {key.replace("_", ":", 1): value for key, value in more.items()}
    own = {"wof:id": id_, "wof:name": name, "wof:placetype": placetype, "wof:country": country}
    return {
        "type": "Feature",
        "properties": {**own, "wof:hierarchy": [hierarchy], "edtf:cessation": "uuuu", **named},
        "geometry": {"type": "Point", "coordinates": [0, 0]},
    }


def write_tree(folder: Path, *records: dict[str, Any]) -> Path:
    for document in records:
        id_ = document["properties"]["wof:id"]
        path = folder / "data" / str(id_) / f"{id_}.geojson"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document), encoding="utf-8")
    return folder


def write_sqlite(path: Path, *records: dict[str, Any], columns: str = "") -> Path:
    with sqlite3.connect(path) as db:
        db.execute("create table spr (id text, parent_id integer, name text, placetype text, country text" + columns)
        db.execute("create table names (id integer, country text, language text, privateuse text, name text)")
        db.execute("create table ancestors (id integer, ancestor_id integer, ancestor_placetype text)")
        for properties in (document["properties"] for document in records):
            fields = [properties[f"wof:{name}"] for name in ("id", "name", "placetype", "country")]
            db.execute("insert into spr values (?, -1, ?, ?, ?)", fields)
            for key, names in properties.items():
                if key.startswith("name:"):
                    language, use = key.removeprefix("name:").split("_", 1)
                    row = (
                        properties["wof:id"],
                        properties["wof:country"],
                        language,
                        use,
                        names if isinstance(names, str) else names[0],
                    )
                    db.execute("insert into names values (?, ?, ?, ?, ?)", row)
            for level, place in properties["wof:hierarchy"][0].items():
                ancestor = (properties["wof:id"], place, level.removesuffix("_id"))
                db.execute("insert into ancestors values (?, ?, ?)", ancestor)
    db.close()
    return path


def tags(row: dict[str, Any]) -> dict[str, str]:
    known = ("venue", "postcode", "dependent_locality", "locality", "subregion", "region", "country")
    return {tag: row[tag] for tag in known if tag in row}


def by_id(found: Reading) -> dict[str, dict[str, str]]:
    """Tags by the number of the record, with the language of a further name."""
    return {
        row["source_id"].rsplit("/", 1)[-1].rsplit(":", 1)[-1].replace(".geojson", ""): tags(row)
        for row in found.records
    }


BRITTANY = (
    record(1, "macroregion", "Bretagne"),
    record(2, "region", "Morbihan", above={"macroregion": 1}),
    record(3, "locality", "Carnac", above={"macroregion": 1, "region": 2, "county": 9}),
    record(4, "neighbourhood", "Kermario", above={"macroregion": 1, "region": 2, "locality": 3}),
    record(5, "campus", "Thalasso", above={"locality": 3}),
    record(6, "neighbourhood", "Nulle-Part", above={"locality": -1}),
    record(7, "country", "France"),
    record(9, "county", "Canton de Carnac", above={"region": 2}),
)
BRITTANY_TAGS = {
    "1": {"region": "Bretagne"},
    "2": {"subregion": "Morbihan", "region": "Bretagne"},
    "3": {"locality": "Carnac", "subregion": "Morbihan", "region": "Bretagne"},
    "4": {"dependent_locality": "Kermario", "locality": "Carnac", "subregion": "Morbihan", "region": "Bretagne"},
    "5": {"venue": "Thalasso", "locality": "Carnac"},
    "6": {"locality": "Nulle-Part"},
    "7": {"country": "France"},
}


def test_every_place_is_written_with_those_above_it_as_a_tree_and_as_a_database(tmp_path: Path) -> None:
    tree = read_all(ADMIN, write_tree(tmp_path / "tree", *BRITTANY))
    database = read_all(ADMIN, write_sqlite(tmp_path / "wof.db", *BRITTANY, columns=")"))

    assert by_id(tree) == by_id(database) == BRITTANY_TAGS
    assert tree.filtered == database.filtered == {"area_not_written": 1}
    assert [row["base_id"] for row in tree.records] == [row["base_id"] for row in database.records]


def test_a_departement_whose_region_is_not_in_the_input_stands_alone(tmp_path: Path) -> None:
    found = read_all(ADMIN, write_tree(tmp_path, *BRITTANY[1:3]))

    assert tags(found.records[1]) == {"locality": "Carnac", "region": "Morbihan"}
    assert {row["region_key"] for row in found.records} == {"FR:bretagne"}


def test_american_counties_say_what_they_are_where_the_record_does(tmp_path: Path) -> None:
    county = record(2, "county", "Marin", "US", above={"region": 1}, label_eng_x_preferred_longname=["Marin County"])
    town = record(3, "locality", "San Rafael", "US", above={"region": 1, "county": 2})
    found = read_all(ADMIN, write_tree(tmp_path, record(1, "region", "California", "US"), county, town))

    assert tags(found.records[2]) == {
        "locality": "San Rafael",
        "subregion": "Marin County",
        "region": "California",
    }


def test_a_region_that_repeats_its_town_is_left_out_but_in_the_united_states(tmp_path: Path) -> None:
    places = [
        record(1, "region", "New York", "US"),
        record(2, "locality", "New York", "US", above={"region": 1}),
        record(3, "region", "Hamburg", "DE"),
        record(4, "locality", "Hamburg", "DE", above={"region": 3}),
    ]

    found = by_id(read_all(ADMIN, write_tree(tmp_path, *places)))
    assert found["2"] == {"locality": "New York", "region": "New York"}
    assert found["4"] == {"locality": "Hamburg"}


def test_a_municipality_of_puerto_rico_is_no_county_of_its_towns(tmp_path: Path) -> None:
    county = record(2, "county", "Ponce", "PR")
    town = record(3, "locality", "Hill Brothers", "PR", above={"county": 2})

    found = read_all(ADMIN, write_tree(tmp_path, county, town))
    assert by_id(found) == {"3": {"locality": "Hill Brothers", "region": "Puerto Rico"}}
    assert found.filtered == {"area_not_written": 1}


def test_a_territory_is_named_where_the_hierarchy_does_not_name_it(tmp_path: Path) -> None:
    found = read_all(ADMIN, write_tree(tmp_path, record(1, "locality", "Salazie", "RE", above={"region": 99})))

    assert tags(found.records[0]) == {"locality": "Salazie", "region": "La Réunion"}
    assert (found.records[0]["country_code"], found.records[0]["region_key"]) == ("FR", "FR:la réunion")


def test_each_official_language_gives_a_further_record_of_the_same_family(tmp_path: Path) -> None:
    region = record(1, "region", "Tokyo", "JP", name_jpn_x_preferred=["東京都"])
    town = record(2, "locality", "Chuo", "JP", above={"region": 1}, name_jpn_x_preferred=["中央区"])
    loose = record(3, "locality", "Minato", "JP", above={"region": 9}, name_jpn_x_preferred="港区")
    brussels = record(
        *(4, "locality", "Bruxelles", "BE"),
        name_nld_x_preferred=["Brussel", "Brussel-stad"],
        name_fra_x_preferred=["Bruxelles"],
        name_deu_x_preferred=["Brüssel (Stadt)"],
        name_eng_x_preferred=["Brussels"],
    )
    places = (region, town, loose, brussels)

    found = read_all(ADMIN, write_tree(tmp_path / "tree", *places))
    assert by_id(found) == {
        "1": {"region": "Tokyo"},
        "1@jpn": {"region": "東京都"},
        "2": {"locality": "Chuo", "region": "Tokyo"},
        "2@jpn": {"locality": "中央区", "region": "東京都"},
        "3": {"locality": "Minato"},
        "3@jpn": {"locality": "港区"},
        "4": {"locality": "Bruxelles"},
        "4@nld": {"locality": "Brussel"},
    }
    assert len({row["base_id"] for row in found.records}) == 4
    assert by_id(read_all(ADMIN, write_sqlite(tmp_path / "a.db", *places, columns=")"))) == by_id(found)


def test_a_name_in_another_script_does_not_stand_beside_latin_areas(tmp_path: Path) -> None:
    region = record(1, "region", "Tokyo", "JP")
    town = record(2, "locality", "Chuo", "JP", above={"region": 1}, name_jpn_x_preferred=["中央区"])

    assert by_id(read_all(ADMIN, write_tree(tmp_path, region, town)))["2@jpn"] == {"locality": "中央区"}


def test_what_is_not_current_is_filtered_by_why_and_still_names_places_below(tmp_path: Path) -> None:
    places = [
        record(1, "region", "Morbihan", mz_is_current=0),
        record(2, "locality", "Carnac", above={"region": 1}, mz_is_current=-1),
        record(3, "locality", "a", edtf_deprecated="2018-08-15"),
        record(4, "locality", "b", **{"wof_superseded_by": [9]}),
        record(5, "locality", "c", edtf_cessation="2018-09-06"),
        record(6, "locality", "d", edtf_cessation="", edtf_deprecated=".."),
        record(7, "ocean", "e"),
        record(8, "postalcode", "56340"),
        record(10, "localadmin", "Arrondissement de Saint-Benoît"),
    ]

    found = read_all(ADMIN, write_tree(tmp_path, *places))
    assert by_id(found) == {"2": {"locality": "Carnac", "region": "Morbihan"}, "6": {"locality": "d"}}
    assert found.filtered == {
        "not_current": 1,
        "deprecated": 1,
        "superseded": 1,
        "ceased": 1,
        "placetype_ocean": 1,
        "placetype_postalcode": 1,
        "area_not_written": 1,
    }


def test_flags_of_the_database_say_the_same(tmp_path: Path) -> None:
    path = tmp_path / "wof.db"
    write_sqlite(path, *(record(n, "locality", f"p{n}") for n in range(1, 7)), columns=")")
    with sqlite3.connect(path) as db:
        for flag, kept in (("is_current", 1), ("is_deprecated", 0), ("is_ceased", -1), ("is_superseded", 0)):
            db.execute(f"alter table spr add column {flag} integer default {kept}")
        db.execute("alter table spr add column is_alt integer default 0")
        for n, flag in enumerate(("is_current = 0", "is_deprecated = 1", "is_ceased = 1", "is_superseded = 1"), 1):
            db.execute(f"update spr set {flag} where id = '{n}'")
        db.execute("update spr set is_alt = 1 where id = '5'")
    db.close()

    found = read_all(ADMIN, path)
    assert by_id(found) == {"6": {"locality": "p6"}}
    assert found.filtered == {"not_current": 1, "deprecated": 1, "ceased": 1, "superseded": 1, "alt_geometry": 1}


def test_alternative_geometries_and_repeated_records_are_no_places(tmp_path: Path) -> None:
    write_tree(tmp_path / "a", *BRITTANY[:3])
    write_tree(tmp_path / "b", BRITTANY[0])
    alt = {"type": "Feature", "properties": {"wof:id": 1, "src:alt_label": "quattroshapes"}}
    (tmp_path / "a" / "1-alt-quattroshapes.geojson").write_text(json.dumps(alt))

    found = read_all(ADMIN, tmp_path)
    assert len(found.records) == 3
    assert found.filtered == {"alt_geometry": 1, "repeated_id": 1}


def test_a_postcode_is_written_with_its_town_from_the_same_input(tmp_path: Path) -> None:
    places = [
        *BRITTANY[:3],
        record(20, "postalcode", "56340", above={"region": 2, "locality": 3}),
        record(21, "postalcode", "06730", frgov_LIB="Saint-Andr-de-la-Roche"),
        record(22, "postalcode", "94128", "US", mz_postal_locality="San Francisco"),
        record(23, "postalcode", "nowhere"),
    ]

    found = read_all(POSTCODES, write_tree(tmp_path, *places))
    assert by_id(found) == {
        "20": {"postcode": "56340", "locality": "Carnac", "region": "Morbihan"},
        "21": {"postcode": "06730"},
        "22": {"postcode": "94128", "locality": "San Francisco"},
    }
    assert found.quarantined == {"no_digit": 1}
    assert found.filtered == {"placetype_macroregion": 1, "placetype_region": 1, "placetype_locality": 1}


def test_a_record_without_hierarchy_is_placed_by_its_parent_also_when_that_is_a_string(tmp_path: Path) -> None:
    orphan = record(20, "postalcode", "56340", wof_parent_id="3")
    del orphan["properties"]["wof:hierarchy"]

    found = read_all(POSTCODES, write_tree(tmp_path, *BRITTANY[:3], orphan))
    assert tags(found.records[0]) == {
        "postcode": "56340",
        "locality": "Carnac",
        "subregion": "Morbihan",
        "region": "Bretagne",
    }


def test_a_postcode_that_belongs_to_another_region_than_its_places_is_written_without_them(tmp_path: Path) -> None:
    pennsylvania = record(1, "region", "Pennsylvania", "US")
    indianapolis = record(2, "postalcode", "46249", "US", above={"region": 1})
    orlando = record(3, "postalcode", "32816", "US", above={"region": 1}, mz_postal_locality="Orlando")
    pittsburgh = record(4, "postalcode", "15213", "US", above={"region": 1})

    found = read_all(POSTCODES, write_tree(tmp_path, pennsylvania, indianapolis, orlando, pittsburgh))
    assert by_id(found) == {
        "2": {"postcode": "46249"},
        "3": {"postcode": "32816", "locality": "Orlando"},
        "4": {"postcode": "15213", "region": "Pennsylvania"},
    }
    assert [row["region_key"] for row in found.records] == ["US:indiana", "US:florida", "US:pennsylvania"]


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
