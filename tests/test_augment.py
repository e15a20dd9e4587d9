from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mw_pipeline.client.recasing import recased
from mw_pipeline.corpus.augment import DAMAGE, METHODS, augment
from mw_pipeline.corpus.compose import Draft, native_draft
from mw_pipeline.corpus.conventions import LINE_TAGS, Way, country_names, region_swaps
from mw_pipeline.corpus.conventions import separators as separator_tables
from mw_pipeline.corpus.lines import write_lines
from mw_pipeline.corpus.recasing import recased_rows
from mw_pipeline.corpus.spans import unsound_rows
from mw_pipeline.corpus.spellings import title_case
from mw_pipeline.corpus.swaps import swap_saints, swap_whole, swap_words
from mw_pipeline.countries import COUNTRY_CODES, KNOWN_COUNTRIES, country
from mw_pipeline.recipe import Augmentations, load_corpus_spec

AMERICAN = {
    "venue": "Grey Café",
    "house_number": "12",
    "street": "North Main Street",
    "locality": "Fort Collins",
    "region": "CO",
    "postcode": "80521",
}
FRENCH = {
    "house_number": "3",
    "street": "avenue de Saint-Ouen",
    "postcode": "75018",
    "locality": "Paris",
    "region": "Île-de-France",
}


def draft_of(country: str, record: dict[str, str], rows: int = 400) -> Draft:
    columns = {tag: pa.array([record.get(tag)] * rows, pa.string()) for tag in LINE_TAGS}
    return native_draft(country, columns, np.random.default_rng(1))


def variants(method: str, country: str, record: dict[str, str], rows: int = 400) -> list[str]:
    """The texts of all rows after one method alone, each row asked."""
    asked = np.ones(rows, np.bool_)
    draft, applied = METHODS[method](draft_of(country, record, rows), asked, np.random.default_rng(2))
    lines = write_lines(draft)
    texts = lines.raw.to_pylist()
    plain = write_lines(draft_of(country, record, 1)).raw[0].as_py()
    assert applied.tolist() == [text != plain for text in texts]
    assert not unsound_rows(lines.raw, lines.components(), lines.tags, lines.starts, lines.ends).any()
    return texts


def test_what_a_method_was_asked_and_could_not_do_counts_as_failed():
    record = {"locality": "Reno", "postcode": "89501"}
    draft = draft_of("US", record, 1_000)

    _, names, tallies = augment(draft, {"zip4": 0.5, "direction": 0.5}, np.random.default_rng(0))

    assert tallies["zip4"].applied == tallies["zip4"].asked == names.to_pylist().count("zip4")
    assert tallies["direction"].applied == 0 and tallies["direction"].failed == tallies["direction"].asked > 400


def test_a_dose_of_nothing_changes_nothing():
    draft = draft_of("US", AMERICAN, rows=3)

    after, names, tallies = augment(draft, dict.fromkeys(METHODS, 0.0), np.random.default_rng(0))

    assert write_lines(after).raw.to_pylist() == write_lines(draft).raw.to_pylist()
    assert names.to_pylist() == [None, None, None]
    assert tallies == {}


def test_the_page_of_augmentations_and_the_corpus_spec_list_every_method_in_order(project: Path):
    page = (project / "docs" / "augmentations.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \|.*\|([^|]*)\|$", page, re.M)

    assert [name for name, _ in rows] == list(METHODS)
    assert list(Augmentations.model_fields) == [*METHODS, "other_script"]
    sections = country("default")
    assert all(name in sections for _, cell in rows for name in re.findall(r"`\[([a-z_]+)", cell))


def test_no_corpus_of_the_project_asks_for_damage(project: Path):
    specs = [load_corpus_spec(path) for path in sorted((project / "corpora").glob("*.toml"))]

    assert specs and all(getattr(spec.augmentations, name) == 0 for spec in specs for name in DAMAGE)


def test_a_dose_is_the_share_of_rows_that_are_asked():
    _, _, tallies = augment(draft_of("US", AMERICAN, 20_000), {"case": 0.25}, np.random.default_rng(0))

    assert tallies["case"].asked / 20_000 == pytest.approx(0.25, abs=0.01)


def test_names_of_several_methods_are_joined():
    _, names, _ = augment(draft_of("US", AMERICAN, 50), {"zip4": 1.0, "order": 1.0}, np.random.default_rng(0))

    assert set(names.to_pylist()) <= {"zip4+order", "zip4"}


@pytest.mark.parametrize("country", ["US", "FR", "JP"])
def test_all_methods_together_keep_every_span(country: str):
    record = AMERICAN | {"country": "Country", "unit": "Apt ß", "dependent_locality": "Ǆ 東 😀", "cedex": "Cedex 2"}
    draft, _, _ = augment(draft_of(country, record, 2_000), dict.fromkeys(METHODS, 0.5), np.random.default_rng(0))

    lines = write_lines(draft)

    assert not unsound_rows(lines.raw, lines.components(), lines.tags, lines.starts, lines.ends).any()


def test_the_same_generator_gives_the_same_rows():
    texts = [
        write_lines(augment(draft_of("US", AMERICAN), dict.fromkeys(METHODS, 0.5), np.random.default_rng(seed))[0]).raw
        for seed in (5, 5, 6)
    ]

    assert texts[0].equals(texts[1])
    assert not texts[0].equals(texts[2])


def test_a_row_of_one_component_cannot_be_cut_down_and_counts_as_failed():
    _, names, tallies = augment(draft_of("US", {"street": "Main St"}, 5), {"partial": 1.0}, np.random.default_rng(0))

    assert (tallies["partial"].applied, tallies["partial"].failed) == (0, 5)
    assert names.null_count == 5


def test_a_country_is_written_in_one_of_its_names():
    texts = variants("country_name", "US", AMERICAN)

    plain = "Grey Café, 12 North Main Street, Fort Collins, CO 80521"
    names = country_names("US")
    assert names is not None
    assert {text.removeprefix(f"{plain}, ") for text in texts} == set(names.texts.to_pylist())


def test_a_street_alone_gets_no_country():
    assert set(variants("country_name", "US", {"street": "Main St"})) == {"Main St"}


@pytest.mark.parametrize("code", sorted(COUNTRY_CODES))
def test_every_country_has_names(code: str):
    names = country_names(code)

    assert names is not None and code in names.texts.to_pylist()


def test_a_country_without_a_file_is_written_as_cldr_has_it():
    dutch, japanese = country_names("NL"), country_names("JP")

    assert dutch is not None and {"Nederland", "Netherlands", "Pays-Bas", "NL"} <= set(dutch.texts.to_pylist())
    assert japanese is not None and set(japanese.texts.to_pylist()) == {"Japan", "Japon", "JP"}
    assert country_names("QQ") is None


def test_zip4_adds_four_digits_to_an_american_zip_only():
    texts = variants("zip4", "US", AMERICAN)

    tails = {text.removeprefix("Grey Café, 12 North Main Street, Fort Collins, CO 80521") for text in texts}
    assert all(tail[-4:].isdigit() for tail in tails)
    assert {tail[:-4] for tail in tails} == {"-", " ", "", " - ", "–"}
    assert len(set(variants("zip4", "FR", FRENCH))) == 1
    assert len(set(variants("zip4", "US", AMERICAN | {"postcode": "80521-0001"}))) == 1


def test_words_are_abbreviated_or_expanded_each_by_its_own_method():
    short = set(variants("abbreviation", "US", AMERICAN | {"region": "Colorado"}))
    full = set(variants("expansion", "US", {"street": "N Main St", "region": "CO"}))

    assert "Grey Café, 12 N Main St, Ft. Collins, CO 80521" in short
    assert "Grey Café, 12 North Main Street, Fort Collins, Colo. 80521" in short
    assert full == {"N Main St, CO", "North Main Street, CO", "N Main St, Colorado", "North Main Street, Colorado"}
    assert set(variants("abbreviation", "US", {"street": "N Main St", "region": "CO"})) == {"N Main St, CO"}
    assert set(variants("expansion", "US", {"street": "North Main Street"})) == {"North Main Street"}


def test_units_are_abbreviated_and_expanded():
    assert "Apartment 4, Reno" in set(variants("expansion", "US", {"unit": "Apt 4", "locality": "Reno"}))
    assert "Bât. A, Lyon" in set(variants("abbreviation", "FR", {"unit": "Bâtiment A", "locality": "Lyon"}))


def test_french_types_and_saints_keep_their_hyphens_and_case():
    texts = set(variants("abbreviation", "FR", FRENCH))

    assert "3 av. de St-Ouen, 75018 Paris, IDF" in texts
    assert all(text.startswith("3 av") for text in texts)


def test_french_titles_and_departements_have_short_forms():
    texts = set(variants("abbreviation", "FR", {"street": "rue du Général Foch", "region": "Haut-Rhin"}))

    assert {"rue du Gal Foch, Ht-Rhin", "rue du Gén. Foch, Haut-Rhin"} <= texts


def swapped(way: Way, country: str, tag: str, *texts: str) -> list[str]:
    return swap_words(pa.array(texts, pa.string()), country, tag, way, np.random.default_rng(0)).to_pylist()


def test_a_word_is_a_street_type_only_where_it_can_be_one():
    streets = swapped(
        "shorter", "US", "street", "Court Street", "Lake Shore Drive", "Terrace", "Avenue of the Americas"
    )

    assert streets[0] in ("Court St", "Court St.", "Court Str")
    assert streets[1] in ("Lake Shore Dr", "Lake Shore Dr.")
    assert streets[2:] == ["Terrace", "Avenue of the Americas"]


def test_a_direction_needs_a_name_beside_it():
    assert swapped("fuller", "US", "street", "North Ave", "NW Oak Ln") == ["North Avenue", "Northwest Oak Lane"]
    assert swapped("shorter", "US", "street", "North Avenue")[0] in ("North Ave", "North Ave.", "North Av")


def test_a_type_is_known_before_a_closing_direction():
    assert swapped("fuller", "US", "street", "Pennsylvania Ave NW") == ["Pennsylvania Avenue Northwest"]


def test_swapped_words_take_the_case_of_their_text():
    assert swapped("fuller", "US", "street", "NW OAK LN", "nw oak ln") == ["NORTHWEST OAK LANE", "northwest oak lane"]
    assert swapped("fuller", "FR", "street", "Bd Foch", "bd Foch") == ["Boulevard Foch", "boulevard Foch"]


def test_texts_without_known_words_and_empty_columns_pass_through():
    assert swapped("shorter", "FR", "street", "rue Cler") == ["rue Cler"]
    assert swapped("fuller", "JP", "street", "Main St") == ["Main St"]
    assert swapped("fuller", "US", "street") == []


@pytest.mark.parametrize("code", KNOWN_COUNTRIES)
def test_no_short_word_stands_for_itself(code: str):
    words = country(code)["words"]
    tables = [table for places in words.values() if isinstance(places, dict) for table in places.values()]
    for full, shorts in [pair for table in (*tables, country(code)["areas"]["short"]) for pair in table.items()]:
        forms = {full.lower(), *(short.lower() for short in shorts)}
        assert len(forms) == 1 + len({short.lower() for short in shorts}), full


def test_a_region_is_swapped_as_a_whole():
    table = region_swaps("US", "fuller")
    assert table is not None and region_swaps("DE", "fuller") is None

    capitals = np.array([False, True, False])
    texts = swap_whole(pa.array(["VT", "NV", "new york city"]), table, capitals, np.random.default_rng(0))

    assert texts.to_pylist() == ["Vermont", "NEVADA", "new york city"]


def test_a_region_takes_the_capitals_of_its_row():
    assert "RENO, NEVADA" in set(variants("expansion", "US", {"locality": "RENO", "region": "NV"}))
    assert "Reno, Nevada" in set(variants("expansion", "US", {"locality": "Reno", "region": "NV"}))
    assert "Nevada, US" in set(variants("expansion", "US", {"region": "NV", "country": "US"}))


def test_saints_are_shortened_or_written_out():
    texts = pa.array(["rue Sainte-Anne", "ST DENIS", "st. Malo", "Toussaint", "Stains", "rue Benoîst Malo"])

    short, full = (swap_saints(texts, way).to_pylist() for way in ("shorter", "fuller"))
    assert short == ["rue Ste-Anne", "ST DENIS", "st. Malo", "Toussaint", "Stains", "rue Benoîst Malo"]
    assert full == ["rue Sainte-Anne", "SAINT DENIS", "saint Malo", "Toussaint", "Stains", "rue Benoîst Malo"]


def test_accents_go_from_latin_letters_only():
    record = {"venue": "Œuvre 東京ガ が", "street": "rue de l'Été", "locality": "Йошкар-Ола", "region": "Île"}

    draft, _ = METHODS["accents"](draft_of("FR", record, 1), np.ones(1, np.bool_), np.random.default_rng(0))

    assert {tag: texts[0].as_py() for tag, texts in draft.values.items()} == {
        "venue": "Oeuvre 東京ガ が",
        "street": "rue de l'Ete",
        "locality": "Йошкар-Ола",
        "region": "Ile",
    }


def test_a_row_in_another_script_keeps_its_country():
    record = {"locality": "Бостон", "country": "США"}

    assert set(variants("country_name", "US", record)) == {"Бостон, США"}


def test_case_changes_before_lengths_are_taken():
    texts = set(variants("case", "FR", FRENCH | {"street": "Straße ŉ"}))

    assert "3 straße ŉ, 75018 paris, île-de-france" in texts
    assert "3 Straße ŉ, 75018 PARIS, Île-de-France" in texts


def test_title_case_knows_ordinals_directions_and_possessives():
    texts = pa.array(["NW 5TH ST", "o'hare's BAR", "RUE DE L'ÉCOLE", "OR", "OHIO"])

    assert title_case(texts).to_pylist() == ["NW 5th St", "O'Hare's Bar", "Rue De L'École", "OR", "Ohio"]


def test_title_case_knows_french_ordinals_and_where_a_word_with_accents_ends():
    texts = pa.array(["1er arrondissement", "2e RUE", "COUNTY ROAD 5E", "1ÈRE AVENUE", "seč", "neïla"])

    titled = ["1er Arrondissement", "2e Rue", "County Road 5E", "1ère Avenue", "Seč", "Neïla"]
    assert title_case(texts).to_pylist() == titled


def test_orders_differ_and_hold_the_same_components():
    texts = variants("order", "US", AMERICAN)

    assert len(set(texts)) > 20
    letters = {"".join(sorted(text.replace(", ", "").replace(" ", ""))) for text in texts}
    assert len(letters) == 1
    assert any(text.startswith("80521, ") for text in texts)
    assert any(text.startswith("Fort Collins") for text in texts)


def test_a_cedex_never_leaves_its_city():
    texts = variants(
        "order", "FR", {"street": "rue Cler", "postcode": "75343", "locality": "Paris", "cedex": "CEDEX 07"}
    )

    assert all("Paris CEDEX 07" in text for text in texts)
    assert any("Paris CEDEX 07 75343" in text for text in texts)


def test_a_row_in_capitals_is_also_written_in_title_case():
    record = {"venue": "GREY'S CAFE", "house_number": "12B", "street": "5TH AVE NW", "locality": "RENO", "region": "NV"}
    texts = variants("case", "US", record)

    assert texts.count("Grey's Cafe, 12B 5th Ave NW, Reno, NV") > 200
    assert texts.count("grey's cafe, 12b 5th ave nw, reno, nv") > 80


def test_one_component_has_no_other_order():
    _, _, tallies = augment(draft_of("US", {"locality": "Reno"}, 10), {"order": 1.0}, np.random.default_rng(0))

    assert tallies["order"].failed == 10


def test_separators_come_from_the_table():
    texts = set(variants("separators", "US", {"locality": "Reno", "country": "USA"}))

    assert {"Reno\nUSA", "Reno USA", "Reno,USA", "Reno - USA", "Reno; USA"} <= texts
    assert texts <= {f"Reno{text}USA" for text in separator_tables()[0].texts.to_pylist()}
    assert not {"RenoUSA", "Reno，USA"} & texts


AMERICAN_CROSSING = {
    "intersection_a": "Main St", "intersection_b": "5th Ave", "locality": "St. Paul", "region": "MN", "country": "usa",
}  # fmt: skip


@pytest.mark.parametrize("record", [AMERICAN | {"venue": "Grey's Cafe of Reno"}, AMERICAN_CROSSING])
def test_rows_in_the_case_of_the_client_are_what_it_makes_of_the_text_in_capitals(record: dict[str, str]):
    doses = {"client_case": 1.0, "separators": 0.8, "run_on": 0.5, "case": 0.5, "order": 0.5, "corner": 0.5}
    without = augment(draft_of("US", record), {**doses, "client_case": 0.0}, np.random.default_rng(4))[0]
    plain = write_lines(without).raw.to_pylist()
    draft, names, tallies = augment(draft_of("US", record), doses, np.random.default_rng(4))
    lines = write_lines(draft)

    marked = np.array(["client_case" in (name or "") for name in names.to_pylist()])
    for text, before, applied in zip(lines.raw.to_pylist(), plain, marked, strict=True):
        assert text == (recased(before.upper()) if applied else before)
        assert applied == (before.isascii() and recased(before.upper()) != before)
    assert tallies["client_case"].applied == marked.sum() > 300
    assert (tallies["client_case"].failed > 0) == any(not text.isascii() for text in plain)
    assert not unsound_rows(lines.raw, lines.components(), lines.tags, lines.starts, lines.ends).any()


def test_a_row_with_accents_is_not_recased_for_the_client_leaves_it_alone():
    assert set(variants("client_case", "FR", FRENCH)) == {"3 avenue de Saint-Ouen, 75018 Paris, Île-de-France"}
    assert set(variants("client_case", "FR", FRENCH | {"region": ""})) == {"3 Avenue DE Saint-Ouen, 75018 Paris"}


def test_letters_of_two_parts_that_nothing_separates_are_one_run():
    parts = pa.array(["", "12", "", "b", "", "is", " ", "ab", "", "XY", "", ""])

    written = recased_rows(parts, np.array([8, 4]), np.array([True, True]))

    assert written.to_pylist() == ["", "12", "", "B", "", "is", " ", "AB", "", "XY", "", ""]
    assert recased_rows(parts, np.array([8, 4]), np.array([False, True])).to_pylist() == parts.to_pylist()
    assert recased_rows(parts, np.zeros(0, np.int64), np.zeros(0, np.bool_)).to_pylist() == parts.to_pylist()


@given(st.lists(st.text(st.characters(max_codepoint=126)), max_size=6))
def test_whole_columns_are_recased_as_one_text_is(texts: list[str]):
    column = pa.array(texts, pa.string())
    rows = np.ones(len(texts), np.bool_)

    written = recased_rows(column, rows.astype(np.int64), rows)

    assert written.to_pylist() == [recased(text.upper()) for text in texts]
