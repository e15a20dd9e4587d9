"""What the places and postcodes of Who's On First become, as GeoJSON and as SQLite."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

from source_files import read_all
from wof_records import ADMIN, BRITTANY, BRITTANY_TAGS, POSTCODES, by_id, record, tags, write_sqlite, write_tree


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


def test_a_lone_county_is_a_subregion_and_one_below_its_state_stays_one(tmp_path: Path) -> None:
    places = [
        record(1, "region", "California", "US"),
        record(2, "county", "Marin", "US"),
        record(3, "county", "Napa", "US", above={"region": 1}),
        record(4, "locality", "Ross", "US", above={"county": 2}),
    ]

    found = by_id(read_all(ADMIN, write_tree(tmp_path, *places)))
    assert found["2"] == {"subregion": "Marin"}
    assert found["3"] == {"subregion": "Napa", "region": "California"}
    assert found["4"] == {"locality": "Ross"}


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
