"""Licences that bind what is made from their rows, told by name."""

from __future__ import annotations

import pytest

from mw_pipeline.licences import asks_to_share_alike, share_alike_is_allowed


@pytest.mark.parametrize(
    "licence",
    [
        "ODbL",
        "ODbL-1.0",
        "CC-BY-SA-4.0",
        "CC BY-NC-SA 3.0",
        "Open Database License v1.0",
        "Share-Alike terms",
        "AGPL-3.0",
    ],
)
def test_share_alike_licences_are_known_by_their_names(licence: str) -> None:
    assert asks_to_share_alike(licence)


@pytest.mark.parametrize(
    "licence", ["CC-BY-4.0", "CC0-1.0", "Licence Ouverte 2.0", "Public Domain (US)", "Salem data terms", "OGL v3.0"]
)
def test_other_licences_are_not(licence: str) -> None:
    assert not asks_to_share_alike(licence)


def test_rows_that_must_be_shared_alike_are_a_finding_unless_their_source_allows_them() -> None:
    rows = {"CC-BY-4.0": 5, "ODbL-1.0": 2}

    assert share_alike_is_allowed(rows, allowed=True) == []
    assert share_alike_is_allowed({"CC-BY-4.0": 5}, allowed=False) == []
    (finding,) = share_alike_is_allowed(rows, allowed=False)
    assert finding.startswith("2 rows are under 'ODbL-1.0', a share-alike licence")
