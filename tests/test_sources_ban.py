"""Base Adresse Nationale in both layouts, from hand-made lines and from the real files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from source_files import lines_by_shell, read_all

from mw_pipeline.errors import CorpusError
from mw_pipeline.sources.registry import get_adapter

BAN = get_adapter("ban")
NEW = (
    "id;id_fantoir;numero;rep;nom_voie;code_postal;code_insee;nom_commune;code_insee_ancienne_commune;"
    "nom_ancienne_commune;x;y;lon;lat;type_position;alias;nom_ld;libelle_acheminement;nom_afnor;source_position;"
    "source_nom_voie;certification_commune;cad_parcelles"
)
OLD = (
    "id;nom_voie;id_fantoir;numero;rep;code_insee;code_post;alias;nom_ld;nom_afnor;libelle_acheminement;"
    "x;y;lon;lat;nom_commune"
)
ROW = {
    "id": "01002_w4ld4h_00006_bis",
    "numero": "6",
    "rep": "bis",
    "nom_voie": "Place du Pèse-Lait",
    "code_postal": "01640",
    "code_post": "01640",
    "code_insee": "01002",
    "nom_commune": "L'Abergement-de-Varey",
}


def write(path: Path, *changes: dict[str, str], header: str = NEW) -> Path:
    rows = [";".join({**ROW, **change}.get(name, "") for name in header.split(";")) for change in changes]
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def first(path: Path) -> dict[str, Any]:
    return read_all(BAN, path).records[0]


@pytest.mark.parametrize("header", [NEW, OLD])
def test_both_layouts_give_the_same_address(tmp_path: Path, header: str) -> None:
    record = first(write(tmp_path / "a.csv", {}, header=header))
    record.pop("base_id")

    assert record == {
        "source_id": "01002_w4ld4h_00006_bis#2",
        "country_code": "FR",
        "locale": "fr-FR",
        "license": "Licence Ouverte 2.0",
        "line": 2,
        "region_key": "FR:auvergne-rhône-alpes",
        "house_number": "6 bis",
        "street": "Place du Pèse-Lait",
        "postcode": "01640",
        "locality": "L'Abergement-de-Varey",
        "subregion": "Ain",
        "region": "Auvergne-Rhône-Alpes",
    }


@pytest.mark.parametrize(
    ("code_insee", "subregion", "region"),
    [
        ("2A004", "Corse-du-Sud", "Corse"),
        ("75056", "Paris", "Île-de-France"),
        ("97411", None, "La Réunion"),
        ("98818", None, "Nouvelle-Calédonie"),
        ("", None, None),
        ("00000", None, None),
    ],
)
def test_the_insee_code_tells_departement_and_region(
    tmp_path: Path, code_insee: str, subregion: str | None, region: str | None
) -> None:
    record = first(write(tmp_path / "a.csv", {"code_insee": code_insee}))

    assert (record.get("subregion"), record.get("region")) == (subregion, region)


def test_an_empty_postcode_and_an_empty_suffix_are_allowed(tmp_path: Path) -> None:
    record = first(write(tmp_path / "a.csv", {"code_postal": "", "rep": ""}))

    assert record["house_number"] == "6"
    assert "postcode" not in record


def test_a_street_without_a_number_is_kept_and_its_suffix_is_not(tmp_path: Path) -> None:
    records = read_all(BAN, write(tmp_path / "a.csv", {"numero": ""}, {"numero": "", "rep": ""}, {})).records

    assert [record.get("house_number") for record in records] == [None, None, "6 bis"]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"nom_ld": "Le Bourg"}, "Le Bourg"),
        ({"nom_ancienne_commune": "Évosges"}, "Évosges"),
        ({"nom_ld": "Le Bourg", "nom_ancienne_commune": "Évosges"}, "Le Bourg"),
        ({"nom_ancienne_commune": "L’ABERGEMENT DE VAREY"}, None),
        ({}, None),
    ],
)
def test_a_hamlet_or_a_former_commune_is_the_dependent_locality(
    tmp_path: Path, columns: dict[str, str], expected: str | None
) -> None:
    assert first(write(tmp_path / "a.csv", columns)).get("dependent_locality") == expected


@pytest.mark.parametrize("number", ["0", "000", "99999", "5000", "5187"])
def test_fictitious_numbers_are_filtered_by_name(tmp_path: Path, number: str) -> None:
    found = read_all(BAN, write(tmp_path / "a.csv", {"numero": number}, {}))

    assert found.filtered == {"fictitious_number": 1}
    assert len(found.records) == 1


@pytest.mark.parametrize("number", ["5", "500", "6001", "15001"])
def test_true_numbers_are_kept(tmp_path: Path, number: str) -> None:
    assert first(write(tmp_path / "a.csv", {"numero": number}))["house_number"] == f"{number} bis"


def test_unusable_lines_are_quarantined_each_for_its_reason(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", {}, {"nom_voie": " "}, {"nom_commune": ""}, {"numero": "bis"})

    assert read_all(BAN, path).quarantined == {"no_nom_voie": 1, "no_nom_commune": 1, "bad_numero": 1}


def test_the_suffixes_and_positions_of_one_number_are_one_family_with_separate_ids(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", {"rep": ""}, {"rep": "bis"}, {"rep": "bis"}, {"numero": "8"})

    records = read_all(BAN, path).records
    assert len({record["source_id"] for record in records}) == 4
    assert len({record["base_id"] for record in records}) == 2


def test_a_comma_csv_is_refused_with_the_delimiter_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(NEW.replace(";", ",") + "\n")

    with pytest.raises(CorpusError, match="split by commas; this format splits by semicolons"):
        read_all(BAN, path)


@pytest.mark.parametrize(
    ("name", "rows", "fictitious"),
    [
        ("adresses-988-from-addok", 40_874, 84),
        ("adresses-fr-100-from-ban-sample", 100, 0),
        ("adresses-fr-1500a-from-oa-sample", 1_500, 5),
    ],
)
def test_every_line_of_a_real_file_is_accounted_for(raw_data: Path, name: str, rows: int, fictitious: int) -> None:
    path = raw_data / "ban" / "reconstructed" / f"{name}.csv.gz"
    found = read_all(BAN, path)

    assert found.read == rows == lines_by_shell(path) - 1
    assert found.filtered == ({"fictitious_number": fictitious} if fictitious else {})
    assert found.quarantined == {}


def test_the_verbatim_excerpt_reads_as_it_stands(raw_data: Path) -> None:
    records = read_all(BAN, raw_data / "ban" / "verbatim-excerpt" / "adresses-01-excerpt.csv").records

    assert [(r["house_number"], r["street"], r["postcode"], r["locality"]) for r in records] == [
        ("6", "Place du Pese Lait", "01640", "L'Abergement-de-Varey"),
        ("1082", "Chemin de la Ferm de la Montagne", "01640", "L'Abergement-de-Varey"),
    ]


def test_suffixes_of_the_real_file_follow_their_number(raw_data: Path) -> None:
    records = read_all(BAN, raw_data / "ban" / "reconstructed" / "adresses-988-from-addok.csv.gz").records

    assert sum(record["house_number"].endswith(" bis") for record in records) == 1_896 - 15  # 15 of them are fictitious


@pytest.mark.parametrize(
    ("commune", "code", "town", "part"),
    [
        ("Paris 19e Arrondissement", "75019", "Paris", None),
        ("Lyon 1er Arrondissement", "69001", "Lyon", None),
        ("MARSEILLE 16E ARRONDISSEMENT", "13016", "MARSEILLE", None),
        ("Paris 19e Arrondissement", "", "Paris", "19e Arrondissement"),
        ("Parisot", "82160", "Parisot", None),
        ("Lyons-la-Forêt", "27480", "Lyons-la-Forêt", None),
    ],
)
def test_an_arrondissement_is_left_to_the_postcode(
    tmp_path: Path, commune: str, code: str, town: str, part: str | None
) -> None:
    record = first(write(tmp_path / "a.csv", {"nom_commune": commune, "code_postal": code, "code_insee": "75119"}))

    assert (record["locality"], record.get("dependent_locality")) == (town, part)
    assert record.get("subregion") == (None if town == "Paris" else "Paris")
