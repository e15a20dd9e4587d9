"""The commands score, diagnose and evaluate, on files and on a real package of an untrained network."""

from __future__ import annotations

import json

import pytest
from tiny_package import tiny_tokenizer

from mw_pipeline.cli import main

ROWS = [
    {
        "raw": "12 Oak St, Washington, DC 20500",
        "components": {"street": "Oak St", "postcode": "20500"},
        "country": "US",
    },
    {"raw": "7 rue Haute, 75001 Paris", "components": {"locality": "Paris", "postcode": "75001"}, "country": "FR"},
]
RIGHT = [{"raw": row["raw"], "components": row["components"]} for row in ROWS]
WRONG = [{**RIGHT[0], "components": {"street": "OAK ST"}}, RIGHT[1]]


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


@pytest.fixture
def files(tmp_path):
    return {
        "gold": write(tmp_path / "gold.jsonl", ROWS),
        "right": write(tmp_path / "right.jsonl", RIGHT),
        "wrong": write(tmp_path / "wrong.jsonl", WRONG),
    }


def answer(capsys, *arguments):
    code = main([str(argument) for argument in arguments])
    output = capsys.readouterr()
    return code, json.loads(output.out) if output.out else None, output.err


def test_score_prints_json_for_programs_and_a_table_for_people(files, capsys):
    code, scores, shown = answer(capsys, "score", "--golden", files["gold"], "--predictions", files["wrong"])

    assert code == 0
    assert scores["per_tag"]["street"]["f1"] == 0.0
    assert scores["per_tag"]["postcode"]["f1"] == pytest.approx(2 / 3)
    assert scores["decoder"] == "external"
    assert "| exact_match | 0.5000 |" in shown


def test_score_takes_the_policy_and_the_label_stage(files, capsys):
    options = ("--policy", "normalised", "--stage", "3", "--resamples", "10")
    _, scores, _ = answer(capsys, "score", "--golden", files["gold"], "--predictions", files["wrong"], *options)

    assert scores["per_tag"]["street"]["f1"] == 1.0
    assert "po_box" in scores["tags"]
    assert scores["bootstrap"]["resamples"] == 10


def test_score_says_what_is_wrong_with_the_gold(files, tmp_path, capsys):
    rows = [{"raw": f"{n}", "components": {"locality": "Paris"}} for n in range(7)]
    gold = write(tmp_path / "unreachable.jsonl", rows)
    code, scores, shown = answer(capsys, "score", "--golden", gold, "--predictions", gold, "--resamples", "5")

    assert (code, scores["findings"]) == (0, 7)
    assert "unreachable_value: locality 'Paris': is no substring" in shown
    assert "gold: 2 more findings" in shown
    assert scores["ceiling"]["per_tag"]["locality"] == 0.0


@pytest.mark.parametrize("command", ["score", "diagnose"])
def test_missing_predictions_are_bad_input(command, files, tmp_path, capsys):
    few = write(tmp_path / "few.jsonl", RIGHT[:1])
    code, out, shown = answer(capsys, command, "--golden", files["gold"], "--predictions", few)

    assert (code, out) == (2, None)
    assert "no prediction for 1 of 2 gold rows" in shown


@pytest.mark.parametrize("count", ["0", "many"])
def test_a_count_of_resamples_must_be_positive(count, files, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["score", "--golden", files["gold"], "--predictions", files["right"], "--resamples", count])

    assert ended.value.code == 2
    assert f"'{count}' is not a whole number of at least 1" in capsys.readouterr().err


def test_diagnose_prints_buckets_and_with_a_baseline_what_changed(files, capsys):
    arguments = ("diagnose", "--golden", files["gold"], "--predictions", files["wrong"], "--baseline", files["right"])
    code, report, shown = answer(capsys, *arguments)

    assert code == 0
    assert report["buckets"]["case_only"] == {"fn": 1, "fp": 1}
    assert report["regression"]["broken"]["total"] == 2
    assert "| street | fn | 1 | 0 | 0 | 1 |" in shown


def test_diagnose_compat_counts_accents_as_another_script(files, tmp_path, capsys):
    rows = [{"raw": "45000 Orléans", "components": {"postcode": "45000"}}]
    gold = write(tmp_path / "accent.jsonl", rows)
    empty = write(tmp_path / "empty.jsonl", [{**rows[0], "components": {}}])

    for options, bucket in (((), "empty_pred"), (("--compat",), "non_latin")):
        _, report, _ = answer(capsys, "diagnose", "--golden", gold, "--predictions", empty, *options)
        assert report["buckets"][bucket]["fn"] == 1


def test_score_looks_at_the_tags_that_the_gold_is_complete_for(files, capsys):
    options = ("--golden", files["gold"], "--predictions", files["wrong"], "--tags", "postcode", "locality")
    _, scores, _ = answer(capsys, "score", *options)

    assert scores["tags"] == ["locality", "postcode"]


def test_evaluating_a_package_is_scoring_what_it_predicts(tiny_release, files, tmp_path, capsys):  # M51
    written = tmp_path / "predicted.jsonl"
    package = tiny_release / "packages/en-us"
    code, evaluated, _ = answer(
        capsys, "evaluate", "--package", package, "--golden", files["gold"], "--predictions-out", written
    )
    _, scored, _ = answer(
        capsys,
        "score",
        "--golden",
        files["gold"],
        "--predictions",
        written,
        "--decoder",
        evaluated["decoder"],
        "--stage",
        "2",
    )

    assert code == 0
    assert evaluated == scored
    assert evaluated["calibration"]["spans"] > 0


def test_a_checkpoint_and_its_run_folder_are_evaluated_alike(tiny_release, files, capsys):
    reports = [
        answer(capsys, "evaluate", "--checkpoint", path, "--golden", files["gold"])[1]
        for path in (tiny_release / "best", tiny_release)
    ]

    assert reports[0] == reports[1]
    assert reports[0]["rows"] == 2


def test_a_checkpoint_without_its_tokenizer_is_bad_input(tiny_release, files, tmp_path, capsys):
    lonely = tmp_path / "run" / "best"
    lonely.parent.mkdir()
    lonely.symlink_to(tiny_release / "best")
    arguments = ("evaluate", "--checkpoint", lonely, "--golden", files["gold"])

    code, _, shown = answer(capsys, *arguments)
    assert code == 2
    assert "has no tokenizer.model beside it or in the folder above. Name the training's with --tokenizer" in shown

    assert answer(capsys, *arguments, "--tokenizer", tiny_release / "tokenizer.model")[0] == 0
    code, _, shown = answer(capsys, *arguments, "--tokenizer", tmp_path / "nowhere.model")
    assert code == 2
    assert "no such tokenizer" in shown


def test_a_checkpoint_with_another_tokenizer_is_bad_input(tiny_release, files, tmp_path, capsys):  # M32
    other = tiny_tokenizer(tmp_path)
    other.write_bytes(other.read_bytes() + b"\x00")
    arguments = ("evaluate", "--checkpoint", tiny_release / "best", "--golden", files["gold"], "--tokenizer", other)

    code, _, shown = answer(capsys, *arguments)
    assert code == 2
    assert "was trained with tokenizer" in shown


def test_a_release_folder_is_evaluated_by_its_locale(tiny_release, files, capsys):
    release = tiny_release / "packages"

    named = answer(capsys, "evaluate", "--package", release, "--locale", "fr-fr", "--golden", files["gold"])
    alone = answer(capsys, "evaluate", "--package", release / "fr-fr", "--golden", files["gold"])

    assert named == alone
    assert named[0] == 0


@pytest.mark.parametrize(
    ("kind", "folder", "option", "complaint"),
    [
        ("--package", "packages/en-us", "--tokenizer", "--tokenizer was given, but a package has its own."),
        ("--checkpoint", "best", "--locale", "--locale was given, but a checkpoint is for all locales."),
    ],
)
def test_an_argument_that_would_be_ignored_is_bad_input(tiny_release, files, capsys, kind, folder, option, complaint):
    code, _, said = answer(capsys, "evaluate", kind, tiny_release / folder, option, "x", "--golden", files["gold"])

    assert code == 2
    assert complaint in said


def test_a_seed_below_zero_is_bad_input(files, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["score", "--golden", files["gold"], "--predictions", files["right"], "--seed", "-1"])

    assert stopped.value.code == 2
    assert "'-1' is not a whole number of at least 0" in capsys.readouterr().err
