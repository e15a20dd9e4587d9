"""Benchmarks run by hand: what they take from the library must be there when somebody does."""

from __future__ import annotations

import ast
import importlib
from importlib.util import find_spec
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"


def _names_taken(path: Path) -> list[tuple[str, str]]:
    imports = [
        node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.ImportFrom)
    ]
    return [(str(node.module), alias.name) for node in imports for alias in node.names]


def _is_there(module: str, name: str) -> bool:
    found = importlib.import_module(module)
    return hasattr(found, name) or (hasattr(found, "__path__") and find_spec(f"{module}.{name}") is not None)


@pytest.mark.parametrize("path", sorted(BENCHMARKS.rglob("*.py")), ids=lambda path: str(path.relative_to(BENCHMARKS)))
def test_what_a_benchmark_takes_from_the_library_is_there(path: Path):
    taken = [(module, name) for module, name in _names_taken(path) if module.split(".")[0] == "mw_pipeline"]

    assert [f"{module}.{name}" for module, name in taken if not _is_there(module, name)] == []
