"""Raw files over HTTP, from a real server: whole or not at all, never twice, resumed where they were cut off."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from file_server import FileServer, file_server

from mw_pipeline.corpus.fetch import Fetcher
from mw_pipeline.corpus.inputs import input_digests, match_inputs, resolve_inputs
from mw_pipeline.errors import CorpusError
from mw_pipeline.recipe import CorpusSpec, SourceSpec, url_problem
from mw_pipeline.sources.openaddresses import Openaddresses
from mw_pipeline.stages import line
from mw_pipeline.stages.place import Place

BODY = random.Random(4).randbytes(3_000_000)
SHA = hashlib.sha256(BODY).hexdigest()


@pytest.fixture
def server() -> Iterator[FileServer]:
    with file_server() as running:
        running.files["/data/a.csv.gz"] = BODY
        yield running


@pytest.fixture
def fetcher(tmp_path: Path) -> Fetcher:
    return Fetcher(tmp_path / "raw", timeout_seconds=(2.0, 2.0), pause_seconds=0.0)


def test_a_file_is_fetched_once_and_found_again_without_the_network(server: FileServer, fetcher: Fetcher) -> None:
    path = fetcher.fetch(server.url("/data/a.csv.gz"), SHA)

    assert path == fetcher.cache_path / SHA / "a.csv.gz"
    assert path.read_bytes() == BODY
    assert fetcher.fetch(server.url("/data/a.csv.gz"), SHA) == path
    assert len(server.seen) == 1


def test_equal_bytes_under_another_url_are_not_fetched_again(server: FileServer, fetcher: Fetcher) -> None:
    first = fetcher.fetch(server.url("/data/a.csv.gz"), SHA)
    second = fetcher.fetch(server.url("/elsewhere/b.csv.gz"), SHA)

    assert (second.name, second.stat().st_ino) == ("b.csv.gz", first.stat().st_ino)
    assert len(server.seen) == 1


def test_a_connection_that_is_cut_goes_on_where_it_stopped(server: FileServer, fetcher: Fetcher) -> None:
    server.cuts = [1_200_000, 900_000]
    said: list[str] = []
    patient = Fetcher(fetcher.cache_path, said.append, pause_seconds=0.0)

    assert patient.fetch(server.url("/data/a.csv.gz"), SHA).read_bytes() == BODY
    starts = [int(wanted.removeprefix("bytes=").rstrip("-")) for _, wanted in server.seen[1:] if wanted]
    assert len(starts) == 2 and 0 < starts[0] <= 1_200_000 and starts[0] < starts[1] <= 2_100_000
    assert any("cut off after" in line for line in said)


def test_a_server_without_ranges_sends_it_all_again(server: FileServer, fetcher: Fetcher) -> None:
    server.ranges, server.cuts = False, [2_000_000]

    assert fetcher.fetch(server.url("/data/a.csv.gz"), SHA).read_bytes() == BODY
    assert len(server.seen) == 2


def test_a_server_that_always_cuts_is_given_up_and_what_came_is_kept(server: FileServer, fetcher: Fetcher) -> None:
    server.cuts = [1_500_000, *[0] * 9]

    with pytest.raises(CorpusError, match=r"failed after 1,\d+,\d+ bytes \(it was cut off\)\. Run the command again"):
        fetcher.fetch(server.url("/data/a.csv.gz"), SHA)

    kept = (fetcher.cache_path / SHA / ".part").read_bytes()
    assert kept == BODY[: len(kept)] and len(kept) > 1_000_000
    server.cuts, server.seen = [], []
    assert fetcher.fetch(server.url("/data/a.csv.gz"), SHA).read_bytes() == BODY
    assert server.seen == [("/data/a.csv.gz", f"bytes={len(kept)}-")]


@pytest.mark.parametrize("old", [b"other bytes", random.Random(9).randbytes(4_000_000)], ids=["shorter", "longer"])
def test_a_part_of_other_bytes_is_thrown_away(server: FileServer, fetcher: Fetcher, old: bytes) -> None:
    (fetcher.cache_path / SHA).mkdir(parents=True)
    (fetcher.cache_path / SHA / ".part").write_bytes(old)

    assert fetcher.fetch(server.url("/data/a.csv.gz"), SHA).read_bytes() == BODY


def test_a_part_that_is_whole_already_is_taken(server: FileServer, fetcher: Fetcher) -> None:
    (fetcher.cache_path / SHA).mkdir(parents=True)
    (fetcher.cache_path / SHA / ".part").write_bytes(BODY)

    assert fetcher.fetch(server.url("/data/a.csv.gz"), SHA).read_bytes() == BODY


def test_bytes_of_another_hash_are_refused_and_not_kept(server: FileServer, fetcher: Fetcher) -> None:
    server.files["/data/a.csv.gz"] = BODY[:-1]

    with pytest.raises(CorpusError, match=rf"gave 2,999,999 bytes with the sha256 \w{{12}}…, .* wants {SHA[:12]}"):
        fetcher.fetch(server.url("/data/a.csv.gz"), SHA)

    assert [path.name for path in (fetcher.cache_path / SHA).iterdir()] == [".lock"]


def test_a_file_that_was_changed_in_the_cache_is_refused(server: FileServer, fetcher: Fetcher) -> None:
    path = fetcher.fetch(server.url("/data/a.csv.gz"), SHA)
    path.write_bytes(b"changed")

    with pytest.raises(CorpusError, match="it was changed since"):
        fetcher.fetch(server.url("/data/a.csv.gz"), SHA)


@pytest.mark.parametrize(("code", "words"), [(404, "404 Not Found"), (403, "403 Forbidden")])
def test_what_the_server_refuses_is_said_at_once(server: FileServer, fetcher: Fetcher, code: int, words: str) -> None:
    server.codes["/data/a.csv.gz"] = code

    with pytest.raises(CorpusError, match=rf"the server says {words}\. Correct the URL"):
        fetcher.fetch(server.url("/data/a.csv.gz"), SHA)
    assert len(server.seen) == 1


def test_a_server_in_trouble_is_asked_again(server: FileServer, fetcher: Fetcher) -> None:
    server.codes["/data/a.csv.gz"] = 503

    with pytest.raises(CorpusError, match=r"failed after 0 bytes \(503 Service Unavailable\)"):
        fetcher.fetch(server.url("/data/a.csv.gz"), SHA)
    assert len(server.seen) == 5


def test_a_server_that_does_not_answer_in_time_is_said_to(server: FileServer, tmp_path: Path) -> None:
    server.hang = threading.Event()
    hasty = Fetcher(tmp_path / "raw", timeout_seconds=(0.2, 0.05), pause_seconds=0.0)

    with pytest.raises(CorpusError, match="no answer in time"):
        hasty.fetch(server.url("/data/a.csv.gz"), SHA)
    server.hang.set()


def test_without_a_server_the_error_is_one_sentence(tmp_path: Path) -> None:
    with file_server() as gone:
        url = gone.url("/data/a.csv.gz")

    with pytest.raises(CorpusError, match=r"failed after 0 bytes \(the server cannot be reached\)\. Run the command"):
        Fetcher(tmp_path / "raw", pause_seconds=0.0).fetch(url, SHA)


def test_a_redirect_is_followed(server: FileServer, fetcher: Fetcher) -> None:
    server.redirects["/latest"] = "/data/a.csv.gz"

    assert fetcher.fetch(server.url("/latest"), SHA).name == "latest"


def test_a_redirect_that_leaves_https_is_refused(server: FileServer, fetcher: Fetcher) -> None:
    server.redirects["/latest"] = "http://example.org/a.csv.gz"

    with pytest.raises(CorpusError, match=r"redirects to 'http://example\.org/a\.csv\.gz': plain http is for this"):
        fetcher.fetch(server.url("/latest"), SHA)


def test_redirects_in_a_circle_end(server: FileServer, fetcher: Fetcher) -> None:
    server.redirects["/latest"] = "/latest"

    with pytest.raises(CorpusError, match="redirects more than 5 times"):
        fetcher.fetch(server.url("/latest"), SHA)


FETCH = "import sys; from pathlib import Path; from mw_pipeline.corpus.fetch import Fetcher; "
FETCH += "print(Fetcher(Path(sys.argv[1]), lambda line: print(line, file=sys.stderr)).fetch(*sys.argv[2:]))"


def child(fetcher: Fetcher, url: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", FETCH, str(fetcher.cache_path), url, SHA]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_of_two_processes_one_fetches_and_the_other_waits(server: FileServer, fetcher: Fetcher) -> None:
    server.hang = threading.Event()
    children = [child(fetcher, server.url("/data/a.csv.gz")) for _ in range(2)]
    try:
        said = [waiting.stderr.readline() for waiting in children if _waits(waiting)]
        server.hang.set()
        results = [process.communicate(timeout=20) for process in children]
    finally:
        server.hang.set()
        for process in children:
            process.kill()
            process.wait()

    assert {out.strip() for out, _ in results} == {str(fetcher.cache_path / SHA / "a.csv.gz")}
    assert len(server.seen) == 1
    assert len(said) == 1 and "waiting for process" in said[0]


def _waits(process: subprocess.Popen[str]) -> bool:
    """Whether a child has said something within its first seconds: only the one that waits does."""
    os.set_blocking(process.stderr.fileno(), False)
    for _ in range(150):
        if process.stderr.buffer.peek(1):
            os.set_blocking(process.stderr.fileno(), True)
            return True
        time.sleep(0.02)
    os.set_blocking(process.stderr.fileno(), True)
    return False


def test_a_killed_process_leaves_a_part_that_the_next_one_goes_on_with(server: FileServer, fetcher: Fetcher) -> None:
    server.files["/slow"] = BODY
    server.cuts = [2_000_000]
    stuck = child(fetcher, server.url("/slow"))
    part = fetcher.cache_path / SHA / ".part"
    while not part.exists() or part.stat().st_size == 0:
        assert stuck.poll() is None
        time.sleep(0.01)
    stuck.send_signal(signal.SIGKILL)
    stuck.communicate()
    kept = part.stat().st_size

    assert fetcher.fetch(server.url("/slow"), SHA).read_bytes() == BODY
    assert kept == 0 or ("/slow", f"bytes={kept}-") in server.seen


def spec(**source: object) -> CorpusSpec:
    settings = SourceSpec.model_validate({"adapter": "ban", **source})
    return CorpusSpec(name="t", version="1", seed=1, countries=("FR",), sources={"ban": settings})


def test_a_source_behind_a_url_is_named_by_its_hash_and_fetched_when_it_is_read(
    server: FileServer, fetcher: Fetcher, tmp_path: Path
) -> None:
    remote = spec(input=server.url("/data/a.csv.gz"), sha256=SHA)

    assert input_digests(remote, "ban", tmp_path) == [SHA]
    assert match_inputs(remote, "ban", tmp_path) == ()
    assert server.seen == []
    (path,) = resolve_inputs(remote, "ban", tmp_path, fetcher=fetcher)
    assert path.read_bytes() == BODY


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"input": "https://example.org/a.csv"}, "has no sha256, expected that of its bytes"),
        ({"input": "http://example.org/a.csv", "sha256": SHA}, "plain http is for this machine alone"),
        ({"input": "https:/example.org/a.csv", "sha256": SHA}, "one slash .* did you mean .https://example.org/a.csv"),
        ({"input": "ftp://example.org/a.csv", "sha256": SHA}, "only https URLs with a host are fetched"),
        ({"input": "https:///a.csv", "sha256": SHA}, "only https URLs with a host"),
        ({"input": "https://me:secret@example.org/a.csv", "sha256": SHA}, "no place for a password"),
        ({"input": "https://[::1/a.csv", "sha256": SHA}, "that is no URL"),
    ],
)
def test_a_url_that_may_not_be_fetched_is_refused_with_the_spec(source: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        spec(**source)


def test_https_urls_and_this_machine_may_be_fetched() -> None:
    assert url_problem("https://example.org/a.csv") == url_problem("http://localhost:8080/a.csv") == ""


def test_a_description_beside_a_raw_file_counts_towards_the_name_of_its_shards(tmp_path: Path) -> None:
    # It can say share-alike: rows that were built before it said so must not be found again.
    (tmp_path / "a.csv.gz").write_text("x")
    local = spec(input="a.csv.gz")
    alone = input_digests(local, "ban", tmp_path, Openaddresses().companions)
    (tmp_path / "a.json").write_text("{}")
    described = input_digests(local, "ban", tmp_path, Openaddresses().companions)
    (tmp_path / "a.json").write_text('{"license": {"share-alike": true}}')

    assert described[:1] == alone and len(described) == 2
    assert input_digests(local, "ban", tmp_path, Openaddresses().companions) != described


REMOTE_CORPUS = """
version = "1"
seed = 5
countries = ["US"]
licences_allowed = ["CC-BY-4.0"]

[sources.postal]
adapter = "geonames-postal"
input = "{url}"
sha256 = "{sha256}"
"""


def test_a_corpus_is_built_from_a_url_and_found_again_when_the_server_is_gone(tmp_path: Path) -> None:
    places = "".join(
        f"US\t{99500 + n}\tPlace {n}\tAlaska\tAK\tAnchorage\t020\t\t\t61.2\t-149.9\t4\n" for n in range(50)
    )
    (tmp_path / "corpora").mkdir()
    with file_server() as server:
        server.files["/export/US.txt"] = places.encode()
        digest = hashlib.sha256(places.encode()).hexdigest()
        text = REMOTE_CORPUS.format(url=server.url("/export/US.txt"), sha256=digest)
        (tmp_path / "corpora" / "remote.toml").write_text(text)
        place = Place.of(store=str(tmp_path / ".mw"), project=str(tmp_path), data=str(tmp_path))
        built = line.corpus_shards.make(place, "remote:postal")

    assert built.artifact.metrics["records_read"] == 50
    assert (tmp_path / ".mw" / "raw" / digest / "US.txt").read_text() == places
    assert built.artifact.manifest.config["raw"] == [digest]
    assert line.corpus_shards.make(place, "remote:postal").reused
