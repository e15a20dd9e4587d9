"""Hand-made records of Who's On First, as a tree of GeoJSON and as the SQLite distribution."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

from source_files import Reading

from mw_pipeline.sources.registry import get_adapter

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
