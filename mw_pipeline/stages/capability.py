"""The capability matrix of a recipe: what the bytes that will be packaged can read, cell by cell, locale by locale."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

from mw_pipeline.capability.packages import measure_package
from mw_pipeline.capability.training_rows import unseen_rows
from mw_pipeline.digest import write_json_atomically
from mw_pipeline.package.build import write_model_files
from mw_pipeline.report.capability.page import render_capability
from mw_pipeline.stages.corpus import key_files, shards_of
from mw_pipeline.stages.export import exported
from mw_pipeline.stages.matrices import matrix_file, page_file
from mw_pipeline.stages.place import Progress
from mw_pipeline.stages.stage import Metrics, Request


def build_matrices(request: Request, out: Path, progress: Progress) -> Metrics:
    """The matrices of every locale of a recipe, each with its page."""
    recipe, manifest = request.recipe, request.input("corpus_manifest")
    shards = shards_of(manifest, recipe.sources_in_use)
    keys = [path for artifact in shards.values() for path in key_files(artifact)]
    held_out, found = request.config["places_held_out"], {}
    with tempfile.TemporaryDirectory() as work:
        model = exported(request, Path(work))
        for locale in recipe.package.locales:
            folder = Path(work) / locale
            write_model_files(folder, model=model, imprint=recipe.package.imprint(locale))
            found[locale] = measure_package(
                folder,
                min_cell=recipe.eval.min_cell,
                held_out=held_out,
                unseen=functools.partial(unseen_rows, keys=keys),
                compared=manifest.digest,
                progress=progress,
            )
    for locale, matrix in found.items():
        write_json_atomically(out / matrix_file(locale), matrix.as_json())
        render_capability(out / page_file(locale), matrix.as_json())
    return {
        "cells": sum(len(matrix.cells) for matrix in found.values()),
        "blind": sum(len(matrix.blind) for matrix in found.values()),
        "rows": sum(matrix.rows for matrix in found.values()),
        "places_held_out": held_out,
    }
