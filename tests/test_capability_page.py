"""The page of a capability matrix names what is blind, shows a row that was read wrongly, and draws every family."""

from __future__ import annotations

from pathlib import Path

import pytest
from matrix_inputs import small_matrix

from mw_pipeline.capability.matrix import CapabilityMatrix
from mw_pipeline.package.readme import capability_table
from mw_pipeline.report.capability.charts import heat_map_svg, tile_map_svg
from mw_pipeline.report.capability.page import render_capability, worst_table


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    out = render_capability(tmp_path_factory.mktemp("page") / "page.html", small_matrix().as_json())
    return out.read_text(encoding="utf-8")


def test_the_page_says_first_which_cells_are_blind(page: str) -> None:
    assert "1 of 5 cells are blind, certainly below 0.8: region name: Vermont." in page
    assert page.index("What it reads worst") < page.index("Subset × order") < page.index("What was not asked")


def test_the_page_shows_a_row_that_was_read_wrongly_and_where() -> None:
    (row,) = worst_table(small_matrix().as_json()).rows

    assert row[:3] == ("region name: Vermont", "blind", "0.0 %")
    assert row[4:] == ("Elm 100 St, Vermont", "region 'Vermont'", "nothing")


def test_a_matrix_without_a_blind_cell_passes_in_words(tmp_path: Path) -> None:
    clean = small_matrix(lambda region: False)
    page = render_capability(tmp_path / "page.html", clean.as_json()).read_text(encoding="utf-8")

    assert "No cell of 5 is certainly below 0.8." in page
    assert 'class="verdict pass"' in page


def test_what_was_not_asked_and_what_training_is_not_known_stand_on_the_page(page: str) -> None:
    assert "country abroad: Georgia" in page
    assert "The training rows were not known" in page


@pytest.mark.parametrize(
    ("held_out", "sentence"),
    [
        (0.02, "Rows lie in places that the corpus held out, a share of 0.02 of all."),
        (
            0.0,
            "The corpus held out no place: rows lie in places that a holdout_places_share of 0.02 ",
        ),
        (
            0.001,
            "The corpus held out 0.001 of all places: rows lie in places that a holdout_places_share of 0.02",
        ),
        (None, "What this one held out is not known: if it was less, these places may stand in training."),
    ],
)
def test_the_page_and_the_readme_say_whether_the_places_of_the_rows_may_stand_in_training(
    tmp_path: Path, held_out: float | None, sentence: str
) -> None:
    matrix = small_matrix(held_out=held_out)
    page = render_capability(tmp_path / "page.html", matrix.as_json()).read_text(encoding="utf-8")

    assert sentence in page
    assert sentence in capability_table(matrix.summary())
    assert ("may stand in training" in page) == (held_out != 0.02)
    assert (matrix.summary()["places_share"], matrix.summary()["places_held_out"]) == (0.02, held_out)
    assert CapabilityMatrix.from_json(matrix.as_json(), min_cell=matrix.min_cell) == matrix


def test_the_page_escapes_its_texts_and_fetches_nothing(page: str) -> None:
    assert "<b>" not in page
    assert "src=" not in page
    assert "@import" not in page


def test_equal_matrices_give_equal_pages(tmp_path: Path, page: str) -> None:
    again = render_capability(tmp_path / "again.html", small_matrix().as_json())

    assert again.read_text(encoding="utf-8") == page


def test_pictures_frame_blind_cells_and_leave_empty_what_nobody_asked() -> None:
    matrix = small_matrix().as_json()
    words = [cell for cell in matrix["matrix"] if cell["family"] == "region name"]
    pairs = [cell for cell in matrix["matrix"] if cell["family"] == "subset × order"]

    tiles = tile_map_svg(words, name="words", min_cell=0.8)
    heat = heat_map_svg(pairs, ["native", "as in DE"], name="heat", min_cell=0.8)

    assert tiles.index("Vermont 0") < tiles.index("Ohio 100")
    assert heat.count(">100<") == 1
