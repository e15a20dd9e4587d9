"""The gazetteer of GeoNames, from hand-made lines and from the real files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from source_files import Reading, read_all

from mw_pipeline.cli import main
from mw_pipeline.errors import CorpusError
from mw_pipeline.records.adapter import ReadsCompanions
from mw_pipeline.sources.registry import get_adapter

GEONAMES = get_adapter("geonames")

ADMIN1 = (
    "SG.01\tCentral Singapore\tCentral Singapore\t1\nDE.02\tBavaria\tBavaria\t2\nJP.13\tHyōgo\tHyogo\t3\n"
    "PR.057\tGuayama\tGuayama\t6\nNC.02\tSouth Province\tSouth Province\t8\n"
)
ADMIN2 = "DE.02.091\tUpper Bavaria\tUpper Bavaria\t4\nUS.VT.025\tWindham County\tWindham County\t5\n"


def place(
    name: str, country: str, admin1: str = "", admin2: str = "", *, kind: str = "P.PPL", names: str = "", id_: str = "7"
) -> str:
    first, second = kind.split(".")
    fields = [id_, name, name, names, "1.0", "2.0", first, second, country, "", admin1, admin2, "", "", "9", "", "1"]
    return "\t".join([*fields, "Etc/UTC", "2020-01-01"]) + "\n"


def read_lines(folder: Path, *lines: str, tables: bool = True, **settings: Any) -> Reading:
    (folder / "XX.txt").write_text("".join(lines), encoding="utf-8")
    if tables:
        (folder / "admin1CodesASCII.txt").write_text(ADMIN1, encoding="utf-8")
        (folder / "admin2Codes.txt").write_text(ADMIN2, encoding="utf-8")
    return read_all(GEONAMES, folder / "XX.txt", **settings)


def tags(record: dict[str, Any]) -> dict[str, str]:
    return {
        tag: record[tag] for tag in ("venue", "locality", "subregion", "region", "country", "postcode") if tag in record
    }


def test_a_town_stands_in_the_areas_that_the_tables_name(tmp_path: Path) -> None:
    found = read_lines(tmp_path, place("Putney", "US", "VT", "025"))

    record = found.records[0]
    assert tags(record) == {"locality": "Putney", "subregion": "Windham County", "region": "Vermont"}
    assert (record["country_code"], record["locale"], record["license"]) == ("US", "en-US", "CC-BY-4.0")
    assert (record["source_id"], record["line"], record["region_key"]) == ("7@XX.txt:1", 1, "US:vermont")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            place("Freising", "DE", "02", "091"),
            {"locality": "Freising", "subregion": "Upper Bavaria", "region": "Bavaria"},
        ),
        (place("Bedok", "SG", "01"), {"locality": "Bedok", "region": "Central Singapore"}),
        (place("Ghent", "BE", "VLG", "VOV"), {"locality": "Ghent"}),
    ],
)
def test_another_country_needs_no_code_of_its_own(tmp_path: Path, line: str, expected: dict[str, str]) -> None:
    assert tags(read_lines(tmp_path, line).records[0]) == expected


@pytest.mark.parametrize(
    ("line", "country", "expected"),
    [
        (
            place("Jobos", "PR", "057"),
            "US",
            {"locality": "Jobos", "subregion": "Guayama", "region": "Puerto Rico"},
        ),
        (place("Guayama", "PR", "057"), "US", {"locality": "Guayama", "region": "Puerto Rico"}),
        (place("Guayama", "PR", "057", kind="A.ADM1"), "US", {"subregion": "Guayama", "region": "Puerto Rico"}),
        (place("Puerto Rico", "PR", kind="A.PCLD"), "US", {"region": "Puerto Rico"}),
        (place("Nouméa", "NC", "02"), "FR", {"locality": "Nouméa", "region": "Nouvelle-Calédonie"}),
    ],
)
def test_a_territory_is_a_region_of_its_state(
    tmp_path: Path, line: str, country: str, expected: dict[str, str]
) -> None:
    (record,) = read_lines(tmp_path, line).records

    assert (record["country_code"], tags(record)) == (country, expected)
    assert record["region_key"] == f"{country}:{expected['region'].casefold()}"


def test_without_tables_only_the_united_states_and_france_have_areas(tmp_path: Path) -> None:
    lines = [
        place("Putney", "US", "VT", "025"),
        place("Vannes", "FR", "53", "56"),
        place("Freising", "DE", "02", "091"),
    ]

    records = read_lines(tmp_path, *lines, tables=False).records
    assert [tags(record) for record in records] == [
        {"locality": "Putney", "region": "Vermont"},
        {"locality": "Vannes", "subregion": "Morbihan", "region": "Bretagne"},
        {"locality": "Freising"},
    ]


def test_a_region_that_repeats_its_town_is_left_out_but_in_the_united_states(tmp_path: Path) -> None:
    (tmp_path / "admin1CodesASCII.txt").write_text("DE.04\tHamburg\tHamburg\t1\n", encoding="utf-8")
    lines = [place("Hamburg", "DE", "04"), place("New York", "US", "NY")]

    records = read_lines(tmp_path, *lines, tables=False).records
    assert [tags(record) for record in records] == [
        {"locality": "Hamburg"},
        {"locality": "New York", "region": "New York"},
    ]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("A.ADM1", {"region": "Name"}),
        ("A.ADM2", {"subregion": "Name"}),  # whether that is English, as Bavaria is, nobody can tell
        ("A.PCLI", {"country": "Name"}),
        ("S.MUS", {"venue": "Name", "subregion": "Upper Bavaria", "region": "Bavaria"}),
        ("P.PPLX", {"locality": "Name", "region": "Bavaria"}),
    ],
)
def test_the_feature_code_tells_the_tag(tmp_path: Path, kind: str, expected: dict[str, str]) -> None:
    assert tags(read_lines(tmp_path, place("Name", "DE", "02", "091", kind=kind)).records[0]) == expected


def test_what_no_address_names_is_filtered_by_what_it_is(tmp_path: Path) -> None:
    kinds = ["H.LK", "L.PRK", "R.RD", "S.TOWR", "T.MT", "U.DEPU", "V.FRST", "A.ADM4", "P.PPLH", "P.PPLQ"]

    found = read_lines(tmp_path, *(place("x", "DE", kind=kind) for kind in kinds))
    assert found.filtered == {
        "water": 1,
        "park_or_area": 1,
        "road_or_railway": 1,
        "no_named_building": 1,
        "mountain_or_island": 1,
        "undersea": 1,
        "vegetation": 1,
        "other_administrative_area": 1,
        "no_longer_populated": 2,
    }
    assert not found.records


@pytest.mark.parametrize(
    ("country", "latin", "names", "own"),
    [
        ("RU", "Sasovo", "SSV,Саз,Сасава,Сасово,ساسوفو", "Сасово"),
        ("UA", "Druzhkivka", "Дружковка,Дружківка", "Дружківка"),
        ("JP", "Akashi", "Akasi,明石,明石市,아카시 시", "明石"),
        ("CN", "Zepu", "泽普,澤普", "泽普"),
        ("TW", "Douliu", "斗六,Дулю", "斗六"),
        ("EG", "Tanta", "طنطا,طنطه‎,Танта", "طنطا"),
        ("QA", "Doha", "اَلدَّوْحَة", "الدوحة"),
        ("GR", "Volos", "Βόλος,Волос", "Βόλος"),
        ("TH", "Trang", "ตรัง,董里", "ตรัง"),
    ],
)
def test_a_place_has_a_second_record_in_its_countrys_own_script(
    tmp_path: Path, country: str, latin: str, names: str, own: str
) -> None:
    first, second = read_lines(tmp_path, place(latin, country, "13", names=names)).records

    assert tags(second) == {"locality": own}
    assert second["base_id"] == first["base_id"]
    assert second["region_key"] == first["region_key"]
    assert second["source_id"] == "7@XX.txt:1@own-script"


def test_a_country_of_latin_letters_has_no_second_record(tmp_path: Path) -> None:
    found = read_lines(
        tmp_path, place("Yerres", "FR", "11", "91", names="Йер"), place("Atsugi", "JP", names="Atugi,Ацуги")
    )

    assert len(found.records) == 2


def test_unusable_lines_are_quarantined_each_for_its_reason(tmp_path: Path) -> None:
    lines = [
        place("a", "DE"),
        place("b", "XX"),
        place(" ", "DE"),
        place("c", "DE", kind="Q.X"),
        place("d", "DE", kind="."),
        "short\n",
    ]

    found = read_lines(tmp_path, *lines)
    assert len(found.records) == 1
    assert found.quarantined == {"unknown_country": 1, "no_name": 1, "unknown_feature_class": 2, "ragged": 1}


def test_countries_that_the_corpus_does_not_want_are_filtered(tmp_path: Path) -> None:
    found = read_lines(tmp_path, place("a", "DE"), place("b", "US"), countries=("US", "FR"))

    assert [record["country_code"] for record in found.records] == ["US"]
    assert found.filtered == {"country_not_wanted": 1}


def test_the_tables_beside_a_gazetteer_count_as_its_input(tmp_path: Path) -> None:
    read_lines(tmp_path, place("Putney", "US"))

    assert isinstance(GEONAMES, ReadsCompanions)
    assert [path.name for path in GEONAMES.companions([tmp_path / "XX.txt"])] == [
        "admin1CodesASCII.txt",
        "admin2Codes.txt",
    ]


def test_a_folder_is_read_without_its_tables_and_papers(tmp_path: Path) -> None:
    (tmp_path / "countryInfo.txt").write_text("# no gazetteer\n")
    (tmp_path / "readme.txt").write_text("read me\n")
    read_lines(tmp_path, place("Freising", "DE", "02"))

    assert [tags(record) for record in read_all(GEONAMES, tmp_path).records] == [
        {"locality": "Freising", "region": "Bavaria"}
    ]


def test_a_table_alone_or_a_postal_file_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "admin1CodesASCII.txt").write_text(ADMIN1, encoding="utf-8")
    with pytest.raises(CorpusError, match=r"has 4 fields split by tabs .*expected GeoNames gazetteer"):
        read_all(GEONAMES, tmp_path)

    (tmp_path / "a").write_text("\t".join("abcdefghijkl") + "\n")
    with pytest.raises(CorpusError, match=r"has 12 fields split by tabs .*expected GeoNames gazetteer"):
        read_all(GEONAMES, tmp_path / "a")


def test_a_damaged_table_is_named(tmp_path: Path) -> None:
    (tmp_path / "admin2Codes.txt").write_text("no tabs at all\n")

    with pytest.raises(CorpusError, match=r"admin2Codes.txt: .*expected a GeoNames table of areas"):
        read_lines(tmp_path, place("a", "DE"), tables=False)


def test_the_waterfall_of_the_real_file_adds_up(
    raw_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = raw_data / "geonames-gazetteer" / "cities15000.zip"
    assert main(["corpus", "--adapter", "geonames", "--input", str(path), "--out", str(tmp_path / "out")]) == 0

    flow = json.loads(capsys.readouterr().out)
    gone = sum(flow["quarantined"].values()) + sum(flow["filtered"].values())
    assert flow["read"] == flow["kept"] + gone + flow["deduplicated"]
    assert flow["quarantined"] == {"unknown_country": 21}  # Kosovo has no ISO code
    assert flow["filtered"] == {"no_longer_populated": 24}
    found = read_all(GEONAMES, path)
    in_own_script = sum(record["source_id"].endswith("@own-script") for record in found.records)
    assert flow["read"] == found.read == 33_227 + in_own_script
    assert in_own_script > 6_000
    assert all("region" in record for record in found.records if record["country_code"] == "US")


def test_a_name_has_no_half_brackets_and_no_arrondissement(tmp_path: Path) -> None:
    lines = [place("Frankfurt (Oder)", "DE", "02"), place("Paris 10e Arrondissement", "FR", "11", "75")]

    assert [tags(record) for record in read_lines(tmp_path, *lines).records] == [
        {"locality": "Frankfurt", "region": "Bavaria"},
        {"locality": "Paris", "region": "Île-de-France"},
    ]


def test_areas_of_two_languages_are_not_written_in_one_row(tmp_path: Path) -> None:
    (tmp_path / "admin1CodesASCII.txt").write_text("PL.72\tLower Silesia\tLower Silesia\t1\n", encoding="utf-8")
    (tmp_path / "admin2Codes.txt").write_text("PL.72.1\tPowiat trzebnicki\tx\t2\n", encoding="utf-8")
    lines = [place("Żmigród", "PL", "72", "1"), place("Powiat trzebnicki", "PL", "72", "1", kind="A.ADM2")]

    assert [tags(record) for record in read_lines(tmp_path, *lines, tables=False).records] == [
        {"locality": "Żmigród", "region": "Lower Silesia"},
        {"subregion": "Powiat trzebnicki"},
    ]
