"""Anyone's gold files, judged row by row: what is wrong, where, and what to do, whatever else is wrong beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yardstick import in_yardsticks

from mw_pipeline.areas import closed_regions
from mw_pipeline.cli import main
from mw_pipeline.errors import CorpusError
from mw_pipeline.golden.judge import judge_golden

SOUND = '{"raw": "1 Oak St, Lyon", "components": {"locality": "Lyon"}, "country": "CH", "source": "x", "notes": ""}'


def file_of(folder: Path, *lines: str, name: str = "mine.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def numbered(number: int) -> str:
    return json.dumps({"raw": f"{number} Oak St, Lyon", "components": {"house_number": str(number)}, "country": "CH"})


def test_every_broken_line_is_a_finding_and_the_sound_ones_are_read(tmp_path: Path) -> None:
    path = file_of(
        tmp_path,
        SOUND,
        "{",
        '{"raw": "x", "raw": "y", "components": {}}',
        '{"raw": 7, "components": {}}',
        '{"raw": "x"}',
        '{"raw": "x", "components": {"town": "x"}}',
        '{"raw": "x", "components": {"locality": 7}}',
        '{"raw": "x", "components": {"locality": ""}}',
        '{"raw": "x", "components": {"locality": "y"}}',
        '{"raw": "x", "components": {}, "country": 0}',
    )

    judged = judge_golden([path])

    assert [(f.where, f.rule) for f in judged.findings] == [
        (f"{path}:2", "not_json"),
        (f"{path}:3", "not_json"),
        (f"{path}:4", "no_text"),
        (f"{path}:5", "no_components"),
        (f"{path}:6", "unknown_tag"),
        (f"{path}:7", "wrong_type"),
        (f"{path}:8", "blank_value"),
        (f"{path}:10", "wrong_type"),
        (f"{path}:9", "unreachable_value"),
    ]
    assert all(f.blocks and f.value and f.problem and f.remedy.endswith(".") for f in judged.findings)
    assert [row.where for row in judged.golden.rows] == [f"{path}:1", f"{path}:9"]


def test_every_unreachable_value_of_a_row_is_named(tmp_path: Path) -> None:
    path = file_of(tmp_path, '{"raw": "Lyon", "components": {"locality": "LYON", "region": "Rhône"}}')

    assert [f.value for f in judge_golden([path]).findings] == ["locality 'LYON'", "region 'Rhône'"]


def test_sound_gold_has_no_findings_and_says_what_it_holds(tmp_path: Path) -> None:
    facts = judge_golden([file_of(tmp_path, SOUND, numbered(2))]).as_json()

    assert (facts["blocking"], facts["findings"], facts["rules"]) == (0, [], {})
    assert facts["counts"]["rows"] == facts["counts"]["families"] == 2
    assert facts["ceilings"]["strict"]["per_tag"]["house_number"] == 1.0


def test_keys_that_no_row_has_are_one_remark_for_each_file_with_their_counts(tmp_path: Path) -> None:
    first = file_of(tmp_path, *(json.dumps(json.loads(numbered(n)) | {"contry": "US", "id": n}) for n in (2, 3)), SOUND)
    second = file_of(tmp_path, numbered(4).replace('"country"', '"Country"'), numbered(5), name="other.jsonl")

    judged = judge_golden([first, second], below=tmp_path)

    assert [(f.where, f.rule, f.value, f.blocks) for f in judged.findings] == [
        ("mine.jsonl", "unknown_key", "'contry' in 2 rows, 'id' in 2 rows", False),
        ("other.jsonl", "unknown_key", "'Country' in 1 rows", False),
    ]
    assert judged.findings[0].problem.endswith("'contry' may mean 'country'")
    assert judged.findings[0].as_json()["file"] == "mine.jsonl"


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + f"{SOUND}\r\n\r\n{numbered(2)}\r\n".encode())

    judged = judge_golden([path])

    assert judged.findings == ()
    assert [row.where for row in judged.golden.rows] == [f"{path}:1", f"{path}:3"]


def test_an_empty_file_among_others_is_named(tmp_path: Path) -> None:
    empty = file_of(tmp_path, name="empty.jsonl")

    judged = judge_golden([file_of(tmp_path, SOUND), empty])

    assert [str(f) for f in judged.findings] == [f"{empty}: empty_file: empty.jsonl: holds no row"]


def test_a_file_in_another_encoding_is_no_gold_at_all(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(SOUND, encoding="utf-16")

    with pytest.raises(CorpusError, match=r"mine\.jsonl: not readable .* Name a UTF-8 file"):
        judge_golden([path])


@given(st.lists(st.one_of(st.text(max_size=30), st.binary(max_size=20).map(repr), st.just(SOUND)), max_size=8))
def test_whatever_the_lines_are_each_is_a_row_or_a_finding(tmp_path_factory: Any, lines: list[str]) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "mine.jsonl"
    plain = [line.encode("utf-8", "replace").decode().replace("\n", " ").replace("\r", " ") for line in lines]
    path.write_text("\n".join(plain), encoding="utf-8")
    written = [line for line in path.read_text(encoding="utf-8-sig").split("\n") if line.strip()]

    judged = judge_golden([path])

    broken = [f for f in judged.findings if f.rule not in ("empty_file", "repeated_text")]
    assert len(judged.golden.rows) + len(broken) == len(written)


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, dict[str, Any], str]:
    status = main(["golden", *map(str, arguments)])
    captured = capsys.readouterr()
    return status, json.loads(captured.out or "{}"), captured.err


def test_the_command_lists_findings_by_row_and_exits_with_1(tmp_path: Path, capsys: Any) -> None:
    path = file_of(tmp_path, SOUND, '{"raw": "Lyon", "components": {"locality": "LYON"}}')

    status, facts, said = run(capsys, path)

    assert status == 1
    assert facts["findings"] == [
        {
            "file": str(path),
            "line": 2,
            "rule": "unreachable_value",
            "value": "locality 'LYON'",
            "problem": "is no substring of 'Lyon'",
            "remedy": "Copy the value as it is written in the text, or leave the tag out.",
            "blocks": True,
        }
    ]
    assert f"invalid: {path}:2: unreachable_value: locality 'LYON': is no substring of 'Lyon'. Copy the value" in said
    assert said.endswith("2 gold rows, 1 findings that make them invalid\n")


def test_the_command_passes_sound_gold_and_gold_with_remarks(tmp_path: Path, capsys: Any) -> None:
    file_of(tmp_path, SOUND, SOUND)

    status, facts, said = run(capsys, tmp_path)

    assert (status, facts["blocking"], facts["rules"]) == (0, 0, {"repeated_text": 1})
    assert "remark: " in said


def test_the_command_shows_the_first_findings_and_counts_the_others(tmp_path: Path, capsys: Any) -> None:
    status, facts, said = run(capsys, file_of(tmp_path, SOUND, *["{"] * 60))

    assert (status, len(facts["findings"])) == (1, 60)
    assert "10 more findings on stdout" in said


def test_a_stale_manifest_is_a_finding_until_it_is_written_anew(tmp_path: Path, capsys: Any) -> None:  # M50
    file_of(tmp_path, SOUND)
    assert run(capsys, "--write-manifest", tmp_path)[0] == 0
    file_of(tmp_path, SOUND, numbered(2))

    status, facts, _ = run(capsys, tmp_path)
    assert (status, facts["rules"]) == (1, {"stale_manifest": 1})
    assert facts["findings"][0]["problem"] == "says rows 1 for mine.jsonl, found 2"

    assert run(capsys, "--write-manifest", tmp_path)[0] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.jsonl"], "nowhere.jsonl: not readable"),
        (["{folder}"], "holds no .jsonl file. Name a folder"),
        (["--write-manifest", "mine.jsonl"], "a manifest belongs to a folder"),
    ],
)
def test_what_is_no_gold_file_is_one_sentence_and_exit_code_2(
    tmp_path: Path, capsys: Any, arguments: list[str], message: str
) -> None:
    status, _, said = run(capsys, *(argument.format(folder=tmp_path) for argument in arguments))

    assert status == 2
    assert message in said


def test_broken_gold_gets_no_manifest(tmp_path: Path, capsys: Any) -> None:
    file_of(tmp_path, "{")

    assert run(capsys, "--write-manifest", tmp_path)[0] == 2
    assert not (tmp_path / "manifest.json").exists()


@pytest.mark.slow
def test_a_hundred_thousand_rows_are_judged_in_seconds(tmp_path: Path) -> None:
    path = file_of(tmp_path, *(numbered(n) for n in range(100_000)), '{"raw": "x", "components": {"street": "y"}}')

    facts = judge_golden([path]).as_json()

    assert (facts["counts"]["rows"], facts["blocking"]) == (100_001, 1)
    assert in_yardsticks(lambda: judge_golden([path]), tries=1) < 500


def test_regions_without_a_row_are_a_remark_and_those_with_one_are_counted(tmp_path: Path, capsys: Any) -> None:  # M86
    rows = [
        {"raw": "Montpelier, VT", "components": {"locality": "Montpelier", "region": "VT"}, "country": "US"},
        {"raw": "Washington, D.C", "components": {"locality": "Washington", "region": "D.C"}, "country": "US"},
        {"raw": "Hagåtña 96910", "components": {"locality": "Hagåtña", "postcode": "96910"}, "country": "US"},
        {"raw": "Springfield", "components": {"locality": "Springfield"}, "country": "US"},
    ]
    status, facts, said = run(capsys, file_of(tmp_path, *map(json.dumps, rows)))

    found = facts["regions"]["US"]
    assert (status, facts["rules"]) == (0, {"region_without_row": 1})
    assert {region for region, count in found["rows"].items() if count} == {"Vermont", "District of Columbia", "Guam"}
    assert (len(found["rows"]), len(found["missing"]), found["elsewhere"]) == (56, 53, 1)
    assert "remark: US: region_without_row: 'US': no gold row lies in 53 of its 56 regions: Alabama, Alaska" in said


def test_gold_with_a_row_in_every_region_has_no_such_remark(tmp_path: Path, capsys: Any) -> None:
    rows = [{"raw": name, "components": {"region": name}, "country": "FR"} for name in closed_regions("FR")]

    status, facts, _ = run(capsys, file_of(tmp_path, *map(json.dumps, rows)))

    assert (status, facts["rules"], facts["regions"]["FR"]["missing"]) == (0, {}, [])
    assert len(facts["regions"]["FR"]["rows"]) == 18
