"""The comparison of losses: a folder of recipes that differ in their loss alone, each trained with several seeds.

Every run goes the ordinary way, smoke, verdict and lock included, so nothing here trains what the gate would refuse.
The rows that judge are the corpus's own test split: gold is for releases and must not choose anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mw_pipeline.artifact import Artifact
from mw_pipeline.digest import write_json_atomically
from mw_pipeline.errors import GateError, RecipeError
from mw_pipeline.evaluate.checkpoint_parser import checkpoint_parser
from mw_pipeline.evaluate.evaluation import CONSTRAINED_DECODER, evaluate
from mw_pipeline.evaluate.loss_ranking import LEAST_SEEDS, METRIC, SeedRun, as_table, rank_losses
from mw_pipeline.evaluate.predictions import predictions_of
from mw_pipeline.golden.gold import GoldenSet
from mw_pipeline.recipe import Recipe
from mw_pipeline.stages import checks, line
from mw_pipeline.stages.diagnosis import POLICY
from mw_pipeline.stages.evaluation import held_out_rows
from mw_pipeline.stages.place import Place, Progress, quiet
from mw_pipeline.stages.slices import COMPARED_SEEDS
from mw_pipeline.stages.stage import Metrics, Request
from mw_pipeline.stages.upstream import prepare_dataset
from mw_pipeline.store import Built
from mw_pipeline.verdict.runlog import read_run

COMPARISON_FILE = "comparison.json"
TABLE_FILE = "comparison.md"

Runs = Mapping[str, Sequence[tuple[Recipe, Artifact]]]
"""Recipe of a loss → the same with each seed, and its full run."""


def loss_comparison(place: Place, folder: str, *, progress: Progress = quiet, seeds: int = COMPARED_SEEDS) -> Built:
    """The ranking of the losses in a folder below `recipes`, trained here where they are not yet in the store.

    A loss of which a seed fails its smoke, or ends unsound, is named with the reason and not ranked. Raises RecipeError
    for fewer than three seeds and when the folder's recipes differ in more than their loss, GateError when fewer than
    two losses can be ranked."""
    if seeds < LEAST_SEEDS:
        raise RecipeError(f"seeds is {seeds!r}, expected at least {LEAST_SEEDS}: fewer runs rank luck. Ask for more.")
    names = place.recipes_in(folder)
    _demand_one_difference(place, names)
    failed: dict[str, str] = {}
    for name in names:
        for seed in range(seeds):
            reason = _trained(place, f"{name}@{seed}", progress)
            if reason:
                failed.setdefault(name, f"seed {seed}: {reason}")
    ranked = {name: [place.recipe(f"{name}@{seed}") for seed in range(seeds)] for name in names if name not in failed}
    runs = {name: [(each, line.full_checkpoint.demand(place, each)) for each in of] for name, of in ranked.items()}
    given = {"runs": runs, "failed": failed}
    return line.loss_comparison.build(place, folder, progress=progress, given=given, seeds=seeds)


def rank(request: Request, out: Path, progress: Progress, *, runs: Runs, failed: Mapping[str, str]) -> Metrics:
    """`comparison.json` and `comparison.md`: the losses whose runs are sound by what they decode, and why the others
    have `failed`."""
    if len(runs) < 2:
        raise GateError(
            f"recipes/{request.partition}: {len(runs)} of {len(runs) + len(failed)} losses trained soundly, expected "
            f"at least 2 to compare. First reason: {next(iter(failed.values()))}"
        )
    rows = held_out_rows(request.input("corpus_manifest"))
    ranking = rank_losses({name: [_seed_run(*run, rows, progress) for run in of] for name, of in runs.items()})
    seeds = request.config["seeds"]
    write_json_atomically(out / COMPARISON_FILE, {"seeds": seeds, "ranking": ranking, "failed": failed})
    (out / TABLE_FILE).write_text(as_table(ranking, failed) + "\n", encoding="utf-8")
    return {"losses": len(ranking), "failed": len(failed), "best": ranking[0]["loss"], METRIC: ranking[0][METRIC]}


def _demand_one_difference(place: Place, names: list[str]) -> None:
    """What differs besides the loss would be ranked with it (M05)."""
    first, *others = (place.recipe(name) for name in names)
    for other in others:
        for section in ("corpus", "labels", "tokenizer", "mix", "model", "train", "smoke"):
            if getattr(first, section) != getattr(other, section):
                raise RecipeError(
                    f"recipes/{other.name}.toml: {section} differs from that of {first.name!r}, expected recipes that "
                    "differ in [loss] alone. Give both the same base, or compare them elsewhere."
                )


def _trained(place: Place, name: str, progress: Progress) -> str | None:
    """Smoke and full run of a recipe; why it has no sound full run, or None when it has."""
    recipe = place.recipe(name)
    progress(f"{name}: {recipe.loss.kind}")
    prepare_dataset(place, name, progress=progress)
    line.smoke_checkpoint.make(place, name, progress=progress)
    try:
        line.full_checkpoint.make(place, name, progress=progress)
    except GateError as error:
        return str(error)
    return "; ".join(checks.run_is_sound(place, name).problems) or None


def _seed_run(recipe: Recipe, full: Artifact, rows: GoldenSet, progress: Progress) -> SeedRun:
    progress(f"scoring {recipe.name} on held-out rows")
    predictions = predictions_of(checkpoint_parser(full.folder()), rows)
    scored = evaluate(
        rows, predictions, decoder=CONSTRAINED_DECODER, labels=recipe.label_set, policy=POLICY, resamples=0
    ).scored
    log = read_run(full.folder())
    best_val_loss = min(float(row["val_loss"]) for row in log.evals)
    return SeedRun(recipe.train.seed, scored, best_val_loss, float(log.run["label_entropy"]))
