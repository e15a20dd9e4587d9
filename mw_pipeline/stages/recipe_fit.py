"""Whether what judges a recipe is there: its baseline, and the gold that its gates ask, with rows that they can count.

Neither recipe nor corpus spec tells alone, so it is asked wherever both are known, and before anything is trained.
"""

from __future__ import annotations

from mw_pipeline.errors import GateError, RecipeError
from mw_pipeline.recipe import Recipe
from mw_pipeline.stages import line
from mw_pipeline.stages.baseline import demand_baseline
from mw_pipeline.stages.golden import facts_of
from mw_pipeline.stages.place import Place

_UNKNOWN_COUNTRY = "unknown_country"


def demand_gates_known(place: Place, recipe: Recipe) -> None:
    """Returns when every gate names a further gold set of the corpus that is scored on some tag of the recipe's labels,
    and the baseline is there.

    Raises RecipeError otherwise, as such a gate would ask nothing, and whatever `demand_baseline` raises."""
    demand_baseline(place, recipe)
    sets = place.corpus_spec(recipe.corpus).golden_sets
    for name in recipe.eval.gates:
        where = f"recipe {recipe.name!r}: eval.gates.{name}"
        if name not in sets:
            raise RecipeError(
                f"{where} names no golden set of corpus {recipe.corpus!r}: it has {', '.join(sets) or 'none'}. "
                f"Name one of these, or add [golden_sets.{name}] to the corpus spec."
            )
        tags = sets[name].tags
        if tags is not None and not {*tags} & {*recipe.label_set.tags}:
            raise RecipeError(
                f"{where} would score nothing: the set is complete for {', '.join(tags)}, and labels = {recipe.labels} "
                "have none of them. Remove the gate, or train labels = 3."
            )


def demand_fit(place: Place, recipe: Recipe) -> None:
    """Returns when the gates are known, and every row of the gold that they ask is of a known country, or of none said.

    The gold has been built. Raises RecipeError as `demand_gates_known` does, and GateError for a row whose country is
    no code: it would be counted for no locale, and nobody would miss it (M78)."""
    demand_gates_known(place, recipe)
    facts = facts_of(line.golden_set.demand(place, recipe))
    asked = {f"eval.gates.{name}": facts["sets"][name] for name in recipe.eval.gates}
    if recipe.eval.min_core_macro_f1 > 0:
        asked["eval.min_core_macro_f1"] = facts
    for key, gold in asked.items():
        unknown = [found for found in gold.get("findings", ()) if found["rule"] == _UNKNOWN_COUNTRY]
        if unknown:
            first = unknown[0]
            raise GateError(
                f"{key} asks gold of which {len(unknown)} rows are of no country that there is, so that no locale is "
                f"judged by them: {first['value']} at {first['file']}:{first['line']}. {first['remedy']}"
            )
