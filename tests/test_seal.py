"""The key that seals what gates have found: made once, for its owner alone, and never taken for another."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest

from mw_pipeline import seal
from mw_pipeline.errors import ArtifactError


@pytest.fixture
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a key will be."""
    path = tmp_path / "state" / "seal.key"
    monkeypatch.setenv(seal.KEY_VARIABLE, str(path))
    return path


def test_a_seal_holds_for_its_value_and_for_no_other(key: Path) -> None:
    mark = seal.seal_of({"problems": []})

    assert seal.is_sealed({"problems": []}, mark)
    assert not seal.is_sealed({"problems": ["one"]}, mark)
    assert not seal.is_sealed({"problems": []}, None)


@pytest.mark.parametrize("value", [{"problems": float("nan")}, {"problems": float("inf")}])
def test_what_json_cannot_hold_is_not_sealed(key: Path, value: object) -> None:
    assert not seal.is_sealed(value, "0" * 64)


def test_a_key_that_others_may_read_is_refused(key: Path) -> None:
    seal.seal_of("found")
    key.chmod(0o644)
    seal._key.cache_clear()

    with pytest.raises(ArtifactError, match=r"seal\.key: may be read or written by others.*chmod 600"):
        seal.seal_of("found")


def test_a_user_without_a_home_is_told_which_variable_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv(seal.KEY_VARIABLE)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setattr(seal.Path, "home", no_home)

    with pytest.raises(ArtifactError, match=r"has no place .* Set MW_SEAL_KEY"):
        seal.seal_of("found")


def test_under_another_key_no_seal_holds(key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mark, name = seal.seal_of("found"), seal.key_name()

    monkeypatch.setenv(seal.KEY_VARIABLE, str(tmp_path / "another"))

    assert not seal.is_sealed("found", mark)
    assert seal.key_name() != name


def test_the_key_is_made_when_it_is_first_needed_and_is_its_owners_alone(key: Path) -> None:
    seal.seal_of("found")

    assert len(key.read_bytes()) == 32
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert [path.name for path in key.parent.iterdir()] == ["seal.key"]


def test_those_who_need_the_key_at_the_same_time_get_the_same_one(key: Path) -> None:
    begin, found = threading.Barrier(8), []

    def ask() -> None:
        begin.wait()
        found.append(seal.seal_of("found"))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(found)) == 1


def test_the_name_of_a_key_does_not_tell_it(key: Path) -> None:
    assert seal.key_name() not in key.read_bytes().hex()


def test_without_a_variable_the_key_lies_with_the_state_of_the_user(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(seal.KEY_VARIABLE)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    assert seal.key_path() == tmp_path / "mw-pipeline" / "seal.key"


def test_a_key_that_was_cut_is_refused(key: Path) -> None:
    key.parent.mkdir()
    key.write_bytes(b"short")
    key.chmod(0o600)

    with pytest.raises(ArtifactError, match=r"has 5 bytes, expected the 32 of a key. Delete it"):
        seal.seal_of("found")


def test_a_key_that_cannot_be_made_says_which_variable_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv(seal.KEY_VARIABLE, str(tmp_path / "file" / "seal.key"))

    with pytest.raises(ArtifactError, match=r"cannot be made or read .* Set MW_SEAL_KEY to a file that may be"):
        seal.seal_of("found")
