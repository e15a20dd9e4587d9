"""All places of one read, in a temporary database: memory stays flat, and a place finds those above it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

from mw_pipeline.errors import CorpusError
from mw_pipeline.sources.whosonfirst.place import ABOVE, Place

CHUNK_PLACES = 8_192

_TABLES = """
pragma journal_mode = off;
pragma synchronous = off;
pragma cache_size = -65536;
create table place (
    seq integer primary key, id integer unique, name text, placetype text, country text,
    source_id text, line integer, unwanted text, post_town text
);
create table name (id integer, language text, name text, primary key (id, language)) without rowid;
create table above (id integer, rank integer, placetype text, above integer, primary key (id, rank)) without rowid;
"""
_ABOVE_PARENTS = """
insert or ignore into above
select child.id, 1 + parent.rank, parent.placetype, parent.above
from above as child join above as parent on parent.id = child.above
where child.placetype = '' and parent.placetype <> ''
"""
_CHUNK = "select * from place where seq > ? order by seq limit ?"
_NAMES = "select n.* from place p join name n on n.id = p.id where p.seq between ? and ?"
_NAMES_ABOVE = """
select a.id, iif(a.placetype = '', up.placetype, a.placetype), up.id, coalesce(n.language, ''), coalesce(n.name, '')
from place p join above a on a.id = p.id join place up on up.id = a.above
join (select id, language, name from name union all select id, '', name from place) n on n.id = up.id
where p.seq between ? and ? order by a.id, a.rank
"""


@dataclass(frozen=True)
class Entry:
    """A place as it was read, and the names of the places above it: placetype → language → name ("" for wof:name)."""

    place: Place
    names_above: dict[str, dict[str, str]]


class Gazetteer:
    """The database. `place`, `name` and `above` may also be filled by SQL through `database`."""

    def __init__(self, database: sqlite3.Connection, folder: Path) -> None:
        self.database, self.folder = database, folder

    def add(self, places: Sequence[Place]) -> int:
        """Takes the places in; returns how many had an id that is there already, which are left out."""
        self.database.execute("begin")  # one transaction for all: one for each row takes twice as long
        added = self.database.executemany(
            "insert or ignore into place values (null, ?, ?, ?, ?, ?, ?, ?, ?)",
            ((p.id, p.name, p.placetype, p.country, p.source_id, p.line, p.unwanted, p.post_town) for p in places),
        ).rowcount
        self.database.executemany(
            "insert or ignore into name values (?, ?, ?)",
            ((p.id, language, name) for p in places for language, name in p.names.items()),
        )
        self.database.executemany(
            "insert or ignore into above values (?, ?, ?, ?)",
            ((p.id, rank, placetype, id_) for p in places for rank, (placetype, id_) in enumerate(p.above)),
        )
        self.database.execute("commit")
        return len(places) - added

    def entries(self) -> Iterator[list[Entry]]:
        """All places in the order they came, in chunks of at most 8,192."""
        self.database.execute(_ABOVE_PARENTS)
        last = 0
        while rows := self.database.execute(_CHUNK, (last, CHUNK_PLACES)).fetchall():
            first, last = rows[0][0], rows[-1][0]
            names = self._names(first, last)
            above = self._names_above(first, last)
            yield [_entry(row, names.get(row[1], {}), above.get(row[1], {})) for row in rows]

    def _names(self, first: int, last: int) -> dict[int, dict[str, str]]:
        found: dict[int, dict[str, str]] = {}
        for id_, language, name in self.database.execute(_NAMES, (first, last)):
            found.setdefault(id_, {})[language] = name
        return found

    def _names_above(self, first: int, last: int) -> dict[int, dict[str, dict[str, str]]]:
        """Of several places of one placetype above, the first counts."""
        found: dict[int, dict[str, dict[str, str]]] = {}
        chosen: dict[tuple[int, str], int] = {}
        for id_, placetype, above, language, name in self.database.execute(_NAMES_ABOVE, (first, last)):
            if placetype in ABOVE and chosen.setdefault((id_, placetype), above) == above:
                found.setdefault(id_, {}).setdefault(placetype, {})[language] = name
        return found


def _entry(
    row: tuple[int, int, str, str, str, str, int, str, str], names: dict[str, str], above: dict[str, dict[str, str]]
) -> Entry:
    _, id_, name, placetype, country, source_id, line, unwanted, post_town = row
    return Entry(Place(id_, name, placetype, country, source_id, line, unwanted, post_town, names), above)


@contextmanager
def gazetteer() -> Iterator[Gazetteer]:
    """An empty gazetteer in a temporary folder that is removed at the end.

    Raises CorpusError where the folder has no room for it.
    """
    with TemporaryDirectory(prefix="mw-wof-") as folder:
        try:
            place = f"file:{quote(folder)}/gazetteer.db"
            with closing(sqlite3.connect(place, uri=True, isolation_level=None)) as database:
                database.text_factory = lambda data: data.decode("utf-8", "replace")
                database.executescript(_TABLES)
                yield Gazetteer(database, Path(folder))
        except sqlite3.OperationalError as error:
            if "disk" not in str(error):
                raise
            raise CorpusError(
                f"{folder}: {error}: the places of the input are sorted out there. Set TMPDIR to a folder with room "
                "for twice the unpacked input."
            ) from error
