"""The corpus specs of this project: every source has its adapter, and those whose files are here build."""

from __future__ import annotations

from pathlib import Path

import pytest

from mw_pipeline.corpus.census import licences_are_allowed
from mw_pipeline.corpus.schema import rows_match_schema
from mw_pipeline.corpus.waterfall import quarantine_within_budget, rows_are_conserved
from mw_pipeline.recipe import load_corpus_spec
from mw_pipeline.sources.registry import ADAPTERS
from mw_pipeline.stages.corpus import build_source

ROOT = Path(__file__).resolve().parent.parent
SPECS = {path.stem: load_corpus_spec(path) for path in sorted((ROOT / "corpora").glob("*.toml"))}
NO_SAMPLE = {"state-ia-contractors", "state-tx-notaries", "state-ny-notaries"}


@pytest.mark.parametrize("name", SPECS)
def test_every_source_of_a_spec_has_its_adapter(name: str) -> None:
    assert {source.adapter for source in SPECS[name].sources.values()} <= set(ADAPTERS)


@pytest.mark.slow
@pytest.mark.parametrize("source", sorted(SPECS["v0_4_0"].sources.keys() - NO_SAMPLE))
def test_a_source_of_the_campaign_builds_within_its_budgets(source: str, raw_data: Path, tmp_path: Path) -> None:
    spec = SPECS["v0_4_0"]
    summary = build_source(spec, source, raw_data, tmp_path)

    assert rows_are_conserved(summary.waterfall) == []
    assert quarantine_within_budget(summary.waterfall, spec.budgets_of(source)) == []
    assert rows_match_schema(summary.shards) == []
    assert licences_are_allowed(summary.counts, spec.licences_allowed) == []


ROLLS = {
    "state-ia-contractors": (
        "state-ia/active.csv",
        "Registration #,Business Name,Address 1,Address 2,City,State,Zip Code\nC1,Acme,1 Elm St,Ste 2,Ames,IA,50010\n",
    ),
    "state-tx-notaries": ("state-tx/notaries.csv", 'Notary ID,Address\n"1","1 Elm St\nAustin, TX 78701"\n'),
    "state-ny-notaries": (
        "state-ny/notaries.csv",
        'Business Address 1 (if available), Business City (if available)\n"1 Elm St","Rome"\n',
    ),
}


@pytest.mark.parametrize("source", sorted(NO_SAMPLE))
def test_a_roll_without_a_sample_builds_where_the_spec_looks_for_it(source: str, tmp_path: Path) -> None:
    file, text = ROLLS[source]
    (tmp_path / "raw" / file).parent.mkdir(parents=True)
    (tmp_path / "raw" / file).write_text(text, encoding="utf-8")
    spec = SPECS["v0_4_0"]

    summary = build_source(spec, source, tmp_path / "raw", tmp_path / "out")
    assert summary.counts["licence"] == {"Public record (US state)": summary.counts["rows"]}
    assert summary.waterfall.records.kept == 1
    assert licences_are_allowed(summary.counts, spec.licences_allowed) == []
