"""The main road of docs/house.md leads through functions that are there, each to the next."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from mw_pipeline.recipe import Recipe
from mw_pipeline.stages import line
from mw_pipeline.stages.place import Place
from mw_pipeline.stages.road import as_table
from mw_pipeline.stages.stage import Stage, Subject

_CODE = re.compile(r"`([^`]+)`")
Hop = tuple[str, str, str]
"""File, function, and the name with which it hands on, "" at the end of a leg."""


def legs(page: str) -> Iterator[list[Hop]]:
    """The hops of every table of the road."""
    road = page[page.index("## The main road") : page.index("## The line")]
    for table in road.split("| in | function |")[1:]:
        rows = [row.strip("|").split("|") for row in table.splitlines() if row.startswith("| `")]
        cells = [[(_CODE.findall(cell) or [""])[0] for cell in row] for row in rows]
        yield [(path, function, onward) for path, function, _, onward in cells]


def source_of(project: Path, path: str, function: str) -> str:
    """The text of a function or method. Fails when the file has none of that name, or more."""
    text = (project / path).read_text(encoding="utf-8")
    named = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef) and n.name == function]
    assert len(named) == 1, f"{path} has {len(named)} functions {function!r}"
    return ast.get_source_segment(text, named[0]) or ""


@pytest.fixture(scope="module")
def road(project: Path) -> list[list[Hop]]:
    return list(legs((project / "docs" / "house.md").read_text(encoding="utf-8")))


def test_every_hop_hands_on_to_the_next(project: Path, road: list[list[Hop]]) -> None:
    stages = line.STAGES.values()
    declared = {
        "make": {(stage.procedure or stage.maker).partition(":")[2] for stage in stages},
        "build": {stage.maker.partition(":")[2] for stage in stages},
        "finish": {stage.finish.partition(":")[2] for stage in stages},
    }

    assert len(road) == 5
    for leg in road:
        for (path, function, onward), (next_path, next_function, _) in pairwise(leg):
            assert re.search(rf"\b{re.escape(onward)}\b", source_of(project, path, function)), f"{path}: {function}"
            handed = {next_function, f"trainer.{next_function}", next_path.removesuffix(".py").replace("/", ".")}
            of_declaration = next_function in declared.get(onward, ())
            alias = f"import {next_function} as {onward}" in (project / path).read_text(encoding="utf-8")
            assert onward in handed or of_declaration or alias, f"{path}: {function} hands on to {onward}"
        assert source_of(project, *leg[-1][:2]) and leg[-1][2] == ""


def test_from_the_asset_to_the_training_step_are_eight_calls_in_six_files(road: list[list[Hop]]) -> None:
    (leg,) = [leg for leg in road if "take" in {function for _, function, _ in leg}]
    names = [function for _, function, _ in leg]
    to_step = leg[: names.index("take") + 1]

    assert len(to_step) - 1 <= 8
    assert len({path for path, _, _ in to_step}) <= 6


def test_the_page_of_the_house_has_the_table_of_the_line(project: Path) -> None:
    page = (project / "docs" / "house.md").read_text(encoding="utf-8")
    begin, end = "<!-- line: begin -->\n", "<!-- line: end -->"

    assert page.split(begin)[1].split(end)[0] == f"{as_table()}\n", "write road.as_table() between the marks"


CHANGES: dict[str, list[dict[str, object]]] = {
    "tokenizer": [{"seed": 99}],
    "subwords": [{"share": 0.9}, {"dropped_pieces": 0.9}],
    "mix": [{"max_repetitions": 3.0}],
    "model": [{"width": 999}, {"max_length": 100}],
    "loss": [{"crf_weight": 0.33}],
    "train": [{"weight_decay": 0.5}, {"steps": 5000}, {"seed": 99}],
    "smoke": [{"steps": 1234}],
    "eval": [{"min_core_macro_f1": 0.123}, {"min_cell": 0.5}],
    "package": [{"version": "9.9.9"}, {"locales": ("fr-fr",)}],
}


@pytest.mark.parametrize("section", [*CHANGES, "labels"])
def test_the_page_of_the_house_says_who_reads_each_section_of_a_recipe(project: Path, section: str) -> None:
    place = Place.of(project=str(project))
    recipe = place.recipe("demo")
    if section == "labels":
        changed = [recipe.model_copy(update={"labels": 2})]
    else:
        values = getattr(recipe, section)
        changed = [recipe.model_copy(update={section: values.model_copy(update=keys)}) for keys in CHANGES[section]]
    page = (project / "docs" / "house.md").read_text(encoding="utf-8")
    (row,) = re.findall(rf"^\| `\[?{section}\]?` \| (.+) \|$", page.partition("## What is made again")[2], re.MULTILINE)

    def config(stage: Stage, of: Recipe) -> object:
        return stage.config(Subject(place, of.name, of.corpus, of_recipe=of))

    made_from_config = [
        stage
        for stage in line.STAGES.values()
        if stage.per == "recipe" and stage not in (line.release_axes, line.full_run_permit)
    ]
    read_by = {s.name for s in made_from_config for other in changed if config(s, recipe) != config(s, other)}
    assert set(_CODE.findall(row)) == read_by
