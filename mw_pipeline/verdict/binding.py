"""What binds a verdict: no pass for exactly this recipe, data, code and smoke, no full run.

Checks in the graph stop only the run that holds them, and their results can be reported by hand; this call stands
inside the library that trains, and believes nothing that it has not read and recomputed itself (M03, M04).
"""

from __future__ import annotations

import json
from collections.abc import Callable

from mw_pipeline.artifact import Artifact
from mw_pipeline.digest import JSON, toolchain
from mw_pipeline.errors import ArtifactError, GateError
from mw_pipeline.json_shapes import Shape, demand_shape
from mw_pipeline.recipe import Recipe
from mw_pipeline.store import Store
from mw_pipeline.verdict.judge import Verdict, judge_run
from mw_pipeline.verdict.runlog import read_run

BINDING_SECTIONS = ("labels", "mix", "model", "loss", "train", "smoke")
"""Recipe sections that a smoke answers for; corpus and tokenizer are bound through the digest of the dataset.

A change of `eval` or `package` touches nothing that a smoke could see, so it leaves a verdict standing."""

VERDICT_FILE = "verdict.json"

BINDING_TOOLS = ("torch", "numpy")
"""Tools whose version decides a run's numbers, and which bind a verdict: torch its arithmetic, numpy its rows."""

_DATASET_FILE = "dataset.json"


class _Tokenized(Shape):
    """`dataset.json`, as far as a verdict is about it."""

    tokenizer_sha256: str


def judge_smoke(recipe: Recipe, *, dataset: Artifact, smoke: Artifact) -> Verdict:
    """The verdict on a smoke artifact by its own logs: what the smoke_verdict artifact stores and the lock recomputes.

    Raises ArtifactError when a log is missing or unreadable, or the dataset does not say its tokenizer.
    """
    summary = dataset.read_json(_DATASET_FILE)
    demand_shape(summary, _Tokenized, where=dataset.path / _DATASET_FILE)
    digests = {"data": dataset.digest, "tokenizer": summary["tokenizer_sha256"]}
    return judge_run(recipe, read_run(smoke.folder()), digests=digests)


def demand_verdict(
    store: Store,
    *,
    recipe: Recipe,
    dataset: Artifact,
    smoke: Artifact | None,
    verdict_artifact: Artifact | None,
    train_code_digest: str,
    former: Artifact | None = None,
) -> Verdict:
    """The passing verdict that licenses the full run of `recipe` on `dataset` under this training code.

    Every byte of the three artifacts is read again and the verdict recomputed. Raises GateError, with the evidence and
    the command that makes a good verdict, when one is missing, stale, damaged, forged, invalid, failed or incomplete,
    or the run that it is about is no smoke that ended (M68). That the logs are those of a run is not known yet. Where
    there is no smoke, `former` is the last that the recipe had: the refusal says what has changed since.
    """
    refuse = refusal_of(recipe)
    if smoke is None:
        since = _changes_since(former, recipe, dataset, train_code_digest) if former is not None else ()
        changed = f": {', '.join(since)} changed since the last one" if since else ""
        raise refuse(f"there is no smoke of this recipe{changed}")
    if verdict_artifact is None:
        raise refuse("there is no verdict on the smoke of this recipe")
    for artifact, kind in (
        (dataset, "tokenized_dataset"),
        (smoke, "smoke_checkpoint"),
        (verdict_artifact, "smoke_verdict"),
    ):
        if artifact.kind != kind:
            raise refuse(f"{artifact.path.name[:12]} is a {artifact.kind!r} artifact, expected {kind!r}")
        try:
            store.verify(artifact)
        except ArtifactError as error:
            raise refuse(f"the {kind} is damaged: {_finding(error)}") from error
    _demand_same_inputs(refuse, dataset=dataset, smoke=smoke, verdict_artifact=verdict_artifact)
    _demand_same_recipe(refuse, recipe, smoke)
    if smoke.manifest.code_digest != train_code_digest:
        raise refuse(
            f"the smoke was trained by other code ({smoke.manifest.code_digest[:12]}, now {train_code_digest[:12]})"
        )
    verdict = _demand_pass(refuse, recipe, dataset=dataset, smoke=smoke, verdict_artifact=verdict_artifact)
    _demand_ended_smoke(refuse_artifact(refuse, smoke), smoke)
    return verdict


def demand_same_surroundings(recipe: Recipe, smoke: Artifact, *, device: str, precision: str) -> None:
    """Returns when a smoke ran on the kind of device, in the precision, compiled or not as the full run to come, and
    under its tools.

    `device` is "cpu" or "cuda", `precision` the one that the full run would have here. Raises GateError otherwise: what
    it has shown holds for these (M68)."""
    refuse, run = refuse_artifact(refusal_of(recipe), smoke), read_run(smoke.folder()).run
    theirs = run["toolchain"] if isinstance(run.get("toolchain"), dict) else {}
    wanted = {
        "kind of device": (run.get("device"), device),
        "precision": (run.get("precision"), precision),
        "compile": (run.get("compile"), recipe.train.compile),
        **{tool: (theirs.get(tool), version) for tool, version in binding_tools().items()},
    }
    for name, (found, here) in wanted.items():
        if found != here:
            raise refuse(f"its smoke ran with {name} {found!r}, the full run would with {here!r}")


def binding_tools() -> dict[str, str]:
    """The versions here of the tools that bind a verdict."""
    return {tool: version for tool, version in toolchain().items() if tool in BINDING_TOOLS}


def _demand_ended_smoke(refuse: Refusal, smoke: Artifact) -> None:
    """A verdict on anything else would license by curves alone, whoever typed them (M68)."""
    run = read_run(smoke.folder()).run
    if run.get("kind") != "smoke":
        raise refuse(f"its smoke is a run of kind {run.get('kind')!r}, expected 'smoke'")
    if run.get("status") != "COMPLETED":
        raise refuse(f"its smoke ended as {run.get('status')!r}, expected 'COMPLETED'")
    if run.get("step") != run.get("max_steps"):
        raise refuse(f"its smoke ended at step {run.get('step')!r} of {run.get('max_steps')!r}")


Refusal = Callable[[str], GateError]


def refusal_of(recipe: Recipe) -> Refusal:
    """Builds the error of the lock: evidence first, then the command that makes a good verdict."""
    command = f"dagster asset materialize -m assets.definitions --select smoke_checkpoint --partition {recipe.name}"

    def refuse(evidence: str) -> GateError:
        return GateError(f"the full run of {recipe.name!r} may not start: {evidence}. Run `{command}`.")

    return refuse


def refuse_artifact(refuse: Refusal, artifact: Artifact) -> Refusal:
    """The same, for an artifact that is found again as long as it lies there: it has to go before another is made."""
    return lambda evidence: refuse(f"{evidence}. {artifact.removal[0].upper()}{artifact.removal[1:]}")


def _finding(error: Exception) -> str:
    """The first sentence of an error: the lock has its own next move to offer."""
    return str(error).partition(". ")[0]


def _demand_same_inputs(refuse: Refusal, *, dataset: Artifact, smoke: Artifact, verdict_artifact: Artifact) -> None:
    for holder, wanted in ((smoke, dataset), (verdict_artifact, smoke), (verdict_artifact, dataset)):
        try:
            found = holder.input(wanted.kind).digest
        except ArtifactError as error:
            raise refuse(f"the {holder.kind} does not say what it was made from: {_finding(error)}") from error
        if found != wanted.digest:
            raise refuse(f"the {holder.kind} belongs to another {wanted.kind} ({found[:12]}, now {wanted.digest[:12]})")


def _demand_same_recipe(refuse: Refusal, recipe: Recipe, smoke: Artifact) -> None:
    if differing := _other_sections(recipe, smoke):
        raise refuse(f"the smoke was trained with another {', '.join(differing)} than the recipe now says")


def _changes_since(smoke: Artifact, recipe: Recipe, dataset: Artifact, train_code_digest: str) -> list[str]:
    """What of recipe, data and code is not what an earlier smoke was trained with."""
    data = [reference.digest for reference in smoke.manifest.inputs if reference.kind == dataset.kind]
    sections = [f"[{name}]" if name != "labels" else name for name in _other_sections(recipe, smoke)]
    return [
        *sections,
        *(["the data"] if data != [dataset.digest] else []),
        *(["the training code"] if smoke.manifest.code_digest != train_code_digest else []),
    ]


def _other_sections(recipe: Recipe, smoke: Artifact) -> list[str]:
    config: JSON = smoke.manifest.config
    wanted = recipe.slice(*BINDING_SECTIONS)
    trained = config if isinstance(config, dict) else {}
    return [name for name in BINDING_SECTIONS if trained.get(name) != wanted[name]]


def _demand_pass(
    refuse: Refusal, recipe: Recipe, *, dataset: Artifact, smoke: Artifact, verdict_artifact: Artifact
) -> Verdict:
    try:
        stored = verdict_artifact.read_json(VERDICT_FILE)
        verdict = judge_smoke(recipe, dataset=dataset, smoke=smoke)
    except (ArtifactError, OSError, ValueError, KeyError) as error:
        raise refuse(f"the verdict cannot be recomputed: {_finding(error)}") from error
    if stored != json.loads(json.dumps(verdict.to_json())):
        raise refuse(
            f"the stored verdict is not what the smoke's own logs say ({verdict.one_line()!r}): it was edited, "
            "or made by other code"
        )
    if verdict.outcome != "pass":
        raise refuse(f"its smoke is judged {verdict.one_line()}")
    if verdict.not_checked:
        raise refuse(f"its smoke leaves open what a full run has to rely on ({'; '.join(verdict.not_checked)})")
    return verdict
