"""From wanted doses to weights: what is wished is what the sampler gives, and wishes that contradict are named."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mw_pipeline.errors import RecipeError
from mw_pipeline.mix.doses import as_toml, weights_for
from mw_pipeline.mix.plan import plan_mix
from mw_pipeline.recipe import MixConfig, MixWishes, Wish, load_mix_wishes

NOW = MixConfig(weights={"a": 1.0, "b": 3.0, "c": 1.0})
ROWS = {"a": 1000, "b": 2000, "c": 6000}


def wishes(rest: str = "rows", **wanted: Wish) -> MixWishes:
    return MixWishes.model_validate({"rest": rest, "sources": wanted})


def planned(wanted: MixWishes, *, mix: MixConfig = NOW, samples: int = 10_000) -> dict[str, float]:
    return weights_for(ROWS, wanted, mix, samples=samples)


@given(
    rows=st.lists(st.integers(1, 10**6), min_size=2, max_size=8),
    portions=st.lists(st.floats(0.02, 1.0), min_size=8, max_size=8),
    by_share=st.lists(st.booleans(), min_size=8, max_size=8),
    unwished=st.integers(1, 7),
    samples=st.integers(20_000, 10**6),
)
@settings(max_examples=40, deadline=None)
def test_planned_weights_give_the_wanted_doses(
    rows: list[int], portions: list[float], by_share: list[bool], unwished: int, samples: int
) -> None:
    names = [f"s{index}" for index in range(len(rows))]
    shares = {name: portion / sum(portions[: len(rows)]) for name, portion in zip(names, portions, strict=False)}
    corpus = dict(zip(names, rows, strict=True))
    wanted = {
        name: Wish(share=shares[name]) if share else Wish(repetitions=shares[name] * samples / corpus[name])
        for name, share in zip(names[: max(1, len(rows) - unwished)], by_share, strict=False)
    }
    mix = MixConfig(weights=weights_for(corpus, MixWishes(sources=wanted), NOW, samples=samples))
    found = {source.name: source for source in plan_mix(corpus, mix, samples=samples, seed=1).sources}

    for name, wish in wanted.items():
        if wish.share is not None:
            assert found[name].requested_share == pytest.approx(wish.share, rel=0.01)
        else:
            assert found[name].repetitions == pytest.approx(wish.repetitions, rel=0.01)
        assert found[name].realised_share == pytest.approx(shares[name], rel=0.01, abs=2 / samples)
    rest = [source.repetitions for name, source in found.items() if name not in wanted]
    assert rest == pytest.approx([rest[0]] * len(rest), rel=0.01)


def test_a_share_and_repetitions_are_taken_and_the_rest_goes_by_rows() -> None:
    # 30 % for a; 2 × 2000 of 10,000 samples are 40 % for b; c has what is left.
    assert planned(wishes(a=Wish(share=0.3), b=Wish(repetitions=2.0))) == {"a": 30.0, "b": 40.0, "c": 30.0}
    assert planned(wishes(a=Wish(share=0.2))) == {"a": 20.0, "b": 20.0, "c": 60.0}


def test_the_rest_can_go_by_the_weights_that_the_recipe_has() -> None:
    assert planned(wishes("weights", a=Wish(share=0.2))) == {"a": 20.0, "b": 60.0, "c": 20.0}


def test_a_source_with_share_0_is_left_out() -> None:
    assert planned(wishes(a=Wish(share=0.0), b=Wish(share=0.5))) == {"a": 0.0, "b": 50.0, "c": 50.0}


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (wishes(a=Wish(share=0.7), b=Wish(share=0.5)), r"add up to 120\.00%: a 70\.00%, b 50\.00%; that is more than"),
        (wishes(a=Wish(repetitions=11.0)), r"a\.repetitions 11 × 1,000 rows are 11,000 samples, and the run draws 10,"),
        (wishes(a=Wish(share=0.5), b=Wish(share=0.2), c=Wish(share=0.1)), r"80\.00%: .* no other source could take"),
        (wishes(a=Wish(share=0.5), b=Wish(share=0.5)), "take every sample and leave none to c"),
        (wishes(ghost=Wish(share=0.5)), "ghost is not a source of the corpus: it has a, b, c"),
    ],
)
def test_wishes_that_contradict_are_refused_by_name(wanted: MixWishes, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        planned(wanted)


def test_all_bad_wishes_are_named_at_once() -> None:
    with pytest.raises(RecipeError, match=r"ghost is not a source .*; sources\.b\.repetitions 9"):
        planned(wishes(ghost=Wish(share=0.1), b=Wish(repetitions=9.0)))


def test_a_source_without_rows_can_be_wished_away_and_nothing_else() -> None:
    rows = {"a": 10, "empty": 0}
    assert weights_for(rows, wishes(empty=Wish(share=0.0)), NOW, samples=100) == {"a": 100.0, "empty": 0.0}

    with pytest.raises(RecipeError, match=r"sources\.empty has no training rows to give"):
        weights_for(rows, wishes(empty=Wish(share=0.1)), NOW, samples=100)


def test_a_wish_above_the_cap_of_the_recipe_is_refused() -> None:
    capped = NOW.model_copy(update={"max_repetitions": 2.5})

    with pytest.raises(RecipeError, match=r"max_repetitions is 2\.5, .* more repetitions: a 3\.00"):
        planned(wishes(a=Wish(share=0.3), b=Wish(share=0.3)), mix=capped)
    assert planned(wishes(a=Wish(repetitions=2.5)), mix=capped)["a"] == 25.0


def test_sources_that_the_recipe_weighs_with_0_cannot_share_by_weights() -> None:
    silent = MixConfig(weights={"a": 1.0, "b": 0.0, "c": 0.0})

    with pytest.raises(RecipeError, match="rest = 'weights', but the recipe weighs b, c with 0"):
        planned(wishes("weights", a=Wish(share=0.2)), mix=silent)


def test_the_table_reads_back_as_toml_whatever_the_names() -> None:
    weights = {"ban": 30.0, "wof-admin": 0.000125, 'od"d name': 70.0}

    assert tomllib.loads(as_toml(weights)) == {"mix": {"weights": weights}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[sources.a]\nshare = 0.2\nrepetitions = 1.0\n",
            r"sources\.a: has both of share and repetitions, expected one",
        ),
        ("[sources.a]\nshar = 0.2\n", r"sources\.a\.shar is not a key; the nearest known key is 'share'"),
        ("[sources.a]\nshare = 1.2\n", r"sources\.a\.share is 1\.2: expected a number less than or equal to 1"),
        ("rest = 'nothing'\n[sources.a]\nshare = 0.2\n", r"rest is 'nothing': expected 'rows' or 'weights'"),
        ("", "sources is missing"),
    ],
)
def test_a_wrong_file_of_wishes_is_refused_with_its_key(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "wanted.toml").write_text(text)

    with pytest.raises(RecipeError, match=message):
        load_mix_wishes(tmp_path / "wanted.toml")


def test_a_file_of_wishes_is_read(tmp_path: Path) -> None:
    (tmp_path / "wanted.toml").write_text("rest = 'weights'\n[sources.a]\nrepetitions = 2.0\n")

    assert load_mix_wishes(tmp_path / "wanted.toml") == wishes("weights", a=Wish(repetitions=2.0))
