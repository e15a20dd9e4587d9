"""The command `capability` on a real package of an untrained network, which reads nothing right."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from matrix_inputs import small_rows

from mw_pipeline.capability import packages
from mw_pipeline.cli import main
from mw_pipeline.digest import sha256_file


@pytest.fixture(autouse=True)
def _few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few of the rows: what they are is not the command's affair, and all of them take half a minute to make."""
    monkeypatch.setattr(packages, "matrix_rows", lambda locale, **_: small_rows())


def test_a_blind_package_is_refused_and_every_blind_cell_named(
    tiny_release: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    package = tiny_release / "packages" / "en-us"
    code = main(["capability", "--package", str(package)])
    out, shown = capsys.readouterr()
    found = json.loads(out)

    assert code == 1
    assert found["blind"] == 5
    assert found["locale"] == "en-us"
    assert found["measured_on"] == sha256_file(package / "model.onnx")
    assert found["training_known"] is False
    assert "blind: region name: Vermont is right on 0 of 40 rows (0.000 to 0.088)" in shown
    assert "the training rows are not known here" in shown
    assert "if it was less, these places may stand in training" in shown


def test_a_floor_of_zero_passes_and_the_page_is_written_where_asked(
    tiny_release: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "new" / "page.html"
    release = str(tiny_release / "packages")
    code = main(["capability", "--package", release, "--locale", "fr-fr", "--min-cell", "0", "--page", str(page)])

    assert code == 0
    assert "What fr-fr can read" in page.read_text(encoding="utf-8")
    assert "worst: " in capsys.readouterr().err


def test_a_folder_that_is_no_package_and_a_floor_that_is_no_share_are_bad_input(
    tmp_path: Path, tiny_release: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["capability", "--package", str(tmp_path)]) == 2
    assert "has no package.json, so it is not a package" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stopped:
        main(["capability", "--package", str(tiny_release), "--min-cell", "1.5"])
    assert stopped.value.code == 2
    assert "'1.5' is not a share from 0 to 1" in capsys.readouterr().err
