"""docs/adding-a-source.md, followed to the letter."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow.parquet as pq
import pytest

from mw_pipeline.cli import main
from mw_pipeline.corpus.build import SourceSummary, build_from
from mw_pipeline.corpus.waterfall import rows_are_conserved
from mw_pipeline.errors import CorpusError
from mw_pipeline.recipe import CorpusSpec, SourceSpec
from mw_pipeline.sources import registry

PAGE = (Path(__file__).parents[1] / "docs" / "adding-a-source.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    """The one block of the page that is fenced as the language."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return found


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    (named,) = re.findall(r"`mw_pipeline/sources/(\w+)\.py`:", PAGE)
    path = tmp_path / f"{named}.py"
    path.write_text(block("python"), encoding="utf-8")
    spec = importlib.util.spec_from_file_location(named, path)
    assert spec is not None and spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, named, made)
    spec.loader.exec_module(made)
    return made


@pytest.fixture
def adapter(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The adapter that the page says to register, registered."""
    (wanted,) = re.findall(r"add `(\w+)\(\)` to `_ALL`", PAGE)
    made = getattr(module, wanted)()
    monkeypatch.setitem(registry.ADAPTERS, made.name, made)
    return made


def build(adapter: Any, raw: Path, out: Path) -> SourceSummary:
    spec = CorpusSpec(
        name="page",
        version="0",
        seed=0,
        countries=(),
        sources={adapter.name: SourceSpec(adapter=adapter.name)},
        variants=1,
    )
    return build_from(spec, adapter.name, adapter, (raw,), out)


def rows_of(shards: tuple[Path, ...]) -> list[dict[str, Any]]:
    rows = [row for path in shards for row in pq.read_table(path).to_pylist()]
    return [{"raw": row["raw"], "components": dict(row["components"])} for row in rows]


def test_the_example_makes_the_rows_that_the_page_shows(adapter: Any, tmp_path: Path) -> None:
    raw = tmp_path / "offices.txt"
    raw.write_text(block("text"), encoding="utf-8")

    summary = build(adapter, raw, tmp_path / "out")
    assert rows_of(summary.shards) == json.loads(block("json"))
    assert rows_are_conserved(summary.waterfall) == []
    flow = summary.waterfall.records
    assert (flow.read, flow.kept, dict(flow.quarantined), dict(flow.filtered)) == (
        block("text").count("\n") - 1,
        2,
        {"no_street": 1},
        {"closed": 1},
    )


def test_the_command_of_the_page_runs(adapter: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = re.findall(r"^    mw-pipeline (corpus .*)$", PAGE, re.MULTILINE)
    (tmp_path / "offices.txt").write_text(block("text"), encoding="utf-8")
    here = {"offices.txt": str(tmp_path / "offices.txt"), "/tmp/offices": str(tmp_path / "out")}

    assert main([here.get(word, word) for word in line.split()]) == 0
    assert json.loads(capsys.readouterr().out)["kept"] == len(json.loads(block("json")))


def test_the_example_refuses_another_format_as_the_page_asks(adapter: Any, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("colour|taste\nred|sweet\n")

    with pytest.raises(CorpusError, match=r"a\.txt: the header has no office, .*: found 'colour', 'taste'.*Dutch post"):
        build(adapter, tmp_path / "a.txt", tmp_path / "out")
    assert not (tmp_path / "out").exists()
