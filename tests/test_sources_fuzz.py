"""Every reader against nasty bytes: they are read, quarantined or refused in a sentence, and never crash it."""

from __future__ import annotations

import gzip
import pickle
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from source_files import read_all

from mw_pipeline.errors import CorpusError
from mw_pipeline.records.adapter import Adapter, read_records, records_of
from mw_pipeline.records.tables import ReadRequest, Rejects
from mw_pipeline.sources.registry import ADAPTERS, get_adapter

NPPES = b",".join(
    b"Provider %bBusiness Practice Location Address%b" % parts
    for parts in ((b"First Line ", b""), (b"", b" City Name"), (b"", b" State Name"), (b"", b" Postal Code"))
)

# a sound header and record of each format, for junk to be put around
SOUND = {
    "geonames": b"7\tNome\tNome\t\t64.5\t-165.4\tP\tPPL\tUS\t\tAK\t180\t\t\t9\t\t9\tEtc/UTC\t2020-01-01\n",
    "geonames-postal": b"US\t99553\tAkutan\tAlaska\tAK\tAleutians East\t013\t\t\t54.1\t-165.7\t1\n",
    "openaddresses": b"LON,LAT,NUMBER,STREET,UNIT,CITY,DISTRICT,REGION,POSTCODE,ID\n1,2,5,Main St,,Town,,CA,94501,x\n",
    "ban": b"id;numero;rep;nom_voie;code_postal;code_insee;nom_commune\nx;6;;Rue A;01640;01002;Ville\n",
    "state-ia-contractors": b"Address 1,City,State\n1 A ST,AMES,IA\n",
    "state-ny-notaries": b"Business Address 1 (if available), Business City (if available)\n1 A ST,ROME\n",
    "usaddress-xml": b"<AddressCollection>\n<AddressString><StreetName>A ST</StreetName></AddressString>\n",
    "usgov-hrsa-fqhc": b"Site Name,Site Address,Site City,Site State Abbreviation,Site Postal Code,\n"
    b"L,1 A ST,NOME,AK,1\n",
    "usgov-irs-bmf": b"EIN,NAME,STREET,CITY,STATE,ZIP\n1,CLUB,1 A ST,NOME,AK,99556\n",
    "usgov-nppes": NPPES + b"\n1 A ST,NOME,AK,995560000\n",
    "usgov-nad": b"State,StNam_Full,AddNo_Full\nAK,A ST,1\n",
    "usgov-imls-pls": b"STABR,LIBNAME,ADDRESS,CITY,ZIP,ZIP4\nAK,LIBRARY,1 A ST,NOME,99556,M\n",
}
# a sound file of the formats that are one document
DOCUMENTS = {
    "wof-admin": b'{"type":"Feature","properties":{"wof:id":1,"wof:name":"A","wof:placetype":"locality",'
    b'"wof:country":"US","wof:hierarchy":[{"region_id":2}],"name:eng_x_preferred":["B"]}}',
    "wof-postalcode": b'{"type":"Feature","properties":{"wof:id":1,"wof:name":"99556","wof:placetype":"postalcode",'
    b'"wof:country":"US","wof:parent_id":"2"}}',
}
FEATURE = b'{"type":"Feature","properties":{"number":"5","street":"Main St","city":"Town"}}\n'

NASTY = {
    "nothing": b"",
    "one newline": b"\n",
    "carriage returns only": b"a,b\rc,d\r",
    "NUL bytes": b"\0" * 99,
    "a NUL inside": b"1,2,5,Ma\0in St,,Town,,CA,94501,x\n",
    "invalid UTF-8": b"\xff\xfe\xfd;\xc3\x28,\xe2\x82\t\n",
    "overlong UTF-8": b"\xc0\xaf\xe0\x80\xaf\n",
    "a surrogate in UTF-8": b"\xed\xa0\x80\n",
    "UTF-16": "LON,LAT\n".encode("utf-16"),
    "a picture": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    "a database": b"SQLite format 3\0" + b"\x10\0\x01\x01" * 9,
    "a web page": b"<!DOCTYPE html>\n<html><body>404</body></html>\n",
    "an open quote": b'"open,"",\n' * 3,
    "quotes only": b'"""""""""\n"\n""\n',
    "delimiters only": b";;;;;;;\n,,,,,,,,,\n\t\t\t\t\t\t\t\t\t\t\t\n",
    "deep JSON": b"[" * 50_000 + b"\n" + b'{"type":' * 5_000,
    "JSON scalars": b'null\n1\n"x"\n[]\n{}\n',
    "JSON surrogates": b'{"type":"Feature","properties":{"street":"\\ud800","number":"\\u0000"}}\n',
    "a huge number": b"1" * 9_999 + b";" + b"9" * 9_999 + b"\n",
    "one long line": b"x" * 3_000_000,
    "many fields": b"," * 50_000 + b";" * 50_000 + b"\t" * 50_000 + b"\n",
    "every control character": bytes(range(1, 32)) * 3,
    "bidi and zero width": "\u202e\u200b\u2066;\u200f,\ufeff\t\U000e0001\n".encode(),
    "astral letters": "𝟙𝟚,𝕄𝕒𝕚𝕟;𝒮𝓉\t🏠\n".encode(),
    "formulas": b"=cmd|'/c calc'!A0,+1,-1,@x\n",
    "a truncated gzip": gzip.compress(b"x" * 999)[:-5],
    "a truncated zstd": zstandard.compress(bytes(range(256)) * 99)[:-5],
    "half a zip": b"PK\x03\x04" + b"\0" * 40,
}


@pytest.fixture(params=sorted(name for name, adapter in ADAPTERS.items() if adapter.needs_input))
def adapter(request: pytest.FixtureRequest) -> Adapter:
    return get_adapter(request.param)


@pytest.fixture(params=sorted(SOUND))
def line_adapter(request: pytest.FixtureRequest) -> Adapter:
    return get_adapter(request.param)


def read_or_refusal(adapter: Adapter, path: Path, data: bytes) -> int | str:
    """The number of records read, or the sentence of the CorpusError; anything else raised fails the test."""
    path.write_bytes(data)
    try:
        return read_all(adapter, path, country="US").read
    except CorpusError as error:
        assert str(path.name) in str(error)
        return str(error)


@pytest.mark.parametrize("nasty", sorted(NASTY))
def test_a_nasty_file_is_refused_in_a_sentence_or_quarantined(adapter: Adapter, nasty: str, tmp_path: Path) -> None:
    found = read_or_refusal(adapter, tmp_path / "nasty", NASTY[nasty])

    if isinstance(found, str):
        assert found.rstrip().endswith(".")
        assert len(found) < 600


def test_records_are_made_from_the_batch_alone_when_the_file_is_gone(line_adapter: Adapter, tmp_path: Path) -> None:
    path = tmp_path / "sound"
    path.write_bytes(SOUND[line_adapter.name])
    request = ReadRequest(paths=(path,), source="test", country="US")
    at_once = pa.Table.from_batches(read_records(line_adapter, request, Rejects("test")))
    raw = list(line_adapter.read(request, Rejects("test")))
    path.unlink()

    elsewhere = pickle.loads(pickle.dumps((line_adapter, replace(request, paths=()))))
    later = [records_of(elsewhere[0], batch, elsewhere[1], Rejects("test")) for batch in raw]

    assert pa.Table.from_batches(later) == at_once
    assert all(not records_of(line_adapter, batch.slice(0, 0), request, Rejects("test")).num_rows for batch in raw)


@pytest.mark.parametrize("nasty", sorted(name for name in NASTY if not NASTY[name].startswith((b"PK", b"\x1f", b"("))))
def test_nasty_lines_behind_sound_ones_cost_nothing_but_themselves(
    line_adapter: Adapter, nasty: str, tmp_path: Path
) -> None:
    sound = SOUND[line_adapter.name]
    record = sound.splitlines(keepends=True)[-1]
    path = tmp_path / "mixed"
    path.write_bytes(sound + NASTY[nasty] + b"\n" + record * 3)

    found = read_all(line_adapter, path, country="US")
    assert len(found.records) >= 4
    assert found.read >= len(found.records)


@pytest.mark.parametrize("nasty", ["JSON scalars", "JSON surrogates", "deep JSON", "NUL bytes", "invalid UTF-8"])
def test_nasty_lines_among_features_cost_nothing_but_themselves(nasty: str, tmp_path: Path) -> None:
    path = tmp_path / "mixed"
    path.write_bytes(FEATURE + NASTY[nasty] + b"\n" + FEATURE)

    assert len(read_all(get_adapter("openaddresses"), path, country="US").records) == 2


@pytest.mark.parametrize("name", sorted(DOCUMENTS))
def test_the_documents_that_junk_is_put_into_are_sound(name: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(DOCUMENTS[name])

    assert read_all(get_adapter(name), tmp_path / "a").records


@given(data=st.data(), junk=st.binary(max_size=80))
def test_flipped_bytes_never_crash_a_reader(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, junk: bytes
) -> None:
    name = data.draw(st.sampled_from(sorted(SOUND | DOCUMENTS)))
    sound = DOCUMENTS.get(name) or SOUND[name] * 2
    at = data.draw(st.integers(0, len(sound)))

    found = read_or_refusal(
        get_adapter(name), tmp_path_factory.mktemp("fuzz") / "f", sound[:at] + junk + sound[at + len(junk) :]
    )

    assert found.rstrip().endswith(".") if isinstance(found, str) else found >= 0
