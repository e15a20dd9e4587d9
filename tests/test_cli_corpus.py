from __future__ import annotations

import json
import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from corpus_sources import HandMade, address, install

from mw_pipeline.cli import main
from mw_pipeline.cli.new_folder import work_folder
from mw_pipeline.errors import ArtifactError, CorpusError


@pytest.fixture
def adapter(monkeypatch: pytest.MonkeyPatch) -> HandMade:
    records = [address(1), address(2), address(2), address(3, country_code="FR"), address(4, country_code="?")]
    return install(monkeypatch, HandMade([records]))


def test_the_waterfall_of_one_source_is_printed_as_json(
    adapter: HandMade, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    code = main(["corpus", "--adapter", "hand-made", "--out", str(tmp_path / "out"), "--country", "US"])

    printed = json.loads(capsys.readouterr().out)
    assert code == 0
    assert (printed["read"], printed["kept"], printed["deduplicated"]) == (5, 2, 1)
    assert printed["quarantined"] == {"no_country": 1}
    assert printed["filtered"] == {"country_not_in_corpus": 1}
    assert printed["rows"] == {"read": 2, "kept": 2, "quarantined": {}, "filtered": {}, "deduplicated": 0}
    assert printed["findings"] == []
    assert pq.read_table(tmp_path / "out" / "shards").num_rows == 2


def test_more_variants_take_augmentations(adapter: HandMade, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    command = ["corpus", "--adapter", "hand-made", "--out", str(tmp_path / "out"), "--variants", "4", "--dose", "0.5"]

    assert main(command) == 0

    printed = json.loads(capsys.readouterr().out)
    assert printed["rows"]["read"] == 3 * 4
    assert "order" in printed["methods"]


@pytest.mark.slow
def test_two_workers_leave_the_bytes_of_one(adapter: HandMade, tmp_path: Path):
    for workers in ("1", "2"):
        out = tmp_path / workers
        assert main(["corpus", "--adapter", "hand-made", "--out", str(out), "--workers", workers]) == 0

    one, two = ({f.name: f.read_bytes() for f in (tmp_path / n).rglob("*.*")} for n in ("1", "2"))
    assert one == two


def test_a_build_that_was_interrupted_goes_on_when_it_is_asked_for_again(
    adapter: HandMade, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    command = ["corpus", "--adapter", "hand-made", "--out", str(tmp_path / "out")]
    with monkeypatch.context() as patch:
        patch.setattr("mw_pipeline.corpus.build.write_quarantine", interrupt)
        assert main(command) == 130
    (work,) = tmp_path.iterdir()
    assert len(list(work.glob("*/*.json"))) == 4

    assert main(command) == 0

    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert len(adapter.requests) == 1  # the raw file is not read again


def interrupt(*anything: object) -> None:
    raise KeyboardInterrupt


def test_two_builds_of_one_folder_do_not_meet(tmp_path: Path):
    again = work_folder(tmp_path / "out", "request")
    wanted = "is being made by another process"
    with work_folder(tmp_path / "out", "request"), pytest.raises(ArtifactError, match=wanted), again:
        raise AssertionError("both are at work")


def test_a_folder_is_handed_to_the_adapter_as_it_is(adapter: HandMade, tmp_path: Path):
    assert main(["corpus", "--adapter", "hand-made", "--input", str(tmp_path), "--out", str(tmp_path / "out")]) == 0

    assert adapter.requests[0].paths == (tmp_path,)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--adapter", "hand-maid"], "'hand-maid' is not an adapter"),
        (["--adapter", "ban"], "--input is missing: adapter 'ban' reads files"),
        (["--adapter", "hand-made", "--input", "/nowhere/at.all"], "there is no such file or folder"),
        (["--adapter", "hand-made", "--input", "/dev/zero"], "is neither a file nor a folder"),
        (["--adapter", "hand-made", "--country", "us"], "--country 'us' is not an ISO 3166-1 alpha-2 country code"),
        (["--adapter", "hand-made", "--country", "PR"], "--country 'PR' is a region of 'US' here; say 'US'.\n"),
        (["--adapter", "hand-made", "--variants", "0"], "--variants 0: expected a number from 1 to 2147483647"),
        (["--adapter", "hand-made", "--dose", "1.5"], "a share from 0 to 1"),
        (["--adapter", "hand-made", "--max-records", "0"], "--max-records 0"),
        (["--adapter", "hand-made", "--seed", "-1"], "--seed -1: expected a number from 0"),
        (["--adapter", "hand-made", "--seed", "99999999999"], "--seed 99999999999: expected a number from 0"),
        (["--adapter", "hand-made", "--ray", "127.0.0.1:9"], "--ray '127.0.0.1:9': expected auto or ray://HOST:PORT"),
        (["--adapter", "hand-made", "--workers", "0"], "--workers 0: expected at least 1"),
    ],
)
def test_bad_arguments_end_with_exit_two_and_no_output(
    adapter: HandMade, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
):
    code = main(["corpus", *arguments, "--out", str(tmp_path / "out")])

    output = capsys.readouterr()
    assert code == 2
    assert message in output.err
    assert output.out == ""
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("url", ["s3://bucket/rows", "gs://bucket/rows", "file:///tmp/rows", "memory://rows"])
def test_a_url_is_no_place_to_write_to(
    adapter: HandMade, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], url: str
):
    monkeypatch.chdir(tmp_path)

    with pytest.raises(SystemExit) as ended:
        main(["corpus", "--adapter", "hand-made", "--out", url])
    assert ended.value.code == 2
    assert f"argument --out: {url!r} is a URL, expected a path on this machine" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("url", "meant"), [("s3:/bucket/rows", "s3://bucket/rows"), ("file:/tmp/rows", "file:///tmp/rows")]
)
@pytest.mark.parametrize("argument", ["--input", "--out"])
def test_a_url_that_lacks_a_slash_is_named_as_the_url_that_was_meant(
    adapter: HandMade, tmp_path: Path, capsys: pytest.CaptureFixture[str], argument: str, url: str, meant: str
):
    other = ["--out", str(tmp_path / "out")] if argument == "--input" else []

    with pytest.raises(SystemExit) as ended:
        main(["corpus", "--adapter", "hand-made", *other, argument, url])

    assert ended.value.code == 2
    assert (
        f"argument {argument}: {url!r} is the URL {meant!r} with a slash missing, expected" in capsys.readouterr().err
    )


@pytest.mark.parametrize("url", ["ftp://host/rows", "memory://rows", "s3:///rows", "http://host/rows"])
def test_a_url_that_is_not_fetched_is_no_input(
    adapter: HandMade, tmp_path: Path, capsys: pytest.CaptureFixture[str], url: str
):
    with pytest.raises(SystemExit):
        main(["corpus", "--adapter", "hand-made", "--input", url, "--out", str(tmp_path / "out")])

    assert f"argument --input: {url!r}: " in capsys.readouterr().err


def test_a_source_of_which_nothing_is_kept_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    install(monkeypatch, HandMade([], unreadable=3))

    assert main(["corpus", "--adapter", "hand-made", "--out", str(tmp_path / "out")]) == 0
    assert "nothing was kept: of 3 records 3 " in capsys.readouterr().err


def test_a_name_that_is_not_utf8_is_read_and_refused_as_a_target(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path, target = (Path(os.fsdecode(os.fsencode(tmp_path) + name)) for name in (b"/caf\xe9.txt", b"/\xe9out"))
    path.write_text("US\t99553\tAkutan" + "\t" * 9 + "\n", encoding="utf-8")
    command = ["corpus", "--adapter", "geonames-postal", "--input", str(path), "--out"]

    assert main([*command, str(tmp_path / "out")]) == 0
    assert pq.read_table(tmp_path / "out" / "shards")["row_id"].to_pylist() == ["geonames-postal:caf\\xe9.txt:1:0"]
    capsys.readouterr()
    assert main([*command, str(target)]) == 2
    assert "out: is not a name in UTF-8. Name another folder.\n" in capsys.readouterr().err
    assert not target.exists()


def test_a_file_of_another_format_ends_before_any_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    install(monkeypatch, HandMade([], error=CorpusError("rows.csv: not a parish register")))

    assert main(["corpus", "--adapter", "hand-made", "--out", str(tmp_path / "out")]) == 2

    assert capsys.readouterr().err == "error: rows.csv: not a parish register\n"
    assert not (tmp_path / "out").exists()


def test_a_real_file_goes_through_to_rows(raw_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    source = raw_data / "geonames-postal" / "LU.txt.gz"

    assert main(["corpus", "--adapter", "geonames-postal", "--input", str(source), "--out", str(tmp_path / "out")]) == 0

    printed = json.loads(capsys.readouterr().out)
    quarantined, filtered = sum(printed["quarantined"].values()), sum(printed["filtered"].values())
    assert printed["read"] == 4483 == printed["kept"] + quarantined + filtered + printed["deduplicated"]
    assert printed["rows"]["read"] == printed["kept"]
