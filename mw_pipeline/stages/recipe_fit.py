"""Whether what judges a recipe is there: its baseline, and gold of which every row that its gates ask can be counted.

What it names of its corpus is asked when it is read. This needs packages and gold, and is asked before anything is
trained.
"""

from __future__ import annotations

from mw_pipeline.errors import GateError
from mw_pipeline.recipe import Recipe
from mw_pipeline.stages import line
from mw_pipeline.stages.baseline import demand_baseline
from mw_pipeline.stages.golden import facts_of
from mw_pipeline.stages.place import Place

_UNKNOWN_COUNTRY = "unknown_country"


def demand_fit(place: Place, recipe: Recipe) -> None:
    """Returns when the baseline is there, and every row of the gold that the gates ask is of a known country, or of
    none said.

    The gold has been built. Raises what `demand_baseline` raises, and GateError for a row whose country is no code: it
    would be counted for no locale, and nobody would miss it (M78)."""
    demand_baseline(place, recipe)
    facts = facts_of(line.golden_set.demand(place, recipe), sets=recipe.eval.gates)
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
