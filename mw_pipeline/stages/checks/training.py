"""Checks of the smoke and of the full run."""

from __future__ import annotations

from collections.abc import Iterator

from mw_pipeline.artifact import Artifact
from mw_pipeline.dataset.summary import DATASET_JSON, DatasetSummary
from mw_pipeline.recipe import Recipe
from mw_pipeline.report.cells import fact, number
from mw_pipeline.report.probe.tables import PROBE_FILE, stopped_run_sentence
from mw_pipeline.stages import line
from mw_pipeline.stages.evidence import read_evidence, read_probe
from mw_pipeline.stages.findings import Findings, found
from mw_pipeline.stages.place import Place
from mw_pipeline.stages.smoke_verdict import build_verdict
from mw_pipeline.tokenizer import MODEL_NAME as TOKENIZER_FILE
from mw_pipeline.train.fixed_facts import digests_of, fixed_facts, other_facts, other_parts
from mw_pipeline.train.plan import RunPlan
from mw_pipeline.verdict.evidence import Evidence
from mw_pipeline.verdict.run_checks import problems_of_run, warnings_of_run
from mw_pipeline.verdict.task_weights import task_weights_of


def smoke_verdict(place: Place, partition: str) -> Findings:
    """The smoke saw what the full run will meet, and nothing failed: only then may the full run start."""
    recipe = place.recipe(partition)
    verdict = build_verdict(place, recipe)
    smoke = line.smoke_checkpoint.demand(place, recipe)
    problems = () if verdict.outcome == "pass" else (verdict.one_line(), *_what_the_probe_says(smoke))
    numbers = {name: value for name, value in verdict.evidence.items() if not isinstance(value, list)}
    warnings = "; ".join(f"{w.rule} at step {w.step}: {w.reason}" for w in verdict.warnings) or "none"
    ratio = verdict.exposure_ratio
    return found(problems, verdict.one_line(), exposure_ratio=ratio, warnings=warnings, **numbers)


def run_is_sound(place: Place, partition: str) -> Findings:
    """The full run's own log is complete, real, finite, better than guessing, and honest about how it ended."""
    recipe = place.recipe(partition)
    full = line.full_checkpoint.demand(place, recipe)
    evidence = Evidence.read(full.folder(), smoke=line.smoke_checkpoint.demand(place, recipe).folder())
    steps, best = full.metrics["steps"], full.metrics["best_val_macro_f1"]
    summary = f"{steps:,} steps, best validation macro-F1 {number(best)} at step {fact(full.metrics['best_step'])}"
    learned = task_weights_of(evidence.log.steps)
    worth = {"task_weights": learned.one_line()} if learned else {}
    problems = (*_not_the_recipes(place, recipe, evidence, full), *problems_of_run(evidence))
    warnings = "; ".join(warnings_of_run(evidence)) or "none"
    told = (*problems, *_what_the_probe_says(full)) if problems else ()
    return found(told, summary, steps=steps, best_val_macro_f1=best, warnings=warnings, **worth)


def _not_the_recipes(place: Place, recipe: Recipe, evidence: Evidence, full: Artifact) -> Iterator[str]:
    """What run.json says otherwise than recipe, data and smoke: a forged fact could excuse whatever the logs show."""
    run = evidence.log.run
    dataset = line.tokenized_dataset.demand(place, recipe)
    summary = read_evidence(dataset, DATASET_JSON, DatasetSummary)
    tokenizer, digests = dataset.inputs("tokenizer")[0].file(TOKENIZER_FILE), {"data": dataset.digest}
    plan = RunPlan("full", recipe, dataset.path, tokenizer, full.path, digests)
    yield from other_facts(run, {**fixed_facts(plan, summary), "digests": digests_of(plan)})
    yield from other_parts(run, recipe)
    smoked_in = evidence.smoke.run.get("precision") if evidence.smoke else None
    if run.get("precision") != smoked_in:
        yield f"run.json has precision {run.get('precision')!r}, its smoke had {smoked_in!r}"


def _what_the_probe_says(run: Artifact) -> tuple[str, ...]:
    """Where to look next in a run that the watchdog stopped: what the probe of its last good checkpoint found."""
    if not any(entry.path == PROBE_FILE for entry in run.manifest.files):
        return ()
    return (f"{stopped_run_sentence(read_probe(run, PROBE_FILE))}, see {PROBE_FILE} of the run",)
