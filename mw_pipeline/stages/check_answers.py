"""The checks that block before training, asked again by every run that goes on, whoever started it.

A blocking check of the graph stops only the run that holds it. So what it found is kept as an artifact of its own,
named by what it examined, the spec that it judged by and its code, and sealed: a later run finds that answer at no
cost, and where there is none of its own it asks the check itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mw_pipeline.artifact import Artifact
from mw_pipeline.digest import JSON, write_json_atomically
from mw_pipeline.errors import GateError
from mw_pipeline.seal import is_sealed, key_name, seal_of
from mw_pipeline.stages.findings import Check, Findings
from mw_pipeline.stages.line import is_before_lock, smoke_checkpoint, upstream_of
from mw_pipeline.stages.place import Place
from mw_pipeline.stages.stage import A_MOMENT_SECONDS, Request, Stage

_ANSWER_FILE = "answer.json"


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
        kept = _answer(place, stage, check, partition).find(place.store)
        problems = _kept_problems(kept) if kept else ask(place, stage, check, partition).problems
        if problems:
            raise GateError(
                f"{check.__name__} does not hold for {partition!r}: {'; '.join(problems)}. "
                f"Repair this, then run `{stage.request(place, partition).command}`."
            )


def ask(place: Place, stage: Stage, check: Check, partition: str) -> Findings:
    """What a check finds now; the answer of one that blocks before training is kept for the runs that come later."""
    findings = check(place, partition)
    if is_before_lock(stage) and check in stage.checks(blocking=True):
        answer = _answer(place, stage, check, partition)

        def make(out: Path) -> Mapping[str, JSON]:
            content = {"problems": list(findings.problems), "summary": findings.summary}
            write_json_atomically(out / _ANSWER_FILE, content | {"seal": seal_of(_sealed(content, answer.key))})
            return {"problems": len(findings.problems)}

        answer.build(place.store, make, patience_seconds=A_MOMENT_SECONDS)
    return findings


def _kept_problems(answer: Artifact) -> list[str]:
    """What an earlier run found. Raises GateError for an answer that no run of this user has given (M68)."""
    content: dict[str, JSON] = answer.read_json(_ANSWER_FILE)
    seal = content.pop("seal", None) if isinstance(content, dict) else None
    if seal is None or not is_sealed(_sealed(content, answer.manifest.key), seal):
        raise GateError(
            f"{answer.path}: was not given by a check under the key of this user: its seal is not theirs. "
            "Delete it: the check is asked again."
        )
    problems: list[str] = content["problems"]
    return problems


def _sealed(content: JSON, key: str) -> JSON:
    """An answer is sealed with the key of its artifact, so that it cannot stand for another check, artifact or code."""
    return {"kind": "check_answer", "key": key, "content": content}


def _answer(place: Place, stage: Stage, check: Check, partition: str) -> Request:
    """The name of an answer. A check of the corpus also judges by its spec, whose budgets no artifact holds."""
    config: JSON = {"check": check.__name__, "key": key_name()}
    if stage.per != "recipe":
        config["spec"] = place.corpus_spec(partition.partition(":")[0]).model_dump(mode="json")
    inputs = (stage.demand(place, partition),)
    return Request("check_answer", partition, inputs, config, (check.__module__,), asset=stage.name)
