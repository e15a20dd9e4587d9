"""Licences that bind what is made from their rows: told by name, and allowed source by source."""

from __future__ import annotations

import re
from collections.abc import Mapping

_SHARE_ALIKE = re.compile(
    r"\bODbL|open database licen[cs]e|\bBY-(NC-)?SA\b|\bBY SA\b|share.?alike|\b[AL]?GPL|\bGFDL", re.IGNORECASE
)


def asks_to_share_alike(licence: str) -> bool:
    """Whether a licence of this name (ODbL, CC-BY-SA, GPL, …) binds what is made from the rows."""
    return _SHARE_ALIKE.search(licence) is not None


def share_alike_is_allowed(rows_per_licence: Mapping[str, int], *, allowed: bool) -> list[str]:
    """Findings: share-alike licences of rows whose source does not allow them, whatever `licences_allowed` lists."""
    return [
        f"{rows} rows are under {licence!r}, a share-alike licence, and its source has no share_alike_allowed = true"
        for licence, rows in rows_per_licence.items()
        if not allowed and asks_to_share_alike(licence)
    ]
