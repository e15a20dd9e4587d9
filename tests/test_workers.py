"""The same bytes whoever does the pieces, whatever is killed meanwhile, and however often."""

from __future__ import annotations

import importlib
import json
import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
from build_processes import bytes_of, descendants, ended, kill_worker, receipts, running, workers_among
from small_pieces import PIECE_RECORDS, PIECES, build
from waiting import wait_until

from mw_pipeline.corpus import workers as workers_module
from mw_pipeline.corpus.pieces import PARTS, READ, RECORDS, ROWS
from mw_pipeline.corpus.shards import Receipt
from mw_pipeline.corpus.workers import Workers, WorkersLostError
from mw_pipeline.digest import sha256_file
from mw_pipeline.errors import CorpusError
from mw_pipeline.stages.place import Place
from resources.place import PlaceResource

SCRIPT = "small_pieces.py"


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("unbroken")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mw_pipeline.corpus.pieces.MAX_PIECE_RECORDS", PIECE_RECORDS)
        build(folder, "1")
    return bytes_of(folder / "out")


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_build_killed_at_random_moments_goes_on_and_ends_with_the_same_bytes(
    tmp_path: Path, unbroken: dict[str, str], workers: str
) -> None:
    rng = random.Random(workers)
    for least in [rng.randrange(PIECES), rng.randrange(PIECES, 2 * PIECES), rng.randrange(2 * PIECES, 3 * PIECES)]:
        with running(tmp_path, workers, SCRIPT) as process:
            wait_until(lambda least=least: receipts(tmp_path) >= least)  # type: ignore[misc]
            time.sleep(rng.uniform(0, 0.02))
            process.kill()
            process.wait()
    done = receipts(tmp_path)
    with running(tmp_path, workers, SCRIPT) as process:
        said = ended(process)

    assert bytes_of(tmp_path / "out") == unbroken
    assert done >= PIECES
    assert f"made: records: {PIECES} of {PIECES} pieces are there already" in said


@pytest.mark.slow
def test_workers_do_not_outlive_a_killed_build(tmp_path: Path) -> None:
    with running(tmp_path, "2", SCRIPT) as process:
        wait_until(lambda: receipts(tmp_path) >= 2)
        below = descendants(process.pid)
        process.kill()
        process.wait()

    assert below
    wait_until(lambda: not workers_among(below))


@pytest.mark.slow
def test_a_killed_worker_costs_nothing(tmp_path: Path, unbroken: dict[str, str]) -> None:
    with running(tmp_path, "2", SCRIPT) as process:
        for least in (3, PIECES + 3):
            wait_until(lambda least=least: receipts(tmp_path) >= least)  # type: ignore[misc]
            kill_worker(process, "2")
        ended(process)

    assert bytes_of(tmp_path / "out") == unbroken


@pytest.mark.slow
def test_a_killed_ray_worker_costs_nothing(tmp_path: Path, unbroken: dict[str, str]) -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    with running(tmp_path, "ray:2", SCRIPT) as process:
        wait_until(lambda: receipts(tmp_path) >= 3)
        kill_worker(process, "ray:2")
        ended(process)

    assert bytes_of(tmp_path / "out") == unbroken


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which a build is done, its work in progress still there, its result gone."""
    monkeypatch.setattr("mw_pipeline.corpus.pieces.MAX_PIECE_RECORDS", PIECE_RECORDS)
    build(tmp_path, "1")
    shutil.copytree(tmp_path / "out", tmp_path / "before")
    shutil.rmtree(tmp_path / "out")
    return tmp_path


def test_what_has_a_receipt_is_not_done_again(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pieces = (path for path in (small / "work").rglob("*") if path.is_file() and path.parent.name != "repeats")
    times = {path: path.stat().st_mtime_ns for path in pieces}

    build(small, "1")

    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert f"made: parts: {PIECES} of {PIECES} pieces are there already" in capsys.readouterr().out
    assert (small / "out" / "waterfall.json").read_bytes() == (small / "before" / "waterfall.json").read_bytes()


@pytest.mark.parametrize(
    ("step", "name"),
    [(READ, "00000.json"), (READ, "00000.0.arrow"), (RECORDS, "00003.json"), (RECORDS, "00003.arrow"),
     (ROWS, "00003.json"), (ROWS, "00003.hashes"),
     (PARTS, "00003.json"), (PARTS, "00003.parquet")],
)  # fmt: skip
@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"{")])
def test_what_is_damaged_is_done_again(small: Path, step: str, name: str, damage: Callable[[Path], object]) -> None:
    path = small / "work" / step / name
    whole = sha256_file(path)
    damage(path)

    build(small, "1")

    assert sha256_file(path) == whole
    assert bytes_of(small / "out") == bytes_of(small / "before")


def test_the_work_of_another_request_is_not_taken_for_ours(small: Path) -> None:
    path = small / "work" / ROWS / "00001.json"
    receipt = json.loads(path.read_text())
    path.write_text(json.dumps(receipt | {"request": "other", "facts": {"waterfall": {}}}))

    build(small, "1")

    assert json.loads(path.read_text()) == receipt
    assert (small / "work" / RECORDS / "00001.json").exists()


@pytest.mark.parametrize(
    ("text", "workers"),
    [
        ("1", Workers()),
        ("4", Workers(4)),
        ("ray:3", Workers(3, "")),
        ("ray", Workers(os.cpu_count() or 1, "")),
        ("ray:auto", Workers(1, "auto")),
        ("ray://head:10001", Workers(1, "ray://head:10001")),
    ],
)
def test_workers_are_named_in_one_word(text: str, workers: Workers) -> None:
    assert Workers.parsed(text) == workers


def test_a_place_says_who_works_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MW_WORKERS", "3")

    assert Place.of().workers == PlaceResource().open().workers == Workers(3)
    assert PlaceResource(workers="ray:2").open().workers == Workers(2, "")


@pytest.mark.parametrize("text", ["0", "many", "-1", "ray:0", "dask:3", ""])
def test_workers_nobody_understands_are_refused(text: str) -> None:
    with pytest.raises(CorpusError, match=rf"workers are {text!r}: expected a number from 1, ray, ray:NUMBER"):
        Workers.parsed(text)


def test_without_ray_one_is_told_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> object:
        raise ModuleNotFoundError("No module named 'ray'", name="ray")

    monkeypatch.setattr(importlib, "import_module", absent)

    wanted = r"Ray, which is not installed .* `pip install 'mw-pipeline\[ray\]'`"
    with pytest.raises(CorpusError, match=wanted), Workers(ray="").started():
        raise AssertionError("nothing to start")


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("ray client connection timeout\n{'address': 'ray://nowhere:1'}", "ray client connection timeout"),
        ("Initialization failure from server:\nTraceback\n  File\nOSError: full\n", ".* from server: OSError: full"),
        ("", "ConnectionError"),
    ],
)
def test_a_cluster_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch, said: str, reason: str) -> None:
    ray = pytest.importorskip("ray", reason="Ray is not installed")

    def refuse_to_connect(**settings: object) -> None:
        raise ConnectionError(said)

    monkeypatch.setattr(ray, "init", refuse_to_connect)
    wanted = rf"no Ray cluster at 'ray://nowhere:1' \({reason}\)\. Start it, or leave the address"
    with pytest.raises(CorpusError, match=wanted), Workers(ray="ray://nowhere:1").started():
        raise AssertionError("nothing to start")


@pytest.mark.parametrize(("hung", "tries"), [(0, 1), (2, 3), (3, 3)])
def test_a_cluster_whose_server_for_us_hung_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, hung: int, tries: int
) -> None:
    ray = pytest.importorskip("ray", reason="Ray is not installed")
    asked: list[object] = []

    def connect(**settings: object) -> SimpleNamespace:
        asked.append(settings["address"])
        if len(asked) <= hung:
            raise ConnectionError(
                "Initialization failure from server:\nRuntimeError: Starting Ray client server failed."
            )
        return SimpleNamespace(dashboard_url="")

    monkeypatch.setattr(ray, "init", connect)
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 1.0})
    refused = pytest.raises(CorpusError, match="no Ray cluster at") if hung == 3 else nullcontext()
    with refused, Workers(ray="ray://head:10001").started():
        pass
    assert asked == ["ray://head:10001"] * tries


def test_a_cluster_that_does_not_start_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray", reason="Ray is not installed")

    def refuse_to_start(**settings: object) -> None:
        raise RuntimeError("the node died")

    monkeypatch.setattr(ray, "init", refuse_to_start)
    wanted = r"Ray started no cluster here \(the node died\)\. Name one that runs, or let processes do it: MW_WORKERS=2"
    with pytest.raises(CorpusError, match=wanted), Workers(ray="").started():
        raise AssertionError("nothing to start")


def test_a_connection_to_ray_that_is_there_is_used_and_left(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray", reason="Ray is not installed")
    heard: list[str] = []
    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 3.0})
    for forbidden in ("init", "shutdown"):
        monkeypatch.setattr(ray, forbidden, lambda **settings: pytest.fail("the connection is not ours"))

    with Workers(ray="").started(heard.append):
        assert heard == ["pieces are done on 3 cores of the Ray cluster that this process was connected to"]


@pytest.mark.parametrize(
    ("address", "page", "line"),
    [
        ("ray://head:10001", "10.0.0.7:8265", "at ray://head:10001, see http://10.0.0.7:8265"),
        ("ray://head:10001", "", "at ray://head:10001"),
        ("", None, "of this run"),
    ],
)
def test_one_hears_where_the_work_is_done_and_where_to_watch_it(
    monkeypatch: pytest.MonkeyPatch, address: str, page: str | None, line: str
) -> None:
    ray = pytest.importorskip("ray", reason="Ray is not installed")
    heard: list[str] = []
    monkeypatch.setattr(ray, "init", lambda **settings: SimpleNamespace(dashboard_url=page))
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 1.0})

    with Workers(ray=address).started(heard.append):
        assert heard == [f"pieces are done on 1 core of the Ray cluster {line}"]


def die(piece: int) -> Receipt:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError(piece)


def refuse(job: None, piece: int) -> Receipt:
    raise CorpusError(f"piece {piece} is of another parish")


def die_of(job: None, piece: int) -> Receipt:
    return die(piece)


@pytest.mark.slow
def test_workers_that_die_again_and_again_end_the_build_in_a_sentence() -> None:
    with (
        Workers(2).started() as run,
        pytest.raises(WorkersLostError, match=r"workers died 3 times in a row, the last at piece [01]: killed, or"),
    ):
        list(run(die_of, [(None, 0), (None, 1)]))


@pytest.mark.slow
def test_an_error_in_a_worker_is_the_error_of_the_build() -> None:
    with Workers(2).started() as run, pytest.raises(CorpusError, match=r"^piece 7 is of another parish$"):
        list(run(refuse, [(None, 7)]))


def test_no_more_is_read_than_the_workers_can_take(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []

    def calls() -> Iterator[tuple[int]]:
        for number in range(5):
            taken.append(number)
            yield (number,)

    results = workers_module.in_process(lambda number: number, calls())  # type: ignore[arg-type, return-value]

    assert next(results) == 0
    assert taken == [0]
