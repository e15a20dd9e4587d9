"""Checks of shards, gold and manifest fail once their artifact says something it must not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_line import made, problems
from tiny_project import edit_json, rewrite

from mw_pipeline.artifact import Artifact
from mw_pipeline.corpus.keys import keys_of, keys_path, write_keys
from mw_pipeline.errors import GateError
from mw_pipeline.stages import checks, line
from mw_pipeline.stages.corpus import EXCLUSIONS_FILE, shard_files
from mw_pipeline.stages.place import Place

pytestmark = pytest.mark.slow


def edit_rows(artifact: Artifact, edit: Callable[[list[dict[str, Any]]], object], *, keyed: bool = True) -> None:
    """Changes the rows of a source's only shard, and their keys with them."""
    (path,) = shard_files(artifact)

    def write(target: Path) -> None:
        table = pq.read_table(target)
        rows = table.to_pylist()
        edit(rows)
        edited = pa.Table.from_pylist(rows, schema=table.schema)
        pq.write_table(edited, target)
        if keyed:
            write_keys(keys_path(target), [keys_of(batch) for batch in edited.to_batches()])

    rewrite(artifact, path.relative_to(artifact.path).as_posix(), write)


def test_a_span_that_cuts_elsewhere_is_found(place: Place) -> None:
    def shift(rows: list[dict[str, Any]]) -> None:
        row = next(row for row in rows if row["span_ends"] and row["span_ends"][0] - row["span_starts"][0] > 1)
        row["span_ends"][0] -= 1

    edit_rows(made(place, "corpus_shards"), shift)

    assert problems(checks.rows_match_schema, place, "builtin:builtin")


def test_rows_that_were_changed_behind_their_keys_are_found(place: Place) -> None:
    """M68: what joins the keys would see other rows than those that are trained on."""
    gold = json.loads((place.project / "golden" / "us.jsonl").read_text().splitlines()[0])["raw"]
    assert problems(checks.rows_match_schema, place, "builtin:builtin") == ""

    edit_rows(made(place, "corpus_shards"), lambda rows: copy_a_gold_row(rows, gold), keyed=False)

    found = problems(checks.rows_match_schema, place, "builtin:builtin")
    assert found == "part-00000.parquet: its keys are not those of its rows"


def test_a_row_that_went_missing_is_found(place: Place) -> None:
    flow = made(place, "corpus_shards").read_json("waterfall.json")
    rewrite(made(place, "corpus_shards"), "waterfall.json", edit_json(kept=flow["kept"] - 1))

    assert "builtin" in problems(checks.rows_are_conserved, place, "builtin:builtin")


def test_rows_that_must_be_shared_alike_need_the_leave_of_their_source(place: Place) -> None:
    edit_rows(made(place, "corpus_shards"), lambda rows: [row.update(license="ODbL-1.0") for row in rows[:2]])
    line.corpus_manifest.make(place, "builtin")

    told = problems(checks.licences_are_allowed, place, "builtin")
    assert "builtin: 2 rows are under 'ODbL-1.0', a share-alike" in told
    assert "builtin: census.json says its licences are {'CC-BY-4.0'" in told


def test_a_source_that_loses_a_fifth_of_its_records_to_one_reason_is_found(place: Place) -> None:
    # M16
    flow = made(place, "corpus_shards").read_json("waterfall.json")
    left = flow["kept"] - 600
    rows = {"rows__read": left, "rows__kept": left - flow["rows"]["deduplicated"]}
    edit = edit_json(kept=left, quarantined={"no_postcode": 600}, **rows)
    rewrite(made(place, "corpus_shards"), "waterfall.json", edit)

    assert "no_postcode" in problems(checks.quarantine_within_budget, place, "builtin:builtin")
    assert problems(checks.rows_are_conserved, place, "builtin:builtin") == ""


def lower_case_a_test_row(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Puts a lower-cased copy of a held-out row among the training rows."""
    row = next(row for row in rows if row["split"] == "test" and row["raw"].lower() != row["raw"])
    components = [(tag, value.lower()) for tag, value in row["components"]]
    copy = {**row, "row_id": "a-copy", "raw": row["raw"].lower(), "components": components, "split": "train"}
    rows.append(copy)
    return copy


def copy_a_gold_row(rows: list[dict[str, Any]], gold: str) -> None:
    """Puts a gold text among the training rows, in capitals and under an id of its own."""
    row = next(row for row in rows if row["split"] == "train")
    rows.append(
        {**row, "row_id": "a-copy", "base_id": "its-own", "raw": gold.upper(), "components": [], "span_tags": []}
        | {"span_starts": [], "span_ends": []}
    )


def forget_exclusions(place: Place) -> None:
    """A manifest that says no row is held out of training."""

    def write(path: Path) -> None:
        pq.write_table(pq.read_table(path).slice(0, 0), path)

    rewrite(line.corpus_manifest.demand(place, "builtin"), EXCLUSIONS_FILE, write)


def test_a_lower_cased_copy_of_a_held_out_row_is_kept_out_of_training_or_found_in_it(place: Place) -> None:
    # M20
    edit_rows(made(place, "corpus_shards"), lower_case_a_test_row)
    line.corpus_manifest.make(place, "builtin")
    assert problems(checks.splits_are_disjoint, place, "builtin") == ""
    assert "a-copy" not in training_rows_of(place)

    forget_exclusions(place)

    assert "a-copy" in problems(checks.splits_are_disjoint, place, "builtin")


def test_a_gold_row_in_capitals_is_kept_out_of_training_or_found_in_it(place: Place) -> None:
    # M21
    gold = json.loads((place.project / "golden" / "us.jsonl").read_text().splitlines()[0])["raw"]
    edit_rows(made(place, "corpus_shards"), lambda rows: copy_a_gold_row(rows, gold))
    line.corpus_manifest.make(place, "builtin")
    assert problems(checks.golden_is_not_in_train, place, "builtin") == ""
    assert "a-copy" not in training_rows_of(place)

    forget_exclusions(place)

    assert "a-copy" in problems(checks.golden_is_not_in_train, place, "builtin")


def training_rows_of(place: Place) -> set[str]:
    """Ids of the rows that training would see."""
    line.tokenizer.make(place, "demo")
    path = line.tokenized_dataset.make(place, "demo").artifact.file("train.arrow")
    return set(pa.ipc.open_file(path).read_all()["row_id"].to_pylist())


def test_a_gold_value_that_its_text_does_not_hold_is_found(place: Place) -> None:
    path = place.project / "golden" / "us.jsonl"
    first, *others = path.read_text().splitlines()
    wrong = json.loads(first)
    wrong["components"]["locality"] = "Xanadu"
    path.write_text("\n".join([json.dumps(wrong), *others]) + "\n")
    line.golden_set.make(place, "builtin")

    found = checks.golden_is_valid(place, "builtin")
    assert "us.jsonl:1: unreachable_value: locality 'Xanadu'" in found.problems[0]
    assert (
        "us.jsonl:1 | invalid | unreachable_value | locality 'Xanadu' | is no substring" in found.evidence["findings"]
    )


def test_a_broken_gold_line_is_shown_by_row_beside_the_others(place: Place) -> None:
    path = place.project / "golden" / "us.jsonl"
    path.write_text("{\n" * 10 + path.read_text())
    line.golden_set.make(place, "builtin")

    found = checks.golden_is_valid(place, "builtin")

    assert "us.jsonl:1: not_json" in found.problems[0]
    assert found.problems[-1] == "and 5 more"
    assert "us.jsonl:10 | invalid | not_json" in found.evidence["findings"]


def test_invalid_gold_scores_nothing_whichever_run_asks(place: Place) -> None:

    path = place.project / "golden" / "us.jsonl"
    path.write_text(path.read_text() + "{\n")
    prepare = (line.golden_set.make, line.corpus_manifest.make)
    for build in prepare:
        build(place, "builtin")

    with pytest.raises(GateError):
        line.eval_report.make(place, "demo")
