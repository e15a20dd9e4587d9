"""Raw files of a source are found, counted and hashed before they are read."""

from __future__ import annotations

from pathlib import Path

import pytest

from mw_pipeline.corpus.inputs import match_inputs, resolve_inputs
from mw_pipeline.digest import sha256_file
from mw_pipeline.errors import CorpusError
from mw_pipeline.recipe import CorpusSpec, SourceSpec


def spec(**source: object) -> CorpusSpec:
    settings = SourceSpec.model_validate({"adapter": "ban", **source})
    return CorpusSpec(name="t", version="1", seed=1, countries=("FR",), sources={"ban": settings})


def test_a_pattern_finds_its_files_in_sorted_order(tmp_path: Path) -> None:
    for name in ("b.csv", "a.csv", "c.txt"):
        (tmp_path / name).write_text("x")

    assert [p.name for p in resolve_inputs(spec(input="*.csv"), "ban", tmp_path)] == ["a.csv", "b.csv"]


def test_a_source_without_input_has_no_files(tmp_path: Path) -> None:
    assert resolve_inputs(spec(), "ban", tmp_path) == ()


def test_a_pattern_without_files_is_refused_with_the_folder(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"sources\.ban\.input is 'x\.csv': no such file below"):
        resolve_inputs(spec(input="x.csv"), "ban", tmp_path)


def test_an_unknown_source_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="'bam' is not one of its sources: ban"):
        resolve_inputs(spec(), "bam", tmp_path)


def test_a_file_with_another_hash_is_refused_and_its_own_hash_is_taken(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x")

    with pytest.raises(CorpusError, match="not the hash of"):
        resolve_inputs(spec(input="a.csv", sha256="0" * 64), "ban", tmp_path)
    good = spec(input="a.csv", sha256=sha256_file(tmp_path / "a.csv"))
    assert resolve_inputs(good, "ban", tmp_path) == (tmp_path / "a.csv",)


def test_files_are_found_by_name_whatever_they_hold_and_a_changed_one_is_hashed_again(tmp_path: Path) -> None:
    # What watches raw files has to see those that no longer have the hash of the spec.
    path = tmp_path / "a.csv"
    path.write_text("x")
    pinned = spec(input="a.csv", sha256=sha256_file(path))
    assert resolve_inputs(pinned, "ban", tmp_path) == (path,)

    path.write_text("another length")

    assert match_inputs(pinned, "ban", tmp_path) == (path,)
    with pytest.raises(CorpusError, match="not the hash of"):
        resolve_inputs(pinned, "ban", tmp_path)
