"""Jobs that people start, schedules that run by themselves, and the sensors on raw files and on killed runs.

A Dagster run covers one partition of one set, so the weekly audit is two schedules: one over the corpora, one over the
recipes' mixes half an hour later.
"""

import time
from collections.abc import Iterator

import dagster as dg

from assets.campaign import campaign_report, campaign_runs
from assets.corpus import corpus_manifest, corpus_shards, golden_set
from assets.dataset import tokenized_dataset, tokenizer
from assets.evaluation import capability_matrix, eval_report, regression_diagnosis
from assets.mix import closed_words, source_audit, source_mix
from assets.partitions import campaigns, corpora, corpus_and_source, recipes, sources
from assets.probes import activation_trace, gradient_probe, label_separation
from assets.release import packaged_weights
from assets.training import full_checkpoint, smoke_checkpoint
from mw_pipeline.stages.raw_files import SeenFiles, state_of
from resources.dead_runs import end_dead_runs
from resources.place import PlaceResource

_up_to_smoke = [source_mix, closed_words, tokenizer, tokenized_dataset, smoke_checkpoint]

shards_job = dg.define_asset_job(
    "shards", [corpus_shards], description="Read one source of one corpus.", partitions_def=sources
)
corpus_audit_job = dg.define_asset_job(
    "audit_corpus",
    [corpus_manifest, golden_set],
    description="Recount a corpus and check its splits, licences and gold.",
    partitions_def=corpora,
)
mix_audit_job = dg.define_asset_job(
    "audit",
    [source_mix, closed_words, source_audit],
    description="Dry-run a recipe's sampler, count its closed words, and show what its sources hold, lost and give.",
    partitions_def=recipes,
)
smoke_job = dg.define_asset_job(
    "smoke", _up_to_smoke, description="Everything up to the smoke and its verdict.", partitions_def=recipes
)
release_job = dg.define_asset_job(
    "release",
    [*_up_to_smoke, full_checkpoint, eval_report, regression_diagnosis, capability_matrix, packaged_weights],
    description="Everything for one recipe, from its mix to its packages.",
    partitions_def=recipes,
)
campaign_job = dg.define_asset_job(
    "campaign",
    [campaign_runs, campaign_report],
    description="Train what a campaign lacks, and lay all of its recipes side by side.",
    partitions_def=campaigns,
)
probe_job = dg.define_asset_job(
    "probe",
    [gradient_probe, activation_trace, label_separation],
    description="Take the checkpoints of one recipe apart: gradients, activations, labels.",
    partitions_def=recipes,
)
jobs = [shards_job, corpus_audit_job, mix_audit_job, smoke_job, release_job, campaign_job, probe_job]


@dg.schedule(
    cron_schedule="0 6 * * 1",
    job=corpus_audit_job,
    description="Every Monday at 06:00 UTC: recount every corpus whose shards are there.",
)
def weekly_corpus_audit(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
    """One run per corpus that has been materialized."""
    yield from _again(context, corpus_manifest, corpora)


@dg.schedule(
    cron_schedule="30 6 * * 1",
    job=mix_audit_job,
    description="Every Monday at 06:30 UTC: audit the sources and the mix of every recipe in use.",
)
def weekly_mix_audit(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
    """One run per recipe whose mix has been materialized."""
    yield from _again(context, source_mix, recipes)


def _again(
    context: dg.ScheduleEvaluationContext, asset: dg.AssetsDefinition, partitions: dg.PartitionsDefinition
) -> Iterator[dg.RunRequest]:
    """One run for every materialized partition whose config file is still there."""
    made = context.instance.get_materialized_partitions(asset.key)
    for name in partitions.get_partition_keys():
        if name in made:
            yield dg.RunRequest(run_key=f"{context.scheduled_execution_time:%Y-%m-%d}:{name}", partition_key=name)


@dg.sensor(
    job=shards_job,
    minimum_interval_seconds=300,
    description="A raw file that changed on disk asks for the partition of its source.",
)
def raw_files(context: dg.SensorEvaluationContext, place: PlaceResource) -> dg.SensorResult:
    """Compares size and modification time of every raw file in use with what was last seen of it."""
    here, seen = place.open(), SeenFiles.of_text(context.cursor, now=int(time.time()))
    states = {key: state_of(here, *corpus_and_source(key)) for key in sources.get_partition_keys()}
    keys, seen = seen.after({key: state for key, state in states.items() if state})
    requests = [dg.RunRequest(run_key=run_key, partition_key=key) for key, run_key in keys.items()]
    return dg.SensorResult(run_requests=requests, cursor=seen.as_text())


@dg.sensor(
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Ends runs whose process was killed, which would stay started for ever; the next run does it as well.",
)
def killed_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Marks every run of this machine as failed whose process is gone (M74)."""
    return dg.SkipReason("; ".join(end_dead_runs(context.instance)) or "every run at work has its process")


schedules = [weekly_corpus_audit, weekly_mix_audit]
sensors = [raw_files, killed_runs]
