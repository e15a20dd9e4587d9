"""Labelled token sequences: their tags in ours, what cannot be labelled, and the real sets aligned token by token."""

from __future__ import annotations

import gzip
from pathlib import Path
from xml.etree import ElementTree

import pytest
from source_files import Reading, read_all

from mw_pipeline.corpus.align import align
from mw_pipeline.errors import CorpusError
from mw_pipeline.records.tables import TAG_COLUMNS
from mw_pipeline.sources.registry import get_adapter

USADDRESS = get_adapter("usaddress-xml")


def tokens(**tagged: str) -> str:
    return " ".join(f"<{tag}>{text}</{tag}>" for tag, text in tagged.items())


def read(folder: Path, *addresses: str, name: str = "labeled.xml", **settings: object) -> Reading:
    path = folder / name
    body = "\n".join(f"  <AddressString>{address}</AddressString>" for address in addresses)
    path.write_text(f"<AddressCollection>\n{body}\n</AddressCollection>\n", encoding="utf-8")
    return read_all(USADDRESS, path, **settings)


def labels(record: dict[str, str]) -> dict[str, str]:
    return {tag: record[tag] for tag in TAG_COLUMNS if tag in record}


def test_an_address_keeps_its_text_and_gets_our_tags(tmp_path: Path) -> None:
    address = (
        "<BuildingName>Hayes</BuildingName> <BuildingName>Center,</BuildingName> <AddressNumber>4859</AddressNumber> "
        "<AddressNumberSuffix>1/2</AddressNumberSuffix> <StreetNamePreDirectional>S.</StreetNamePreDirectional> "
        "<StreetName>Wabash</StreetName> <StreetNamePostType>Ave.,</StreetNamePostType> "
        "<OccupancyType>Ste</OccupancyType> <OccupancyIdentifier>4,</OccupancyIdentifier> "
        "<PlaceName>Chicago,</PlaceName> <StateName>IL</StateName> <ZipCode>60653</ZipCode> "
        "<CountryName>USA</CountryName>"
    )
    (record,) = read(tmp_path, address).records

    assert record["raw"] == "Hayes Center, 4859 1/2 S. Wabash Ave., Ste 4, Chicago, IL 60653 USA"
    assert labels(record) == {
        "venue": "Hayes Center",
        "house_number": "4859 1/2",
        "street": "S. Wabash Ave",
        "unit": "Ste 4",
        "locality": "Chicago",
        "region": "IL",
        "postcode": "60653",
        "country": "USA",
    }
    assert (record["source_id"], record["line"], record["license"]) == ("labeled.xml:1", 2, "MIT")
    assert (record["country_code"], record["region_key"]) == ("US", "US:illinois")


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (
            tokens(USPSBoxGroupType="rr", USPSBoxGroupID="# 3", USPSBoxType="box", USPSBoxID="27"),
            {"po_box": "rr # 3 box 27"},
        ),
        (
            tokens(StreetName="147th", IntersectionSeparator="&amp;", StreetNamePreType="Rd"),
            {"intersection_a": "147th", "intersection_b": "Rd"},
        ),
        (
            tokens(CornerOf="corner of", StreetName="A", IntersectionSeparator="and", StreetNamePostType="B")
            + " <PlaceName>Rome</PlaceName>",
            {"intersection_a": "A", "intersection_b": "B", "locality": "Rome"},
        ),
        (
            tokens(NotAddress="my house", AddressNumber="# 12", StreetName="Elm"),
            {"house_number": "12", "street": "Elm"},
        ),
        (tokens(LandmarkName="City Hall", PlaceName="Rome"), {"venue": "City Hall", "locality": "Rome"}),
        (tokens(OccupancyIdentifier="#", StreetName="Elm"), {"street": "Elm"}),
    ],
)
def test_other_kinds_of_address_get_our_tags(address: str, expected: dict[str, str], tmp_path: Path) -> None:
    assert labels(read(tmp_path, address).records[0]) == expected


def test_tokens_on_lines_of_their_own_are_one_text(tmp_path: Path) -> None:
    address = "\n  <PlaceName>Juneau</PlaceName>\n  , \n  <StateName>AK</StateName>\n"

    assert read(tmp_path, address).records[0]["raw"] == "Juneau, AK"


TWICE = tokens(AddressNumber="1", StreetName="Elm") + " " + tokens(AddressNumber="1")


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        (TWICE, "two_values"),
        (tokens(PlaceName="Brooklyn, New York"), "two_towns"),
        (
            tokens(AddressNumber="7")
            + " "
            + tokens(StreetName="A", IntersectionSeparator="at", StreetNamePostType="B"),
            "crossing",
        ),
        (tokens(StreetName="A", IntersectionSeparator="at"), "crossing"),
        (tokens(USPSBoxType="PO", OccupancyIdentifier="123"), "box_without_number"),
        (tokens(AddressNumber="1047") + tokens(OccupancyIdentifier="B"), "inside_a_word"),
        (tokens(suffix="II"), "unknown_tag"),
        (tokens(NotAddress="hello"), "no_value"),
        ("<StreetName><StreetName>A</StreetName></StreetName>", "nested_tag"),
        ("<StreetName>A & B</StreetName>", "bad_xml"),
        ("<<StreetName>A</StreetName>", "bad_xml"),
        ("&lol;<StreetName>A</StreetName>", "bad_xml"),
        ("<StreetName>A</StreetName>\n<AddressString>", "unclosed_address"),
    ],
)
def test_an_address_that_cannot_be_labelled_costs_itself_only(address: str, reason: str, tmp_path: Path) -> None:
    sound = tokens(StreetName="Elm")
    found = read(tmp_path, sound, address, sound)

    assert found.quarantined[reason] == 1
    assert [row["line"] for row in found.quarantine][:1] == [3]
    assert sum(record["raw"] == "Elm" for record in found.records) == 2


def test_an_address_that_is_never_closed_does_not_grow_without_bound(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_text("<AddressCollection>\n<AddressString>" + "<StreetName>A</StreetName>\n" * 9_000, encoding="utf-8")

    found = read_all(USADDRESS, path)
    assert found.quarantined["unclosed_address"] == 1
    assert found.records == []


def test_text_that_belongs_to_no_address_is_quarantined(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_text("<?xml version='1.0'?>\n<AddressCollection>\n12 Main St\n</AddressCollection>", encoding="utf-8")

    assert read_all(USADDRESS, path).quarantined == {"outside_an_address": 1}


@pytest.mark.parametrize("recipient", ["Jane Roe", "c/o Roe & Sons", "attn: Jane Roe", "Roe Bros., Inc"])
def test_a_recipient_is_the_venue_with_c_o_and_attn_inside(recipient: str, tmp_path: Path) -> None:
    words = " ".join(f"<Recipient>{word.replace('&', '&amp;')}</Recipient>" for word in recipient.split())

    for address in (f"{words} {tokens(StreetName='Elm')}", f"{tokens(StreetName='Elm')} {words}"):
        assert labels(read(tmp_path, address).records[0]) == {"street": "Elm", "venue": recipient}


def test_a_recipient_and_the_building_that_it_is_in_are_two_values(tmp_path: Path) -> None:
    assert read(tmp_path, tokens(Recipient="Roe,", BuildingName="Hayes Center")).quarantined == {"two_values": 1}
    assert read(tmp_path, tokens(BuildingName="Hayes Center,", Recipient="Roe")).quarantined == {"two_values": 1}


def test_what_is_no_collection_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_text("<html>\n<body/></html>", encoding="utf-8")

    with pytest.raises(CorpusError, match=r"a\.xml: holds no <AddressCollection>: begins with '<html>'"):
        read_all(USADDRESS, path)


@pytest.mark.parametrize(
    ("name", "licence"), [("synthetic_clean.xml", None), ("osm_part.xml", None), ("labeled.xml", "ODbL-1.0")]
)
def test_a_share_alike_file_is_refused_unless_allowed(name: str, licence: str | None, tmp_path: Path) -> None:
    address = tokens(StreetName="Elm")

    with pytest.raises(CorpusError, match=r"its rows are under ODbL-1\.0, which is share-alike"):
        read(tmp_path, address, name=name, licence=licence)
    allowed = read(tmp_path, address, name=name, licence=licence, share_alike_allowed=True)
    assert [record["license"] for record in allowed.records] == ["ODbL-1.0"]


def test_a_licence_that_the_source_states_outranks_the_file_name(tmp_path: Path) -> None:
    (record,) = read(tmp_path, tokens(StreetName="Elm"), name="my_osm_notes.xml", licence="CC0-1.0").records

    assert record["license"] == "CC0-1.0"


def test_a_corpus_of_another_country_takes_nothing_and_the_limit_stops_the_reading(tmp_path: Path) -> None:
    addresses = [tokens(StreetName=name) for name in ("Elm", "Oak", "Ash")]

    assert read(tmp_path, *addresses, countries=("FR",)).filtered == {"country_not_wanted": 3}
    assert len(read(tmp_path, *addresses, max_records=2).records) == 2


REAL = {
    "labeled.xml.gz": 1_513,
    "example_training.xml": 6,
    "multi_word_state_addresses.xml": 8,
    "us50_messiest_manual_label.xml": 63,
    "us50_train_tagged.xml": 50,
    "synthetic_clean_osm_data.xml.gz": 16_486,
    "synthetic_osm_data_xml.xml.gz": 16_490,
}


@pytest.mark.parametrize("name", sorted(REAL))
def test_every_address_of_the_real_sets_is_accounted_for(name: str, raw_data: Path) -> None:
    path = raw_data / "usaddress" / name
    found = read_all(USADDRESS, path, share_alike_allowed=True)

    data = path.read_bytes()
    text = (gzip.decompress(data) if name.endswith(".gz") else data).decode()
    assert found.read == text.count("</AddressString>") == REAL[name]
    assert sum(found.quarantined.values()) <= max(2, 0.02 * found.read)


THEIRS = {
    "house_number": ("AddressNumber",),
    "street": ("StreetName",),
    "intersection_a": ("StreetName",),
    "intersection_b": ("StreetName",),
    "unit": ("Occupancy", "Subaddress"),
    "po_box": ("USPSBox",),
    "venue": ("BuildingName", "LandmarkName", "Recipient"),
    "locality": ("PlaceName",),
    "region": ("StateName",),
    "postcode": ("Zip",),
    "country": ("CountryName",),
}


def tags_of_letters(address: ElementTree.Element) -> list[tuple[str, str]]:
    """Every character of the text but white space, with the tag that the labellers gave it."""
    pieces = [("", address.text), *(part for token in address for part in ((token.tag, token.text), ("", token.tail)))]
    return [(letter, tag) for tag, text in pieces for letter in text or "" if not letter.isspace()]


def test_the_labels_of_the_real_sets_stand_where_their_tokens_stand(raw_data: Path) -> None:
    for name in ("labeled.xml.gz", "us50_messiest_manual_label.xml"):
        data = (raw_data / "usaddress" / name).read_bytes()
        addresses = list(ElementTree.fromstring(gzip.decompress(data) if name.endswith(".gz") else data))
        for record in read_all(USADDRESS, raw_data / "usaddress" / name).records:
            letters = tags_of_letters(addresses[int(record["source_id"].rsplit(":", 1)[1]) - 1])
            assert "".join(letter for letter, _ in letters) == record["raw"].replace(" ", "")
            spans = align(record["raw"], labels(record))
            assert isinstance(spans, tuple), record
            for span in spans:
                first = len(record["raw"][: span.start].replace(" ", ""))
                last = len(record["raw"][: span.end].replace(" ", "")) - 1
                theirs = letters[first][1], letters[last][1]
                assert all(tag.startswith(THEIRS[span.tag]) for tag in theirs), record
