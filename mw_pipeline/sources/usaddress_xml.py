"""Labelled US addresses of the usaddress project: real text as people typed it, each token with a tag.

Format: XML, `<AddressCollection><AddressString><AddressNumber>12</AddressNumber> <StreetName>Main</StreetName> …`. The
text of an address is all of its text; white space between tokens is one blank.
Licence: MIT for the labelled sets; ODbL-1.0, which is share-alike, for the synthetic sets made from OpenStreetMap, told
by "osm" or "synthetic" in the file name. A licence that the source states outranks both; share-alike ones are refused
unless allowed.

Tags to ours: AddressNumberPrefix, AddressNumber and AddressNumberSuffix → house_number; all StreetName tags → street;
OccupancyType and -Identifier, SubaddressType and -Identifier → unit; USPSBoxType and -ID, USPSBoxGroupType and -ID →
po_box; BuildingName, LandmarkName and Recipient → venue; PlaceName → locality; StateName → region; ZipCode and ZipPlus4
→ postcode; CountryName → country; the streets on both sides of an IntersectionSeparator → intersection_a and
intersection_b. CornerOf and NotAddress stay without a label.

With `other_names` each text is told again that many times, of addresses of others (`other_names.py`), under the base id
of the address that was labelled: what is left out of training takes what was made of it along. A text that was labelled
twice, as two addresses, is not told again, for one of them may judge. `max_records` counts texts, not tellings.

Oddities: an address that writes two values for one tag is quarantined: one given twice, two towns ("Brooklyn, New
York"), a Recipient and the building that it is in, which are two venues even side by side.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice, pairwise

import numpy as np
import pyarrow as pa

from mw_pipeline.errors import CorpusError
from mw_pipeline.records.tables import TAG_COLUMNS, RawFile, ReadRequest, Rejects, record_batch
from mw_pipeline.records.text import normalised_text
from mw_pipeline.sources import columns
from mw_pipeline.sources.other_names import with_other_names
from mw_pipeline.sources.reading import open_members, raw_files
from mw_pipeline.sources.regions import region_keys
from mw_pipeline.sources.token_xml import TokenText, check_collection, read_token_texts

BATCH_RECORDS = 8_192

_STREET = ("PreModifier", "PreDirectional", "PreType", "", "PostType", "PostDirectional", "PostModifier")
_UNIT = ("OccupancyType", "OccupancyIdentifier", "SubaddressType", "SubaddressIdentifier")
_BOX = ("USPSBoxType", "USPSBoxID", "USPSBoxGroupType", "USPSBoxGroupID")
_SEPARATOR = "IntersectionSeparator"
_RECIPIENT = "Recipient"
_TAGS: dict[str, str] = {
    **dict.fromkeys(("AddressNumberPrefix", "AddressNumber", "AddressNumberSuffix"), "house_number"),
    **{f"StreetName{part}": "street" for part in _STREET},
    **dict.fromkeys(_UNIT, "unit"),
    **dict.fromkeys(_BOX, "po_box"),
    **dict.fromkeys(("BuildingName", "LandmarkName", _RECIPIENT), "venue"),
    **dict.fromkeys(("ZipCode", "ZipPlus4"), "postcode"),
    "PlaceName": "locality",
    "StateName": "region",
    "CountryName": "country",
    _SEPARATOR: "",
    "CornerOf": "",
    "NotAddress": "",
    "": "",
}

_ODBL = "ODbL-1.0"
_OF_OSM = re.compile("osm|synthetic", re.IGNORECASE)
_SHARE_ALIKE = re.compile(r"^ODbL|-SA\b", re.IGNORECASE)
_BLANKS = re.compile(r"\s+")
_INDENT_BEFORE_COMMA = re.compile(r"\s*\n\s*(?=,)")  # of files that set every token on a line of its own
_EDGES = re.compile(r"^[\W_]+|[\W_]+$")
_WORDS = re.compile(r"[^\W_]")


@dataclass(frozen=True)
class Labelled:
    """One usable address: its text and the value of each tag."""

    licence: str
    source_id: str
    line: int
    raw: str
    values: dict[str, str]


@dataclass(frozen=True)
class UsaddressXml:
    """Adapter of `labeled.xml` and the other labelled sets, packed or not."""

    name: str = "usaddress-xml"
    licence: str = "MIT"
    attribution: str = "usaddress (DataMade); parts from OpenStreetMap contributors where the licence says ODbL"
    share_alike: bool = False
    needs_input: bool = True

    def licences(self, stated: str | None) -> tuple[str, ...]:
        """What is stated, else its own and, of files from OpenStreetMap, theirs."""
        return (stated,) if stated else (self.licence, _ODBL)

    def read(self, request: ReadRequest, rejects: Rejects) -> Iterator[pa.RecordBatch]:
        """One record with its own text per address.

        Filtered: `country_not_wanted`. Quarantined: `unknown_tag`, `two_values`, `two_towns`, `crossing`
        (not two streets and a separator), `inside_a_word`, `box_without_number`, `no_value`, and what
        `read_token_texts` refuses. Raises CorpusError for a file that is no collection, and for a share-alike one that
        the request does not allow.
        """
        files = raw_files(request.paths, suffixes=(".xml",))
        licences = {file: _licence_of(file, request, self.licence) for file in files}
        for file in files:
            with open_members(file) as members:
                for label, stream in members:
                    check_collection(stream, label=label)
        texts = islice(
            chain.from_iterable(_texts(file, licences[file], rejects) for file in files), request.max_records
        )
        while part := list(islice(texts, BATCH_RECORDS)):
            if request.countries and "US" not in request.countries:
                rejects.filtered("country_not_wanted", len(part))
            elif found := [(text, record) for text in part if (record := _labelled(*text, rejects))]:
                own = _records([record for _, record in found])
                yield own
                yield from _of_others([text for text, _ in found], own, request)


def _licence_of(file: RawFile, request: ReadRequest, default: str) -> str:
    licence = request.licence or (_ODBL if _OF_OSM.search(file.path.name) else default)
    if _SHARE_ALIKE.search(licence) and not request.share_alike_allowed:
        raise CorpusError(
            f"{file.path}: its rows are under {licence}, which is share-alike. "
            "Set share_alike_allowed = true for the source, or leave the file out."
        )
    return licence


def _texts(file: RawFile, licence: str, rejects: Rejects) -> Iterator[tuple[str, str, TokenText]]:
    """Licence, id and text of every address of a file."""
    with open_members(file) as members:
        for label, stream in members:
            for number, text in enumerate(read_token_texts(stream, label=label, rejects=rejects), 1):
                yield licence, f"{label}:{number}", text


def _of_others(
    texts: Sequence[tuple[str, str, TokenText]], own: pa.RecordBatch, request: ReadRequest
) -> Iterator[pa.RecordBatch]:
    """The same texts with other names, `request.other_names` times: records of the families of the `own` ones."""
    families = _only_families(own)
    again = [(*text, family) for text, family in zip(texts, families, strict=True) if family is not None]
    for number in range(1, request.other_names + 1 if again else 1):
        rng = np.random.default_rng([request.seed, number, *again[0][1].encode()])
        told = with_other_names([text for _, _, text, _ in again], rng)
        unread = Rejects(request.source)  # nothing of the file, so nothing to account for
        found = [
            (record, family)
            for (licence, source_id, _, family), text in zip(again, told, strict=True)
            if (record := _labelled(licence, f"{source_id}~{number}", text, unread))
        ]
        if found:
            made = _records([record for record, _ in found])
            base_ids = pa.array([family for _, family in found])
            yield made.set_column(made.schema.get_field_index("base_id"), made.schema.field("base_id"), base_ids)


def _only_families(records: pa.RecordBatch) -> list[str | None]:
    """The base id of each record; None where another record has its text under another one."""
    texts, base_ids = normalised_text(records["raw"]).to_pylist(), records["base_id"].to_pylist()
    families: dict[str, set[str]] = {}
    for text, base_id in zip(texts, base_ids, strict=True):
        families.setdefault(text, set()).add(base_id)
    return [base_id if len(families[text]) == 1 else None for text, base_id in zip(texts, base_ids, strict=True)]


def _labelled(licence: str, source_id: str, text: TokenText, rejects: Rejects) -> Labelled | None:
    """The address in our tags; None for one that is counted in `rejects`."""
    raw = _plain("".join(piece for _, piece in text.pieces))
    tags = {tag for tag, _ in text.pieces}
    unknown = sorted(tags - _TAGS.keys())
    values = "unknown_tag" if unknown else _values(text)
    if isinstance(values, str):
        rejects.add(text.line, source_id, values, ", ".join(unknown) or repr(raw))
        return None
    return Labelled(licence, source_id, text.line, raw, values)


def _values(text: TokenText) -> dict[str, str] | str:
    """The value of each of our tags, or the reason why there is not one for each."""
    if _splits_a_word(text.pieces):
        return "inside_a_word"
    runs = _runs(text.pieces)
    streets = [value for tag, value in runs if tag == "street"]
    values = dict(runs)
    if any(tag == _SEPARATOR for tag, _ in text.pieces):
        if len(streets) != 2 or "house_number" in values:
            return "crossing"
        values["intersection_a"], values["intersection_b"] = streets
        runs = [run for run in runs if run[0] != "street"]
        del values["street"]
    if len({tag for tag, _ in runs}) < len(runs):
        return "two_values"
    if "," in values.get("locality", ""):
        return "two_towns"
    if not re.search("[0-9]", values.get("po_box", "0")):
        return "box_without_number"
    return values or "no_value"


def _splits_a_word(pieces: Sequence[tuple[str, str]]) -> bool:
    """Whether two tags share a word ("1047B" as number and unit): a label begins and ends at word boundaries."""
    written = [(_TAGS[tag], text) for tag, text in pieces if text]
    return any(
        ours != theirs and left[-1].isalnum() and right[0].isalnum()
        for (ours, left), (theirs, right) in pairwise(written)
    )


def _runs(pieces: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """(our tag, value) in the order of the text: neighbours of one tag are one value, unless a word parts them, or one
    is a recipient and the other a place."""
    runs: list[tuple[str, str]] = []
    between, parted, last = "", True, ""
    for theirs, piece in pieces:
        ours = _TAGS[theirs]
        if not ours:
            between += piece
            parted |= theirs == _SEPARATOR or _WORDS.search(piece) is not None
            continue
        if not parted and runs[-1][0] == ours and (theirs == _RECIPIENT) == (last == _RECIPIENT):
            runs[-1] = ours, runs[-1][1] + between + piece
        else:
            runs.append((ours, piece))
        between, parted, last = "", False, theirs
    trimmed = [(tag, _EDGES.sub("", _plain(value))) for tag, value in runs]
    return [(tag, value) for tag, value in trimmed if value]


def _plain(text: str) -> str:
    return _BLANKS.sub(" ", _INDENT_BEFORE_COMMA.sub("", text)).strip()


def _records(found: list[Labelled]) -> pa.RecordBatch:
    tags = {tag: pa.array([record.values.get(tag) for record in found], pa.string()) for tag in TAG_COLUMNS}
    country = pa.array(["US"] * len(found), pa.string())
    streets = [record.values.get("street") or record.values.get("intersection_a") or record.raw for record in found]
    return record_batch(
        {
            "source_id": [record.source_id for record in found],
            "base_id": columns.address_family_ids(
                country,
                house_number=tags["house_number"],
                street=pa.array(streets, pa.string()),
                locality=tags["locality"],
                postcode=tags["postcode"],
            ),
            "country_code": country,
            "locale": columns.locales(country),
            "license": [record.licence for record in found],
            "line": [record.line for record in found],
            "region_key": region_keys(country, tags["region"], tags["postcode"]),
            "raw": [record.raw for record in found],
            **tags,
        }
    )
