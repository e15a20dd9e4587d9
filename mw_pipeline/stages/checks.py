"""Every check of the graph as a function of a place and a partition: what it found, in words, with its evidence.

Each function is named by the sentence that should be true; its docstring is what the graph shows as description.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mw_pipeline.corpus import census, leaks, lints, schema, waterfall
from mw_pipeline.dataset.build import labels_survive_tokenizing as survival_findings
from mw_pipeline.dataset.checks import data_is_enough as enough_findings
from mw_pipeline.dataset.checks import dataset_matches_schema as schema_findings
from mw_pipeline.dataset.checks import splits_share_no_rows
from mw_pipeline.dataset.text_sample import sample_texts
from mw_pipeline.digest import JSON
from mw_pipeline.golden.gold import GoldenSet, load_golden
from mw_pipeline.report.cells import fact, number
from mw_pipeline.stages import requests
from mw_pipeline.stages.corpus import (
    CENSUS_FILE,
    EXCLUSIONS_FILE,
    GOLDEN_FILE,
    census_table,
    row_files,
    shard_files,
    waterfall_of,
)
from mw_pipeline.stages.dataset import tokenizer_of
from mw_pipeline.stages.findings import Findings
from mw_pipeline.stages.place import Place
from mw_pipeline.stages.verdict import build_verdict
from mw_pipeline.tokenizer import tokenizer_round_trips as round_trip_findings
from mw_pipeline.verdict.runlog import read_run
from mw_pipeline.verdict.soundness import soundness_findings

PARITY_FILE = "parity.json"
ROUND_TRIP_ROWS = 20_000
MAX_LOGIT_DIFFERENCE = 1e-3
"""Largest difference (nats) between a checkpoint and its unquantised export that float32 rounding explains."""

# --- corpus --------------------------------------------------------------------------------------------------------


def rows_match_schema(place: Place, partition: str) -> Findings:
    """Every row has the row schema, every span cuts its component out of the text, and there is at least one row."""
    shards = requests.shards(place, *_corpus_and_source(partition)).demand(place.store)
    rows = shards.metrics["rows"]
    return _findings(schema.rows_match_schema(shard_files(shards)), f"{rows:,} rows fit the schema", rows=rows)


def rows_are_conserved(place: Place, partition: str) -> Findings:
    """Records read = kept + quarantined + filtered + deduplicated, and the same for the rows composed from them."""
    shards = requests.shards(place, *_corpus_and_source(partition)).demand(place.store)
    flow = waterfall_of(shards)
    return _findings(
        waterfall.rows_are_conserved(flow), flow.one_line(), kept=flow.rows.kept, waterfall=waterfall_table(flow)
    )


def quarantine_within_budget(place: Place, partition: str) -> Findings:
    """Losses stay within the corpus spec's budgets: to quarantine, each reason, each augmentation and each filter."""
    corpus, source = _corpus_and_source(partition)
    flow = waterfall_of(requests.shards(place, corpus, source).demand(place.store))
    lost = flow.records.quarantined.total() + flow.rows.quarantined.total()
    problems = waterfall.quarantine_within_budget(flow, place.corpus_spec(corpus).budgets)
    return _findings(
        problems, f"{lost:,} of {flow.records.read:,} records and their rows are quarantined", quarantined=lost
    )


def splits_are_disjoint(place: Place, partition: str) -> Findings:
    """No address family and no text stands in two splits, whatever was done to it, and no row id stands twice."""
    manifest = requests.manifest(place, partition).demand(place.store)
    files = _all_rows(place, partition)
    problems = [*leaks.splits_are_disjoint(files, manifest.file(EXCLUSIONS_FILE)), *census.row_ids_are_unique(files)]
    return _findings(problems, "no family and no text is in two splits", census=census_table(manifest))


def licences_are_allowed(place: Place, partition: str) -> Findings:
    """Every row's licence is on the corpus spec's list."""
    manifest = requests.manifest(place, partition).demand(place.store)
    allowed = place.corpus_spec(partition).licences_allowed
    problems = [
        f"{name}: {problem}"
        for name, found in manifest.read_json(CENSUS_FILE)["sources"].items()
        for problem in census.licences_are_allowed(found["counts"], allowed)
    ]
    return _findings(problems, f"all rows are under {', '.join(allowed)}", census=census_table(manifest))


def golden_is_valid(place: Place, partition: str) -> Findings:
    """Every gold value can be reached in its text, conventions hold, and no row contradicts another."""
    golden = _golden(place, partition)
    blocking = [str(finding) for finding in golden.findings if finding.blocks]
    remarks = [str(finding) for finding in golden.findings if not finding.blocks]
    return _findings(
        blocking, f"{len(golden.rows)} gold rows in {len(golden.families)} families", remarks=_bullets(remarks)
    )


def golden_is_not_in_train(place: Place, partition: str) -> Findings:
    """No gold row stands in training, neither its text in any case or punctuation nor its family (M21)."""
    golden = _golden(place, partition)
    manifest = requests.manifest(place, partition).demand(place.store)
    files = _all_rows(place, partition)
    problems = leaks.golden_is_not_in_train(files, golden.raws, golden.families, manifest.file(EXCLUSIONS_FILE))
    return _findings(problems, f"none of {len(golden.rows)} gold rows is in training")


def holdout_is_covered(place: Place, partition: str) -> Findings:
    """Every source says the regions of its rows, so that the held-out regions can be held out of it (M22)."""
    files = _all_rows(place, partition)
    regions = place.corpus_spec(partition).holdout_regions
    return _findings(census.holdout_is_covered(files, regions), f"held out: {', '.join(regions) or 'no region'}")


def rows_teach_what_they_should(place: Place, partition: str) -> Findings:
    """Sources label words alike (M28), no ordinal is a house number (M29), and scripts are the country's (M30)."""
    files = _all_rows(place, partition)
    problems = [
        *lints.labels_agree(files),
        *lints.ordinals_are_no_house_numbers(files),
        *lints.scripts_are_at_home(files),
    ]
    return _findings(problems, "nothing odd", first_numbers=_first_number_table(lints.first_number_labels(files)))


# --- mix and dataset -----------------------------------------------------------------------------------------------


def mix_is_as_declared(place: Place, partition: str) -> Findings:
    """Every weighted source has rows, every present source is listed, and the sampler delivers the shares asked for."""
    mix = requests.mix(place, place.recipe(partition)).demand(place.store)
    return _findings(mix.read_json("mix.json")["findings"], "as declared", mix=mix.file("mix.md").read_text())


def mix_is_not_concentrated(place: Place, partition: str) -> Findings:
    """No source dominates the mix, and none is repeated far more often than the others."""
    mix = requests.mix(place, place.recipe(partition)).demand(place.store)
    return _findings(mix.read_json("mix.json")["warnings"], "spread over its sources")


def recipe_changes_one_thing(place: Place, partition: str) -> Findings:
    """Against its base the recipe changes one thing that is trained, so that a difference has one cause (M05)."""
    recipe = place.recipe(partition)
    groups = ", ".join(recipe.changed_groups)
    problems = [f"changes {groups} at once: try each alone"] if len(recipe.changed_groups) > 1 else []
    return _findings(problems, f"changes {groups or 'nothing'}", changes=_bullets(sorted(recipe.changes)))


def tokenizer_round_trips(place: Place, partition: str) -> Findings:
    """Texts come back from their pieces, and every piece knows which code points it covers."""
    recipe = place.recipe(partition)
    tokenizer = tokenizer_of(requests.tokenizer(place, recipe).demand(place.store))
    manifest = requests.manifest(place, recipe.corpus).demand(place.store)
    texts = sample_texts(row_files(place.store, manifest), rows=ROUND_TRIP_ROWS, seed=recipe.tokenizer.seed + 1)
    return _findings(round_trip_findings(tokenizer, texts), f"{len(texts):,} texts come back from their pieces")


def labels_survive_tokenizing(place: Place, partition: str) -> Findings:
    """Spans come back from their own labels for at least 99.5 % of the gold values of every tag, and all are legal."""
    summary = _dataset_summary(place, partition)
    lost = sum(counts["gold"] - counts["survived"] for counts in summary["survival"].values())
    spans = sum(counts["gold"] for counts in summary["survival"].values())
    return _findings(survival_findings(summary), f"{lost:,} of {spans:,} spans are lost", spans=spans, lost=lost)


def dataset_matches_schema(place: Place, partition: str) -> Findings:
    """Ids, labels and lengths of every tokenized row are in range, no split is empty, and no row is in two splits."""
    artifact = requests.dataset(place, place.recipe(partition)).demand(place.store)
    folder = artifact.folder()
    problems = (*schema_findings(folder, artifact.read_json("dataset.json")), *splits_share_no_rows(folder))
    return _findings(problems, f"{artifact.metrics['rows']:,} tokenized rows fit the schema")


def data_is_enough(place: Place, partition: str) -> Findings:
    """Training meets every label 30 times at least, and no row more than four times on average (M27)."""
    recipe, summary = place.recipe(partition), _dataset_summary(place, partition)
    problems = enough_findings(summary, samples=requests.samples_of(recipe))
    return _findings(problems, f"{summary['splits']['train']['rows']:,} training rows")


# --- training ------------------------------------------------------------------------------------------------------


def smoke_verdict(place: Place, partition: str) -> Findings:
    """The smoke saw what the full run will meet, and nothing failed: only then may the full run start."""
    _, verdict = build_verdict(place, place.recipe(partition))
    problems = () if verdict.outcome == "pass" else (verdict.one_line(),)
    numbers = {name: value for name, value in verdict.evidence.items() if not isinstance(value, list)}
    return _findings(problems, verdict.one_line(), exposure_ratio=verdict.exposure_ratio, **numbers)


def run_is_sound(place: Place, partition: str) -> Findings:
    """The full run's own log is complete, real, finite, better than guessing, and honest about how it ended."""
    full = requests.full(place, place.recipe(partition)).demand(place.store)
    steps, best = full.metrics["steps"], full.metrics["best_val_macro_f1"]
    summary = f"{steps:,} steps, best validation macro-F1 {number(best)} at step {fact(full.metrics['best_step'])}"
    return _findings(soundness_findings(read_run(full.folder())), summary, steps=steps, best_val_macro_f1=best)


# --- evaluation and release ----------------------------------------------------------------------------------------


def eval_is_comparable(place: Place, partition: str) -> Findings:
    """The report says on which gold and labels its scores stand, and they are those of this recipe."""
    recipe = place.recipe(partition)
    report = requests.report(place, recipe).demand(place.store).read_json("scores.json")
    expected = {"gold": _golden(place, recipe.corpus).hash, "labels": recipe.label_set.hash}
    problems = [
        f"scores.json names {name} {report['hashes'].get(name)!r}, this recipe's is {value!r}: evaluate again"
        for name, value in expected.items()
        if report["hashes"].get(name) != value
    ]
    return _findings(problems, f"scored on {report['rows']} rows, {report['policy']}", **report["hashes"])


def package_matches_checkpoint(place: Place, partition: str) -> Findings:
    """The exported network gives the checkpoint's logits before it is quantised."""
    parity = _parity(place, partition)["fp32_against_checkpoint"]
    far = parity["max_logit_difference"]
    sentence = f"logits differ by at most {far:.1e} nats over {parity['pieces']:,} pieces"
    within = far <= MAX_LOGIT_DIFFERENCE  # false for NaN too
    return _findings([] if within else [f"{sentence}, allowed {MAX_LOGIT_DIFFERENCE:g}"], sentence, **parity)


def quantisation_costs_little(place: Place, partition: str) -> Findings:
    """The int8 bytes decode to the checkpoint's labels, and cost no more core macro-F1 than the recipe allows."""
    recipe = place.recipe(partition)
    parity = _parity(place, partition)["int8_against_checkpoint"]
    before = requests.report(place, recipe).demand(place.store).read_json("scores.json")["core_macro_f1"]
    cost = before - _packaged_scores(place, partition)["core_macro_f1"]
    problems = []
    if not cost <= recipe.eval.max_quantisation_cost:  # written so that NaN fails
        problems.append(
            f"int8 costs {cost:.4f} core macro-F1, eval.max_quantisation_cost is {recipe.eval.max_quantisation_cost}"
        )
    if not parity["label_agreement_share"] >= recipe.eval.min_label_agreement:
        problems.append(
            f"int8 agrees on {parity['label_agreement_share']:.2%} of labels, "
            f"eval.min_label_agreement is {recipe.eval.min_label_agreement:.2%}"
        )
    return _findings(problems, f"int8 costs {cost:.4f} core macro-F1", cost=cost, **parity)


def release_beats_its_gates(place: Place, partition: str) -> Findings:
    """The packaged bytes score at least what the recipe's eval gates ask."""
    gate, scores = place.recipe(partition).eval.min_core_macro_f1, _packaged_scores(place, partition)
    found, (low, high) = scores["core_macro_f1"], scores["intervals"]["core_macro_f1"]
    sentence = f"core macro-F1 {found:.4f} ({low:.4f} to {high:.4f}) on {scores['rows']} gold rows, gate {gate:.2f}"
    return _findings([] if found >= gate else [sentence], sentence, core_macro_f1=found, gate=gate)


# --- shared --------------------------------------------------------------------------------------------------------


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


def _findings(problems: Sequence[str], summary: str, **evidence: JSON) -> Findings:
    return Findings(tuple(problems), summary, evidence)


def _bullets(sentences: Sequence[str]) -> str:
    return "\n".join(f"- {sentence}" for sentence in sentences) or "none"


def _corpus_and_source(partition: str) -> tuple[str, str]:
    corpus, _, source = partition.partition(":")
    return corpus, source


def _all_rows(place: Place, corpus: str) -> list[Path]:
    """The Parquet files of all sources of a corpus."""
    manifest = requests.manifest(place, corpus).demand(place.store)
    return [path for paths in row_files(place.store, manifest).values() for path in paths]


def _golden(place: Place, corpus: str) -> GoldenSet:
    return load_golden([requests.golden(place, corpus).demand(place.store).file(GOLDEN_FILE)])


def _dataset_summary(place: Place, partition: str) -> JSON:
    return requests.dataset(place, place.recipe(partition)).demand(place.store).read_json("dataset.json")


def _parity(place: Place, partition: str) -> JSON:
    return requests.packages(place, place.recipe(partition)).demand(place.store).read_json(PARITY_FILE)


def _packaged_scores(place: Place, partition: str) -> JSON:
    recipe = place.recipe(partition)
    packages = requests.packages(place, recipe).demand(place.store)
    return packages.read_json(f"{recipe.package.locales[0]}/model-card.json")["metrics"]["golden"]
