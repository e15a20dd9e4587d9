"""Who's On First: a gazetteer of administrative places and one of postcodes, one GeoJSON record per place.

Format: a tree of files data/NNN/NNN/NNN/ID.geojson (a folder, or packed in .tar, .tar.gz, .tar.zst or .zip), or the
SQLite distribution with its tables spr, names and ancestors. Needed: wof:id, wof:name, wof:placetype, wof:country; in
SQLite the columns id, name, placetype, country of spr.
Licence: CC-BY-4.0, by the LICENSE.md of the project, which names its sources; parts are CC0.

`feature` reads a record, `distribution` a database; both fill the `gazetteer`, a temporary database in which a place
finds the names of the places above it. `components` says which tag each name has, and `adapter` makes the records.
"""

from __future__ import annotations

from mw_pipeline.sources.whosonfirst.adapter import WofAdmin, WofPostalcode

__all__ = ["WofAdmin", "WofPostalcode"]
