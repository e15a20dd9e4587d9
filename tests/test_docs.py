"""The pages of docs/ say what the code does: gates and rules that exist, tests that are there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from graph_runs import graph

from mw_pipeline.labels import CORE_TAGS
from mw_pipeline.schedule import NEAR_PEAK_SHARE
from mw_pipeline.verdict import invalid
from mw_pipeline.verdict.watchdog import FAILURE_RULES

_WITH_EXAMPLES = {"adding-a-source.md"}  # names modules that its reader is about to write
PAGES = sorted(
    page for page in (Path(__file__).resolve().parent.parent / "docs").glob("*.md") if page.name not in _WITH_EXAMPLES
)


def rows_of(page: Path) -> list[list[str]]:
    """The cells of every line of every table."""
    lines = page.read_text(encoding="utf-8").splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]


def words_of_the_readme(project: Path) -> list[tuple[str, str]]:
    """(word, meaning) of its list, one for each word."""
    rows = rows_of(project / "README.md")
    listed = rows[rows.index(["word", "meaning"]) + 2 :]
    return [(word.strip(), meaning) for words, meaning in listed for word in words.split(",")]


def defined_names(project: Path) -> set[str]:
    """The functions, classes, arguments and variables of the library in snake case."""
    nodes = [
        node for path in (project / "mw_pipeline").rglob("*.py") for node in ast.walk(ast.parse(path.read_bytes()))
    ]
    names = {node.name for node in nodes if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    names |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    names |= {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return {re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower() for name in names}


def test_every_word_of_the_readme_is_explained_once_and_is_a_name_in_the_code(project: Path) -> None:
    words, names = [word for word, _ in words_of_the_readme(project)], " ".join(defined_names(project))
    unused = [
        word for word in words if not re.search(rf"(?<![a-z]){re.sub('[ -]', '_', word.lower())}s?(?![a-z])", names)
    ]

    assert len(words) == len(set(words)) > 30
    assert unused == []


def test_what_the_words_of_the_readme_count_is_what_the_code_counts(project: Path) -> None:
    meanings = dict(words_of_the_readme(project))

    assert f"at {NEAR_PEAK_SHARE * 100:.0f} % of the peak rate" in meanings["near-peak step"]
    assert meanings["core"].endswith(f"is over {', '.join(CORE_TAGS)}")


def test_the_page_of_gates_lists_every_check_of_the_graph_and_whether_it_blocks(project: Path) -> None:
    listed = {row[0].strip("`"): row[1] for row in rows_of(project / "docs" / "gates.md") if row[1] in ("yes", "no")}
    specs = [spec for group in graph().asset_checks or [] for spec in group.check_specs]  # type: ignore[union-attr]

    assert listed == {spec.name: "yes" if spec.blocking else "no" for spec in specs}


def test_the_page_of_gates_lists_every_rule_of_the_verdict(project: Path) -> None:
    listed = {row[0].strip("`") for row in rows_of(project / "docs" / "gates.md")}
    source = Path(invalid.__file__).read_text(encoding="utf-8")
    reasons = set(re.findall(r'(?:Problem|_other_number|_other_word)\("(\w+)"', source))

    assert len(reasons) == 11
    assert listed >= {*FAILURE_RULES, *reasons}


def test_the_page_of_the_verdict_explains_every_failure_rule_in_order(project: Path) -> None:
    text = (project / "docs" / "verdict.md").read_text(encoding="utf-8")

    assert re.findall(r"^- \*\*(\w+)\*\*: ", text, re.MULTILINE)[: len(FAILURE_RULES)] == list(FAILURE_RULES)


def named_tests(row: list[str]) -> list[tuple[str, str]]:
    return re.findall(r"`(tests/\w+\.py)::(\w+)`", row[-1])


def test_every_mistake_has_tests_that_exist(project: Path) -> None:
    rows = [row for row in rows_of(project / "docs" / "mistakes.md") if re.fullmatch(r"M\d\d", row[0])]
    missing = [
        f"{row[0]}: {path}::{name}"
        for row in rows
        for path, name in named_tests(row)
        if f"def {name}(" not in (project / path).read_text(encoding="utf-8")
    ]

    assert missing == []
    assert all(named_tests(row) for row in rows)
    assert len({row[0] for row in rows}) == len(rows) > 50


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_every_module_that_a_page_names_is_there(project: Path, page: Path) -> None:
    text = page.read_text(encoding="utf-8")

    assert not [
        path
        for path in re.findall(r"`((?:mw_pipeline|tests|assets)/[\w/]+\.py)", text)
        if not (project / path).is_file()
    ]
