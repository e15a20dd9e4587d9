"""The two adapters of Who's On First: its administrative places, and its postcodes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from mw_pipeline.countries import TERRITORIES
from mw_pipeline.errors import CorpusError
from mw_pipeline.records.tables import TAG_COLUMNS, ReadRequest, Rejects, record_batch
from mw_pipeline.sources import columns
from mw_pipeline.sources.regions import region_keys, territories
from mw_pipeline.sources.whosonfirst.components import ADMIN_PLACETYPES, components
from mw_pipeline.sources.whosonfirst.distribution import copy_distribution
from mw_pipeline.sources.whosonfirst.feature import MAX_RECORD_BYTES, read_feature
from mw_pipeline.sources.whosonfirst.files import contents
from mw_pipeline.sources.whosonfirst.gazetteer import CHUNK_PLACES, Entry, Gazetteer, gazetteer
from mw_pipeline.sources.whosonfirst.place import Place, Unusable, official_languages

MAX_PENDING = 10_000

_TITLE = "Who's On First: GeoJSON records (a file, folder or archive) or its SQLite distribution"
_OTHER_SCRIPT = re.compile("[\u0370-\u1dff\u2e80-\ufaff]")
# offices of the French state between département and commune, which the data holds as communes
_FRENCH_OFFICE = re.compile("(?i)^(arrondissement|canton) d")

Row = dict[str, str | int | None]


@dataclass(frozen=True)
class _Whosonfirst:
    """What the two adapters share."""

    name: str
    placetypes: frozenset[str]
    licence: str = "CC-BY-4.0"
    attribution: str = "Who's On First (whosonfirst.org) and the sources that its LICENSE.md names"
    share_alike: bool = False
    needs_input: bool = True

    def read(self, request: ReadRequest, rejects: Rejects) -> Iterator[pa.RecordBatch]:
        """One record per current place, and one more per official language in which it has another name.

        Everything is read before the first record is made, for a place may stand before those above it; `max_records`
        limits what is made. Filtered: `alt_geometry`, `repeated_id`, `deprecated`, `superseded`, `ceased`,
        `not_current`, `country_not_wanted`, `area_not_written`, and by placetype what is not this adapter's.
        Quarantined: what `read_feature` and `copy_distribution` refuse, `no_letter`, `no_digit`.
        """
        with gazetteer() as places:
            for _ in _fill(places, request, rejects):
                yield record_batch({name: [] for name in _REQUIRED})  # lets the quarantine be written down
            batches = (self._batch(entries, request, rejects) for entries in places.entries())
            yield from columns.at_most((batch for batch in batches if batch.num_rows), request.max_records)

    def _batch(self, entries: list[Entry], request: ReadRequest, rejects: Rejects) -> pa.RecordBatch:
        rows: list[Row] = []
        for entry in entries:
            unwanted = self._filter_of(entry.place, request)
            fault = _fault(entry.place)
            if unwanted is not None:
                rejects.filtered(unwanted)
            elif fault is not None:
                rejects.add(entry.place.line, entry.place.source_id, fault, f"name: {entry.place.name!r}")
            else:
                made = list(_rows(entry))
                rejects.filtered("area_not_written", 0 if made else 1)
                rows += made
        return _records(rows, request.licence or self.licence)

    def _filter_of(self, place: Place, request: ReadRequest) -> str | None:
        if place.placetype not in self.placetypes:
            return f"placetype_{place.placetype}"
        if place.unwanted is not None:
            return place.unwanted
        if request.countries and _state_of(place) not in request.countries:
            return "country_not_wanted"
        french_office = place.placetype == "localadmin" and _FRENCH_OFFICE.match(place.name)
        return "area_not_written" if french_office else None


@dataclass(frozen=True)
class WofAdmin(_Whosonfirst):
    """Adapter of the administrative places: countries, areas, towns, parts of towns, campuses."""

    name: str = "wof-admin"
    placetypes: frozenset[str] = ADMIN_PLACETYPES


@dataclass(frozen=True)
class WofPostalcode(_Whosonfirst):
    """Adapter of the postcodes. Their towns and areas are named where the input holds those records too."""

    name: str = "wof-postalcode"
    placetypes: frozenset[str] = frozenset(("postalcode",))


_REQUIRED = ("source_id", "base_id", "country_code", "locale", "license", "line", "region_key")


def _fill(into: Gazetteer, request: ReadRequest, rejects: Rejects) -> Iterator[None]:
    """Reads all of the input; yields whenever many records wait to be written to quarantine.

    Raises CorpusError when the first records are none of Who's On First, however many follow.
    """
    waiting: list[Place] = []
    sound, first_fault = False, None
    for label, held in contents(request.paths, limit=MAX_RECORD_BYTES, scratch=into.folder):
        if isinstance(held, Path):
            copy_distribution(held, label, into, rejects)
            sound = True
            continue
        found = read_feature(held, label)
        if isinstance(found, Unusable):
            rejects.add(1, label, found.reason, found.detail)
            first_fault = first_fault or f"{label}: {found.reason}: {found.detail}"
        elif found is None:
            rejects.filtered("alt_geometry")
        else:
            waiting.append(found)
            sound = True
        if len(waiting) == CHUNK_PLACES:
            rejects.filtered("repeated_id", into.add(waiting))
            waiting = []
        if rejects.pending >= MAX_PENDING:
            _check(sound, first_fault)
            yield
    _check(sound, first_fault)
    rejects.filtered("repeated_id", into.add(waiting))


def _check(sound: bool, first_fault: str | None) -> None:
    if not sound and first_fault is not None:
        raise CorpusError(f"{first_fault}, expected {_TITLE}. Check the input of the source.")


def _state_of(place: Place) -> str:
    """The country of its rows: a territory is a region of its state."""
    return TERRITORIES.get(place.country, place.country)


def _fault(place: Place) -> str | None:
    if place.placetype == "postalcode":
        return None if any(letter.isdigit() for letter in place.name) else "no_digit"
    return None if any(letter.isalpha() for letter in place.name) else "no_letter"


def _rows(entry: Entry) -> Iterator[Row]:
    """The record under wof:name, then those under other names in official languages, all of one family."""
    place = entry.place
    tags = components(place.placetype, place.name, place.country, _above(entry, "", mixed=True))
    if tags is None:
        return
    family: Row = {
        "country_code": _state_of(place),
        "line": place.line,
        "family": "|".join(next(iter(tags.items()))),  # the place itself is the first component
        "key_region": territories().get(place.country, tags.get("region")),
        "post_town": place.post_town,
    }
    yield {"source_id": place.source_id, **family, **tags}
    seen = {place.name.casefold()}
    for language in official_languages(place.country):
        name = place.names.get(language)
        if name is None or name.casefold() in seen or not set("(,;/").isdisjoint(name):
            continue
        seen.add(name.casefold())
        above = _above(entry, language, mixed=not _OTHER_SCRIPT.search(name))
        translated = components(place.placetype, name, place.country, above)
        if translated is not None:
            yield {"source_id": f"{place.source_id}@{language}", **family, **translated}


def _above(entry: Entry, language: str, *, mixed: bool) -> dict[str, str]:
    """placetype → name in the language; where there is none wof:name, if names of both may stand in one line."""
    found = {
        placetype: names.get(language, names[""])
        for placetype, names in entry.names_above.items()
        if mixed or language in names
    }
    if mixed and entry.place.country in territories():
        found.setdefault("dependency", territories()[entry.place.country])
    if entry.place.post_town is not None:
        found["locality"] = entry.place.post_town
    return found


def _records(rows: list[Row], licence: str) -> pa.RecordBatch:
    names = (*TAG_COLUMNS, "source_id", "country_code", "family", "key_region", "post_town")
    batch = pa.record_batch({name: pa.array([row.get(name) for row in rows], pa.string()) for name in names})
    batch = _without_doubtful_places(batch)
    country, postcode = batch["country_code"], batch["postcode"]
    key = region_keys(country, batch["key_region"], postcode)
    return record_batch(
        {
            **{name: batch[name] for name in ("source_id", "country_code", *TAG_COLUMNS)},
            "base_id": columns.family_ids(country, key, columns.folded(batch["family"])),
            "locale": columns.locales(country),
            "license": columns.constant(licence, batch),
            "line": pa.array([row["line"] for row in rows], pa.int64()),
            "region_key": key,
        }
    )


def _without_doubtful_places(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch without the places above of postcodes that belong to another region than those places.

    Many postcodes were put into the hierarchy by a point that is wrong: 46249 is Indianapolis, and not in Pennsylvania.
    """
    country, nothing = batch["country_code"], pa.nulls(batch.num_rows, pa.string())
    derived = region_keys(country, nothing, batch["postcode"])
    placed = region_keys(country, batch["key_region"], nothing)
    doubtful = pc.and_(pc.and_(pc.not_equal(derived, ""), pc.not_equal(placed, "")), pc.not_equal(derived, placed))
    for name in ("region", "subregion", "key_region"):
        batch = columns.blanked(batch, name, doubtful)
    return columns.blanked(batch, "locality", pc.and_(doubtful, pc.is_null(batch["post_town"])))
