"""Checks of the mix, the tokenizer and the tokenized dataset of a recipe."""

from __future__ import annotations

import json

from mw_pipeline.dataset.checks import dataset_matches_schema as schema_findings
from mw_pipeline.dataset.checks import splits_share_no_rows
from mw_pipeline.dataset.summary import DATASET_JSON, WORD_REASONS, DatasetSummary, dropped_rows
from mw_pipeline.dataset.summary import labels_survive_tokenizing as survival_findings
from mw_pipeline.dataset.text_sample import sample_texts
from mw_pipeline.digest import JSON
from mw_pipeline.mix.plan import Mix
from mw_pipeline.recipe import Recipe
from mw_pipeline.stages import line
from mw_pipeline.stages.corpus import row_files
from mw_pipeline.stages.dataset import MIX_FILE, audit_mix, tokenizer_of
from mw_pipeline.stages.evidence import read_evidence
from mw_pipeline.stages.findings import Findings, bullets, found
from mw_pipeline.stages.place import Place
from mw_pipeline.sufficiency import shortages
from mw_pipeline.tokenizer import tokenizer_round_trips as round_trip_findings

ROUND_TRIP_ROWS = 20_000


def mix_is_as_declared(place: Place, partition: str) -> Findings:
    """Every weighted source has rows, every present source is listed, and the sampler delivers the shares asked for."""
    recipe = place.recipe(partition)
    kept, mix = line.source_mix.demand(place, recipe), _drawn(place, recipe)
    # What the artifact says of itself is not believed (M68): the sampler is run again.
    other = kept.read_json(MIX_FILE) != json.loads(json.dumps(mix.as_json()))
    problems = [f"{MIX_FILE} is not what the sampler draws: {kept.removal} and plan the mix again"] if other else []
    return found([*problems, *mix.findings], "as declared", mix=mix.as_table())


def mix_is_not_concentrated(place: Place, partition: str) -> Findings:
    """No source dominates the mix, and none is repeated far more often than the others."""
    return found(_drawn(place, place.recipe(partition)).warnings, "spread over its sources")


def recipe_changes_one_thing(place: Place, partition: str) -> Findings:
    """Against its base the recipe changes one thing that is trained, so that a difference has one cause (M05)."""
    recipe = place.recipe(partition)
    groups = ", ".join(recipe.changed_groups)
    problems = [f"changes {groups} at once: try each alone"] if len(recipe.changed_groups) > 1 else []
    return found(problems, f"changes {groups or 'nothing'}", changes=bullets(sorted(recipe.changes)))


def tokenizer_round_trips(place: Place, partition: str) -> Findings:
    """Texts come back from their pieces, and every piece knows which code points it covers."""
    recipe = place.recipe(partition)
    tokenizer = tokenizer_of(line.tokenizer.demand(place, recipe))
    manifest = line.corpus_manifest.demand(place, recipe.corpus)
    texts = sample_texts(row_files(manifest), rows=ROUND_TRIP_ROWS, seed=recipe.tokenizer.seed + 1)
    return found(round_trip_findings(tokenizer, texts), f"{len(texts):,} texts come back from their pieces")


def labels_survive_tokenizing(place: Place, partition: str) -> Findings:
    """Spans come back from their own labels for at least 99.5 % of the gold values of every tag, and all are legal."""
    summary = _dataset_summary(place, partition)
    lost = sum(counts["gold"] - counts["survived"] for counts in summary["survival"].values())
    spans = sum(counts["gold"] for counts in summary["survival"].values())
    dropped = dropped_rows(summary)
    left_out = {f"rows_{reason}": dropped[reason] for reason in WORD_REASONS}
    fine = f"{lost:,} of {spans:,} spans are lost"
    return found(survival_findings(summary), fine, spans=spans, lost=lost, **left_out)


def dataset_matches_schema(place: Place, partition: str) -> Findings:
    """Ids, labels and lengths of every tokenized row are in range, no split is empty, and no row is in two splits."""
    recipe = place.recipe(partition)
    artifact, tokenizer = line.tokenized_dataset.demand(place, recipe), line.tokenizer.demand(place, recipe)
    folder, joints = artifact.folder(), tokenizer_of(tokenizer).joints
    summary = read_evidence(artifact, DATASET_JSON, DatasetSummary)
    problems = (*schema_findings(folder, summary, joints), *splits_share_no_rows(folder))
    return found(problems, f"{artifact.metrics['rows']:,} tokenized rows fit the schema")


def data_is_enough(place: Place, partition: str) -> Findings:
    """Training meets every label 30 times at least, and no row more than four times on average (M27)."""
    recipe, summary = place.recipe(partition), _dataset_summary(place, partition)
    rows: int = summary["splits"]["train"]["rows"]
    problems = shortages(summary["label_counts"], rows=rows, samples=recipe.samples)
    return found(problems, f"{rows:,} training rows")


def every_tag_is_taught(place: Place, partition: str) -> Findings:
    """Every tag of the label set is held by rows of the recipe's sources: what no row holds, no training can teach."""
    recipe, summary = place.recipe(partition), _dataset_summary(place, partition)
    values = {tag: summary["survival"].get(tag, {"gold": 0})["gold"] for tag in recipe.label_set.tags}
    problems = [f"no row of corpus {recipe.corpus!r} holds {tag}" for tag, count in values.items() if not count]
    fewest = min(values, key=lambda tag: values[tag])
    return found(problems, f"the rarest tag is {fewest}, in {values[fewest]:,} rows", values=values)


def _drawn(place: Place, recipe: Recipe) -> Mix:
    return audit_mix(line.corpus_manifest.demand(place, recipe), recipe)


def _dataset_summary(place: Place, partition: str) -> JSON:
    return read_evidence(line.tokenized_dataset.demand(place, place.recipe(partition)), DATASET_JSON, DatasetSummary)
