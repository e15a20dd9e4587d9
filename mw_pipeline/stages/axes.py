"""The comparison of a release with its baseline, from the packaged bytes of both.

It needs no package of this release: the network is exported as it will be packaged, and the card says of which bytes
it speaks. So the page of the evaluation, which comes before the packages, can show it first.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from mw_pipeline.digest import JSON, sha256_file, write_json_atomically
from mw_pipeline.evaluate.against_baseline import against_baseline
from mw_pipeline.metrics.stability import fall_on_card
from mw_pipeline.package.build import write_model_files
from mw_pipeline.package.layout import PackageLayout
from mw_pipeline.parse import Parser
from mw_pipeline.parser_files import ONNX_NAME
from mw_pipeline.recipe import OWN_GOLD
from mw_pipeline.stages.baseline import Baseline
from mw_pipeline.stages.comparison import AXES_FILE, stability_of_run
from mw_pipeline.stages.diagnosis import POLICY
from mw_pipeline.stages.export import exported
from mw_pipeline.stages.golden import golden_of, golden_sets_of
from mw_pipeline.stages.place import Progress
from mw_pipeline.stages.release_gates import country_of, own_rows
from mw_pipeline.stages.stage import Metrics, Request


def compare_with_baseline(request: Request, out: Path, progress: Progress, *, baseline: Baseline) -> Metrics:
    """The four axes of every locale that the recipe's baseline has a package for."""
    progress(f"comparing the packaged bytes with those of {baseline.sentence}")
    with tempfile.TemporaryDirectory() as work:
        draft = _draft(request, Path(work))
        parser = Parser.load(draft)
        found = {
            locale: _compared(request, parser, PackageLayout.read(path), locale)
            for locale, path in baseline.packages.items()
        }
        measured_on = sha256_file(draft / ONNX_NAME)
    for locale, part in found.items():
        if "baseline" in part:
            part["baseline"]["folder"] = baseline.folders[locale]
    write_json_atomically(out / AXES_FILE, {"measured_on": measured_on, "locales": found})
    return {"baseline": baseline.sentence, **{locale: part.get("headline") for locale, part in found.items()}}


def _draft(request: Request, work: Path) -> Path:
    """What the parser reads of the packages to come: all locales of a recipe have the same bytes."""
    package = request.recipe.package
    model = exported(request, work)
    write_model_files(work / "package", model=model, imprint=package.imprint(package.locales[0]))
    return work / "package"


def _compared(request: Request, parser: Parser, baseline: PackageLayout, locale: str) -> dict[str, JSON]:
    gold = request.input("golden_set")
    sets = {OWN_GOLD: golden_of(gold), **golden_sets_of(gold)}
    return against_baseline(
        parser,
        baseline,
        {own_rows(name, locale): rows.only(country_of(locale)) for name, rows in sets.items()},
        gold=own_rows(OWN_GOLD, locale),
        policy=POLICY,
        fall=fall_on_card({"training": {"stability": stability_of_run(request.input("full_checkpoint"))}}),
    )
