"""Checks of the corpus: its shards and its manifest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mw_pipeline.corpus import census, holdouts, keys, leaks, schema, waterfall
from mw_pipeline.report.cells import Table, count
from mw_pipeline.stages import line
from mw_pipeline.stages.corpus import (
    EXCLUSIONS_FILE,
    census_table,
    key_files,
    licence_problems,
    row_files,
    shard_files,
    shards_of,
    waterfall_of,
)
from mw_pipeline.stages.findings import Findings, found
from mw_pipeline.stages.golden import gold_texts_and_families
from mw_pipeline.stages.place import Place


def rows_match_schema(place: Place, partition: str) -> Findings:
    """Every row has the row schema, every span cuts its component out of the text, and there is at least one row; the
    keys beside the rows, which other checks join, are theirs."""
    shards = line.corpus_shards.demand(place, partition)
    rows, files = shards.metrics["rows"], shard_files(shards)
    problems = schema.rows_match_schema(files) or keys.keys_match_rows(files, key_files(shards))
    return found(problems, f"{rows:,} rows fit the schema", rows=rows)


def rows_are_conserved(place: Place, partition: str) -> Findings:
    """Records read = kept + quarantined + filtered + deduplicated, and the same for the rows composed from them."""
    shards = line.corpus_shards.demand(place, partition)
    flow = waterfall_of(shards)
    return found(
        waterfall.rows_are_conserved(flow), flow.one_line(), kept=flow.rows.kept, waterfall=waterfall_table(flow)
    )


def quarantine_within_budget(place: Place, partition: str) -> Findings:
    """Losses stay within the budgets of the source: to quarantine, each reason, each augmentation and each filter."""
    shards = line.corpus_shards.subject(place, partition)
    flow = waterfall_of(line.corpus_shards.demand(place, shards))
    lost = flow.records.quarantined.total() + flow.rows.quarantined.total()
    problems = waterfall.quarantine_within_budget(flow, shards.spec.budgets_of(shards.source))
    return found(
        problems, f"{lost:,} of {flow.records.read:,} records and their rows are quarantined", quarantined=lost
    )


def splits_are_disjoint(place: Place, partition: str) -> Findings:
    """No address family and no text stands in two splits, whatever was done to it, and no held-out place in training;
    no row id stands twice, and no text in two sources."""
    manifest = line.corpus_manifest.demand(place, partition)
    excluded = manifest.file(EXCLUSIONS_FILE)
    keyed, spec = all_keys(place, partition), place.corpus_spec(partition)
    texts, families = gold_texts_and_families(line.golden_set.demand(place, partition))
    return found(
        [
            *leaks.splits_are_disjoint(keyed, excluded),
            *holdouts.held_out_places_stay_out(all_rows(place, partition), spec.holdout_places_share, excluded),
            *leaks.sources_share_no_text(keyed, excluded),
            *census.row_ids_are_unique(keyed),
        ],
        f"no family and no text is in two splits, and no held-out place ({spec.holdout_places_share:.1%}) in training",
        in_both=_overlap_table(leaks.overlaps(keyed, texts, families, excluded)),
        census=census_table(manifest),
    )


def licences_are_allowed(place: Place, partition: str) -> Findings:
    """Every row's licence is on the corpus spec's list, and binds what is made from it only where that is allowed."""
    manifest = line.corpus_manifest.demand(place, partition)
    spec = place.corpus_spec(partition)
    fine = f"all rows are under {', '.join(spec.licences_allowed)}"
    return found(licence_problems(spec, manifest), fine, census=census_table(manifest))


def waterfall_table(flow: waterfall.Waterfall) -> str:
    """What became of every record of a source and of the rows composed from them, as a Markdown table."""
    lines = ["| | records | rows |", "|---|--:|--:|", f"| read | {flow.records.read:,} | {flow.rows.read:,} |"]
    for fate in ("quarantined", "filtered"):
        records, rows = getattr(flow.records, fate), getattr(flow.rows, fate)
        lines += [f"| {fate}: {name} | {records[name]:,} | {rows[name]:,} |" for name in sorted({*records, *rows})]
    lines.append(f"| deduplicated | {flow.records.deduplicated:,} | {flow.rows.deduplicated:,} |")
    return "\n".join([*lines, f"| kept | {flow.records.kept:,} | {flow.rows.kept:,} |"])


def _overlap_table(overlaps: Sequence[leaks.Overlap]) -> str:
    """What every two splits, and each split and the gold, have in common: the proof in numbers."""
    headers = ("rows of", "compared with", "rows", "with an id in both", "with a family in both", "with a text in both")
    rows = tuple(
        (o.first, o.second, f"{o.rows:,}", count(o.row_ids), count(o.families), count(o.texts)) for o in overlaps
    )
    return Table(headers, rows).as_markdown()


def all_rows(place: Place, corpus: str) -> list[Path]:
    """The Parquet files of all sources of a corpus."""
    manifest = line.corpus_manifest.demand(place, corpus)
    return [path for paths in row_files(manifest).values() for path in paths]


def all_keys(place: Place, corpus: str) -> list[Path]:
    """The files of keys of all sources of a corpus."""
    shards = shards_of(line.corpus_manifest.demand(place, corpus))
    return [path for artifact in shards.values() for path in key_files(artifact)]
