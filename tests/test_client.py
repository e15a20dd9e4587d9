"""What the JavaScript client does to a text, how it counts offsets, and which names and versions npm takes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mw_pipeline.client.npm import (
    Imprint,
    license_problem,
    name_problem,
    package_name,
    scope_problem,
    version_problem,
)
from mw_pipeline.client.recasing import is_recased, recased
from mw_pipeline.client.utf16 import utf16_offsets


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("12 MAIN ST, SPRINGFIELD IL 62701", "12 Main ST, Springfield IL 62701"),
        ("12 main st apt 4b", "12 Main ST Apt 4B"),
        ("350 W 5TH AVE NW", "350 W 5TH Ave NW"),
        ("o'hare rd, po box 12", "O'Hare RD, PO Box 12"),
        ("3 RUE D'ASSAS\n75006 PARIS", "3 Rue D'Assas\n75006 Paris"),
        ("x" * 3 + "-" + "y" * 2, "Xxx-YY"),
        ("12 Main St", "12 Main St"),
        ("12 rue de la république", "12 rue de la république"),  # not of ASCII alone
        ("12 MAIN ST – RENO", "12 MAIN ST – RENO"),
        ("89501-0042", "89501-0042"),
        ("", ""),
    ],
)
def test_a_text_without_a_case_of_its_own_is_written_as_the_client_writes_it(text, read):
    assert recased(text) == read
    assert is_recased(text) == (text != read)


def test_a_text_that_stays_as_it_is_may_still_be_one_that_the_client_writes_anew():
    assert is_recased("NY 10001") and recased("NY 10001") == "NY 10001"


@given(st.text(st.sampled_from("aBcD é1'-,ß")))
def test_recasing_keeps_every_length_is_done_once_and_forgets_the_case_that_was(text):
    read = recased(text)

    assert len(read) == len(text)
    assert recased(read) == read
    assert read.casefold() == text.casefold()
    if text.isascii() and text.upper() != text.lower():
        assert recased(text.upper()) == recased(text.lower())


@given(st.text(st.characters()), st.data())
def test_offsets_in_utf_16_cut_the_same_part_out_of_the_encoded_text(text, data):
    start, end = sorted(data.draw(st.lists(st.integers(0, len(text)), min_size=2, max_size=2)))
    units = text.encode("utf-16-le", "surrogatepass")

    first, last = utf16_offsets(text, [start, end])

    assert units[2 * first : 2 * last] == text[start:end].encode("utf-16-le", "surrogatepass")


def test_every_locale_has_a_name_of_its_own_in_the_scope_or_without_one():
    assert package_name("en-us") == "@mailwoman/neural-weights-en-us"
    assert package_name("fr-fr", scope="", name="parser") == "parser-fr-fr"
    assert "fr-fr" in Imprint(package_name("fr-fr"), "0.1.0", "fr-fr").description


GOOD_NAMES = ("@mailwoman/neural-weights-en-us", "a", "a.b_c-1", "@a/b", "x" * 214)
BAD_NAMES = (
    "", "A", "@Mail/a", "@mail", "@/a", "mail/a", "@a/b/c", ".a", "_a", "@a/.b", "a b", "a~b", "é", "node_modules",
    "x" * 215, "a\n",
)  # fmt: skip


@pytest.mark.parametrize("name", GOOD_NAMES)
def test_names_that_npm_takes_have_no_problem(name):
    assert name_problem(name) == ""


@pytest.mark.parametrize("name", BAD_NAMES)
def test_names_that_npm_does_not_take_are_told(name):
    assert name_problem(name).startswith("expected ")


@pytest.mark.parametrize("version", ["0.1.0", "1.2.3-rc.1", "10.0.0-alpha-2+build.7"])
def test_versions_of_three_numbers_have_no_problem(version):
    assert version_problem(version) == ""


@pytest.mark.parametrize("version", ["", "1", "1.2", "v1.2.3", "01.2.3", "1.2.3.4", "1.2.3-", "1.2.3-01", "1.2.3\n"])
def test_other_versions_are_told(version):
    assert "three numbers" in version_problem(version)


@pytest.mark.parametrize("scope", ["mailwoman", "@", "@Mail", "@a/b", "@.a", " @a"])
def test_scopes_that_npm_does_not_take_are_told(scope):
    assert scope_problem(scope).startswith("expected @")
    assert scope_problem("@mailwoman") == scope_problem("") == ""


@pytest.mark.parametrize("place", range(3))
def test_a_number_of_a_version_is_at_most_what_javascript_counts_to(place):
    version = [".".join(str(number) if i == place else "0" for i in range(3)) for number in (2**53 - 1, 2**53)]

    assert [bool(version_problem(text)) for text in version] == [False, True]
    assert version_problem("9" * 5000 + ".0.0") and version_problem("1.0.0-" + "a" * 251)
    assert version_problem("1.0.0-" + "a" * 250) == ""


GOOD_LICENSES = (
    "((MIT) OR (Apache-2.0))",
    "CC-BY-4.0",
    "(MIT OR Apache-2.0)",
    "GPL-2.0+",
    "SEE LICENSE IN ATTRIBUTION.md",
    "UNLICENSED",
)


def test_licences_are_those_that_npm_reads():
    assert [text for text in GOOD_LICENSES if license_problem(text)] == []
    for text in (
        "",
        "Licence Ouverte 2.0",
        "SEE LICENSE IN ../x",
        "(MIT",
        "MIT,",
        "MIT OR",
        "MIT) OR (MIT",
        "(MIT)) OR ((MIT)",
    ):
        assert license_problem(text).startswith("expected a licence")
