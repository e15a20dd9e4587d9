"""The SQLite distribution of Who's On First, copied into the gazetteer.

The table geojson may be empty, so it is never read: spr, names and ancestors tell all that is needed. Oddity:
names.privateuse holds "x_preferred" where GeoJSON has it at the end of the key.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from urllib.parse import quote

from mw_pipeline.countries import COUNTRY_CODES
from mw_pipeline.errors import CorpusError
from mw_pipeline.records.tables import Rejects
from mw_pipeline.sources.whosonfirst.gazetteer import CHUNK_PLACES, Gazetteer
from mw_pipeline.sources.whosonfirst.place import ABOVE, PLACETYPES, Place, Unusable, official_languages

_NEEDED = ("id", "name", "placetype", "country")
_UNWANTED = (
    ("deprecated", "is_deprecated", 1),
    ("superseded", "is_superseded", 1),
    ("ceased", "is_ceased", 1),
    ("not_current", "is_current", 0),
)


def copy_distribution(path: Path, label: str, into: Gazetteer, rejects: Rejects) -> None:
    """Takes every place of the database in; unusable ones are quarantined under the line of their row.

    Raises CorpusError for a database without the needed columns, and for a damaged one.
    """
    database = into.database
    try:
        database.execute("attach ? as source", (f"file:{quote(str(path))}?mode=ro&immutable=1",))
        try:
            _copy(label, into, rejects)
        finally:
            database.execute("detach source")
    except sqlite3.DatabaseError as error:
        if "disk is full" in str(error):
            raise
        raise CorpusError(f"{label}: not readable as SQLite: {error}. Fetch the file again.") from error


def _copy(label: str, into: Gazetteer, rejects: Rejects) -> None:
    columns = _columns(into.database, "spr")
    missing = [name for name in _NEEDED if name not in columns]
    if missing:
        found = ", ".join(columns) or f"tables {', '.join(_tables(into.database)) or 'none'}"
        raise CorpusError(
            f"{label}: table spr has no {', '.join(missing)}: found {found}. Give the adapter a Who's On First "
            "distribution."
        )
    _count_alternates(into.database, columns, rejects)
    places = _places(into.database, columns, label, rejects)
    while chunk := list(islice(places, CHUNK_PLACES)):
        rejects.filtered("repeated_id", into.add(chunk))
    _copy_names(into.database)
    _copy_above(into.database)


def _count_alternates(database: sqlite3.Connection, columns: list[str], rejects: Rejects) -> None:
    if "is_alt" in columns:
        (alternates,) = database.execute("select count(*) from source.spr where is_alt = 1").fetchone()
        rejects.filtered("alt_geometry", alternates)


def _places(database: sqlite3.Connection, columns: list[str], label: str, rejects: Rejects) -> Iterator[Place]:
    flags = [f"when {column} = {value} then '{name}'" for name, column, value in _UNWANTED if column in columns]
    unwanted = f"case {' '.join(flags)} end" if flags else "null"
    parent = "cast(coalesce(parent_id, 0) as integer)" if "parent_id" in columns else "0"
    records = "is_alt is not 1" if "is_alt" in columns else "true"
    rows = database.execute(
        "select rowid, cast(id as integer), cast(name as text), cast(placetype as text), "
        f"upper(cast(country as text)), {parent}, {unwanted} from source.spr where {records} order by rowid"
    )
    for line, id_, name, placetype, country, parent_id, why in rows:
        fault = _fault(id_, name, placetype, country)
        if fault is None:
            above = (("", parent_id),) if parent_id > 0 else ()
            yield Place(id_, name, placetype, country, f"{label}:{id_}", line, why, above=above)
        else:
            rejects.add(line, f"{label}:{line}", fault.reason, fault.detail)


def _fault(id_: int | None, name: str | None, placetype: str | None, country: str | None) -> Unusable | None:
    if not id_ or id_ < 0:
        return Unusable("bad_id", f"id: {id_!r}")
    if not (name or "").strip("\0 "):
        return Unusable("no_wof_name", f"name: {name!r}")
    if placetype not in PLACETYPES:
        return Unusable("unknown_placetype", f"placetype: {placetype!r}")
    return None if country in COUNTRY_CODES else Unusable("unknown_country", f"country: {country!r}")


def _copy_names(database: sqlite3.Connection) -> None:
    if {"id", "country", "language", "privateuse", "name"} <= set(_columns(database, "names")):
        spoken = [(country, code) for country in sorted(COUNTRY_CODES) for code in official_languages(country)]
        database.execute("create temp table spoken (country text, language text)")
        database.executemany("insert into spoken values (?, ?)", spoken)
        database.execute(
            "insert or ignore into name select n.id, n.language, n.name from source.names n join spoken s "
            "on s.language = n.language and s.country = n.country where n.privateuse in ('x_preferred', 'preferred')"
        )
        database.execute("drop table spoken")


def _copy_above(database: sqlite3.Connection) -> None:
    """A place with ancestors needs no parent; a row of the ancestors is a rank, so that the first hierarchy wins."""
    if {"id", "ancestor_id", "ancestor_placetype"} <= set(_columns(database, "ancestors")):
        database.execute("delete from above where placetype = '' and id in (select id from source.ancestors)")
        database.execute(
            "insert or ignore into above select id, rowid, ancestor_placetype, ancestor_id from source.ancestors "
            f"where ancestor_id > 0 and ancestor_id <> id and ancestor_placetype in {ABOVE}"
        )


def _columns(database: sqlite3.Connection, table: str) -> list[str]:
    return [name for (name,) in database.execute("select name from pragma_table_info(?, 'source')", (table,))]


def _tables(database: sqlite3.Connection) -> list[str]:
    return [name for (name,) in database.execute("select name from source.sqlite_master where type = 'table' limit 12")]
