"""Raw files are read from a folder, from https and from object storage alike."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from file_server import file_server
from object_servers import ObjectServer, on_every_engine

from mw_pipeline.bucket import Bucket
from mw_pipeline.cli import main
from mw_pipeline.corpus.fetch import Fetcher
from mw_pipeline.errors import CorpusError

PLACES = "".join(f"US\t{99500 + n}\tPlace {n}\tAlaska\tAK\tAnchorage\t020\t\t\t61.2\t-149.9\t4\n" for n in range(50))
COMMAND = ("corpus", "--adapter", "geonames-postal")


@pytest.fixture
def url(engine: ObjectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """A folder of objects with one file of places."""
    for name, value in engine.env.items():
        monkeypatch.setenv(name, value)
    place = engine.make_bucket(f"raw-{abs(hash(request.node.nodeid))}")
    (tmp_path / "US.txt").write_text(PLACES)
    Bucket(place).upload("US.txt", tmp_path / "US.txt")
    return place


def rows_of(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted((folder / "shards").iterdir())]


@on_every_engine
def test_the_command_reads_a_file_a_folder_of_objects_and_a_server_as_it_reads_a_path(url: str, tmp_path: Path) -> None:
    with file_server() as web:
        web.files["/export/US.txt"] = PLACES.encode()
        inputs = [str(tmp_path / "US.txt"), f"{url}/US.txt", f"{url}/", web.url("/export/US.txt")]
        for number, place in enumerate(inputs):
            assert main([*COMMAND, "--input", place, "--out", str(tmp_path / "out" / str(number))]) == 0

    local, *others = [rows_of(tmp_path / "out" / str(number)) for number in range(4)]
    assert local == others[0] == others[1] == others[2]
    assert not list((tmp_path / "out").glob(".*")), "what was fetched is swept"


def test_what_is_not_there_is_named_and_leaves_nothing(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for place, said in ((f"{url}/FR.txt", "FR.txt: is missing"), (f"{url}/empty/", "no object is below it")):
        assert main([*COMMAND, "--input", place, "--out", str(tmp_path / "out")]) == 2
        assert said in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["US.txt"]


def test_an_object_is_fetched_once_by_its_hash_and_refused_with_another(url: str, tmp_path: Path) -> None:
    digest = hashlib.sha256(PLACES.encode()).hexdigest()
    said: list[str] = []
    fetcher = Fetcher(tmp_path / "raw", said.append)
    path = fetcher.fetch(f"{url}/US.txt", digest)
    Bucket(url).delete(["US.txt"])

    assert path.read_text() == PLACES
    assert fetcher.fetch(f"{url}/US.txt", digest) == path
    Bucket(url).upload("other.txt", tmp_path / "US.txt")
    with pytest.raises(CorpusError, match="the corpus spec wants 000000000000"):
        fetcher.fetch(f"{url}/other.txt", "0" * 64)
    assert json.dumps(said) == "[]"
