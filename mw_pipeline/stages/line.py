"""The line: every stage once, in the order in which things are made, from raw files to packaged weights.

Whoever makes an artifact asks for it here, and whoever looks for it as well, so both always mean the same one. Nothing
here needs torch, and nothing else lists stages by name.
"""

from __future__ import annotations

from collections.abc import Iterator

from mw_pipeline.artifact import Artifact
from mw_pipeline.digest import JSON
from mw_pipeline.errors import RecipeError
from mw_pipeline.package.layout import layout_hashes
from mw_pipeline.recipe import Recipe
from mw_pipeline.stages import slices
from mw_pipeline.stages.baseline import Baseline, baseline_of
from mw_pipeline.stages.evidence import Verdict, read_evidence
from mw_pipeline.stages.place import Place
from mw_pipeline.stages.slices import COMPARED_SEEDS
from mw_pipeline.stages.stage import A_MOMENT_SECONDS, Given, Stage, Subject
from mw_pipeline.train import permit
from mw_pipeline.verdict.binding import BINDING_SECTIONS, VERDICT_FILE


def baseline(place: Place, recipe: Recipe) -> Baseline:
    """The packages that a recipe's own are compared with. Its full run is there: no release of that is a baseline."""
    return baseline_of(place, recipe, weights=full_checkpoint.demand(place, recipe).digest)


def _with_baseline(subject: Subject) -> Given:
    return {"baseline": baseline(subject.place, subject.recipe)}


def _has_baseline(subject: Subject) -> bool:
    return bool(baseline(subject.place, subject.recipe).packages)


def _config_of_axes(subject: Subject) -> JSON:
    """The baseline counts by its bytes and its name."""
    found = baseline(subject.place, subject.recipe)
    return {
        "labels": subject.recipe.label_set.hash,
        "baseline": found.sentence,
        "packages": {locale: layout_hashes(path) for locale, path in found.packages.items()},
    }


def _compared_runs(subject: Subject, *, seeds: int = COMPARED_SEEDS) -> Iterator[Artifact]:
    """Verdict and full run of each recipe and seed; where a smoke failed, its verdict alone."""
    for name in subject.place.recipes_in(subject.partition):
        for seed in range(seeds):
            recipe = subject.place.recipe(f"{name}@{seed}")
            verdict = smoke_verdict.demand(subject.place, recipe)
            yield verdict
            if read_evidence(verdict, VERDICT_FILE, Verdict)["outcome"] == "pass":
                yield full_checkpoint.demand(subject.place, recipe)


corpus_shards = Stage(
    name="corpus_shards",
    makes="Canonical and aligned rows of one source as Parquet shards, with its quarantine and its row-loss waterfall.",
    group="corpus",
    per="source",
    maker="mw_pipeline.stages.corpus:build_shards",
    given=slices.raw_files,
    resumes=True,
    config=slices.of_shards,
    code=("mw_pipeline.corpus.build",),
    extra_code=slices.adapter_of_source,
    blocks=("rows_match_schema", "rows_are_conserved", "quarantine_within_budget"),
)

golden_set = Stage(
    name="golden_set",
    makes="The gold rows, validated: reachable values, families, ceilings, regions, and the hash of their conventions.",
    group="corpus",
    per="corpus",
    maker="mw_pipeline.stages.golden:build_golden",
    given=lambda of: {"files": slices.gold_files(of)},
    config=slices.of_gold,
    code=("mw_pipeline.golden.judge", "mw_pipeline.stages.further_gold", "mw_pipeline.golden.regions"),
    extra_code=slices.adapters_of_gold,
    blocks=("golden_is_valid",),
)

corpus_manifest = Stage(
    name="corpus_manifest",
    makes="All shards of the corpus: rows per source, split, country and licence, what each source asks to be named, "
    "and the rows that no one may train on.",
    group="corpus",
    per="corpus",
    maker="mw_pipeline.stages.corpus:build_manifest",
    given=lambda of: {"spec": of.spec},
    inputs=(corpus_shards, golden_set),
    config=slices.of_manifest,
    code=("mw_pipeline.corpus.leaks",),
    blocks=("splits_are_disjoint", "licences_are_allowed", "golden_is_not_in_train"),
    warns=(
        "holdout_is_covered",
        "methods_apply",
        "labels_agree",
        "ordinals_are_no_house_numbers",
        "scripts_are_at_home",
    ),
)

source_mix = Stage(
    name="source_mix",
    makes="Rows, weight, requested and realised share, and repetitions per row of every source in this recipe.",
    group="mix",
    per="recipe",
    maker="mw_pipeline.stages.dataset:build_mix",
    procedure="mw_pipeline.stages.dataset:source_mix",
    inputs=(corpus_manifest,),
    config=slices.of_mix,
    code=("mw_pipeline.mix.plan", "mw_pipeline.corpus.census"),
    blocks=("mix_is_as_declared",),
    warns=("mix_is_not_concentrated", "recipe_changes_one_thing"),
)

closed_words = Stage(
    name="closed_words",
    makes="Every state, département, country, street type, unit and box word of the locales, and the rows that teach "
    "it.",
    group="mix",
    per="recipe",
    maker="mw_pipeline.stages.closed_words:build_closed_words",
    inputs=(corpus_manifest,),
    config=slices.of_closed_words,
    code=("mw_pipeline.corpus.taught_words", "mw_pipeline.report.closed_words"),
    before=("smoke_checkpoint", "full_checkpoint"),
    blocks=("closed_words_are_taught",),
)

tokenizer = Stage(
    name="tokenizer",
    makes="A SentencePiece unigram model with byte fallback, trained on a balanced sample of the training rows.",
    group="dataset",
    per="recipe",
    maker="mw_pipeline.stages.dataset:build_tokenizer",
    inputs=(corpus_manifest,),
    config=slices.of_tokenizer,
    code=("mw_pipeline.tokenizer", "mw_pipeline.dataset.text_sample"),
    blocks=("tokenizer_round_trips",),
)

tokenized_dataset = Stage(
    name="tokenized_dataset",
    makes="Piece ids, labels and row ids of every split, as memory-mapped Arrow files.",
    group="dataset",
    per="recipe",
    maker="mw_pipeline.stages.dataset:build_dataset",
    given=lambda of: {"workers": of.place.workers},
    resumes=True,
    inputs=(corpus_manifest, tokenizer),
    config=slices.of_dataset,
    code=("mw_pipeline.dataset.build",),
    blocks=("labels_survive_tokenizing", "dataset_matches_schema"),
    warns=("data_is_enough", "every_tag_is_taught"),
)

source_audit = Stage(
    name="source_audit",
    makes="What every source of this recipe holds, lost and gives, and what changed since its last audit, as a page.",
    group="mix",
    per="recipe",
    maker="mw_pipeline.stages.audit:write_audit",
    given=lambda of: {"spec": of.spec},
    procedure="mw_pipeline.stages.audit:build_audit",
    inputs=(corpus_manifest, source_mix),
    optional_inputs=(tokenized_dataset,),
    extra_inputs=slices.last_audit,
    config=slices.of_audit,
    code=("mw_pipeline.mix.changes", "mw_pipeline.report.audit.page", "mw_pipeline.corpus.waterfall"),
    warns=("sources_stay",),
)

smoke_checkpoint = Stage(
    name="smoke_checkpoint",
    makes="A short run that stays at the peak learning rate for as long as its verdict needs.",
    group="train",
    per="recipe",
    maker="mw_pipeline.stages.runs:trained",
    given=slices.time_left,
    resumes=True,
    procedure="mw_pipeline.stages.runs:smoke_checkpoint",
    inputs=(tokenized_dataset, source_mix),
    config=slices.sections(*BINDING_SECTIONS),
    code=("mw_pipeline.train.loop",),
    blocks=("smoke_verdict",),
    tensors=True,
)

smoke_verdict = Stage(
    name="smoke_verdict",
    makes="What the smoke's logs say about the full run.",
    group="train",
    per="recipe",
    maker="mw_pipeline.stages.smoke_verdict:write_verdict",
    patience=A_MOMENT_SECONDS,
    inputs=(smoke_checkpoint, tokenized_dataset),
    config=slices.sections(*BINDING_SECTIONS),
    code=("mw_pipeline.verdict.binding",),
    made_with="smoke_checkpoint",
)

full_checkpoint = Stage(
    name="full_checkpoint",
    makes="The full run. Refuses to start without a passing verdict for exactly this recipe, data, code and smoke.",
    group="train",
    per="recipe",
    maker="mw_pipeline.stages.runs:trained",
    given=slices.time_left,
    resumes=True,
    procedure="mw_pipeline.stages.runs:full_checkpoint",
    inputs=(tokenized_dataset, source_mix, smoke_verdict),
    config=slices.sections("model", "loss", "train", "mix", "labels"),
    code=("mw_pipeline.train.loop",),
    blocks=("run_is_sound",),
    tensors=True,
    locked=True,
)

full_run_permit = Stage(
    name=permit.KIND,
    makes="What the lock gives out for the full run, once it has made the smoke again on a kind of device.",
    group="train",
    per="recipe",
    maker="mw_pipeline.stages.recomputation:make_smoke_again",
    patience=600.0,  # two evaluations and some steps: who comes second waits for them, and has the permit too
    tensors=True,
    inputs=(tokenized_dataset, smoke_checkpoint, smoke_verdict),
    config=slices.of_permit,
    code=permit.MODULES,
    made_with="full_checkpoint",
)

gradient_probe = Stage(
    name="gradient_probe",
    makes="How hard the terms of the loss and each source pull on the smoke's best checkpoint, before any full run.",
    group="probe",
    per="recipe",
    maker="mw_pipeline.stages.probes:gradient_probe",
    inputs=(smoke_checkpoint, tokenized_dataset),
    config=slices.sections("loss", "mix", "train"),
    code=("mw_pipeline.probes.gradients",),
    tensors=True,
)

activation_trace = Stage(
    name="activation_trace",
    makes="Every stage of the full checkpoint on the same rows as the smoke's, and the first where the two part.",
    group="probe",
    per="recipe",
    maker="mw_pipeline.stages.probes:activation_trace",
    inputs=(full_checkpoint, smoke_checkpoint, tokenized_dataset),
    code=("mw_pipeline.probes.activations",),
    tensors=True,
)

label_separation = Stage(
    name="label_separation",
    makes="What the full checkpoint gives each label inside its spans and outside: a label may have collapsed unseen.",
    group="probe",
    per="recipe",
    maker="mw_pipeline.stages.probes:label_separation",
    inputs=(full_checkpoint, tokenized_dataset),
    code=("mw_pipeline.probes.separation",),
    tensors=True,
)

teaching_index = Stage(
    name="teaching_index",
    makes="The last layer of the full run's checkpoints on training rows drawn by source, and what the whole corpus "
    "calls each shape of value: what `mw-pipeline why` answers from.",
    group="probe",
    per="recipe",
    maker="mw_pipeline.stages.teaching:build_index",
    inputs=(full_checkpoint, tokenized_dataset, source_mix, corpus_manifest),
    config=slices.of_teaching,
    code=("mw_pipeline.teaching.index", "mw_pipeline.teaching.corpus_rows", "mw_pipeline.teaching.shapes"),
    tensors=True,
    locked=True,
)

release_axes = Stage(
    name="release_axes",
    makes="The bytes to be packaged beside those of the baseline: better, worse, calibrated, stable. Only with a "
    "baseline.",
    group="eval",
    per="recipe",
    maker="mw_pipeline.stages.axes:compare_with_baseline",
    tensors=True,
    given=_with_baseline,
    inputs=(full_checkpoint, tokenizer, golden_set),
    config=_config_of_axes,
    code=("mw_pipeline.evaluate.against_baseline", "mw_pipeline.package.build", "mw_pipeline.dataset.text_sample"),
    exists=_has_baseline,
    made_with="eval_report",
)

eval_report = Stage(
    name="eval_report",
    makes="Per-tag scores on gold and held-out rows with ceilings and intervals, and an HTML page that shows them.",
    group="eval",
    per="recipe",
    maker="mw_pipeline.stages.evaluation:build_report",
    given=_with_baseline,
    procedure="mw_pipeline.stages.evaluation:eval_report",
    inputs=(full_checkpoint, tokenized_dataset, golden_set, smoke_verdict, source_mix, release_axes),
    config=slices.sections("eval"),
    code=(
        "mw_pipeline.evaluate.evaluation",
        "mw_pipeline.evaluate.threshold_report",
        "mw_pipeline.report.evaluation.page",
    ),
    blocks=("eval_is_comparable",),
    tensors=True,
    locked=True,
)

regression_diagnosis = Stage(
    name="regression_diagnosis",
    makes="Every miss in a bucket, per tag; and against the recipe's baseline: what was fixed and what broke.",
    group="eval",
    per="recipe",
    maker="mw_pipeline.stages.diagnosis:build_diagnosis",
    given=_with_baseline,
    inputs=(eval_report, release_axes),
    config=slices.sections("eval"),
    code=("mw_pipeline.evaluate.diagnose",),
)

exported_network = Stage(
    name="exported_network",
    makes="The best checkpoint as int8 ONNX, the bytes that will be packaged, and how near to it they are.",
    group="eval",
    per="recipe",
    maker="mw_pipeline.stages.export:export_network",
    inputs=(full_checkpoint, tokenizer),
    code=("mw_pipeline.package.build", "mw_pipeline.dataset.text_sample"),
    tensors=True,
    made_with="capability_matrix",
)

capability_matrix = Stage(
    name="capability_matrix",
    makes="What the bytes that will be packaged can read, cell by cell, on towns and streets that training never saw.",
    group="eval",
    per="recipe",
    maker="mw_pipeline.stages.capability:build_matrices",
    given=lambda of: {"workers": of.place.workers},
    procedure="mw_pipeline.stages.capability:capability_matrix",
    inputs=(full_checkpoint, tokenizer, exported_network, corpus_manifest),
    config=slices.of_capability,
    code=("mw_pipeline.capability.pieces", "mw_pipeline.package.build"),
    tensors=True,
    locked=True,
    packaging=True,
)

packaged_weights = Stage(
    name="packaged_weights",
    makes="One int8 ONNX package per locale, with a generated card and its whole lineage; also under `releases/`.",
    group="release",
    per="recipe",
    maker="mw_pipeline.stages.packaging:build_packages",
    given=_with_baseline,
    inputs=(
        full_checkpoint,
        exported_network,
        capability_matrix,
        tokenized_dataset,
        tokenizer,
        corpus_manifest,
        golden_set,
        eval_report,
        regression_diagnosis,
        release_axes,
    ),
    config=slices.sections("package", "eval"),
    code=(
        "mw_pipeline.package.build",
        "mw_pipeline.dataset.text_sample",
        "mw_pipeline.parse",
        "mw_pipeline.evaluate.evaluation",
        "mw_pipeline.stages.release_gates",
    ),
    blocks=("package_matches_checkpoint", "quantisation_costs_little", "release_beats_its_gates", "no_cell_is_blind"),
    tensors=True,
    locked=True,
    packaging=True,
    finish="mw_pipeline.stages.shipping:ship",
)

loss_comparison = Stage(
    name="loss_comparison",
    makes="The losses of a folder of recipes over several seeds, ranked by decoded F1; trains what the store lacks.",
    group="eval",
    per="loss folder",
    maker="mw_pipeline.stages.loss_folder:rank",
    procedure="mw_pipeline.stages.loss_folder:loss_comparison",
    inputs=(corpus_manifest,),
    extra_inputs=_compared_runs,
    config=slices.of_comparison,
    code=("mw_pipeline.evaluate.loss_ranking", "mw_pipeline.evaluate.checkpoint_parser"),
    tensors=True,
    makes_inputs=True,
)

campaign_runs = Stage(
    name="campaign_runs",
    makes="Every smoke of a campaign, and the full run of each recipe whose smoke has passed; trains what the store "
    "lacks. Each run, and all that it stands on, is recorded as a partition of the stage that it is of.",
    group="train",
    per="campaign",
    after=(corpus_manifest,),
    code=("mw_pipeline.train.loop",),
)

campaign_report = Stage(
    name="campaign_report",
    makes="Changes against outcomes of every recipe, what explains the failures, and what to run next, as a page. It "
    "is made from the smokes and full runs that are there, and names those that are not.",
    group="eval",
    per="campaign",
    maker="mw_pipeline.stages.campaign:build_report",
    procedure="mw_pipeline.stages.campaign:campaign_report_of",
    after=(campaign_runs, smoke_checkpoint, full_checkpoint),
    extra_inputs=slices.runs_made,
    config=slices.of_campaign,
    code=("mw_pipeline.campaign.report", "mw_pipeline.report.campaign.page"),
)

STAGES: dict[str, Stage] = {found.name: found for found in list(globals().values()) if isinstance(found, Stage)}
"""Every stage by its name, in the order of the line."""


def stage_named(name: str) -> Stage:
    """The stage of a name. Raises RecipeError when there is none."""
    if name not in STAGES:
        raise RecipeError(f"{name!r} is no stage of the line: there are {', '.join(STAGES)}.")
    return STAGES[name]
