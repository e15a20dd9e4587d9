"""One declaration adds a stage: graph, plan, child process, lock and the page of the docs all know it at once."""

from __future__ import annotations

import dataclasses
import re
import warnings
from collections import Counter
from inspect import signature
from pathlib import Path
from pkgutil import resolve_name
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from tiny_project import copy_project, place_at, write_project

from mw_pipeline.digest import write_json_atomically
from mw_pipeline.errors import GateError, RecipeError
from mw_pipeline.stages import line
from mw_pipeline.stages.check_answers import demand_upstream
from mw_pipeline.stages.findings import Findings, found
from mw_pipeline.stages.lock import unlock
from mw_pipeline.stages.place import Place, Progress
from mw_pipeline.stages.road import as_table, road_to
from mw_pipeline.stages.stage import Metrics, Request, Stage
from mw_pipeline.store import Store

HERE = __name__


def count_sources(request: Request, out: Path, progress: Progress) -> Metrics:
    sources = len(request.input("source_mix").read_json("mix.json")["sources"])
    write_json_atomically(out / "count.json", sources)
    return {"sources": sources}


def more_than_one_source(place: Place, partition: str) -> Findings:
    """The mix has more than one source."""
    count = TOY.demand(place, partition).read_json("count.json")
    return found([f"there is {count}"] if count < 2 else [], "there are enough")


TOY = Stage(
    name="source_count",
    makes="How many sources the mix has.",
    group="mix",
    per="recipe",
    maker=f"{HERE}:count_sources",
    inputs=(line.source_mix,),
    before=("smoke_checkpoint",),
    code=("mw_pipeline.mix.plan",),
    blocks=(f"{HERE}:more_than_one_source",),
    tensors=True,
)


@pytest.fixture
def with_toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(line.STAGES, TOY.name, TOY)


@pytest.mark.usefixtures("with_toy")
def test_it_is_a_node_of_the_graph_with_its_edges_and_checks() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Dagster's own: partitioned checks are young
        from assets.nodes import assets_of, checks_of

        declared, of_toy = assets_of(line.STAGES.values(), bodies={}), checks_of([TOY])
    nodes = {asset.key.to_user_string(): asset for asset in declared}
    checks = {spec.name: spec for group in of_toy for spec in group.check_specs}

    toy = nodes["source_count"]
    assert isinstance(toy, dg.AssetsDefinition)
    assert {key.to_user_string() for key in toy.keys_by_input_name.values()} == {"source_mix"}
    assert toy.descriptions_by_key[toy.key] == TOY.makes
    smoke = nodes["smoke_checkpoint"]
    assert "source_count" in {key.to_user_string() for key in smoke.keys_by_input_name.values()}
    assert checks["more_than_one_source"].blocking


@pytest.mark.usefixtures("with_toy")
def test_the_plan_makes_it_before_what_waits_for_it(project: Path) -> None:
    from assets.plan import commands

    *_, of_recipe = commands(Place.of(project=str(project)), "demo")

    made = re.search(r"--select (\S+)", of_recipe)
    assert made is not None
    names = made[1].split(",")
    assert names.index("source_mix") < names.index("source_count") < names.index("smoke_checkpoint")


@pytest.mark.usefixtures("with_toy")
def test_the_page_of_the_line_has_a_row_for_it() -> None:
    assert "| `source_count` | How many sources the mix has. | recipe | `source_mix` |" in as_table()


@pytest.mark.slow
@pytest.mark.usefixtures("with_toy")
def test_the_child_process_makes_it_and_the_lock_asks_its_check(
    tiny_line: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from resources import child

    place = copy_project(tiny_line, tmp_path / "project")
    monkeypatch.setattr(child, "_place", lambda pipes: place)
    extras = {"stage": "source_count", "partition": "demo"}
    logger = SimpleNamespace(info=lambda line: None)
    pipes: Any = SimpleNamespace(get_extra=extras.__getitem__, log=logger)

    answer = child.answer(pipes)

    assert answer == {"kind": "source_count", "digest": TOY.demand(place, "demo").digest, "reused": False}
    with pytest.raises(GateError, match=r"more_than_one_source does not hold for 'demo': there is 1\. Repair this"):
        demand_upstream(place, "demo")


def test_a_stage_that_is_not_declared_is_named_with_those_that_are() -> None:
    with pytest.raises(RecipeError, match=r"'full' is no stage of the line: there are corpus_shards, golden_set, "):
        line.stage_named("full")


def test_every_function_and_check_that_a_declaration_names_is_there() -> None:
    for stage in line.STAGES.values():
        assert all(callable(resolve_name(name)) for name in (stage.maker, stage.procedure, stage.finish) if name)
        assert all(check.__doc__ for blocking in (True, False) for check in stage.checks(blocking=blocking))
        assert {*stage.before} <= line.STAGES.keys()
        assert stage.node in line.STAGES


def test_the_function_of_a_stage_gets_a_request_and_a_folder_and_knows_no_store_and_no_place() -> None:
    for stage in line.STAGES.values():
        if stage.maker:
            takes = signature(resolve_name(stage.maker)).parameters
            assert list(takes)[:3] == ["request", "out", "progress"], stage.name
            assert not {"Place", "Store", "Subject"} & {str(one.annotation) for one in takes.values()}, stage.name
            assert ("work" in takes) == stage.resumes, stage.name


@pytest.mark.parametrize("stage", [s for s in line.STAGES.values() if s.locked], ids=lambda stage: stage.name)
def test_no_stage_behind_the_lock_is_made_without_a_verdict(project: Path, tmp_path: Path, stage: Stage) -> None:
    place = place_at(write_project(tmp_path, golden=project / "golden"))

    with pytest.raises(GateError, match="the full run of 'demo' may not start"):
        stage.make(place, "demo")


def test_the_line_is_declared_in_the_order_of_making() -> None:
    names = list(line.STAGES)

    assert [stage.name for stage in road_to(*line.STAGES.values())] == names


@pytest.mark.slow
def test_one_unlocking_looks_each_artifact_up_once(tiny_line: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up, find = Counter[tuple[str, str]](), Store.find

    def counted(store: Store, kind: str, key: str) -> Any:
        looked_up[kind, key] += 1
        return find(store, kind, key)

    monkeypatch.setattr(Store, "find", counted)
    unlock(place_at(tiny_line), "demo")

    assert {"corpus_shards", "tokenizer", "smoke_verdict", "full_run_permit"} <= {kind for kind, _ in looked_up}
    assert set(looked_up.values()) == {1}


def test_a_place_that_remembers_gives_the_first_answer_and_another_command_a_new_one(tmp_path: Path) -> None:
    place = Place.of(project=str(Path(__file__).resolve().parent.parent), store=str(tmp_path))

    once = place.remembering()

    assert once.recipe("demo") is once.recipe("demo")
    assert once.remembering() is once
    assert place.recipe("demo") is not place.recipe("demo")


def test_another_command_in_the_same_place_has_all_of_the_time_and_remembers_nothing(tmp_path: Path) -> None:
    place = Place.of(store=str(tmp_path), time_limit="1h").remembering()
    late = dataclasses.replace(place, begun=place.begun - 3500)
    recipe = late.recipe("demo")

    another = late.anew()

    assert late.time_is_spent and not another.time_is_spent
    assert another.recipe("demo") == recipe and another.recipe("demo") is not recipe
