"""Where finished packages go, and what a person is told about them."""

from __future__ import annotations

from pathlib import Path

from mw_pipeline.artifact import Artifact
from mw_pipeline.errors import GateError
from mw_pipeline.package.readme import EXAMPLES
from mw_pipeline.parse import Parser
from mw_pipeline.parser_files import CARD_NAME
from mw_pipeline.recipe import OWN_GOLD
from mw_pipeline.report.cells import interval_words, number
from mw_pipeline.stages import line
from mw_pipeline.stages.evidence import Card, read_evidence
from mw_pipeline.stages.findings import demand
from mw_pipeline.stages.lock import demand_no_region_withheld, unlock
from mw_pipeline.stages.place import Place
from mw_pipeline.stages.releases import publish, releases_of
from mw_pipeline.stages.road import is_before_lock, road_to

_REMEDY = "Train better weights, or change the gate in the recipe's [eval] and say why."
_MORE_EXAMPLES = ("Empire State Building, 350 5th Ave, New York, NY 10118",)


def demand_gates(place: Place, recipe_name: str) -> None:
    """Returns when the recipe may be packaged and every release gate passes. Raises GateError with the first reason."""
    demand_no_region_withheld(place, recipe_name)
    for stage in road_to(line.packaged_weights):
        for gate in () if is_before_lock(stage) else stage.checks(blocking=True):
            demand(gate, place, recipe_name, remedy=_REMEDY)


def ship(place: Place, recipe_name: str, packages: Artifact) -> str:
    """Publishes the packages to `releases/RECIPE/LOCALE/`, keeps them by version beside, and says so to a person; or
    says what kept them back."""
    try:
        demand_gates(place, recipe_name)
    except GateError as error:
        return f"not released: {error}"
    recipe = place.recipe(recipe_name)
    folders = [packages.folder(locale) for locale in recipe.package.locales]
    kept = publish(folders[0].parent, releases_of(place.project, recipe.name), recipe.package.locales)
    return (
        f"released\n{announcement(place, recipe_name, packages)}\nkept           {kept.relative_to(place.project)}, "
        "where a later release leaves it as it is"
    )


def announcement(place: Place, recipe_name: str, packages: Artifact) -> str:
    """Verdict, scores, place and three parses of the packages that were just shipped, as lines for a person."""
    recipe = place.recipe(recipe_name)
    locale = recipe.package.locales[0]
    scores = read_evidence(packages, f"{locale}/{CARD_NAME}", Card)["metrics"][OWN_GOLD]
    parser = Parser.load(packages.folder(locale))
    folders = ", ".join(f"{releases_of(Path(), recipe.name) / name}" for name in recipe.package.locales)
    texts = [*EXAMPLES.values(), *_MORE_EXAMPLES][:3]
    return "\n".join(
        [
            f"smoke verdict  {unlock(place, recipe_name).one_line()}",
            f"core macro-F1  {number(scores['core_macro_f1'])} "
            f"({interval_words(scores['intervals']['core_macro_f1'])}) on {scores['rows']} gold rows, "
            f"ceiling {number(scores['ceiling']['core_macro_f1'])}, exact match {number(scores['exact_match'])}; "
            "measured on the packaged int8 bytes",
            f"packages       {folders}",
            *(f"parsed         {text!r} → {parser.parse(text).components}" for text in texts),
        ]
    )
