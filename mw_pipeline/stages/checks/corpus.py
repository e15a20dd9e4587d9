"""Checks of the corpus: its shards, its manifest and the gold beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mw_pipeline.corpus import census, leaks, lints, schema, waterfall
from mw_pipeline.stages import requests
from mw_pipeline.stages.corpus import (
    CENSUS_FILE,
    EXCLUSIONS_FILE,
    census_table,
    golden_of,
    row_files,
    shard_files,
    waterfall_of,
)
from mw_pipeline.stages.findings import Findings, bullets, found
from mw_pipeline.stages.place import Place


def rows_match_schema(place: Place, partition: str) -> Findings:
    """Every row has the row schema, every span cuts its component out of the text, and there is at least one row."""
    shards = requests.shards(place, *_corpus_and_source(partition)).demand(place.store)
    rows = shards.metrics["rows"]
    return found(schema.rows_match_schema(shard_files(shards)), f"{rows:,} rows fit the schema", rows=rows)


def rows_are_conserved(place: Place, partition: str) -> Findings:
    """Records read = kept + quarantined + filtered + deduplicated, and the same for the rows composed from them."""
    shards = requests.shards(place, *_corpus_and_source(partition)).demand(place.store)
    flow = waterfall_of(shards)
    return found(
        waterfall.rows_are_conserved(flow), flow.one_line(), kept=flow.rows.kept, waterfall=waterfall_table(flow)
    )


def quarantine_within_budget(place: Place, partition: str) -> Findings:
    """Losses stay within the corpus spec's budgets: to quarantine, each reason, each augmentation and each filter."""
    corpus, source = _corpus_and_source(partition)
    flow = waterfall_of(requests.shards(place, corpus, source).demand(place.store))
    lost = flow.records.quarantined.total() + flow.rows.quarantined.total()
    problems = waterfall.quarantine_within_budget(flow, place.corpus_spec(corpus).budgets)
    return found(
        problems, f"{lost:,} of {flow.records.read:,} records and their rows are quarantined", quarantined=lost
    )


def splits_are_disjoint(place: Place, partition: str) -> Findings:
    """No address family and no text stands in two splits, whatever was done to it, and no row id stands twice."""
    manifest = requests.manifest(place, partition).demand(place.store)
    files = _all_rows(place, partition)
    problems = [*leaks.splits_are_disjoint(files, manifest.file(EXCLUSIONS_FILE)), *census.row_ids_are_unique(files)]
    return found(problems, "no family and no text is in two splits", census=census_table(manifest))


def licences_are_allowed(place: Place, partition: str) -> Findings:
    """Every row's licence is on the corpus spec's list."""
    manifest = requests.manifest(place, partition).demand(place.store)
    allowed = place.corpus_spec(partition).licences_allowed
    problems = [
        f"{name}: {problem}"
        for name, found in manifest.read_json(CENSUS_FILE)["sources"].items()
        for problem in census.licences_are_allowed(found["counts"], allowed)
    ]
    return found(problems, f"all rows are under {', '.join(allowed)}", census=census_table(manifest))


def golden_is_valid(place: Place, partition: str) -> Findings:
    """Every gold value can be reached in its text, conventions hold, and no row contradicts another."""
    golden = golden_of(place, partition)
    blocking = [str(finding) for finding in golden.findings if finding.blocks]
    remarks = [str(finding) for finding in golden.findings if not finding.blocks]
    return found(blocking, f"{len(golden.rows)} gold rows in {len(golden.families)} families", remarks=bullets(remarks))


def golden_is_not_in_train(place: Place, partition: str) -> Findings:
    """No gold row stands in training, neither its text in any case or punctuation nor its family (M21)."""
    golden = golden_of(place, partition)
    manifest = requests.manifest(place, partition).demand(place.store)
    files = _all_rows(place, partition)
    problems = leaks.golden_is_not_in_train(files, golden.raws, golden.families, manifest.file(EXCLUSIONS_FILE))
    return found(problems, f"none of {len(golden.rows)} gold rows is in training")


def holdout_is_covered(place: Place, partition: str) -> Findings:
    """Every source says the regions of its rows, so that the held-out regions can be held out of it (M22)."""
    files = _all_rows(place, partition)
    regions = place.corpus_spec(partition).holdout_regions
    return found(census.holdout_is_covered(files, regions), f"held out: {', '.join(regions) or 'no region'}")


def rows_teach_what_they_should(place: Place, partition: str) -> Findings:
    """Sources label words alike (M28), no ordinal is a house number (M29), and scripts are the country's (M30)."""
    files = _all_rows(place, partition)
    problems = [
        *lints.labels_agree(files),
        *lints.ordinals_are_no_house_numbers(files),
        *lints.scripts_are_at_home(files),
    ]
    return found(problems, "nothing odd", first_numbers=_first_number_table(lints.first_number_labels(files)))


def waterfall_table(flow: waterfall.Waterfall) -> str:
    """What became of every record of a source and of the rows composed from them, as a Markdown table."""
    lines = ["| | records | rows |", "|---|--:|--:|", f"| read | {flow.records.read:,} | {flow.rows.read:,} |"]
    for fate in ("quarantined", "filtered"):
        records, rows = getattr(flow.records, fate), getattr(flow.rows, fate)
        lines += [f"| {fate}: {name} | {records[name]:,} | {rows[name]:,} |" for name in sorted({*records, *rows})]
    lines.append(f"| deduplicated | {flow.records.deduplicated:,} | {flow.rows.deduplicated:,} |")
    return "\n".join([*lines, f"| kept | {flow.records.kept:,} | {flow.rows.kept:,} |"])


def _first_number_table(counts: Mapping[str, Mapping[str, int]]) -> str:
    """What the first number of a row is, per source, as a Markdown table."""
    tags = sorted({tag for found in counts.values() for tag in found})
    lines = [f"| source | {' | '.join(tags)} |", "|---" + "|--:" * len(tags) + "|"]
    rows = (f"| {name} | {' | '.join(f'{found.get(tag, 0):,}' for tag in tags)} |" for name, found in counts.items())
    return "\n".join([*lines, *rows])


def _corpus_and_source(partition: str) -> tuple[str, str]:
    corpus, _, source = partition.partition(":")
    return corpus, source


def _all_rows(place: Place, corpus: str) -> list[Path]:
    """The Parquet files of all sources of a corpus."""
    manifest = requests.manifest(place, corpus).demand(place.store)
    return [path for paths in row_files(place.store, manifest).values() for path in paths]
