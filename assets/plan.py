"""`python -m assets.plan RECIPE` prints the commands that take a recipe from raw rows to packages.

A run covers one partition of one set, so there is one command per source, one for the corpus and one for the recipe.
"""

import shlex
import sys
from itertools import groupby

from mw_pipeline.errors import MwError
from mw_pipeline.stages.baseline import demand_baseline
from mw_pipeline.stages.line import packaged_weights
from mw_pipeline.stages.place import Place
from mw_pipeline.stages.road import road_to
from mw_pipeline.stages.stage import materialize_command
from resources.place import PlaceResource


def commands(place: Place, name: str) -> list[str]:
    """The commands, in order. Raises RecipeError when the recipe or its corpus is not there, or they do not fit."""
    recipe = place.recipe(name)
    demand_baseline(place, recipe)
    subject = packaged_weights.subject(place, recipe)
    road = [stage for stage in road_to(packaged_weights) if stage.node == stage.name]
    return [
        materialize_command(",".join(stage.name for stage in stages), shlex.quote(partition))
        for _, of_set in groupby(road, key=lambda stage: stage.per)
        for stages in [list(of_set)]
        for partition in stages[0].partitions(subject)
    ]


def main() -> int:
    """Print the commands of the recipe that is named on the command line."""
    if len(sys.argv) != 2:
        print("usage: python -m assets.plan RECIPE", file=sys.stderr)  # noqa: T201
        return 2
    try:
        print("\n".join(commands(PlaceResource().open(), sys.argv[1])))  # noqa: T201
    except MwError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        print("exit 2")  # noqa: T201  the shell that reads this stops with the same code
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
