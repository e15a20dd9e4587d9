"""Which files below a folder are config files, and which of their names can name anything."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from mw_pipeline.recipe.section import length_problem

_NOT_OURS = (".", "~", "#")
"""How the names begin that systems and editors give to what they leave beside a file: locks, copies, attributes."""
_UNNAMEABLE = {
    r"\.\.\.": "holds '...', which stands for a range of partitions",
    r"[\x00-\x1f\x7f]": "holds a control character",
    r"[\ud800-\udfff]": "is no UTF-8",
    r"@\d+$": "ends like the seed of NAME@SEED",
}


def config_files(folder: Path) -> list[Path]:
    """All TOML files below a folder, sorted. Hidden files, and all in hidden folders, are none (M75).

    What may not be looked at is one: whoever reads it says why it cannot be."""
    return _ours(folder, folder.rglob("*.toml"))


def config_files_beside(path: Path) -> list[Path]:
    """Those in the folder of a path, and none below it: a path that someone mistyped may be on top of a whole disk."""
    return _ours(path.parent, path.parent.glob("*.toml"))


def _ours(folder: Path, paths: Iterable[Path]) -> list[Path]:
    found = [path for path in paths if _may_be_file(path)]
    return sorted(path for path in found if not _is_left_over(path.relative_to(folder)))


def _may_be_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return True


def problem_of_name(name: str) -> str | None:
    """Why a config file of this name can be no partition, or None. Rename it; the command line reads it as it is."""
    return next((problem for form, problem in _UNNAMEABLE.items() if re.search(form, name)), length_problem(name))


def _is_left_over(path: Path) -> bool:
    return any(part.startswith(_NOT_OURS) for part in path.parts)
