"""The checks that block before training, asked again by every run that goes on, whoever started it.

A blocking check of the graph stops only the run that holds it. So what it found is kept as an artifact of its own,
named by what it examined, the spec that it judged by and its code, and sealed: a later run finds that answer at no
cost, and where there is none of its own it asks the check itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from mw_pipeline.artifact import Artifact
from mw_pipeline.digest import JSON, write_json_atomically
from mw_pipeline.errors import GateError
from mw_pipeline.seal import is_sealed, key_name, seal_of
from mw_pipeline.stages import checks, requests
from mw_pipeline.stages.findings import Check, Findings
from mw_pipeline.stages.place import Place
from mw_pipeline.stages.request import A_MOMENT_SECONDS, Request

BLOCKING: Mapping[str, tuple[Check, ...]] = {
    "corpus_shards": (checks.rows_match_schema, checks.rows_are_conserved, checks.quarantine_within_budget),
    "golden_set": (checks.golden_is_valid,),
    "corpus_manifest": (checks.splits_are_disjoint, checks.licences_are_allowed, checks.golden_is_not_in_train),
    "source_mix": (checks.mix_is_as_declared,),
    "closed_words": (checks.closed_words_are_taught,),
    "tokenizer": (checks.tokenizer_round_trips,),
    "tokenized_dataset": (checks.labels_survive_tokenizing, checks.dataset_matches_schema),
}
"""The blocking checks of every artifact that training reads, by its kind; a test holds the graph to the same table."""

_EXAMINED: Mapping[str, Callable[[Place, str], Request]] = {
    "corpus_shards": lambda place, partition: requests.shards(place, *partition.split(":", 1)),
    "golden_set": requests.golden,
    "corpus_manifest": requests.manifest,
    "source_mix": lambda place, partition: requests.mix(place, place.recipe(partition)),
    "closed_words": lambda place, partition: requests.closed_words(place, place.recipe(partition)),
    "tokenizer": lambda place, partition: requests.tokenizer(place, place.recipe(partition)),
    "tokenized_dataset": lambda place, partition: requests.dataset(place, place.recipe(partition)),
}
_OF_A_RECIPE = ("source_mix", "closed_words", "tokenizer", "tokenized_dataset")
_ANSWER_FILE = "answer.json"


def demand_upstream(place: Place, recipe_name: str) -> None:
    """Returns when every blocking check holds for exactly what the training of a recipe stands on.

    Raises GateError with the first that does not, ArtifactError for an artifact that is not in the store."""
    for kind, partition in upstream_of(place, recipe_name):
        demand_checks(place, kind, partition)


def upstream_of(place: Place, recipe_name: str) -> list[tuple[str, str]]:
    """Kind and partition of everything that the training of a recipe stands on, in the order of making."""
    corpus = place.recipe(recipe_name).corpus
    shards = [("corpus_shards", f"{corpus}:{source}") for source in sorted(place.corpus_spec(corpus).sources)]
    whole = [(kind, corpus) for kind in ("golden_set", "corpus_manifest")]
    return [*shards, *whole, *((kind, recipe_name) for kind in _OF_A_RECIPE)]


def request_of(place: Place, kind: str, partition: str) -> Request:
    """What one of them is asked of the store by."""
    return _EXAMINED[kind](place, partition)


def demand_checks(place: Place, kind: str, partition: str) -> None:
    """Returns when every blocking check of one artifact holds. Raises GateError with the first that does not."""
    for check in BLOCKING[kind]:
        examined = _EXAMINED[kind](place, partition)
        kept = _answer(place, kind, check, partition, examined).find(place.store)
        problems = _kept_problems(kept) if kept else ask(place, kind, check, partition).problems
        if problems:
            raise GateError(
                f"{check.__name__} does not hold for {partition!r}: {'; '.join(problems)}. "
                f"Repair this, then run `{examined.command}`."
            )


def ask(place: Place, kind: str, check: Check, partition: str) -> Findings:
    """What a check finds now; the answer of a blocking one is kept for the runs that come later."""
    findings = check(place, partition)
    if check in BLOCKING.get(kind, ()):
        answer = _answer(place, kind, check, partition, _EXAMINED[kind](place, partition))

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


def _answer(place: Place, kind: str, check: Check, partition: str, examined: Request) -> Request:
    """The name of an answer. A check of the corpus also judges by its spec, whose budgets no artifact holds."""
    config: JSON = {"check": check.__name__, "key": key_name()}
    if kind not in _OF_A_RECIPE:
        config["spec"] = place.corpus_spec(partition.partition(":")[0]).model_dump(mode="json")
    inputs = (examined.demand(place.store),)
    return Request("check_answer", partition, inputs, config, (check.__module__,), asset=kind)
