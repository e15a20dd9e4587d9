"""The releases of a recipe: the last one at hand, and every one that there was, by version and bytes.

releases/RECIPE/LOCALE/                       the last release, where people and clients look
releases/RECIPE/VERSION+BYTES/LOCALE/         each release, for good: BYTES are eight letters of the hash of its sums
releases/RECIPE/released.json                 their order: a version may be released twice, and folders have no order
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mw_pipeline.checksums import SUMS_NAME
from mw_pipeline.digest import JSON, digest_of, sha256_file, write_json_atomically
from mw_pipeline.errors import ArtifactError
from mw_pipeline.package.lineage import LINEAGE_NAME
from mw_pipeline.parser_files import CARD_NAME, packages_below, read_json

RELEASES_FOLDER = "releases"
ORDER_FILE = "released.json"
_VERSION = r"[0-9A-Za-z][0-9A-Za-z._+-]*"
_KEPT = re.compile(rf"{_VERSION}\+[0-9a-f]{{8}}")
_TRAINED = "full_checkpoint"
# Drafts of a locale and of a kept release, what a locale was before, and drafts of the order.
_OURS = re.compile(rf"\.[a-z0-9]+(?:-[a-z0-9]+)+\.(?:new|old)|\..+\+[0-9a-f]{{8}}\.new|\.{re.escape(ORDER_FILE)}\.\d+")


def releases_of(project: Path, recipe_name: str) -> Path:
    """The folder of a recipe's releases."""
    return project / RELEASES_FOLDER / recipe_name


def publish(source: Path, target: Path, locales: tuple[str, ...]) -> Path:
    """Copies the packages in `source` to a recipe's releases, keeps them by version, and returns where they are kept.

    What was released before stays kept by its own version. Each folder is there whole or not at all; all are copied
    before the first takes its place, so that a kill hardly finds locales of two releases at hand, and the next call
    puts right what it finds."""
    target.mkdir(parents=True, exist_ok=True)
    with _alone_in(target):
        _clear(target)
        if at_hand := _unkept(target):
            _keep(target, target, at_hand)
        kept = _keep(source, target, locales)
        for locale in locales:
            shutil.copytree(source / locale, target / f".{locale}.new")
        for locale in locales:
            if os.path.lexists(target / locale):
                (target / locale).rename(target / f".{locale}.old")
            (target / f".{locale}.new").rename(target / locale)
        _clear(target)
    return kept


@dataclass(frozen=True)
class Release:
    """A release of a recipe: the name that it is kept by, its locales, and where they lie now."""

    name: str
    folder: Path
    locales: tuple[str, ...]


def last_release(folder: Path, *, weights: str, locales: tuple[str, ...]) -> Release | None:
    """The last release in a recipe's folder for any of these locales, and of other weights than these (the digest of
    their full run), if any.

    A release is no baseline of itself: were it one, making it would stale it, and comparing would tell nothing. One
    that lies at hand and is not kept yet has the name that it will be kept by: keeping it stales nothing either."""
    of_these = [last for last in _latest_first(folder) if {*last.locales} & {*locales}]
    return next((last for last in of_these if weights not in _weights_of(last)), None)


def _latest_first(folder: Path) -> list[Release]:
    """What lies at hand and is not kept, then the kept releases that nobody has removed.

    Raises ArtifactError when all are gone that there were: a baseline that was lost is not a first release."""
    order, at_hand = _order(folder), _unkept(folder)
    kept = [Release(name, folder / name, tuple(packages_below(folder / name))) for name in reversed(order)]
    found = [Release(_name_of(folder, at_hand), folder, at_hand)] if at_hand else []
    found += [release for release in kept if release.locales]
    if order and not found:
        raise ArtifactError(
            f"{folder / ORDER_FILE}: names {', '.join(order)}, and no folder beside it holds a package. Bring them "
            "back, or remove the file and begin with a first release."
        )
    return found


def _weights_of(release: Release) -> set[str]:
    """The digests of the full runs whose weights lie in a release; none where it has no lineage.

    Raises ArtifactError for a lineage that is none."""
    paths = [release.folder / locale / LINEAGE_NAME for locale in release.locales]
    return {digest for path in paths if path.is_file() for digest in _trained_in(path)}


def _trained_in(lineage: Path) -> Iterator[str]:
    said: JSON = read_json(lineage)
    try:
        yield from [str(root["digest"]) for root in said["roots"] if root["kind"] == _TRAINED]
    except (TypeError, KeyError):
        raise ArtifactError(
            f"{lineage}: has no roots with kind and digest. Fetch or build the package again."
        ) from None


def _unkept(target: Path) -> tuple[str, ...]:
    """The locales of the release at hand that no kept release has with the same bytes."""
    at_hand = [locale for locale in packages_below(target) if (target / locale / SUMS_NAME).is_file()]
    seals = [(locale, sha256_file(target / locale / SUMS_NAME)) for locale in at_hand]
    return tuple(
        locale
        for locale, seal in seals
        if not any(
            (kept := target / name / locale / SUMS_NAME).is_file() and sha256_file(kept) == seal
            for name in _order(target)
        )
    )


def _keep(source: Path, target: Path, locales: tuple[str, ...]) -> Path:
    """The folder below `target` in which these packages of `source` are kept, and the last in the order now."""
    name = _name_of(source, locales)
    kept, draft = target / name, target / f".{name}.new"
    if not kept.exists():
        for locale in locales:
            shutil.copytree(source / locale, draft / locale)
        draft.rename(kept)
    order = [known for known in _order(target) if known != name]
    write_json_atomically(target / ORDER_FILE, [*order, name])
    return kept


def _name_of(source: Path, locales: tuple[str, ...]) -> str:
    """The version of packages, as the card of the first says it, and eight letters of what their sums hash to."""
    card = source / locales[0] / CARD_NAME
    said: JSON = read_json(card) if card.is_file() else None
    claimed = str(said.get("version")) if isinstance(said, dict) else ""
    version = claimed if re.fullmatch(_VERSION, claimed) else "unknown"
    sums: JSON = {locale: sha256_file(source / locale / SUMS_NAME) for locale in locales}
    return f"{version}+{digest_of(sums)[:8]}"


def _order(folder: Path) -> list[str]:
    """The names of the kept releases, oldest first. Raises ArtifactError for a file that is no such list: each of its
    names is a folder beside it, and nothing elsewhere is looked at."""
    path = folder / ORDER_FILE
    names: JSON = read_json(path) if path.is_file() else []
    if not isinstance(names, list) or not all(isinstance(name, str) and _KEPT.fullmatch(name) for name in names):
        raise ArtifactError(
            f"{path}: holds {names!s:.60}, expected the names of kept releases in their order. "
            "Write the folders with a version that lie beside it there, the oldest first, or remove the file."
        )
    return names


def _clear(target: Path) -> None:
    """Removes what a release replaced, and what a kill left half made; what others keep there stays."""
    for path in [path for path in target.iterdir() if _OURS.fullmatch(path.name)]:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Two processes never publish into one folder at a time."""
    with (folder / ".publishing").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
