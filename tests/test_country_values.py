"""Each value of a country's file is what its key holds, or is refused with file, key, found and expected."""

from __future__ import annotations

import importlib
import re
import tomllib
from pathlib import Path

import pytest

from mw_pipeline.corpus.conventions import LEAD, LINE_TAGS
from mw_pipeline.countries import KNOWN_COUNTRIES, country
from mw_pipeline.countries.values import checked_keys, fault_of
from mw_pipeline.errors import CorpusError

MODULE = importlib.import_module("mw_pipeline.countries.country")
FILES = Path(MODULE.__file__).parent


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Reads a country whose file is this text, over the real defaults."""
    (tmp_path / "default.toml").write_bytes((FILES / "default.toml").read_bytes())
    monkeypatch.setattr(MODULE, "KNOWN_COUNTRIES", ("XX",))
    monkeypatch.setattr(MODULE.resources, "files", lambda package: tmp_path)

    def of(text: str):
        (tmp_path / "XX.toml").write_text(text, encoding="utf-8")
        return country.__wrapped__("XX")

    return of


WRONG = [
    ('languages = "en"', "languages is 'en', expected a list"),
    ('languages = ["EN"]', "languages[0] is 'EN', expected a language code such as 'en'"),
    ("languages = {en = 1}", "languages is {'en': 1}, expected no table"),
    ('names = [["USA", 6]]', "names[0] is ['USA', 6], expected a weight and a text, as in"),
    ('names = [[-1, "USA"]]', "names[0][0] is -1, expected a weight from 0 on"),
    ('names = [[nan, "USA"]]', "names[0][0] is nan, expected a weight from 0 on"),
    ('names = [[0, "USA"], [0.0, "US"]]', "names is [0, 0.0], expected one weight above 0 at least"),
    ('postcode.extension = ["-"]', "postcode.extension[0] is '-', expected a weight and a text, as in"),
    ('areas.lone_subregion = "county"', "areas.lone_subregion is 'county', expected 'region' or 'subregion'"),
    ('areas.omitted = ["state"]', "areas.omitted[0] is 'state', expected one of the tags venue, "),
    ("areas.short.Ohio = []", "areas.short.Ohio is [], expected a list that is not empty"),
    ('areas.short.Ohio = "O."', "areas.short.Ohio is 'O.', expected a list that is not empty"),
    ('areas.of_other_countries = ["USA"]', "areas.of_other_countries[0] is 'USA', expected an ISO 3166-1 code"),
    ("areas.iso_regions = [3]", "areas.iso_regions[0] is 3, expected a text that is not blank"),
    ('form.native = ["street house_number"]', "expected each of venue, "),
    ('form.native = "street"', "form.native is 'street', expected a list"),
    ("form = 3", "form is 3, expected a table"),
    ("order.number_turned = 1.2", "order.number_turned is 1.2, expected a share from 0 to 1"),
    ("order.shuffled = true", "order.shuffled is True, expected a share from 0 to 1"),
    ("order.city_first = {often = 1}", "order.city_first is {'often': 1}, expected no table but a value such as 0.15"),
    ("order.as_in = {native = 0, US = 0}", "order.as_in is [0, 0], expected one weight above 0 at least"),
    (
        "order.as_in = {native = 1e308, FR = 1e308}",
        "order.as_in is [1e+308, 1.5, 1e+308], expected weights with a finite",
    ),
    ('names = [[1e308, "USA"], [1e308, "US"]]', "names is [1e+308, 1e+308], expected weights with a finite sum"),
    ("run_on.all.weight = 1e308\nrun_on.street_city.weight = 1e308", "expected weights with a finite sum"),
    (f"order.as_in.FR = {'9' * 400}", "expected a weight from 0 on"),
    (f"order.shuffled = {'9' * 400}", "expected a share from 0 to 1"),
    ("order.as_in.FR = {often = 1}", "order.as_in.FR is {'often': 1}, expected a weight from 0 on"),
    ("order.as_in.USA = 1", "order.as_in is 'USA', expected 'native' or an ISO 3166-1 code such as 'FM'"),
    ("order.as_in.Native = 1", "order.as_in is 'Native', expected 'native' or an ISO 3166-1 code such as 'FM'"),
    ("order.unit.behind = -2", "order.unit.behind is -2, expected a weight from 0 on"),
    (
        "order.region = {native = 0, joined = 0, before_locality = 0, last = 0}",
        "order.region is [0, 0, 0, 0], expected one weight above 0 at least",
    ),
    ('written.address.unit = "0.5"', "written.address.unit is '0.5', expected a share from 0 to 1"),
    ("written.country_share = -0.1", "written.country_share is -0.1, expected a share from 0 to 1"),
    ("run_on.all.weight = -1", "run_on.all.weight is -1, expected a weight from 0 on"),
    ('run_on.all.tags = "venue stret"', "run_on.all.tags[1] is 'stret', expected one of the tags venue, "),
    ("run_on.mine.weight = 1", "run_on.mine is {'weight': 1}, expected a weight and tags"),
    ("run_on.all.wieght = 1", "run_on.all.wieght is not a key"),
    ("crossing.joints = []", "crossing.joints is [], expected a list that is not empty"),
    ("phrases.box_alone_share = 2", "phrases.box_alone_share is 2, expected a share from 0 to 1"),
    ('phrases.unit = [[1, "Apt", "x"]]', "phrases.unit[0] is [1, 'Apt', 'x'], expected a weight and a text, as in"),
    ('military.offices = ["APO", ""]', "military.offices[1] is '', expected a text that is not blank"),
    ("directions.behind_share = 55", "directions.behind_share is 55, expected a share from 0 to 1"),
    ('people.before = [[1, "Mr. "]]', "people.given is '', expected a text that is not blank"),
    ("people.initial_share = 1.5", "people.initial_share is 1.5, expected a share from 0 to 1"),
    ('keyboard.rows = ["é1"]', "keyboard.rows[0] is 'é1', expected two or more ASCII letters"),
    ('words.hyphenated_saints = "yes"', "words.hyphenated_saints is 'yes', expected true or false"),
    ('words.street.type.Alley = "Aly"', "words.street.type.Alley is 'Aly', expected a list that is not empty"),
    ("words.street.type = 3", "words.street.type is 3, expected a table"),
    ("words = 3", "words is 3, expected a table"),
]


@pytest.mark.parametrize(("text", "message"), WRONG, ids=[text for text, _ in WRONG])
def test_a_value_that_is_not_what_its_key_holds_is_refused_with_file_key_found_and_expected(
    read, text: str, message: str
):
    with pytest.raises(CorpusError, match=rf"^countries/XX\.toml: .*{re.escape(message)}"):
        read(text)


def test_a_file_that_is_no_toml_is_refused_with_its_line(read):
    with pytest.raises(CorpusError, match=r"countries/XX\.toml: not readable as TOML: .*line 2.*\. Correct the file"):
        read("languages = []\nnames = x")


@pytest.mark.parametrize(
    "text",
    [
        "",
        'languages = ["en", "gsw"]\nnames = [[1, "X"], [0, "Y"]]',
        'postcode.extension = [[2, "-"], [1, ""]]\nareas.omitted = ["region"]\nareas.short.Ohio = ["O."]',
        "order.number_turned = 0\norder.shuffled = 1\norder.unit.inside = 0",
        'run_on.mine = {weight = 1, tags = "venue lead"}\nwritten.address.unit = 1.0',
        'people = {before = [[1, ""]], given = "Ann", family = "Lee"}\nkeyboard.rows = ["az"]',
        'words.street.type.Alley = ["Aly"]\nwords.hyphenated_saints = true',
    ],
)
def test_values_that_are_what_their_keys_hold_are_read(read, text: str):
    found = read(text)

    assert found["languages"] == tomllib.loads(text).get("languages", [])


@pytest.mark.parametrize("code", [*KNOWN_COUNTRIES, "DE"])
def test_the_shipped_files_hold_what_their_keys_ask(code: str):
    assert country(code)["form"]["native"]


def test_the_default_form_holds_every_tag_of_a_line_and_every_key_has_a_check():
    tags = " ".join(country("DE")["form"]["native"]).split()
    keys = checked_keys(tags)

    assert sorted(tags) == sorted((*LINE_TAGS, LEAD))
    for section, value in country("DE").items():
        for key in value if isinstance(value, dict) else ("",):
            path = f"{section}.{key}".rstrip(".")
            assert path in keys or section in keys, path


def test_a_key_that_even_the_defaults_lack_is_a_fault_and_no_crash():
    sections = tomllib.loads((FILES / "default.toml").read_text(encoding="utf-8"))
    del sections["order"]["city_leads"]

    fault = fault_of(sections, (LEAD, *LINE_TAGS))

    assert fault is not None and (fault.where, fault.expected) == ("order", "a table with city_leads")
