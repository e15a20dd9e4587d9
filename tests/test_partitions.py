"""The partitions of a project whose config files are broken, hidden or oddly named: each costs only itself (M75)."""

from __future__ import annotations

import random
import re
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
from graph_runs import ROOT, environment
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_project import CORPUS, RECIPE, change, place_at, write_project

from mw_pipeline.campaign.folder import read_campaign
from mw_pipeline.errors import MwError, RecipeError
from mw_pipeline.recipe import load_corpus_spec, load_recipe
from mw_pipeline.stages.line import STAGES
from mw_pipeline.stages.partitions import Partitions, partitions_of
from mw_pipeline.stages.place import Place

BROKEN = {
    "cut short": 'corpus = "buil',
    "empty": "",
    "a misspelt key": RECIPE.replace("layers = 1", "layrs = 1"),
    "a base that is not there": 'base = "nowhere.toml"\n',
    "no UTF-8": "corpus = '\udce9'",
}


@pytest.fixture
def sound(tmp_path: Path, project: Path) -> Place:
    return place_at(write_project(tmp_path / "project", golden=project / "golden"))


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode("utf-8", "surrogateescape"))


def test_a_sound_project_has_its_partitions_and_no_problems(sound: Place) -> None:
    known = partitions_of(sound)

    assert (known.sources, known.corpus_of, known.campaigns) == ({"builtin": ("builtin",)}, {"demo": "builtin"}, ())
    assert known.problems == ()


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_a_broken_recipe_is_named_keeps_its_partition_and_costs_no_other(sound: Place, text: str) -> None:
    write(sound.project / "recipes" / "half.toml", text)

    known = partitions_of(sound)

    assert set(known.corpus_of) == {"demo", "half"}
    (problem,) = known.problems
    assert problem.startswith(f"{sound.project / 'recipes' / 'half.toml'}: ")
    with pytest.raises(RecipeError, match=r"half\.toml"):
        sound.recipe("half")


def test_a_recipe_that_is_no_valid_one_still_hangs_on_the_corpus_that_it_names(sound: Place) -> None:
    write(sound.project / "recipes" / "half.toml", BROKEN["a misspelt key"])
    write(sound.project / "recipes" / "cut.toml", BROKEN["cut short"])

    assert partitions_of(sound).corpus_of == {"demo": "builtin", "half": "builtin", "cut": ""}


def test_a_broken_base_costs_the_recipes_that_stand_on_it_and_is_told_once(sound: Place) -> None:
    write(sound.project / "recipes" / "child.toml", 'base = "parent.toml"\n')
    write(sound.project / "recipes" / "parent.toml", BROKEN["cut short"])

    known = partitions_of(sound)

    assert set(known.corpus_of) == {"child", "demo", "parent"}
    (problem,) = known.problems
    assert "parent.toml: not readable as TOML" in problem


def test_a_base_that_cannot_be_looked_for_costs_its_own_recipe(sound: Place) -> None:
    (sound.project / "recipes" / "long.toml").write_text(f'base = "{"x" * 300}.toml"\n')

    found = partitions_of(sound)

    assert "demo" in found.corpus_of and "long" in found.corpus_of
    with pytest.raises(RecipeError, match=r"long\.toml: base cannot be looked for \(File name too long\)"):
        sound.recipe("long")


def test_a_broken_recipe_costs_its_folder_of_losses_no_corpus() -> None:
    corpora = {"losses/ce": "builtin", "losses/zz": "", "hot/losses/aa": "", "demo": "builtin"}
    found = Partitions(sources={}, corpus_of=corpora, campaigns=(), problems=())

    assert found.loss_folders == {"losses": "builtin", "hot/losses": ""}


def test_a_broken_corpus_costs_its_own_recipes_alone(sound: Place) -> None:
    write(sound.project / "corpora" / "other.toml", CORPUS.replace('adapter = "builtin"', 'adapter = "bultin"'))
    write(sound.project / "corpora" / "cut.toml", BROKEN["cut short"])
    write(sound.project / "recipes" / "on-other.toml", RECIPE.replace('corpus = "builtin"', 'corpus = "other"'))

    known = partitions_of(sound)

    assert known.sources == {"builtin": ("builtin",), "other": ("builtin",), "cut": ()}
    assert known.corpus_of == {"demo": "builtin", "on-other": "other"}
    assert [problem.split(": ")[0].rpartition("/")[2] for problem in known.problems] == ["cut.toml", "other.toml"]


@pytest.mark.parametrize(
    "name", [".#demo.toml", "._demo.toml", ".demo.toml", "~$demo.toml", "#demo.toml", ".ipynb_checkpoints/demo.toml"]
)
@pytest.mark.parametrize("folder", ["recipes", "corpora", "campaigns", "campaigns/mine"])
def test_hidden_and_editors_files_are_no_config_files(sound: Place, folder: str, name: str) -> None:
    write(sound.project / "campaigns" / "mine" / "base.toml", RECIPE)
    before = partitions_of(sound)

    write(sound.project / folder / name, "half")

    assert partitions_of(sound) == before
    assert [member.name for member in read_campaign(sound.project / "campaigns" / "mine").members] == ["base"]


def test_an_editors_lock_that_points_nowhere_and_a_folder_called_like_a_file_are_none(sound: Place) -> None:
    before = partitions_of(sound)

    (sound.project / "recipes" / ".#demo.toml").symlink_to("someone@somewhere.4711:1")
    (sound.project / "recipes" / "gone.toml").symlink_to("nowhere")
    (sound.project / "recipes" / "folder.toml").mkdir()
    (sound.project / "recipes" / "demo.toml~").write_text("half")

    assert partitions_of(sound) == before


@pytest.mark.parametrize("name", ["a...b", "a\nb", "tab\t", "demo@7", "\udcff"])
@pytest.mark.parametrize("folder", ["recipes", "corpora"])
def test_a_name_that_can_be_no_partition_is_told_and_costs_no_other(sound: Place, folder: str, name: str) -> None:
    write(sound.project / folder / f"{name}.toml", RECIPE if folder == "recipes" else CORPUS)

    known = partitions_of(sound)

    assert (set(known.sources), set(known.corpus_of)) == ({"builtin"}, {"demo"})
    (problem,) = known.problems
    assert repr(name) in problem and problem.endswith("it is no partition. Rename it.")


@pytest.mark.parametrize("name", ["v1.2", "ü b", "a..b", "(copy)", "user@host", "日本", "-x", "a,b|c"])
def test_any_other_name_is_one_that_dagster_takes(sound: Place, name: str) -> None:
    write(sound.project / "recipes" / f"{name}.toml", RECIPE)

    known = partitions_of(sound)

    assert known.problems == ()
    assert dg.StaticPartitionsDefinition(list(known.corpus_of)).get_partition_keys() == sorted(["demo", name])
    assert sound.recipe(name).name == name


def test_a_corpus_whose_name_would_part_a_source_is_told(sound: Place) -> None:
    write(sound.project / "corpora" / "a:b.toml", CORPUS)

    known = partitions_of(sound)

    assert set(known.sources) == {"builtin"}
    assert known.problems == ("corpora: the name 'a:b' holds ':', which parts corpus and source. Rename it.",)


def test_one_name_in_two_places_is_one_partition(sound: Place) -> None:
    write(sound.project / "recipes" / "campaigns" / "mine" / "base.toml", RECIPE)
    write(sound.project / "campaigns" / "mine" / "base.toml", RECIPE)

    assert list(partitions_of(sound).corpus_of) == ["campaigns/mine/base", "demo"]


@pytest.mark.parametrize("around", ["recipes", "campaigns", "corpora"])
def test_a_checkout_below_a_folder_called_like_one_of_its_own_has_the_same_names(
    tmp_path: Path, project: Path, around: str
) -> None:
    place = place_at(write_project(tmp_path / around / "clone", golden=project / "golden"))
    write(place.project / "campaigns" / "mine" / "base.toml", RECIPE)

    assert [place.recipe(name).name for name in place.names("recipes")] == ["campaigns/mine/base", "demo"]
    assert place.corpus_spec("builtin").name == "builtin"


@given(seed=st.integers(0, 2**32 - 1), which=st.sampled_from([RECIPE, CORPUS]))
@settings(max_examples=200, deadline=None)
def test_a_config_file_edited_anyhow_is_read_or_refused_with_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, seed: int, which: str
) -> None:
    rng, junks = random.Random(seed), ['"', "[", "]", "=", "\n", "\x00", "9" * 400, "[[a]]\n", "é", ""]
    text = list(which)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(text))
        text[at : at + rng.choice([0, 1, 40])] = rng.choice(junks)
    path = tmp_path_factory.mktemp("fuzz") / "x.toml"
    path.write_text("".join(text), encoding="utf-8")

    for load in (load_recipe, load_corpus_spec):
        try:
            load(path)
        except MwError as error:
            assert str(path) in str(error)


def test_the_code_location_loads_beside_broken_files_and_names_them_on_stderr(sound: Place) -> None:
    write(sound.project / "recipes" / "half.toml", BROKEN["cut short"])
    write(sound.project / "recipes" / "a...b.toml", RECIPE)
    write(sound.project / "corpora" / "cut.toml", BROKEN["cut short"])
    script = "from assets.definitions import defs; from assets.partitions import recipes, sources; "
    script += "defs.resolve_asset_graph(); print(recipes.get_partition_keys() + sources.get_partition_keys())"

    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=environment(sound.project), capture_output=True, text=True
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "['demo', 'half', 'builtin:builtin']"
    said = done.stderr.splitlines()
    assert len(said) == 3 and all(any(part in line for line in said) for part in ("half.toml", "a...b", "cut.toml"))


LONG = "x" * 300


@pytest.mark.parametrize("name", [LONG, f"a/{LONG}", f"campaigns/{LONG}/base", "é" * 51])
def test_a_name_that_no_file_can_have_is_refused_wherever_it_is_asked_for(sound: Place, name: str) -> None:
    for ask in (sound.recipe, sound.corpus_spec, lambda name: STAGES["golden_set"].make(sound, name)):
        with pytest.raises(
            RecipeError, match=r"the name '.* has \d+ bytes, expected 100 characters at most.*Correct it"
        ):
            ask(name)
    with pytest.raises(RecipeError, match="there is no such campaign"):
        sound.campaign_path(name)
    with pytest.raises(RecipeError, match=r"File name too long|there is no such file"):
        sound.recipe(f"{name}.toml")


@pytest.mark.parametrize(
    ("file", "old", "key"),
    [
        ("corpora/builtin.toml", "[sources.builtin]", r"sources\.x{80}"),
        ("corpora/builtin.toml", "[golden_sets.extra]", r"golden_sets\.x{80}"),
        ("recipes/demo.toml", "builtin = 1.0", r"mix\.weights\.x{80}"),
        ("recipes/demo.toml", '"builtin"', "corpus"),
    ],
)
def test_a_name_in_a_config_file_that_is_too_long_is_refused_where_it_stands(
    sound: Place, file: str, old: str, key: str
) -> None:
    change(sound.project, old, re.sub('[a-z]+(?=[]" ])', LONG, old), file=file)

    with pytest.raises(RecipeError, match=rf"{file}: {key} is 'x+'?: the name has 300 bytes, expected 100 characters"):
        sound.recipe("demo")


def test_a_file_of_too_long_a_name_is_no_partition_and_says_so(sound: Place) -> None:
    write(sound.project / "recipes" / f"{'y' * 101}.toml", RECIPE)

    known = partitions_of(sound)

    assert set(known.corpus_of) == {"demo"}
    (problem,) = known.problems
    assert "has 101 bytes, expected 100 characters at most" in problem and problem.endswith("Rename it.")


@pytest.mark.parametrize("partition", ["builtin:bultin", "builtin", f"builtin:{LONG}"])
def test_a_source_that_the_corpus_has_not_is_named_with_the_nearest(sound: Place, partition: str) -> None:
    with pytest.raises(RecipeError, match=r"corpora/builtin\.toml: has no source '.*; did you mean 'builtin'\?"):
        STAGES["corpus_shards"].make(sound, partition)


@pytest.mark.parametrize("seed", [str(2**31), "9" * 5000])
def test_a_seed_that_no_recipe_may_have_is_part_of_a_name(sound: Place, seed: str) -> None:
    with pytest.raises(RecipeError, match=r"did you mean 'demo'\?|expected 100 characters at most"):
        sound.recipe(f"demo@{seed}")
    assert sound.recipe(f"demo@{2**31 - 1}").train.seed == 2**31 - 1
