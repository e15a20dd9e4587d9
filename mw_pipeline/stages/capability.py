"""The capability matrix of a recipe: what the bytes that will be packaged can read, cell by cell, locale by locale."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from mw_pipeline.capability.pieces import Measuring, measure_piece
from mw_pipeline.corpus.workers import Workers
from mw_pipeline.package.build import write_model_files
from mw_pipeline.stages import line
from mw_pipeline.stages.corpus import key_files, shards_of
from mw_pipeline.stages.export import network_of
from mw_pipeline.stages.matrices import matrix_file, page_file
from mw_pipeline.stages.place import Place, Progress, quiet
from mw_pipeline.stages.recomputation import unlock_made_again
from mw_pipeline.stages.stage import Metrics, Request
from mw_pipeline.store import Built

_THREADS = 2
"""Of a locale that is measured alone; of those side by side each has one."""

Call = tuple[int, Path, Path, Path, Measuring, Progress]


def capability_matrix(place: Place, recipe_name: str, *, progress: Progress = quiet) -> Built:
    """The matrices of a recipe, after the export of the network that they are of. Raises GateError behind the lock."""
    unlock_made_again(place, recipe_name, packaging=True, progress=progress)
    line.exported_network.build(place, recipe_name, progress=progress)
    return line.capability_matrix.build(place, recipe_name, progress=progress)


def build_matrices(request: Request, out: Path, progress: Progress, *, workers: Workers) -> Metrics:
    """The matrices of every locale of a recipe, each with its page: side by side where there are more workers than one.

    They are processes of this machine, as others cannot see the folders of the packages to come."""
    recipe = request.recipe
    at_work = Workers(min(workers.count, len(recipe.package.locales)))
    found = []
    with tempfile.TemporaryDirectory() as work:
        calls = list(_calls(request, Path(work), out, progress, at_once=at_work.count))
        with at_work.started(progress) as run:
            for receipt in run(measure_piece, calls):
                locale, facts = recipe.package.locales[receipt.piece], receipt.facts
                progress(f"capability of {locale}: {facts['blind']} of {facts['cells']:,} cells are blind")
                found.append(facts)
    return {
        **{name: sum(facts[name] for facts in found) for name in ("cells", "blind", "rows")},
        "places_held_out": request.config["places_held_out"],
    }


def _calls(request: Request, work: Path, out: Path, progress: Progress, *, at_once: int) -> Iterator[Call]:
    """What is to be measured, locale by locale: the folder of its package to come, with the network that will ship."""
    recipe, manifest = request.recipe, request.input("corpus_manifest")
    shards = shards_of(manifest, recipe.sources_in_use)
    measuring = Measuring(
        request=request.key,
        keys=[path for artifact in shards.values() for path in key_files(artifact)],
        compared=manifest.digest,
        held_out=request.config["places_held_out"],
        min_cell=recipe.eval.min_cell,
        threads=_THREADS if at_once == 1 else 1,
    )
    model = network_of(request)
    if at_once > 1:  # whose own words of progress reach nobody
        progress(f"capability of {', '.join(recipe.package.locales)}: {at_once} processes make and read the rows")
    for piece, locale in enumerate(recipe.package.locales):
        write_model_files(work / locale, model=model, imprint=recipe.package.imprint(locale))
        paths = (work / locale, out / matrix_file(locale), out / page_file(locale))
        yield piece, *paths, measuring, progress if at_once == 1 else quiet
