"""What is known of a recipe's baseline as it lies in the store: for page, card and gate, without tensors."""

from __future__ import annotations

from mw_pipeline.artifact import Artifact
from mw_pipeline.digest import JSON
from mw_pipeline.errors import ArtifactError
from mw_pipeline.metrics.stability import stability_of
from mw_pipeline.stages.baseline import Baseline
from mw_pipeline.stages.evidence import Axes, Run, demand_names, read_evidence
from mw_pipeline.stages.stage import Request
from mw_pipeline.verdict.runlog import read_run

AXES_FILE = "axes.json"


def comparison_of(request: Request, baseline: Baseline, *, model_sha256: str | None = None) -> dict[str, JSON]:
    """Locale → its four axes against the baseline, from the inputs of a request; the sentence about it alone, where it
    has none to be compared with.

    Raises ArtifactError when a `model_sha256` is given and it was measured on another network (M51), and when a package
    of the baseline was left out."""
    found: dict[str, JSON] = {"measured_on": model_sha256, "locales": {}}
    if baseline.packages:
        measured = request.input("release_axes")
        found = read_evidence(measured, AXES_FILE, Axes)
        demand_names(measured, AXES_FILE, "locales", found["locales"], [*baseline.packages])
    if model_sha256 is not None and found["measured_on"] != model_sha256:
        raise ArtifactError(
            f"the comparison of {request.recipe.name!r} with its baseline was measured on network "
            f"{found['measured_on'][:12]}, and {model_sha256[:12]} is to be packaged. Materialize eval_report again."
        )
    return {
        locale: found["locales"].get(locale) or {"sentence": baseline.without.get(locale, baseline.sentence)}
        for locale in request.recipe.package.locales
    }


def stability_of_run(full: Artifact) -> dict[str, JSON] | None:
    """What the card of a recipe's packages says of the stability of its full run."""
    return stability_of(read_evidence(full, "run.json", Run), read_run(full.folder()).evals)
