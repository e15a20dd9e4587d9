"""Jobs that people start, schedules that run by themselves, and the sensors on raw files and on killed runs.

A Dagster run covers one partition of one set, so the weekly audit is two schedules: one over the corpora, one over the
recipes' mixes half an hour later.
"""

import time
from collections.abc import Iterable, Iterator, Mapping

import dagster as dg

from assets.partitions import SETS, sources
from mw_pipeline.stages import line
from mw_pipeline.stages.raw_files import SeenFiles, state_of
from mw_pipeline.stages.road import road_to
from mw_pipeline.stages.stage import Per, Stage
from resources.dead_runs import end_dead_runs
from resources.place import PlaceResource


def _of(per: Per, stages: Iterable[Stage]) -> list[Stage]:
    return [stage for stage in stages if stage.per == per]


def _in(group: str) -> list[Stage]:
    return [stage for stage in line.STAGES.values() if stage.group == group]


_JOBS: Mapping[str, tuple[list[Stage], str]] = {
    "shards": ([line.corpus_shards], "Read one source of one corpus."),
    "audit_corpus": (_of("corpus", _in("corpus")), "Recount a corpus and check its splits, licences and gold."),
    "audit": (
        _in("mix"),
        "Dry-run a recipe's sampler, count its closed words, and show what its sources hold, lost and give.",
    ),
    "smoke": (_of("recipe", road_to(line.smoke_checkpoint)), "Everything up to the smoke and its verdict."),
    "release": (
        _of("recipe", road_to(line.packaged_weights)),
        "Everything for one recipe, from its mix to its packages.",
    ),
    "campaign": (
        _of("campaign", line.STAGES.values()),
        "Train what a campaign lacks, and lay all of its recipes side by side.",
    ),
    "probe": (
        _in("probe"),
        "Take the checkpoints of one recipe apart: gradients, activations, labels, and the rows that taught them.",
    ),
}
"""Job → its stages, all of one set of partitions, and what it is for; a stage without a node of its own has none."""

jobs = [
    dg.define_asset_job(
        name,
        [stage.name for stage in stages if stage.node == stage.name],
        description=description,
        partitions_def=SETS[stages[0].per],
    )
    for name, (stages, description) in _JOBS.items()
]


@dg.schedule(
    cron_schedule="0 6 * * 1",
    job_name="audit_corpus",
    description="Every Monday at 06:00 UTC: recount every corpus whose shards are there.",
)
def weekly_corpus_audit(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
    """One run per corpus that has been materialized."""
    yield from _again(context, line.corpus_manifest)


@dg.schedule(
    cron_schedule="30 6 * * 1",
    job_name="audit",
    description="Every Monday at 06:30 UTC: audit the sources and the mix of every recipe in use.",
)
def weekly_mix_audit(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
    """One run per recipe whose mix has been materialized."""
    yield from _again(context, line.source_mix)


def _again(context: dg.ScheduleEvaluationContext, stage: Stage) -> Iterator[dg.RunRequest]:
    """One run for every materialized partition whose config file is still there."""
    made = context.instance.get_materialized_partitions(dg.AssetKey(stage.name))
    for name in SETS[stage.per].get_partition_keys():
        if name in made:
            yield dg.RunRequest(run_key=f"{context.scheduled_execution_time:%Y-%m-%d}:{name}", partition_key=name)


@dg.sensor(
    job_name="shards",
    minimum_interval_seconds=300,
    description="A raw file that changed on disk asks for the partition of its source.",
)
def raw_files(context: dg.SensorEvaluationContext, place: PlaceResource) -> dg.SensorResult:
    """Compares size and modification time of every raw file in use with what was last seen of it."""
    here, seen = place.open(), SeenFiles.of_text(context.cursor, now=int(time.time()))
    states = {key: state_of(here, key) for key in sources.get_partition_keys()}
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
