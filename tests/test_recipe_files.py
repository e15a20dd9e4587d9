"""The recipes and corpus specs of this project: each loads, names what is there, and changes what it says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mw_pipeline.campaign.folder import read_campaign
from mw_pipeline.errors import RecipeError
from mw_pipeline.recipe import load_corpus_spec, load_recipe, logging_problem
from mw_pipeline.schedule import lr_share, near_peak_end
from mw_pipeline.sources.registry import ADAPTERS

ROOT = Path(__file__).resolve().parent.parent
RECIPES = sorted(path for folder in ("recipes", "campaigns") for path in (ROOT / folder).rglob("*.toml"))
DECAYED = ROOT / "campaigns" / "v0_4_0" / "hot-decayed-smoke.toml"
FULL_SIZE = ROOT / "campaigns" / "v0_4_0_full_size"
CORPORA = sorted((ROOT / "corpora").rglob("*.toml"))
LEFT_OUT = ROOT / "campaigns" / "leave_one_region_out"


def names(paths: list[Path]) -> list[str]:
    return [path.relative_to(ROOT).as_posix() for path in paths]


def changes(name: str) -> set[str]:
    """The tables and keys that a campaign recipe changes against its base, class weights as one."""
    keys = load_recipe(FULL_SIZE / f"{name}.toml").changes
    return {"loss.class_weights" if key.startswith("loss.class_weights") else key for key in keys}


@pytest.mark.parametrize("path", RECIPES, ids=names(RECIPES))
def test_every_recipe_loads_and_weighs_sources_that_its_corpus_has(path: Path) -> None:
    recipe = load_recipe(path)
    spec = load_corpus_spec(ROOT / "corpora" / f"{recipe.corpus}.toml")

    assert set(recipe.mix.weights) == set(spec.sources)


@pytest.mark.parametrize("path", CORPORA, ids=names(CORPORA))
def test_every_corpus_spec_loads_and_allows_the_licences_of_its_sources(path: Path) -> None:
    spec = load_corpus_spec(path)

    for source, settings in spec.sources.items():
        adapter = ADAPTERS.get(settings.adapter)
        licence = settings.licence or (adapter.licence if adapter else None)
        assert licence is None or licence in spec.licences_allowed, source


def variant(folder: Path, text: str, *, base: Path = ROOT / "recipes" / "demo.toml") -> Path:
    path = folder / "variant.toml"
    path.write_text(f'base = "{os.path.relpath(base, folder)}"\n{text}')
    return path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[train]\nlog_every = 500", r"variant\.toml: train\.log_every is 500: .* would log 3 losses .* Lower it"),
        (
            "[train]\nlog_every = 21\n[smoke]\nsteps = 1200\neval_every = 200",
            r"train\.log_every is 21: .* would log 49 losses near the peak rate, expected 50",
        ),
        ("[smoke]\nsteps = 240", r"smoke\.steps is 240, which leaves 40 near the peak rate .* expected 50"),
        ("[smoke]\nsteps = 200", r"smoke\.steps is 200, which leaves 0 near the peak rate"),
        ("[smoke]\neval_every = 300", r"smoke\.eval_every is 300: .* evaluated 4 times near the peak rate, expected 5"),
        ('[smoke]\nmode = "long-tail"\nsteps = 10_000\neval_every = 2000', r"smoke\.eval_every is 2000: .* 2 times"),
        ('[smoke]\nmode = "cosine"\nsteps = 9000\neval_every = 2000', r"smoke\.eval_every is 2000: .* 2 times"),
    ],
)
def test_a_recipe_whose_smoke_logs_too_little_for_a_verdict_is_refused_when_it_is_read(
    tmp_path: Path, text: str, message: str
) -> None:
    # M69
    with pytest.raises(RecipeError, match=message):
        load_recipe(variant(tmp_path, text))


@pytest.mark.parametrize(
    "text",
    [
        "[train]\nlog_every = 13",
        "[smoke]\neval_every = 200",
        "[train]\nlog_every = 1\n[smoke]\nsteps = 260\neval_every = 13",
        '[smoke]\nmode = "long-tail"\nsteps = 10_000\neval_every = 500',
        '[smoke]\nmode = "cosine"\nsteps = 400\neval_every = 50',
    ],
)
def test_a_recipe_whose_smoke_logs_enough_is_read_as_is_one_whose_smoke_has_decayed(tmp_path: Path, text: str) -> None:
    assert load_recipe(variant(tmp_path, text)).smoke.steps > 0


@given(
    st.integers(0, 300),
    st.integers(1, 60),
    st.integers(1, 400),
    st.integers(5, 900),
    st.sampled_from(["constant", "cosine"]),
)
def test_what_a_smoke_will_log_is_what_a_count_step_by_step_gives(
    warmup: int, log_every: int, eval_every: int, steps: int, mode: str
) -> None:
    demo = load_recipe(ROOT / "recipes" / "demo.toml")
    train = demo.train.model_copy(update={"warmup_steps": warmup, "log_every": log_every})
    smoke = demo.smoke.model_copy(update={"steps": steps, "eval_every": eval_every, "mode": mode})
    recipe = demo.model_copy(update={"train": train, "smoke": smoke})
    course = {"schedule": "constant" if mode == "constant" else "cosine", "warmup_steps": warmup, "steps": steps}
    near = [step for step in range(warmup, steps) if lr_share(step, **course) >= 0.6]
    seen = [*near, near[-1] + 1] if near else []  # what is logged there has seen all of them
    losses = sum(step % log_every == 0 or step == steps for step in seen if step > 0)
    evals = sum(step % eval_every == 0 or step == steps for step in seen if step > 0)
    whole = {**train.model_dump(include={"schedule", "steps", "cooldown_from"}), "warmup_steps": warmup}
    needed = min(2000, sum(lr_share(step, **whole) >= 0.6 for step in range(warmup, train.steps)) / 2)

    enough = len(near) >= 50 and losses >= 50 and evals >= 5
    assert (logging_problem(recipe) is None) is (enough or (mode == "cosine" and len(near) < needed))


SUSTAINED = [path for path in RECIPES if path != DECAYED]


@pytest.mark.parametrize("path", SUSTAINED, ids=names(SUSTAINED))
def test_every_smoke_is_long_enough_at_the_rate_of_its_full_run(path: Path) -> None:
    """The rule of peak exposure, counted step by step."""
    recipe = load_recipe(path)
    train, smoke = recipe.train, recipe.smoke
    course = train.model_dump(include={"schedule", "warmup_steps", "steps", "cooldown_from"})
    shares = [lr_share(step, **course) for step in range(train.warmup_steps, train.steps)]
    at_peak = smoke.steps - train.warmup_steps

    assert smoke.mode == "constant"
    assert at_peak >= min(2000, sum(share >= 0.6 for share in shares) / 2)
    assert sum(step % smoke.eval_every == 0 for step in range(train.warmup_steps + 1, smoke.steps + 1)) >= 5


def test_the_decayed_smoke_of_the_small_campaign_cannot_see_what_its_full_run_meets() -> None:
    decayed, sustained = load_recipe(DECAYED), load_recipe(DECAYED.with_name("hot.toml"))
    warmup, steps = decayed.train.warmup_steps, decayed.smoke.steps
    at_peak = near_peak_end(schedule=decayed.smoke.mode, warmup_steps=warmup, steps=steps) - warmup

    assert decayed.train == sustained.train
    assert at_peak < (sustained.smoke.steps - warmup) / 8


def test_the_small_campaign_changes_one_thing_a_recipe_but_for_the_one_that_changes_all() -> None:
    campaign = read_campaign(DECAYED.parent)

    assert campaign.base_path == DECAYED.with_name("base.toml")
    assert {member.name: sorted(member.changes) for member in campaign.members} == {
        "all-at-once": ["loss.class_weights", "loss.crf_reduction", "train.peak_lr"],
        "base": [],
        "class-weights": ["loss.class_weights"],
        "crf-per-token": ["loss.crf_reduction"],
        "hot": ["train.peak_lr"],
        "hot-decayed-smoke": ["train.peak_lr"],
    }


def test_the_campaign_changes_one_thing_at_a_time() -> None:
    assert changes("source-only") == set()
    assert changes("crf-only") == {"loss.crf_reduction"}
    assert changes("cw-only") == {"loss.class_weights"}
    assert changes("ablate-crf") == {"loss.crf_reduction"}
    assert changes("ablate-cw") == {"loss.class_weights"}
    assert changes("full") == {"loss.crf_reduction", "loss.class_weights", "train.peak_lr"}


def test_no_two_recipes_are_the_same_run() -> None:
    digests = [load_recipe(path).digest for path in RECIPES]

    assert len(set(digests)) == len(digests)


def test_the_nad_share_of_the_reference_mix_is_as_published() -> None:
    weights = load_recipe(FULL_SIZE / "source-only.toml").mix.weights

    assert round(100 * weights["usgov-nad"] / sum(weights.values()), 2) == 4.26


def test_no_recipe_that_is_shipped_stands_on_a_corpus_without_the_names_of_a_region():
    """M65: holding a region out is an experiment; towns are held out instead."""
    specs = {path: load_corpus_spec(path) for path in CORPORA}
    experiments = {path for path, spec in specs.items() if spec.holdout_regions}

    assert {path.parent.name for path in experiments} == {"leave_one_region_out"}
    assert [specs[ROOT / "corpora" / f"{name}.toml"].holdout_places_share for name in ("builtin", "us-fr")] == [
        0.02
    ] * 2


def test_the_campaign_of_left_out_regions_changes_nothing_but_the_corpus_and_leaves_one_out_in_each():
    campaign = read_campaign(LEFT_OUT)

    left_out = {
        member.name: load_corpus_spec(ROOT / "corpora" / f"{member.recipe.corpus}.toml").holdout_regions
        for member in campaign.members
    }
    assert left_out == {
        "bretagne": ("FR:bretagne",),
        "corse": ("FR:corse",),
        "north-dakota": ("US:north dakota",),
        "vermont": ("US:vermont",),
    }
    assert [set(member.changes) for member in campaign.members] == [{"corpus"}] * 4
    of_base = load_corpus_spec(ROOT / "corpora" / f"{campaign.base.corpus}.toml").model_dump()
    for member in campaign.members:
        spec = load_corpus_spec(ROOT / "corpora" / f"{member.recipe.corpus}.toml").model_dump()
        assert {key for key in spec if spec[key] != of_base[key]} <= {"name", "holdout_regions"}
