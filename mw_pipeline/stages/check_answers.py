"""The checks that block before training, asked again by every run that goes on, whoever started it.

A blocking check of the graph stops only the run that holds it, so the lock asks them all. What has held is kept as an
artifact of its own, named by what was examined, the spec that it was judged by, code and libraries, and sealed: a later
run finds it at no cost. A problem is not kept: it is asked about again, by whoever meets it.
"""

from __future__ import annotations

import json

from mw_pipeline.digest import JSON, toolchain
from mw_pipeline.errors import GateError
from mw_pipeline.seal import key_name
from mw_pipeline.stages.findings import Check, Findings, found
from mw_pipeline.stages.line import smoke_checkpoint
from mw_pipeline.stages.place import Place
from mw_pipeline.stages.road import is_before_lock, upstream_of
from mw_pipeline.stages.sealed import keep, kept
from mw_pipeline.stages.stage import Request, Stage


def demand_upstream(place: Place, recipe_name: str) -> None:
    """Returns when every blocking check holds for a recipe's smoke and for exactly what it stands on.

    Raises GateError with the first that does not, ArtifactError for an artifact that is not in the store."""
    for stage, partition in [*upstream_of(place, recipe_name), (smoke_checkpoint, recipe_name)]:
        demand_checks(place, stage, partition)


def demand_checks(place: Place, stage: Stage, partition: str) -> None:
    """Returns when one artifact is there and every blocking check of it holds.

    Raises ArtifactError when it is not there, GateError with the first check that does not hold."""
    stage.demand(place, partition)
    for check in stage.checks(blocking=True):
        if problems := _kept_or_asked(place, stage, check, partition).problems:
            raise GateError(
                f"{check.__name__} does not hold for {partition!r}: {'; '.join(problems)}. "
                f"Repair this, then run `{stage.request(place, partition).command}`."
            )


def ask(place: Place, stage: Stage, check: Check, partition: str) -> Findings:
    """What a check finds; of one that blocks before training, what is kept of it.

    The check of the smoke is asked each time: it makes the verdict, an artifact of its own."""
    if not is_before_lock(stage) or stage is smoke_checkpoint or check not in stage.checks(blocking=True):
        return check(place, partition)
    return _kept_or_asked(place, stage, check, partition)


def _kept_or_asked(place: Place, stage: Stage, check: Check, partition: str) -> Findings:
    """What an earlier run has kept of a check that held; else what it finds now, kept if it holds."""
    answer = _answer(place, stage, check, partition)
    content = kept(answer, place.store)
    if content is not None:
        return found((), content["summary"], **json.loads(content["evidence"]))
    findings = check(place, partition)
    if not findings.problems:
        # Evidence as a text: JSON that is sealed has no number that is not finite, and evidence may have some.
        keep(answer, place.store, {"summary": findings.summary, "evidence": json.dumps(findings.evidence)})
    return findings


def _answer(place: Place, stage: Stage, check: Check, partition: str) -> Request:
    """The name of an answer. A check of the corpus also judges by its spec, whose budgets no artifact holds."""
    config: JSON = {"check": check.__name__, "key": key_name(), "toolchain": toolchain()}
    if stage.per != "recipe":
        config["spec"] = place.corpus_spec(partition.partition(":")[0]).model_dump(mode="json")
    inputs = (stage.demand(place, partition),)
    return Request("check_answer", partition, inputs, config, (check.__module__,), asset=stage.name)
