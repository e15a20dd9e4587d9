"""What no label can be made of: text that was decoded wrongly, words for no value at all, half a pair of brackets."""

from __future__ import annotations

import pyarrow as pa
import pytest
from corpus_sources import address, batch_of, record

from mw_pipeline.corpus.intake import admit
from mw_pipeline.corpus.mojibake import misdecoded
from mw_pipeline.records.tables import Rejects
from mw_pipeline.records.text import without_placeholders, without_remarks
from mw_pipeline.sources.columns import tidy

NAMES = [
    "Plouénan",
    "Pont-à-Mousson",
    "ÉCOLE",
    "KÖLN",
    "Straße",
    "São Paulo",
    "HÔTEL DE VILLE",
    "España",
    "Wrocław",
    "Gdańsk",
    "Świdnica",
    "Żary",
    "Čáslav",
    "İzmir",
    "București",
    "Iași",
    "Århus",
    "Αθήνα",
    "Москва",
    "القاهرة",
    "תל אביב",
    "大阪市",
    "서울특별시",
    "กรุงเทพ",
    "Đà Nẵng",
    "दिल्ली",
    "Երևան",
    "L’Île",
]
TRUE_TEXT = (
    *NAMES,
    *[
        "RUA IRMÃ DULCE",
        "AVENIDA MAÇÃ",
        "JOÃO",
        "Å",
        "«Å»",
        "“Å”",
        "LULEÅ–BODEN",
        "MALMÖ–LUND",
        "Schloß–Platz",
        "«Café» …",
        "CAFÉ»",
        "Nº 5",
        "1º ESQ",
    ],
    *[
        "Úštěk",
        "Mariánské Lázně-Úšovice",
        "KÉŠKA",
        "Nižný Žipov",
        "Ñuñoa",
        "Âu Cơ",
        "ÂU LẠC",
        "CÂMPULUNG",
        "SFÂNTU GHEORGHE",
        "Đuro",
        "Œuilly",
    ],
    *[
        "À la Ville",
        "à Paris",
        "Bergstraße 5½",
        "‘Ā",
        "Xo‘jayli",
        "Ḩāmūl",
        "Île de Ré – La Flotte",
        "Château d’Œx",
        "12 Oak St",
    ],
)


def as_windows_reads(text: str) -> str:
    """The UTF-8 bytes of a text in Windows-1252, as Latin-1 where that has no sign for one."""
    return "".join(bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in text.encode())


@pytest.mark.parametrize("name", NAMES)
def test_utf8_that_was_read_as_latin1_or_windows_is_mojibake(name: str) -> None:
    for wrong in (name.encode().decode("latin-1"), as_windows_reads(name), as_windows_reads(as_windows_reads(name))):
        assert misdecoded(pa.array([f"Rue {wrong}"])).tolist() == [True], wrong
        assert misdecoded(pa.array([name, None, wrong])).tolist() == [False, False, True]


@pytest.mark.parametrize(
    "wrong", ["PontÃ -Mousson", "Citt\u00c3", "rue Ã la Croix", "12Â rue", "Plou├®nan", "Plou√©nan"]
)
def test_a_hard_space_that_was_tidied_and_other_code_pages_hide_no_mojibake(wrong: str) -> None:
    assert misdecoded(pa.array([wrong])).tolist() == [True]


def test_no_true_text_of_any_language_is_mojibake() -> None:
    texts = pa.array(TRUE_TEXT)

    assert texts.filter(pa.array(misdecoded(texts))).to_pylist() == []


@pytest.mark.parametrize("tag", ["street", "locality", "region", "venue"])
def test_a_record_with_mojibake_in_any_value_is_quarantined_and_its_clean_twin_is_kept(tag: str) -> None:
    rejects = Rejects("made")
    records = [address(1, **{tag: as_windows_reads("Plouénan")}), address(2, **{tag: "Plouénan"})]

    assert admit(batch_of(records), (), rejects)[tag].to_pylist() == ["Plouénan"]
    assert rejects.counts == {"mojibake": 1}


def test_mojibake_of_control_characters_is_called_by_its_name() -> None:
    rejects = Rejects("made")

    assert not admit(batch_of([address(1, region="Île-de-France".encode().decode("latin-1"))]), (), rejects).num_rows
    assert rejects.counts == {"mojibake": 1}


PLACEHOLDERS = [
    "NULL",
    "null",
    "NULL NULL NULL",
    "Null Null",
    "<Null>",
    "(null)",
    "[NULL]",
    "undefined",
    "Undefined",
    "Not Available",
    "NOT AVAILABLE",
    "not known",
    "N/A",
    "n/a",
    "n/a, n/a",
    "N.A.",
    "NA",
    "#N/A",
    "none",
    "None",
    "NONE NONE",
    "unknown",
    "UNKNOWN UNKNOWN",
    "Not Applicable",
    "not stated",
    "no data",
    "unnamed",
    "nan",
    "NaN",
    "\\N",
    "s/n",
]
REAL = [
    "Nan",
    "Nana",
    "Null St",
    "NONESUCH RD",
    "Unknown Rd",
    "None Such Ln",
    "Nada",
    "Natal",
    "N",
    "NULLARBOR RD",
    "Na Nachodska",
    "Not Available St",
]


@pytest.mark.parametrize("text", PLACEHOLDERS)
def test_a_placeholder_is_blank_however_often_it_is_repeated(text: str) -> None:
    assert without_placeholders(pa.array([text, "12", None, ""])).to_pylist() == [None, "12", None, ""]
    assert tidy(pa.array([f"  {text} "])).to_pylist() == [None]


def test_a_value_that_only_holds_such_a_word_stays() -> None:
    assert without_placeholders(pa.array(REAL)).to_pylist() == REAL
    assert tidy(pa.array(REAL)).to_pylist() == REAL


def test_the_door_of_the_corpus_blanks_placeholders_of_any_adapter_but_for_names_of_towns() -> None:
    rejects = Rejects("made")
    records = [
        address(1, street="undefined", unit="N/A", region="NULL NULL"),
        record(2, street="Not Available", venue="unknown"),
        record(3, postcode="10060", locality="None", country_code="IT"),
    ]

    first, town = admit(batch_of(records), (), rejects).to_pylist()
    assert (first["house_number"], first["street"], first["unit"], first["region"]) == ("1", None, None, None)
    assert (town["postcode"], town["locality"]) == ("10060", "None")
    assert rejects.counts == {"empty_record": 1}


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Calgary (Bow Trail)", "Calgary"),
        ("Calgary (Bow Trail", "Calgary"),
        ("Lamas (Santa Maria) (Boqueixon))", "Lamas"),
        ("Château-Chinon(Ville)", "Château-Chinon"),
        ("Santa Sabiña)", "Santa Sabiña"),
        ("Zürich (Kreis 4) / Aussersihl", "Zürich (Kreis 4) / Aussersihl"),
        ("(Old)", None),
        ("Calgary", "Calgary"),
    ],
)
def test_a_remark_in_brackets_leaves_no_half_of_them(text: str, left: str | None) -> None:
    assert without_remarks(pa.array([text, None])).to_pylist() == [left, None]


def test_a_record_that_carries_its_text_keeps_its_brackets() -> None:
    batch = batch_of([record(1, raw="Hall (Annex) 5", venue="Hall (Annex)"), record(2, raw="5 Oak", street="Oak")])

    assert admit(batch, (), Rejects("made"))["venue"].to_pylist() == ["Hall (Annex)", None]
    assert admit(batch_of([record(1, venue="Hall (Annex)")]), (), Rejects("made"))["venue"].to_pylist() == ["Hall"]
