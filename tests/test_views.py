"""What a person sees of an artifact in the graph: real numbers of a real line, as Markdown and metadata."""

from __future__ import annotations

import base64
from pathlib import Path

import dagster as dg
import pytest
from tiny_line import made
from tiny_project import place_at

from mw_pipeline.dataset.tokenized import TOKENIZED_MEANINGS, TOKENIZED_SCHEMA
from mw_pipeline.records.tables import ROW_MEANINGS, ROW_SCHEMA
from mw_pipeline.stages import checks, line, views
from mw_pipeline.stages.corpus import waterfall_of
from mw_pipeline.stages.place import Place

pytestmark = pytest.mark.slow  # a whole line has to run first


@pytest.fixture(scope="module")
def place(tiny_line: Path) -> Place:
    return place_at(tiny_line)


def decoded(picture: str) -> str:
    return base64.b64decode(picture.rpartition("base64,")[2].removesuffix(")")).decode()


def test_the_curves_of_a_smoke_show_what_its_verdict_looked_at(place: Place) -> None:
    picture = views.curves_picture(made(place, "smoke_checkpoint"), made(place, "smoke_verdict"))

    assert picture.startswith("![training curves](data:image/svg+xml;base64,")
    assert decoded(picture).startswith("<svg ")
    assert "near-peak window" in decoded(picture)
    assert "near-peak window" not in decoded(views.curves_picture(made(place, "full_checkpoint")))


def test_the_facts_of_a_run_are_those_of_its_log(place: Place) -> None:
    full = made(place, "full_checkpoint")

    assert f"| best validation macro-F1 | {full.metrics['best_val_macro_f1']:.4f} at step" in views.run_facts(full)


def test_every_number_behind_a_verdict_is_shown_with_its_meaning(place: Place) -> None:
    evidence = made(place, "smoke_verdict").read_json("verdict.json")["evidence"]
    shown = views.verdict_facts(made(place, "smoke_verdict"))

    assert {name for name, value in evidence.items() if value is not None} <= {
        line.split(" | ")[0].removeprefix("| ").replace(" ", "_") for line in shown.splitlines()
    }
    assert f"| best val loss | {evidence['best_val_loss']:.4g} | lowest validation loss, nats per piece |" in shown


def test_packages_are_listed_with_what_their_cards_say(place: Place) -> None:
    packages = made(place, "packaged_weights")
    locale = place.recipe("demo").package.locales[0]
    card = packages.read_json(f"{locale}/model-card.json")

    shown = views.package_facts(packages)
    assert f"| {card['name']} | {card['version']} | {card['files']['model.onnx']['bytes']:,} |" in shown
    assert len(shown.splitlines()) == 2 + len(place.recipe("demo").package.locales)


def test_the_other_tables_hold_what_their_artifacts_hold(place: Place) -> None:
    recipe = place.recipe("demo")
    golden = line.golden_set.demand(place, recipe.corpus)
    dataset = made(place, "tokenized_dataset")
    train = dataset.read_json("dataset.json")["splits"]["train"]

    assert f"| house_number | {golden.read_json('golden.json')['counts']['tag']['house_number']} | 1.0000 |" in (
        views.ceiling_facts(golden)
    )
    assert f"| train | {train['rows']:,} | {train['pieces']:,} |" in views.split_facts(dataset)
    assert "| house_number |" in views.survival_facts(dataset)
    assert decoded(views.tags_picture(made(place, "eval_report"))).startswith("<svg ")
    totals = made(place, "regression_diagnosis").read_json("diagnosis.json")["buckets"]["empty_pred"]
    assert f"| empty pred | {totals['fn']} |" in views.bucket_facts(made(place, "regression_diagnosis"))


def test_a_waterfall_reads_from_top_to_bottom(place: Place) -> None:
    shards = line.corpus_shards.demand(place, "builtin:builtin")
    flow = waterfall_of(shards)
    lines = checks.waterfall_table(flow).splitlines()

    assert lines[2] == f"| read | {flow.records.read:,} | {flow.rows.read:,} |"
    assert lines[-1] == f"| kept | {flow.records.kept:,} | {flow.rows.kept:,} |"
    assert len(lines) == 5 + len({*flow.records.filtered, *flow.rows.filtered}) + len(flow.rows.quarantined)


@pytest.mark.parametrize(("schema", "meanings"), [(ROW_SCHEMA, ROW_MEANINGS), (TOKENIZED_SCHEMA, TOKENIZED_MEANINGS)])
def test_every_column_has_a_meaning(schema, meanings) -> None:  # type: ignore[no-untyped-def]
    assert list(meanings) == schema.names


def test_a_materialization_shows_first_what_a_person_wants(place: Place) -> None:
    from assets.metadata import materialized

    dataset = made(place, "tokenized_dataset")
    metadata = materialized(dataset, reused=True, row_count=True, splits=views.split_facts(dataset)).metadata or {}

    assert next(iter(metadata)) == "splits"
    assert metadata["splits"] == dg.MetadataValue.md(views.split_facts(dataset))
    assert metadata["dagster/row_count"] == dataset.metrics["rows"]
    assert metadata["label_entropy"] == round(dataset.metrics["label_entropy"], 6)
    assert dataset.manifest.inputs[0].digest[:12] in metadata["inputs"].value  # type: ignore[union-attr]


def test_a_check_shows_its_numbers_one_by_one(place: Place) -> None:
    from assets.metadata import evidence_of

    evidence = made(place, "smoke_verdict").read_json("verdict.json")["evidence"]
    shown = evidence_of(checks.smoke_verdict(place, "demo"))

    assert shown["peak_f1"] == dg.MetadataValue.float(round(evidence["peak_f1"], 6))
    assert shown["near_peak_steps"] == dg.MetadataValue.int(evidence["near_peak_steps"])
    assert not [name for name, value in shown.items() if isinstance(value, dg.JsonMetadataValue)]
    assert "learning_rate" not in shown, "a number that is not known is left out"


def test_the_scores_of_further_gold_stand_beside_those_of_the_own(place: Place) -> None:
    shown = views.golden_set_facts(made(place, "eval_report"))

    assert "| project | 40 | " in shown and "| extra | 2 | 2 | " in shown
    assert "absent is not scored: 'nowhere/*.jsonl' matches no file below MW_DATA" in shown
    page = made(place, "eval_report").file("report.html").read_text()
    assert "Gold sets" in page and "Absent is not scored" in page


def test_further_gold_is_judged_and_kept_out_of_training_and_gates_nothing(place: Place) -> None:
    facts = checks.golden_is_valid(place, "builtin")

    assert "| extra | 2 | 2 | 0 | none |" in facts.evidence["sets"]
    assert "absent is not scored" in facts.evidence["sets"]
    assert "none of 42 gold rows" in checks.golden_is_not_in_train(place, "builtin").summary
    assert made(place, "eval_report").metrics["rows"] == 40
