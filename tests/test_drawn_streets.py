"""Towns of a list get streets, as the built-in source draws them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from source_files import read_all

from mw_pipeline.sources.registry import get_adapter

GEONAMES = get_adapter("geonames-postal")


@pytest.fixture
def towns(tmp_path: Path) -> Path:
    """Four hundred towns of France and as many of Spain."""
    path = tmp_path / "towns.txt"
    codes = [("FR", f"{10_000 + n}", f"Saint-Numéro-{n}") for n in range(400)]
    codes += [("ES", f"{20_000 + n}", f"Villa {n}") for n in range(400)]
    path.write_text("".join(f"{c}\t{p}\t{t}\t\t\t\t\t\t\t1.0\t2.0\t4\n" for c, p, t in codes), encoding="utf-8")
    return path


def read(path: Path, **settings: Any) -> list[dict[str, Any]]:
    return read_all(GEONAMES, path, **settings).records


def test_the_asked_share_of_towns_gets_a_street_and_keeps_its_own_name_and_postcode(towns: Path) -> None:
    plain, with_streets = read(towns), read(towns, streets=0.5, seed=3)
    french = [row for row in with_streets if row["country_code"] == "FR"]
    written = [row for row in french if "street" in row]

    assert 160 < len(written) < 240
    assert len({row["street"] for row in written}) > 150
    assert any("house_number" in row for row in written)
    own = [{tag: row.get(tag) for tag in ("locality", "postcode", "base_id", "source_id")} for row in with_streets]
    assert own == [{tag: row.get(tag) for tag in ("locality", "postcode", "base_id", "source_id")} for row in plain]
    assert not any("street" in row for row in with_streets if row["country_code"] == "ES")


def test_a_post_office_of_the_forces_gets_no_street(tmp_path: Path) -> None:
    path = tmp_path / "towns.txt"
    path.write_text("".join(f"US\t0900{n}\t{p}\t\tAE\t\t\t\t\t1.0\t2.0\t4\n" for n, p in enumerate(("APO AE", "Reno"))))

    rows = read(path, streets=1.0)
    assert [(row["locality"], "street" in row) for row in rows] == [("APO", False), ("Reno", True)]


def test_a_number_never_stands_without_its_street(towns: Path) -> None:
    assert not any("house_number" in row and "street" not in row for row in read(towns, streets=1.0))


def test_the_same_seed_draws_the_same_streets_and_another_seed_others(towns: Path) -> None:
    assert read(towns, streets=0.5, seed=3) == read(towns, streets=0.5, seed=3)
    assert read(towns, streets=0.5, seed=3) != read(towns, streets=0.5, seed=4)


def test_a_record_that_has_a_street_a_box_or_its_own_text_stays_as_it_is() -> None:
    from mw_pipeline.records.tables import ReadRequest, record_batch
    from mw_pipeline.sources.drawn_streets import with_streets

    rows: dict[str, pa.Array | list[object]] = {
        name: ["x"] * 4 for name in ("source_id", "base_id", "locale", "license", "region_key")
    }
    rows |= {"country_code": ["FR"] * 4, "line": [1] * 4, "locality": ["Lyon", "Lyon", "Lyon", None]}
    rows |= {"street": ["rue Cler", None, None, None], "cedex": [None, "CEDEX 01", None, None]}
    rows |= {"raw": [None, None, "Lyon", None]}
    batch = record_batch(rows)

    assert with_streets(batch, ReadRequest(paths=(), source="test", streets=1.0)).equals(batch)
