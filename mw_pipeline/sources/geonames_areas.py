"""Names of the first and second administrative areas that the gazetteer of GeoNames tells by code alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from mw_pipeline.areas import fr_departements, us_states
from mw_pipeline.records.tables import RawFile, Rejects
from mw_pipeline.records.text import without_remarks
from mw_pipeline.sources.delimited import read_delimited
from mw_pipeline.sources.layout import Layout

_TABLES = ("admin1codesascii.txt", "admin2codes.txt")
_PACKINGS = ("", ".gz", ".zst")
# what the download folder of the upstream holds besides gazetteers and the tables
_OTHERS = ("alternatename", "countryinfo", "featurecodes", "hierarchy", "iso-languagecodes", "readme", "timezones")

_LAYOUT = Layout(
    title="a GeoNames table of areas: 4 tab-separated columns (code, name, asciiname, geonameid) without a header",
    delimiter="\t",
    names=("code", "name", "asciiname", "geonameid"),
    needed=("code", "name"),
    quoted=False,
)


@dataclass(frozen=True)
class AreaNames:
    """Names by code: "US.TX" of first areas, "US.TX.453" of second ones; some 50,000 in all the world."""

    codes: pa.StringArray
    names: pa.StringArray

    def of(self, country: pa.Array, admin1: pa.Array, admin2: pa.Array) -> tuple[pa.Array, pa.Array]:
        """(region, subregion) of each place, null where nothing tells the name.

        A French département is found by its own code, and its région with it.
        """
        first = pc.binary_join_element_wise(country, admin1, ".")
        region = self._names_of(first)
        subregion = self._names_of(pc.binary_join_element_wise(first, admin2, "."))
        departement = pc.binary_join_element_wise("FR", pc.if_else(pc.equal(country, "FR"), admin2, None), ".")
        french = pc.index_in(departement, value_set=_departements()[0])
        _, regions, departements = _departements()
        return pc.coalesce(regions.take(french), region), pc.coalesce(departements.take(french), subregion)

    def _names_of(self, codes: pa.Array) -> pa.Array:
        return without_remarks(self.names.take(pc.index_in(codes, value_set=self.codes, skip_nulls=True)))


def area_names(files: Sequence[RawFile]) -> AreaNames:
    """The names from the tables that lie among the files or beside them, and those of the United States in any case.

    Raises CorpusError for a table that is not one.
    """
    names = {f"US.{code}": name for code, name in us_states().items()}
    rejects = Rejects("areas")  # a damaged line of a table costs its area the name, and no place its record
    tables = [RawFile(path, path.name) for path in companion_tables([file.path for file in files])]
    for batch in read_delimited(tables, _LAYOUT, rejects):
        names |= {
            code: name for code, name in zip(batch["code"].to_pylist(), batch["name"].to_pylist(), strict=True) if name
        }
    return AreaNames(pa.array(list(names), pa.string()), pa.array(list(names.values()), pa.string()))


def is_companion_table(path: Path) -> bool:
    """Whether a file of the upstream's folder is a table rather than a gazetteer, told by its name."""
    return path.name.lower().startswith((*_TABLES, *_OTHERS))


def companion_tables(paths: Sequence[Path]) -> tuple[Path, ...]:
    """The tables of names in the folders of these files, in order."""
    folders = sorted({path.parent for path in paths})
    return tuple(path for folder in folders for path in sorted(folder.iterdir()) if path.name.lower() in _names())


def _names() -> Iterable[str]:
    return {table + packing for table in _TABLES for packing in _PACKINGS}


def _departements() -> tuple[pa.StringArray, pa.StringArray, pa.StringArray]:
    """ "FR.35", its région and its name; an overseas collectivity has no name of its own beside its région."""
    table = fr_departements()
    codes = pa.array([f"FR.{code}" for code in table], pa.string())
    regions = pa.array([region for _, region in table.values()], pa.string())
    return codes, regions, pa.array([name or None for name, _ in table.values()], pa.string())
