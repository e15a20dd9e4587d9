from __future__ import annotations

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mw_pipeline.corpus.places import place_keys, place_names
from mw_pipeline.corpus.splits import TEST, TRAIN, VALIDATION, place_fold, split_of
from mw_pipeline.errors import CorpusError
from mw_pipeline.records.text import canonical, code_points, hash64, normalised_text

SHARES = {"validation_share": 0.05, "test_share": 0.1}


def splits(base_ids: list[str], regions: list[str] | None = None, holdout: tuple[str, ...] = ()) -> list[str]:
    keys = pa.array(regions or [""] * len(base_ids))
    return split_of(pa.array(base_ids), keys, holdout_regions=holdout, **SHARES).to_pylist()


def test_families_fall_into_splits_by_their_shares():
    found = splits([f"family {number}" for number in range(20_000)])

    assert found.count("test") / 20_000 == pytest.approx(0.1, abs=0.01)
    assert found.count("validation") / 20_000 == pytest.approx(0.05, abs=0.01)


def test_a_family_has_one_split_wherever_it_stands():
    ids = [f"family {number}" for number in range(500)]
    shuffled = list(np.random.default_rng(0).permutation(ids))

    assert dict(zip(ids, splits(ids), strict=True)) == dict(zip(shuffled, splits(shuffled), strict=True))


def test_a_holdout_region_is_tested_on_whatever_its_case_and_accents():
    keys = ["FR:Île-de-France", "FR:ile-de-france", "FR:Bretagne", ""]

    found = splits(["a", "a", "a", "a"], keys, ("FR:île-de-france",))

    assert found[:2] == ["test", "test"]
    assert found[2] == found[3] == splits(["a"])[0]


TOWNS = [f"Town {number}" for number in range(20_000)]


def folds(towns: list[str | None], share: float = 0.02, country: str = "US") -> list[int]:
    return place_fold(pa.array([country] * len(towns)), pa.array(towns, pa.string()), share).tolist()


def held_out_towns(share: float = 0.02, country: str = "US") -> list[str]:
    return [town for town, fold in zip(TOWNS, folds(list(TOWNS), share, country), strict=True) if fold != TRAIN]


def test_a_share_of_places_is_held_out_half_for_validation_and_half_for_testing():
    found = folds(list(TOWNS), 0.1)

    assert found.count(VALIDATION) / 20_000 == pytest.approx(0.05, abs=0.006)
    assert found.count(TEST) / 20_000 == pytest.approx(0.05, abs=0.006)


def test_a_larger_share_holds_out_the_same_places_and_more():
    few, many = folds(list(TOWNS), 0.02), folds(list(TOWNS), 0.2)

    assert all(more == less for less, more in zip(few, many, strict=True) if less != TRAIN)
    assert sum(fold != TRAIN for fold in many) > 5 * sum(fold != TRAIN for fold in few)
    assert set(folds(list(TOWNS), 0.0)) == {TRAIN}


@pytest.mark.parametrize(
    "spellings",
    [
        ("Saint-Étienne", "SAINT ETIENNE", "St. Etienne", "st-étienne", "Saint-Étienne CEDEX 03"),
        ("Mount Vernon", "MT VERNON", "Mt. Vernon"),
        ("Sainte-Geneviève", "STE GENEVIEVE"),
        ("Marcq-en-Barœul", "MARCQ EN BAROEUL"),
        ("Marseille 13e Arrondissement", "marseille"),
        ("Lyon 3e", "LYON", "Lyon 1er"),
        ("South Hero", "S Hero", "S. HERO"),
        ("Coral Springs", "CORAL SPGS"),
        ("Rocky Mount", "Rocky Mt"),
    ],
)
def test_one_place_has_one_fold_however_it_is_spelt(spellings: tuple[str, ...]):
    assert len(set(place_names(pa.array(spellings)).to_pylist())) == 1
    assert len(set(folds(list(spellings), 0.5))) == 1


def test_a_place_whose_words_run_together_has_the_same_fold():
    assert len(set(folds(["Eau Claire", "EAUCLAIRE", "Eau-Claire"], 0.5))) == 1


def test_a_town_is_held_out_whatever_its_region_and_where_no_region_is_known():
    town = held_out_towns()[0]
    regions = ["US:vermont", "US:ohio", ""]

    found = split_of(
        pa.array(["a", "b", "c"]),
        pa.array(regions),
        place_folds=place_fold(pa.array(["US"] * 3), pa.array([town, town.upper(), town]), 0.02),
        **SHARES,
    ).to_pylist()

    assert len(set(found)) == 1
    assert found[0] in ("validation", "test")


def test_equal_names_in_two_countries_are_two_places():
    assert held_out_towns(country="US") != held_out_towns(country="FR")


@pytest.mark.parametrize(
    ("country", "names"),
    [
        ("US", ["New York", "WASHINGTON", "Delaware", "Wyoming", "Nevada", "APO", "Jersey"]),
        ("FR", ["PARIS", "La Réunion", "La Reunion", "saint-martin", "Vienne", "Mayotte", "Luxembourg"]),
    ],
)
def test_words_of_a_closed_class_are_never_held_out(country: str, names: list[str]):
    """M65: whatever the share, a town that is named like a state, département or country is taught."""
    assert set(folds([*names, None, "", "--"], 0.999999, country)) == {TRAIN}
    assert TRAIN not in folds(["Lyon", "Burlington", "Oakland", "Nantes"], 0.999999, country)


def test_a_place_says_its_country_and_region_and_nothing_where_there_is_no_town():
    keys = place_keys(
        pa.array(["US", "FR", "FR", "US"]),
        pa.array(["US:vermont", "FR:Île-de-France", "", "US:ohio"]),
        pa.array(["St. Albans", "Évry", "Nice", None], pa.string()),
    )

    assert keys.to_pylist() == ["US:vermont:saint albans", "FR:ile de france:evry", "FR::nice", ""]


def test_shares_that_leave_nothing_to_train_on_are_refused():
    with pytest.raises(CorpusError, match="leave nothing to train on"):
        split_of(pa.array(["a"]), pa.array([""]), validation_share=0.5, test_share=0.5)


def test_hashes_are_the_same_in_another_process():
    script = "from mw_pipeline.records.text import hash64; print(hash64(pa.array(['Paris', '😀'])).tolist())"
    code = f"import pyarrow as pa; {script}"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert other.strip() == str(hash64(pa.array(["Paris", "😀"])).tolist())


@given(st.lists(st.text(st.characters(exclude_categories=("Cs",)))), st.integers(0, 3))
def test_a_hash_depends_on_its_text_alone(texts: list[str], skip: int):
    column = pa.array(texts, pa.string())
    together = hash64(column)

    assert [hash64(pa.array([text]))[0] for text in texts] == together.tolist()
    assert hash64(column.slice(skip)).tolist() == together[skip:].tolist()
    assert len(set(together.tolist())) == len(set(texts))
    assert not len(texts) or (hash64(column, salt=1) != together).all()


def test_near_texts_have_different_hashes():
    texts = [f"{number} Main St\0" for number in range(50_000)] + ["", "\0", "\0\0", "a", "a\0"]

    assert len(np.unique(hash64(pa.array(texts)))) == len(texts)


def test_normalised_text_forgets_case_accents_and_punctuation_alone():
    texts = pa.array(["12, Rue  de l'ÉCOLE—Paris", "１２ rue de l ecole\nparis!", "東京ガ", "…", "หนึ่ง"])

    assert normalised_text(texts).to_pylist()[:2] == ["12 rue de l ecole paris"] * 2
    assert len(set(normalised_text(texts).to_pylist()[2:])) == 3


def test_tidy_values_have_single_spaces_and_a_letter_or_digit():
    texts = pa.array(["  Cafe\u0301 \u00a0 du\tNord ", "--", "", None, "7"])

    assert canonical(texts).to_pylist() == ["Café du Nord", None, None, None, "7"]


@given(st.lists(st.text(st.characters(exclude_categories=("Cs",)))))
def test_code_points_are_those_of_python(texts: list[str]):
    assert code_points(pa.array(texts, pa.string())).tolist() == [ord(letter) for letter in "".join(texts)]
