"""The code location: wires assets, checks, jobs, schedules, sensors and resources together, and does nothing else."""

import dagster as dg

from assets import automation, campaign, comparison, corpus, dataset, evaluation, mix, probes, release, training
from resources.place import PlaceResource
from resources.trainer import Trainer

defs = dg.Definitions(
    assets=[
        corpus.corpus_shards,
        corpus.corpus_manifest,
        corpus.golden_set,
        mix.source_mix,
        mix.closed_words,
        mix.source_audit,
        dataset.tokenizer,
        dataset.tokenized_dataset,
        training.smoke_checkpoint,
        training.full_checkpoint,
        probes.gradient_probe,
        probes.activation_trace,
        probes.label_separation,
        evaluation.eval_report,
        evaluation.regression_diagnosis,
        evaluation.capability_matrix,
        comparison.loss_comparison,
        campaign.campaign_runs,
        campaign.campaign_report,
        release.packaged_weights,
    ],
    asset_checks=[
        *corpus.corpus_checks,
        *mix.mix_checks,
        *dataset.dataset_checks,
        *training.training_checks,
        *evaluation.evaluation_checks,
        *release.release_checks,
    ],
    jobs=automation.jobs,
    schedules=automation.schedules,
    sensors=automation.sensors,
    resources={"place": PlaceResource(), "trainer": Trainer()},
    executor=dg.in_process_executor,
)
