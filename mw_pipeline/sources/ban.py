"""Base Adresse Nationale: every address point of France.

Format: semicolon CSV, UTF-8, one file per département. Two layouts are read: the present one of 23 columns (id;
id_fantoir;numero;rep;nom_voie;code_postal;code_insee;nom_commune;…) and an older one of 16, which calls the postcode
code_post. Needed: numero, nom_voie, nom_commune.
Licence: Licence Ouverte 2.0.

Columns to tags: numero and rep → house_number ("12 bis"); nom_voie → street; code_postal → postcode; nom_commune →
locality; nom_ld, or nom_ancienne_commune where that is empty → dependent_locality; code_insee → subregion (the
département) and region (the région), which the file itself does not name.

Oddities: the postcode may be empty. A hamlet without streets stands in nom_voie. Numbers 0 and 99999 mean "no number",
and those from 5000 to 5999 are handed out by the land registry to points that have none: such records are filtered as
`fictitious_number`, at the price of a few true ones on very long roads. An address with several positions (entrance,
parcel) repeats its id, so the line is part of the source id. The commune of Paris, Lyon and Marseille is written with
its arrondissement ("Paris 19e Arrondissement"), which people leave to the postcode: it is cut off, and is the
dependent_locality of an address without a postcode only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from mw_pipeline.records.tables import Portion, ReadRequest, Rejects, record_batch
from mw_pipeline.sources import columns
from mw_pipeline.sources.delimited import read_request, table_portions
from mw_pipeline.sources.layout import Layout
from mw_pipeline.sources.regions import insee_entry, region_keys, without_arrondissements

LAYOUT = Layout(
    title="Base Adresse Nationale: a semicolon CSV with numero, nom_voie and nom_commune",
    delimiter=";",
    needed=("numero", "nom_voie", "nom_commune"),
    optional=("id", "rep", "code_postal", "code_post", "code_insee", "nom_ancienne_commune", "nom_ld"),
)

_FICTITIOUS = r"^(0+|99999|5[0-9]{3})$"


@dataclass(frozen=True)
class Ban:
    """Adapter of `adresses-DEPARTEMENT.csv`, packed or not."""

    name: str = "ban"
    licence: str = "Licence Ouverte 2.0"
    attribution: str = "Base Adresse Nationale (adresse.data.gouv.fr)"
    share_alike: bool = False
    needs_input: bool = True

    def read(self, request: ReadRequest, rejects: Rejects) -> Iterator[pa.RecordBatch]:
        """The columns of the layout. Quarantined: what `read_file` refuses."""
        return read_request(request, LAYOUT, rejects)

    def portions(self, request: ReadRequest) -> Iterator[Portion]:
        """Stretches of files that are not packed, and all other files whole."""
        return table_portions(request, LAYOUT)

    def records(self, raw: pa.RecordBatch, request: ReadRequest, rejects: Rejects) -> pa.RecordBatch:
        """One record per address point.

        Filtered: `fictitious_number`, `country_not_wanted`. Quarantined: `no_nom_voie`, `no_nom_commune`, `bad_numero`.
        """
        return _records(_sifted(raw, request, rejects), request.licence or self.licence)


def _sifted(batch: pa.RecordBatch, request: ReadRequest, rejects: Rejects) -> pa.RecordBatch:
    """The usable records, with tidy values."""
    batch = columns.tidied(batch, LAYOUT.wanted).append_column("country_code", columns.constant("FR", batch))
    batch = columns.of_wanted_countries(batch, request, rejects)
    for name in ("nom_voie", "nom_commune"):
        batch = columns.quarantined(batch, pc.is_null(batch[name]), reason=f"no_{name}", detail=name, rejects=rejects)
    wordy = pc.invert(pc.match_substring_regex(batch["numero"], "^[0-9]"))
    batch = columns.quarantined(batch, wordy, reason="bad_numero", detail="numero", rejects=rejects)
    fictitious = pc.match_substring_regex(batch["numero"], _FICTITIOUS)
    return columns.filtered(batch, fictitious, name="fictitious_number", rejects=rejects)


def _records(batch: pa.RecordBatch, licence: str) -> pa.RecordBatch:
    country, street, locality = batch["country_code"], batch["nom_voie"], without_arrondissements(batch["nom_commune"])
    # null_handling="skip" would lose rows in which all parts are null (pyarrow 26.0.1)
    numero = columns.whole_numbers(batch["numero"])
    number = pc.coalesce(pc.binary_join_element_wise(numero, batch["rep"], " "), numero)
    postcode = columns.whole_numbers(pc.coalesce(batch["code_postal"], batch["code_post"]))
    subregion = columns.mapped(batch["code_insee"], _departement)
    region = columns.mapped(batch["code_insee"], _region)
    line = pc.cast(batch["line"], pa.string())
    return record_batch(
        {
            "source_id": pc.coalesce(pc.binary_join_element_wise(batch["id"], line, "#"), batch["source_id"]),
            "base_id": columns.address_family_ids(
                country, house_number=number, street=street, locality=locality, postcode=postcode
            ),
            "country_code": country,
            "locale": columns.locales(country),
            "license": columns.constant(licence, batch),
            "line": batch["line"],
            "region_key": region_keys(country, region, postcode),
            "house_number": number,
            "street": street,
            "postcode": postcode,
            "locality": locality,
            "dependent_locality": _part_of_town(batch, locality, postcode),
            "subregion": columns.null_if_same(columns.null_if_same(subregion, region), locality),
            "region": region,
        }
    )


def _part_of_town(batch: pa.RecordBatch, locality: pa.Array, postcode: pa.Array) -> pa.Array:
    """The hamlet or former commune of each address, else its arrondissement where no postcode tells it."""
    parts = pc.coalesce(batch["nom_ld"], batch["nom_ancienne_commune"])
    parts = columns.null_if_same(without_arrondissements(parts), locality)
    behind = pc.utf8_trim_whitespace(pc.replace_substring_regex(batch["nom_commune"], r"^\S+", ""))
    cut = pc.and_(pc.not_equal(locality, batch["nom_commune"]), pc.is_null(postcode))
    return pc.coalesce(parts, pc.if_else(cut, behind, None))


def _departement(code_insee: str) -> str | None:
    entry = insee_entry(code_insee)
    return entry[0] or None if entry else None


def _region(code_insee: str) -> str | None:
    entry = insee_entry(code_insee)
    return entry[1] if entry else None
