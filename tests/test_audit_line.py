"""The audit of a tiny project: entered once, compared with the one before it, and gone on from when that is lost."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from graph_runs import checks_of, materialize
from tiny_project import change, edit_json, forget, rewrite

from mw_pipeline.artifact import Artifact
from mw_pipeline.errors import ArtifactError
from mw_pipeline.stages import checks, line
from mw_pipeline.stages.audit_ledger import AUDIT_FILE, Entry, enter, ledger_path, read_ledger
from mw_pipeline.stages.place import Place

pytestmark = pytest.mark.slow


def changed_mix(place: Place) -> None:
    """Another corpus of the same source: fewer records, and the mix over it."""
    change(place.project, "max_records = 3000", "max_records = 900", file="corpora/builtin.toml")
    line.corpus_shards.make(place, "builtin:builtin")
    line.golden_set.make(place, "builtin")
    line.corpus_manifest.make(place, "builtin")
    line.source_mix.make(place, "demo")


def facts(audit: Artifact) -> dict:
    return audit.read_json(AUDIT_FILE)


def test_an_audit_counts_what_the_corpus_holds_and_the_sampler_draws(place: Place) -> None:
    audit = facts(line.source_audit.make(place, "demo").artifact)
    (builtin,) = audit["sources"]
    dataset = line.tokenized_dataset.demand(place, place.recipe("demo"))

    assert (audit["unit"], builtin["amount"]) == ("pieces", dataset.metrics["tokens"])
    assert builtin["realised_share"] == 1.0
    assert builtin["counts"]["rows"] == sum(builtin["licences"].values()) == builtin["waterfall"]["rows"]["kept"]
    assert (audit["findings"], audit["changes"]) == ([], None)


def test_without_a_dataset_characters_are_counted(place: Place) -> None:
    forget(place, "tokenizer")
    audit = facts(line.source_audit.make(place, "demo").artifact)

    assert audit["unit"] == "characters"
    assert audit["sources"][0]["amount"] > 10 * audit["sources"][0]["counts"]["rows"]


def test_a_recipe_outside_the_project_is_audited_by_its_own_file(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text((place.project / "recipes" / "demo.toml").read_text().replace("sample_rows = ", "sample_rows = 1"))
    assert place.recipe(str(path)).tokenizer != place.recipe("demo").tokenizer
    line.source_mix.make(place, str(path))

    audit = facts(line.source_audit.make(place, str(path)).artifact)

    assert (audit["recipe"]["name"], audit["unit"]) == ("mine", "characters")


def test_nothing_new_is_not_entered_again_and_a_change_is_compared_with_the_last(place: Place) -> None:
    first = line.source_audit.make(place, "demo")
    again = line.source_audit.make(place, "demo")
    assert (first.reused, again.reused, again.artifact.digest) == (False, True, first.artifact.digest)

    changed_mix(place)
    second = line.source_audit.make(place, "demo").artifact

    assert [entry.audit for entry in read_ledger(ledger_path(place))] == [first.artifact.digest, second.digest]
    assert second.input("source_audit").digest == first.artifact.digest
    found = facts(second)
    assert found["since"]["digest"] == first.artifact.digest
    before, now = found["changes"]["changed"]["builtin"]["rows"]
    assert now < before
    assert f"source 'builtin' fell from {before:,} to {now:,} training rows since the last audit" in found["warnings"]
    assert checks.sources_stay(place, "demo").problems == (found["warnings"][-1],)


def test_a_first_audit_passes_its_check_and_a_missing_one_names_its_command(place: Place) -> None:
    with pytest.raises(ArtifactError, match=r"recipe 'demo' has no audit .* --select source_audit --partition demo"):
        checks.sources_stay(place, "demo")
    line.source_audit.make(place, "demo")

    assert checks.sources_stay(place, "demo").problems == ()


def test_an_audit_that_is_named_is_compared_with_and_not_entered(place: Place) -> None:
    first = line.source_audit.make(place, "demo").artifact
    changed_mix(place)
    second = line.source_audit.make(place, "demo").artifact

    back = line.source_audit.make(place, "demo", since=first.digest[:12]).artifact

    assert facts(back)["since"]["digest"] == first.digest
    assert len(read_ledger(ledger_path(place))) == 2
    assert second.digest == back.digest, "it is the very comparison that the ledger led to"
    assert facts(line.source_audit.make(place, "demo", since=second.digest).artifact)["changes"]["unchanged"] == [
        "builtin"
    ]


@pytest.mark.parametrize(
    ("since", "message"),
    [
        ("0" * 16, "the store has no audit of that digest"),
        ("abc", "or its first 8 digits"),
        ("../*abcdefg", "expected"),
    ],
)
def test_an_audit_that_is_not_there_is_refused(place: Place, since: str, message: str) -> None:
    with pytest.raises(ArtifactError, match=message):
        line.source_audit.make(place, "demo", since=since)


def test_a_last_audit_that_was_removed_is_said_and_the_next_one_starts_anew(place: Place) -> None:
    first = line.source_audit.make(place, "demo").artifact
    shutil.rmtree(first.path)

    found = facts(line.source_audit.make(place, "demo").artifact)

    assert (found["since"]["lost"], found["changes"]) == (first.digest, None)


def test_an_audit_or_a_mix_of_another_shape_is_told_by_file_and_key(place: Place) -> None:
    audit = line.source_audit.make(place, "demo").artifact
    broken = rewrite(audit, AUDIT_FILE, edit_json(sources=[{"name": "builtin"}]))

    with pytest.raises(ArtifactError, match=r"audit\.json: sources\.0\.digest is missing\. Delete the artifact"):
        line.source_audit.make(place, "demo", since=broken.digest)
    enter(ledger_path(place), Entry("demo", broken.digest, "subject", "2026-01-01T00:00:00+00:00"))
    with pytest.raises(ArtifactError, match=r"audit\.json: sources\.0\.digest is missing\. Delete the artifact"):
        checks.sources_stay(place, "demo")

    rewrite(line.source_mix.demand(place, "demo"), "mix.json", edit_json(samples="many"))
    with pytest.raises(ArtifactError, match=r"mix\.json: samples is 'many': .*\. Delete the artifact's folder"):
        line.source_audit.make(place, "demo")


def test_what_blocks_in_the_corpus_is_a_finding_of_the_audit(place: Place) -> None:
    shards = line.corpus_shards.demand(place, "builtin:builtin")
    kept = shards.read_json("waterfall.json")["kept"]
    rewrite(shards, "waterfall.json", edit_json(kept=kept - 1))
    line.corpus_manifest.make(place, "builtin")
    line.source_mix.make(place, "demo")

    (finding, *_) = facts(line.source_audit.make(place, "demo").artifact)["findings"]
    assert finding.startswith("builtin: ") and "accounted for" in finding


def test_a_budget_of_one_source_asks_for_the_audit_again_and_not_for_its_rows(place: Place) -> None:
    shards, audit = (
        line.corpus_shards.request(place, "builtin:builtin").key,
        line.source_audit.request(place, place.recipe("demo")).key,
    )

    change(
        place.project, "max_records = 3000", "max_records = 3000\nbudgets.filter_share = 0", file="corpora/builtin.toml"
    )

    assert line.corpus_shards.request(place, "builtin:builtin").key == shards
    assert line.source_audit.request(place, place.recipe("demo")).key != audit


def test_the_asset_shows_the_small_table_and_where_the_page_lies(place: Place) -> None:
    result = materialize(place.project, "source_audit")

    assert result.success
    assert checks_of(result) == {"sources_stay": True}
    (event,) = result.asset_materializations_for_node("source_audit")
    assert "| builtin |" in event.metadata["mix"].value
    page = Path(event.metadata["page"].value)
    assert page.name == "audit.html"
    assert "<title>Audit of demo</title>" in page.read_text("utf-8")
