"""What a package scores: its own bytes on all gold, for the card that it is shipped with, and again for its gates."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mw_pipeline.digest import JSON
from mw_pipeline.evaluate.evaluation import CONSTRAINED_DECODER, evaluate
from mw_pipeline.evaluate.predictions import predictions_of
from mw_pipeline.golden.gold import GoldenSet
from mw_pipeline.golden.recased import as_client_reads, typed_in_one_case
from mw_pipeline.parse import Parser
from mw_pipeline.recipe import OWN_GOLD, Recipe
from mw_pipeline.stages.diagnosis import POLICY
from mw_pipeline.stages.release_gates import country_of, own_rows

AS_CLIENT_READS = f"{OWN_GOLD}, as the client reads it"
TYPED_IN_ONE_CASE = f"{OWN_GOLD} typed in one case, as the client reads it"
"""The names of the corpus's gold under the client's recasing among the metrics of a card."""
_LEFT_TO_THE_REPORT = ("slices", "calibration")


def scores_of_package(
    folder: Path, *, recipe: Recipe, golden: GoldenSet, sets: Mapping[str, GoldenSet], locale: str
) -> dict[str, JSON]:
    """Scores of the packaged bytes on all gold rows, as written and as the JavaScript client hands them on, and on
    those of the locale's country in every gold set (M78)."""
    parser, country = Parser.load(folder), country_of(locale)
    own = {own_rows(name, locale): rows.only(country) for name, rows in {OWN_GOLD: golden, **sets}.items()}
    recased = {AS_CLIENT_READS: as_client_reads(golden), TYPED_IN_ONE_CASE: typed_in_one_case(golden)}
    judging = {OWN_GOLD: golden, **{name: rows for name, rows in {**own, **recased}.items() if rows.rows}}
    return {name: _headline(recipe, rows, parser) for name, rows in judging.items()}


def _headline(recipe: Recipe, golden: GoldenSet, parser: Parser) -> dict[str, JSON]:
    """The report without its slices: the card says what the package scores, the eval report says where."""
    predictions = predictions_of(parser, golden)
    report = evaluate(golden, predictions, decoder=CONSTRAINED_DECODER, labels=recipe.label_set, policy=POLICY).report
    return {key: value for key, value in report.items() if key not in _LEFT_TO_THE_REPORT}
