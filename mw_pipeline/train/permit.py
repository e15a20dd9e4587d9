"""The permit of a full run: what the lock gives out, and what the trainer demands of whoever starts it.

It is an artifact of the store, made once for a smoke and sealed. Each process of a full run looks it up and compares it
with what it was itself told to train, so that no launcher can go round the lock, with a flag or without.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mw_pipeline.artifact import Artifact, Reference
from mw_pipeline.dataset.summary import DATASET_JSON
from mw_pipeline.digest import JSON, code_digest, digest_of, sha256_file, write_json_atomically
from mw_pipeline.errors import ArtifactError, GateError
from mw_pipeline.recipe import Recipe
from mw_pipeline.seal import is_sealed, key_name, seal_of
from mw_pipeline.store import Store
from mw_pipeline.train.plan import RunPlan
from mw_pipeline.verdict.binding import BINDING_SECTIONS, binding_tools

KIND = "full_run_permit"
PERMIT_FILE = "permit.json"
MODULES = ("mw_pipeline.train.recomputation", "mw_pipeline.verdict.binding")
"""The code that finds out whether a smoke has earned it."""


def name_of(device: str) -> JSON:
    """The config of a permit: a smoke has one for each key and each kind of device, "cpu" or "cuda"."""
    return {"key": key_name(), "device": device}


def bound_facts(
    recipe: Recipe, *, dataset_path: Path, tokenizer_path: Path, device: str, precision: str
) -> dict[str, JSON]:
    """What a permit is for, each from the thing itself: what of the recipe a smoke answers for, data, tokenizer, code,
    kind of device, the precision that the smoke had, and the tools under which it ran."""
    return {
        "recipe": digest_of(recipe.slice(*BINDING_SECTIONS)),
        "data": sha256_file(dataset_path / DATASET_JSON),
        "tokenizer": sha256_file(tokenizer_path),
        "code": code_digest(("mw_pipeline.train.loop",)),
        "device": device,
        "precision": precision,
        **binding_tools(),
    }


def write_permit(
    out: Path, facts: Mapping[str, JSON], *, inputs: Sequence[Artifact], measured: Mapping[str, JSON]
) -> None:
    """Writes a permit that was earned, sealed, into the folder of its artifact. `measured` is for people."""
    content = {"for": dict(facts), "measured": dict(measured)}
    sealed = _sealed(content, tuple(artifact.reference for artifact in inputs), code_digest(MODULES))
    write_json_atomically(out / PERMIT_FILE, content | {"seal": seal_of(sealed)})


def read_permit(store: Store, artifact: Artifact) -> dict[str, JSON]:
    """What a permit is for. Raises GateError when it is damaged, or not given out by this lock under this key."""
    try:
        store.verify(artifact)
        content: dict[str, JSON] = artifact.read_json(PERMIT_FILE)
        seal = content.pop("seal")
        sealed = _sealed(content, artifact.manifest.inputs, artifact.manifest.code_digest)
        facts: dict[str, JSON] = content["for"]
    except (ArtifactError, OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise GateError(f"{artifact.path}: is no whole permit ({error}). Delete it: the lock is asked again.") from None
    if artifact.kind != KIND or not is_sealed(sealed, seal):
        raise GateError(
            f"{artifact.path}: was not given out by the lock under the key of this user: its seal is not the lock's. "
            "Delete it: the lock is asked again."
        )
    if artifact.manifest.code_digest != code_digest(MODULES):
        raise GateError(f"{artifact.path}: was given out by other code. Ask the lock again.")
    return facts


def demand_permit(plan: RunPlan, *, device: str, precision: str) -> None:
    """Returns for a smoke, and for a full run whose permit is in the store, sealed by the lock, and for this very plan.

    `device` is the kind that it is about to be trained on, `precision` the one that it will have there. Raises
    GateError otherwise."""
    if plan.kind == "smoke":
        return
    where = f"the full run of {plan.recipe.name!r} may not start"
    if plan.permit is None:
        raise GateError(
            f"{where}: its plan carries no permit, and only the lock gives one out. Train it through "
            "`mw-pipeline train` or the graph."
        )
    try:
        store = Store(plan.permit.store)
        facts = read_permit(store, store.load(KIND, plan.permit.digest))
    except (ArtifactError, GateError) as error:
        raise GateError(f"{where}: {error}") from None
    data, tokenizer = plan.dataset_path, plan.tokenizer_path
    mine = bound_facts(plan.recipe, dataset_path=data, tokenizer_path=tokenizer, device=device, precision=precision)
    differing = [name for name in mine if facts.get(name) != mine[name]]
    if differing:
        name = differing[0]
        there, here = str(facts.get(name))[:12], str(mine[name])[:12]
        raise GateError(
            f"{where}: its permit is for another {name} ({there!r}, here {here!r}). "
            "Train it through `mw-pipeline train` or the graph: they ask the lock for this one."
        )


def _sealed(content: Mapping[str, JSON], inputs: Sequence[Reference], code: str) -> JSON:
    named = [[found.kind, found.digest] for found in inputs]
    return {"kind": KIND, "content": dict(content), "inputs": named, "code": code}
