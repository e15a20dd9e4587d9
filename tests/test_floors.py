"""The floors of the house: who may import whom, held by reading every import, and by asking a fresh interpreter."""

from __future__ import annotations

import ast
import graphlib
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from mw_pipeline.stages import line
from mw_pipeline.stages.stage import Stage

FLOORS = (
    {"errors", "native", "licences", "urls"},
    {
        "areas",
        "bucket",
        "client",
        "countries",
        "digest",
        "draws",
        "failures",
        "json_shapes",
        "labels",
        "liveness",
        "piece_dropout",
        "schedule",
        "sufficiency",
        "turns",
        "words",
    },
    {"recipe", "artifact", "checksums", "decode", "json_lines", "metrics", "records", "seal"},
    {"store", "mix", "tokenizer", "golden", "corpus", "sources"},
    {"dataset", "parser_files", "verdict"},
    {"model", "parse", "report"},
    {"train", "package", "campaign", "capability", "teaching"},
    {"evaluate", "probes"},
    {"stages"},
    {"cli"},
    {"__main__"},
)
"""The rooms of `mw_pipeline`, by floor; docs/house.md says the same in words."""

BASE_INSTALL = (
    "errors",
    "countries",
    "native",
    "areas",
    "client.npm",
    "client.recasing",
    "digest",
    "failures",
    "labels",
    "piece_dropout",
    "schedule",
    "words",
    "artifact",
    "checksums",
    "decode",
    "metrics.scores",
    "store",
    "tokenizer",
    "parser_files",
    "parse",
    "package.inspection",
    "package.lineage",
    "golden.judge",
    "cli",
    "cli.golden",
    "cli.parse",
    "cli.score",
    "cli.inspect",
    "cli.lineage",
)
"""What someone has who installed the parser alone: nothing here may need more than the wheel's own dependencies."""


def modules(package: Path) -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(package.rglob("*.py")):
        name = ".".join(path.relative_to(package.parent).with_suffix("").parts).removesuffix(".__init__")
        yield name, ast.parse(path.read_text(encoding="utf-8"))


def imports(tree: ast.Module) -> Iterator[str]:
    """Every module that a file imports, at its top or inside a function, and every name that it takes from one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names))


def circle(trees: Mapping[str, ast.Module]) -> list[str]:
    """Modules that import each other in a circle, the first of them named again at the end; empty where none do."""
    graph = {name: set(imports(tree)) & trees.keys() for name, tree in trees.items()}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def room_of(module: str) -> str:
    """`mw_pipeline.corpus.build` → `corpus`; the package's own name → an empty word."""
    return module.partition(".")[2].partition(".")[0]


def floor_of(room: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if room in rooms)


def complaint(module: str, imported: str) -> str | None:
    """What is wrong with `module` importing `imported`, if anything."""
    room, other = room_of(module), room_of(imported)
    if other in (room, "", "__version__") or floor_of(other) < floor_of(room):
        return None
    return f"{module} (floor {floor_of(room)}) imports {imported} (floor {floor_of(other)})"


@pytest.fixture(scope="module")
def library(project: Path) -> dict[str, ast.Module]:
    return dict(modules(project / "mw_pipeline"))


@pytest.fixture(scope="module")
def everything(project: Path) -> dict[str, ast.Module]:
    return {name: tree for top in ("mw_pipeline", "assets", "resources") for name, tree in modules(project / top)}


def test_every_room_stands_on_exactly_one_floor(library: dict[str, ast.Module]) -> None:
    rooms = [room for floor in FLOORS for room in floor]

    assert sorted(rooms) == sorted({room_of(name) for name in library} - {""})


def test_a_module_imports_only_from_lower_floors_or_its_own_room(library: dict[str, ast.Module]) -> None:
    complaints = [
        problem
        for name, tree in library.items()
        for imported in imports(tree)
        if imported.split(".")[0] == "mw_pipeline" and (problem := complaint(name, imported))
    ]

    assert not complaints, "\n".join(complaints)


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("mw_pipeline.labels", "mw_pipeline.recipe"),
        ("mw_pipeline.digest", "mw_pipeline.labels"),
        ("mw_pipeline.parse", "mw_pipeline.train.loop"),
        ("mw_pipeline.records.text", "mw_pipeline.corpus.align"),
        ("mw_pipeline.corpus.build", "mw_pipeline.sources.registry"),
        ("mw_pipeline.sources.ban", "mw_pipeline.corpus.build"),
    ],
)
def test_a_step_up_or_sideways_is_noticed(module: str, imported: str) -> None:
    assert complaint(module, imported)


def test_no_modules_import_each_other_in_a_circle(everything: dict[str, ast.Module]) -> None:
    assert not circle(everything)


@pytest.mark.parametrize(
    "back",
    [
        "from mw_pipeline.corpus.build import build_from",
        "def late():\n    from mw_pipeline.corpus import build",
        "if TYPE_CHECKING:\n    import mw_pipeline.corpus.build",
    ],
)
def test_a_circle_is_found_wherever_the_import_stands(everything: dict[str, ast.Module], back: str) -> None:
    found = circle(everything | {"mw_pipeline.records.text": ast.parse(back)})

    assert {"mw_pipeline.records.text", "mw_pipeline.corpus.build"} <= set(found)


def test_the_page_about_the_house_has_the_same_floors(project: Path) -> None:
    rows = re.findall(r"^\| (\d+) \| (.+?) \|", (project / "docs" / "house.md").read_text(encoding="utf-8"), re.M)

    assert [set(re.findall(r"`([^`]+)`", rooms)) for _, rooms in rows] == [set(floor) for floor in FLOORS]
    assert [int(number) for number, _ in rows] == list(range(len(FLOORS)))


def test_the_library_never_imports_the_graph(library: dict[str, ast.Module]) -> None:
    above = {"dagster", "dagster_pipes", "assets", "resources", "tests"}

    assert not [(name, i) for name, tree in library.items() for i in imports(tree) if i.split(".")[0] in above]


def test_resources_do_not_import_assets(project: Path) -> None:
    assert not [name for name, tree in modules(project / "resources") for i in imports(tree) if i.startswith("assets")]


def test_definitions_only_wire(project: Path) -> None:
    tree = ast.parse((project / "assets" / "definitions.py").read_text(encoding="utf-8"))
    logic = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda, ast.For, ast.If, ast.comprehension)

    assert not [node for node in ast.walk(tree) if isinstance(node, logic)]


def imported_by(project: Path, *names: str) -> set[str]:
    """The top-level packages from outside the standard library that importing these leaves loaded."""
    code = f"import sys, {', '.join(names)}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=project, capture_output=True, text=True, check=True
    )
    return set(done.stdout.split()) - set(sys.stdlib_module_names)


@pytest.mark.parametrize(
    "module",
    [
        "assets.definitions",
        "resources.child",
        "mw_pipeline.parse",
        "mw_pipeline.stages.checks",
        "mw_pipeline.capability.pieces",
    ],
)
def test_torch_is_loaded_only_where_tensors_live(project: Path, module: str) -> None:
    assert "torch" not in imported_by(project, module)


def leads_to(library: Mapping[str, ast.Module], module: str, package: str) -> bool:
    """Whether importing a module of the library loads a package, by way of whatever it imports at its top."""
    seen, left = set[str](), {module}
    while left:
        name = left.pop()
        seen.add(name)
        tops = ast.Module([node for node in library[name].body if isinstance(node, ast.Import | ast.ImportFrom)], [])
        for imported in imports(tops):
            if imported.partition(".")[0] == package:
                return True
            left |= {imported} & library.keys() - seen
    return False


def test_the_stages_that_ask_for_tensors_are_those_whose_maker_loads_torch(library: dict[str, ast.Module]) -> None:
    found = {stage.name: leads_to(library, stage.maker.partition(":")[0], "torch") for stage in made(line.STAGES)}

    assert found == {stage.name: stage.tensors for stage in made(line.STAGES)}


def made(stages: Mapping[str, Stage]) -> list[Stage]:
    """Those that are made by a function of their own."""
    return [stage for stage in stages.values() if stage.maker]


def test_the_parser_needs_no_more_than_the_wheel_asks_for(project: Path) -> None:
    found = imported_by(project, *(f"mw_pipeline.{name}" for name in BASE_INSTALL))

    private = {name for name in found if name.startswith("_")}  # extension modules at the top level: _sentencepiece, …
    assert found - private == {"mw_pipeline", "numpy", "onnxruntime", "sentencepiece"}
