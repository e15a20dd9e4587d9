"""A release that is killed while it takes its place: nothing half made is at hand, and the next one puts all right."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mw_pipeline.checksums import write_sums
from mw_pipeline.stages.releases import publish

LOCALES = ("en-us", "fr-fr")
OWN = {".publishing", "released.json", *LOCALES}


class Killed(BaseException):
    """Nothing that ends a process may be caught on the way."""


def release(folder: Path, word: str) -> Path:
    """Two small packages that say a word."""
    for locale in LOCALES:
        (folder / locale).mkdir(parents=True)
        (folder / locale / "model-card.json").write_text('{"version": "0.1.0"}')
        (folder / locale / "package.json").write_text(json.dumps({"word": word}))
        write_sums(folder / locale)
    return folder


def at_hand(target: Path) -> list[str | None]:
    """The word of each locale where people look; None where there is no package."""
    files = [target / locale / "package.json" for locale in LOCALES]
    return [json.loads(file.read_text())["word"] if file.is_file() else None for file in files]


def killed_at(call: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on the process ends at the call of that number that moves, copies or removes something."""
    calls = iter(range(1, 1_000))

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            if next(calls) == call:
                raise Killed
            return real(*args, **kwargs)

        return wrapper

    for module, name in ((os, "rename"), (os, "replace"), (os, "rmdir"), (shutil, "copyfile"), (shutil, "copytree")):
        monkeypatch.setattr(module, name, counted(getattr(module, name)))


@pytest.mark.parametrize("call", range(1, 40))
def test_a_kill_at_any_moment_leaves_whole_packages_and_the_next_release_puts_all_right(
    call: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "releases" / "demo"
    publish(release(tmp_path / "one", "one"), target, LOCALES)
    two = release(tmp_path / "two", "two")
    with monkeypatch.context() as patched:
        killed_at(call, patched)
        try:
            publish(two, target, LOCALES)
        except Killed:
            assert {*at_hand(target)} <= {"one", "two", None}
        else:
            assert at_hand(target) == ["two", "two"]

    publish(two, target, LOCALES)
    assert at_hand(target) == ["two", "two"]
    order = json.loads((target / "released.json").read_text())
    assert {path.name for path in target.iterdir()} == {*OWN, *order}
    words = [json.loads((target / name / "en-us" / "package.json").read_text())["word"] for name in order]
    assert words == ["one", "two"]


def test_what_others_keep_beside_releases_stays(tmp_path: Path) -> None:
    target = tmp_path / "releases" / "demo"
    for name in (".mine.old", ".notes.new", ".en-us.old", ".0.1.0+0123abcd.new"):
        (target / name).mkdir(parents=True)
    (target / ".released.json.12").write_text("[]")
    publish(release(tmp_path / "one", "one"), target, LOCALES)

    order = json.loads((target / "released.json").read_text())
    assert {path.name for path in target.iterdir()} == {*OWN, *order, ".mine.old", ".notes.new"}


@pytest.mark.parametrize("kind", ["link", "dangling link", "file"])
def test_a_locale_that_is_no_folder_is_replaced(tmp_path: Path, kind: str) -> None:
    target, locale = tmp_path / "releases" / "demo", tmp_path / "releases" / "demo" / "en-us"
    target.mkdir(parents=True)
    if kind == "file":
        locale.write_text("mine")
    else:
        locale.symlink_to(tmp_path if kind == "link" else tmp_path / "nowhere")
    for word in ("one", "two"):
        publish(release(tmp_path / word, word), target, LOCALES)
        assert at_hand(target) == [word, word]
    assert not locale.is_symlink()
