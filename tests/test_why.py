"""`mw-pipeline why` finds a planted fault: a source that calls one kind of street a venue."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from graph_runs import materialize
from planted_slips import KIND, RECIPE, SLIPS
from test_cli_line import CommandLine
from tiny_project import copy_project, edit_json, forget, place_at, rewrite

from mw_pipeline.errors import ArtifactError, GateError
from mw_pipeline.stages import line
from mw_pipeline.stages.place import Place
from mw_pipeline.stages.teaching import Teaching

pytestmark = pytest.mark.slow  # two runs have to be trained first

WHY = "likest rows, by alignment"
ASKED = "748 Valley Loop, Grand Forks, ND, 58201"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    return CommandLine(monkeypatch, capsys)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory, project: Path) -> tuple[Place, dict[str, Any]]:
    """The project with the fault, trained, and the figures of the benchmark on it: read only."""
    folder = tmp_path_factory.mktemp("planted") / "project"
    script = project / "benchmarks" / "why.py"
    done = subprocess.run([sys.executable, script, folder], cwd=project, check=True, timeout=900, capture_output=True)
    return place_at(folder), json.loads(done.stdout)


def test_the_planted_source_is_named_first_where_likeness_and_chance_do_not_name_it(
    planted: tuple[Place, dict[str, Any]],
) -> None:
    spoiled, rows = planted[1]["spoiled"], planted[1]["rows"]

    assert spoiled["spans"] >= 20
    assert spoiled[WHY] >= 0.9
    assert max(spoiled["likeness"], spoiled["chance"]) <= 0.2
    assert rows["by alignment"] >= 0.7 > rows["by influence"]


@pytest.mark.parametrize("innocent", ["read_right", "elsewhere"])
def test_it_is_not_named_for_what_it_did_not_do(planted: tuple[Place, dict[str, Any]], innocent: str) -> None:
    figures = planted[1][innocent]

    assert figures["spans"] >= 50
    assert figures[WHY] <= 0.1


def test_the_answer_names_sources_rows_and_shapes_span_by_span(
    run: CommandLine, planted: tuple[Place, dict[str, Any]], tmp_path: Path
) -> None:
    address, page = planted[1]["examples"][0], tmp_path / "pages" / "why.html"

    code, shown, said = run(planted[0], "why", "--recipe", RECIPE, address, "--html", page, "--rows", "2")

    assert (code, shown["address"]) == (0, address)
    assert shown["recipe"]["digest"] == planted[0].recipe(RECIPE).digest
    span = next(found for found in shown["spans"] if KIND in found["value"])
    assert (span["tag"], span["sources"][0]["source"]) == ("venue", SLIPS)
    first = span["rows"]["towards"][0]
    assert {name: first[name] for name in ("source", "says", "adapter", "raw_files", "license")} == {
        "source": SLIPS,
        "says": "venue",
        "adapter": "usaddress-xml",
        "raw_files": "slips.xml",
        "license": "MIT",
    }
    assert first["record"].startswith("slips.xml:")
    assert len(span["rows"]["towards"]) == 2
    assert {row["says"] for row in span["rows"]["against"]} == {"street"}
    shards = line.corpus_shards.demand(planted[0], f"builtin:{SLIPS}")
    assert first["shard"] == f"{shards.digest}/part-00000.parquet"
    assert "venue" in [found["tag"] for found in span["shape"]["says"]]
    assert f"`{span['value']}` is read as a venue: " in said
    assert address in page.read_text(encoding="utf-8")


def test_the_same_index_is_found_by_the_graph(planted: tuple[Place, dict[str, Any]]) -> None:
    result = materialize(planted[0].project, "teaching_index")

    assert result.success
    (event,) = result.asset_materializations_for_node("teaching_index")
    assert f"| {SLIPS} |" in event.metadata["sources"].value


def test_an_index_is_not_made_past_the_lock(
    run: CommandLine, planted: tuple[Place, dict[str, Any]], tmp_path: Path
) -> None:
    place = copy_project(planted[0].project, tmp_path / "project")
    forget(place, "teaching_index", "smoke_verdict")

    with pytest.raises(GateError, match="may not start"):
        line.teaching_index.make(place, RECIPE)

    code, nothing, said = run(place, "why", "--recipe", RECIPE, ASKED)
    assert (code, nothing) == (1, None)
    assert "refused: " in said


def test_a_text_that_holds_nothing_is_bad_input(run: CommandLine, planted: tuple[Place, dict[str, Any]]) -> None:
    code, nothing, said = run(planted[0], "why", "--recipe", RECIPE, " , ")

    assert (code, nothing) == (2, None)
    assert "error: the address is ' , ', which has no letter or digit. Ask about a text that has." in said


def test_an_index_of_other_checkpoints_is_refused(planted: tuple[Place, dict[str, Any]], tmp_path: Path) -> None:
    place = copy_project(planted[0].project, tmp_path / "project")
    index = line.teaching_index.demand(place, place.recipe(RECIPE))
    rewrite(index, "index.json", edit_json(checkpoints__best=7))

    with pytest.raises(ArtifactError, match="is of other checkpoints than its full run has kept"):
        Teaching.open(place, RECIPE)
