"""What the built-in source teaches: every area often enough, codes that agree, people, crossings, forces, scripts."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from mw_pipeline.areas import region_of_name
from mw_pipeline.records.tables import RECORD_SCHEMA, ReadRequest, Rejects
from mw_pipeline.sources.builtin import foreign, kinds, neighbours, places, scripts
from mw_pipeline.sources.builtin.postcodes import expand_prefixes
from mw_pipeline.sources.builtin.row_values import RowValues
from mw_pipeline.sources.builtin.tsv import rows_of
from mw_pipeline.sources.registry import get_adapter

RECORDS = 100_000
LATIN = re.compile(r"[\x00-\u024f\u1e00-\u1eff\u2010-\u2027ʻ‘’½]*")


@pytest.fixture(scope="module")
def records() -> pa.Table:
    """A quarter of the records that a corpus takes by default."""
    wanted = ReadRequest(paths=(), source="builtin", seed=11, max_records=RECORDS)
    return pa.Table.from_batches(list(get_adapter("builtin").read(wanted, Rejects("builtin"))), schema=RECORD_SCHEMA)


@pytest.fixture(scope="module")
def american(records: pa.Table) -> pa.Table:
    return records.filter(pc.equal(records["locale"], "en-US"))


@pytest.fixture(scope="module")
def french(records: pa.Table) -> pa.Table:
    return records.filter(pc.equal(records["locale"], "fr-FR"))


def prefixes_by_region() -> dict[str, tuple[str, ...]]:
    """Region key to the beginnings of its ZIP codes, those of the forces included."""
    found: dict[str, tuple[str, ...]] = {}
    for table in ("us_states.tsv", "us_military.tsv"):
        for row in rows_of(table):
            key = region_of_name("US", row.get("name") or places.region_names("US")[row["code"]])
            found[key] = (*found.get(key, ()), *expand_prefixes(row["prefixes"]))
    return found


def test_every_state_territory_and_force_is_met_a_thousand_times_in_four_hundred_thousand(american: pa.Table):
    met = Counter(american["region_key"].to_pylist())
    states = {region_of_name("US", name) for name in places.region_names("US").values()}

    assert len(states) == 56
    assert min(met[key] for key in states) >= 250 * 0.9
    assert min(met[region_of_name("US", row["name"])] for row in rows_of("us_military.tsv")) >= 50


def test_every_departement_is_met_three_hundred_times_in_four_hundred_thousand(french: pa.Table):
    written = zip(french["region"].to_pylist(), french["subregion"].to_pylist(), strict=True)
    met = Counter(area for pair in written for area in set(pair))

    assert min(met[name] for name in places.departements().values()) >= 75


def test_every_french_region_is_written_by_its_own_name(french: pa.Table):
    met = Counter(french["region"].to_pylist())

    assert min(met[row["name"]] for row in rows_of("fr_regions.tsv")) >= 75


def test_every_written_zip_code_lies_in_the_state_of_its_record(american: pa.Table):
    allowed = prefixes_by_region()
    rows = zip(american["region_key"].to_pylist(), american["postcode"].to_pylist(), strict=True)
    wrong = [(key, code) for key, code in rows if code is not None and not code.startswith(allowed[key])]

    assert wrong == []


def test_an_eighth_of_american_numbers_has_five_digits_and_some_look_like_zip_codes_of_other_states(american: pa.Table):
    numbers = american["house_number"].drop_null().to_pylist()
    long = [number for number in numbers if re.fullmatch(r"\d{5}", number)]

    assert 0.08 < len(long) / len(numbers) < 0.14


def test_a_number_that_looks_like_a_zip_code_is_never_one_of_its_own_state():
    homes = places.american_places()
    chosen = homes.draw(np.random.default_rng(3), 5000, popular_share=0.3)
    numbers = RowValues(homes, chosen, np.random.default_rng(4))["zip_elsewhere"]
    allowed = {row["code"]: tuple(expand_prefixes(row["prefixes"])) for row in rows_of("us_states.tsv")}
    own = [
        number
        for number, state in zip(numbers, homes.regions[chosen], strict=True)
        if number.startswith(allowed[state])
    ]

    assert len([number for number in own if len(number) == 5]) <= 2


def test_ranges_run_upwards_on_one_side_of_the_street():
    homes = places.french_places()
    values = RowValues(homes, np.arange(500), np.random.default_rng(4))
    pairs = [(int(low), int(high)) for low, high in zip(values["range_low"], values["range_high"], strict=True)]

    assert all(low < high and (high - low) % 2 == 0 for low, high in pairs)


def test_american_street_records_hold_every_component_that_an_address_has(american: pa.Table):
    streets = american.filter(pc.and_(pc.is_valid(american["street"]), pc.is_valid(american["locality"])))
    streets = streets.filter(pc.is_null(streets["unit"]))
    places_alone = {"country", "region", "house_number"}

    assert all(streets[tag].null_count == 0 for tag in places_alone)
    assert streets["postcode"].null_count / len(streets) < 0.02
    assert streets["subregion"].null_count / len(streets) < 0.15


def test_french_records_of_a_numbered_street_hold_town_code_areas_and_country(french: pa.Table):
    kind = next(kind for kind in kinds.kinds() if kind.name == "fr_address")
    drafts = kinds.kind_drafts(kind, 500, np.random.default_rng(1))

    for tag in ("house_number", "street", "postcode", "locality", "region", "country"):
        assert all(value is not None for value in drafts.tags[tag]), tag
    assert sum(value is None for value in drafts.tags["subregion"]) < 80  # overseas, where both areas are one


def test_an_area_is_not_written_under_itself(american: pa.Table, french: pa.Table):
    for table in (american, french):
        both = zip(table["subregion"].to_pylist(), table["region_key"].to_pylist(), strict=True)
        assert not [area for area, key in both if area and area.casefold() == key.split(":")[1]
                    and area not in ("New York", "Paris")]  # fmt: skip


def test_crossings_are_a_fiftieth_to_a_twentieth_of_the_records(records: pa.Table):
    share = 1 - records["intersection_a"].null_count / len(records)

    assert 0.02 < share < 0.05
    assert records["intersection_a"].null_count == records["intersection_b"].null_count


@pytest.mark.parametrize("shape", [
    r"PSC \d+,? B(ox|OX) \d+", r"CMR \d+,? B(ox|OX) \d+", r"U(nit|NIT) \d+,? B(ox|OX) \d+",
])  # fmt: skip
def test_mail_of_the_forces_has_boxes_offices_and_regions_of_its_own(american: pa.Table, shape: str):
    forces = american.filter(pc.is_in(american["region"], pa.array(["AA", "AE", "AP"])))
    boxes = [box for box in forces["po_box"].to_pylist() if re.fullmatch(shape, box)]

    assert set(forces["locality"].to_pylist()) == {"APO", "FPO", "DPO"}
    assert len(boxes) >= 50


def test_people_are_venues_alone_and_in_the_care_of_others(american: pa.Table, french: pa.Table):
    for table, care in ((american, r"(?i)\b(c/o|attn)\b"), (french, r"(?i)\b(c/o|chez|à l'attention)\b")):
        venues = table["venue"].drop_null().to_pylist()
        assert sum(bool(re.search(care, venue)) for venue in venues) / len(venues) > 0.02
        assert len(set(venues)) / len(venues) > 0.7


@pytest.mark.parametrize(("symbol", "least"), [
    ("us_given", 300), ("us_family", 700), ("fr_given", 250), ("fr_family", 350), ("us_rare_type", 250),
    ("us_noun", 150), ("fr_short_type", 60), ("us_unit", 150),
])  # fmt: skip
def test_the_lists_of_people_and_words_are_long(symbol: str, least: int):
    assert len(set(kinds.grammar().items(symbol))) >= least


def test_american_and_french_streets_are_always_in_latin_letters(records: pa.Table):
    at_home = records.filter(pc.is_in(records["country_code"], pa.array(["US", "FR"])))
    streets = pc.unique(at_home["street"].drop_null()).to_pylist()

    assert [street for street in streets if not LATIN.fullmatch(street)] == []


def test_a_street_in_another_script_lies_in_a_country_of_its_language(records: pa.Table):
    abroad = records.filter(pc.invert(pc.is_in(records["country_code"], pa.array(["US", "FR"]))))
    with_street = abroad.filter(pc.and_(pc.is_valid(abroad["street"]), pc.not_equal(abroad["locale"], "en")))
    spoken = {f"{row.rsplit('-', 1)[0]}" for row in with_street["locale"].to_pylist()}
    homes = {language: " ".join(countries) for language, countries in neighbours.COUNTRIES_OF.items()}
    homes |= {"ja": "JP", "zh": "CN", "ko": "KR", "ru": "RU", "el": "GR CY", "he": "IL", "hi": "IN", "th": "TH",
             "zh-Hant": "TW", "ar": "EG SA AE DZ IQ JO KW LB MA SY TN"}  # fmt: skip

    assert {"ja", "zh", "ru", "ko", "de", "es", "it", "nl", "pt"} <= spoken <= set(homes)
    for locale in set(with_street["locale"].to_pylist()):
        language, country = locale.rsplit("-", 1)
        assert country in homes[language].split(), locale


def test_japanese_rows_have_the_prefecture_of_their_town_and_a_code_of_it():
    drafts = foreign.script_drafts(20_000, np.random.default_rng(2))
    prefecture_of = {
        city["geonameid"]: foreign.prefectures().get(city["admin1code"])
        for city in places.cities()
        if city["countrycode"] == "JP"
    }
    rows = np.flatnonzero((drafts.countries == "JP") & (drafts.locales == "ja-JP"))
    written = 0
    for row in rows:
        name, beginnings = prefecture_of[int(drafts.place_ids[row])] or (None, ())
        region, code = drafts.tags["region"][row], drafts.tags["postcode"][row]
        written += region is not None and code is not None
        assert region in (None, name)
        assert code is None or (re.fullmatch(r"〒?\d{3}-\d{4}", code) and code.lstrip("〒").startswith(beginnings))
    assert written > 50


def test_japanese_towns_carry_the_word_for_what_they_are():
    drafts = foreign.script_drafts(40_000, np.random.default_rng(2))
    rows = (drafts.countries == "JP") & (drafts.locales == "ja-JP")
    kanji = [name for name in drafts.tags["locality"][rows] if "\u4e00" <= name[-1] <= "\u9fff"]

    assert sum(name[-1] in "市町村区" for name in kanji) > len(kanji) / 2
    assert any("郡" in name and name[-1] in "町村" for name in kanji)
    assert not any(re.search("区.+区$|.町.+市$", name) for name in kanji if "郡" not in name)


def test_an_american_town_in_another_script_may_stand_beside_its_latin_code():
    drafts = foreign.script_drafts(20_000, np.random.default_rng(2))
    codes = {row["code"] for row in rows_of("us_states.tsv")}
    towns = zip(drafts.countries, drafts.tags["locality"], drafts.tags["region"], drafts.tags["postcode"], strict=True)
    mixed = [
        town for country, town, region, code in towns
        if country == "US" and region in codes and code is not None and scripts.script_of(town)
    ]  # fmt: skip

    assert len(mixed) > 300


def test_even_draws_meet_small_areas_as_often_as_large_ones():
    homes = places.american_places()
    drawn = homes.draw(np.random.default_rng(0), 57_000, popular_share=0.0, even_share=1.0)
    met = Counter(homes.regions[drawn])

    assert len(met) == 56
    assert min(met.values()) > 850


def test_each_country_abroad_is_named_in_english_and_in_french_as_often():
    """Drawn row by row, one of hundreds of names was left with half of the rows of the others."""
    abroad = ["BH", "JM", "SG"]
    drafts = foreign.world_drafts(601, np.random.default_rng(3), abroad=abroad)

    named = Counter(drafts.tags["country"])

    assert {name: count // 10 for name, count in named.items()} == dict.fromkeys(
        ("Bahrain", "Bahreïn", "Jamaica", "Jamaïque", "Singapore", "Singapour"), 10
    )
