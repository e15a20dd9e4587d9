"""Answers of checks: kept where one has held, asked again where it has not, and none where no check has given it."""

from __future__ import annotations

from pathlib import Path

import pytest
from graph_runs import BEHIND_THE_LOCK, checks_of, failure_of, materialize
from tiny_project import change, edit_json, forget, rewrite, stored

from mw_pipeline.artifact import Artifact
from mw_pipeline.digest import JSON, write_json_atomically
from mw_pipeline.errors import ArtifactError, GateError
from mw_pipeline.seal import KEY_VARIABLE
from mw_pipeline.stages import checks, line
from mw_pipeline.stages.check_answers import ask, demand_upstream
from mw_pipeline.stages.findings import Check, Findings, found
from mw_pipeline.stages.place import Place
from mw_pipeline.stages.reuse import find_made
from mw_pipeline.stages.road import is_before_lock

pytestmark = pytest.mark.slow

TIGHT = ("variants = 1\n", "variants = 1\nbudgets = { filter_share = 0.01 }\n")
CHECKS = [name for stage in line.STAGES.values() if is_before_lock(stage) for name in stage.blocks]


@pytest.mark.parametrize("asset", BEHIND_THE_LOCK)
def test_a_check_of_the_corpus_that_failed_in_an_earlier_run_refuses_each_later_asset_alone(
    place: Place, asset: str
) -> None:
    change(place.project, *TIGHT, file="corpora/builtin.toml")
    earlier = materialize(place.project, "corpus_shards", partition="builtin:builtin")
    assert [name for name, passed in checks_of(earlier).items() if not passed] == ["quarantine_within_budget"]

    result = materialize(place.project, asset)

    assert not result.success
    said = failure_of(result, asset)
    assert said.startswith("quarantine_within_budget does not hold for 'builtin:builtin': ")
    assert said.endswith(
        "Repair this, then run `dagster asset materialize -m assets.definitions --select corpus_shards "
        "--partition builtin:builtin`."
    )

    change(place.project, *reversed(TIGHT), file="corpora/builtin.toml")
    assert materialize(place.project, asset).success


def test_a_check_that_no_run_has_asked_is_asked_by_the_library(place: Place) -> None:
    change(place.project, *TIGHT, file="corpora/builtin.toml")

    with pytest.raises(GateError, match="quarantine_within_budget does not hold for 'builtin:builtin'"):
        demand_upstream(place, "demo")


def answers(place: Place) -> dict[str, Artifact]:
    """What is kept of every check, by its name."""
    kept = [place.store.load("check_answer", digest) for digest in stored(place, "check_answer")]
    return {artifact.manifest.config["check"]: artifact for artifact in kept}


def test_the_answers_of_all_blocking_checks_are_kept_once(place: Place) -> None:
    kept = stored(place, "check_answer")
    assert set(answers(place)) == set(CHECKS)

    demand_upstream(place, "demo")
    assert stored(place, "check_answer") == kept

    forget(place, "check_answer")
    demand_upstream(place, "demo")
    assert stored(place, "check_answer") == kept


@pytest.mark.parametrize("check", CHECKS)
def test_every_blocking_check_that_is_found_wanting_refuses_the_full_run(
    place: Place, check: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget(place, "check_answer")
    wanting = finding("a row is wrong")
    wanting.__name__ = check
    monkeypatch.setattr(checks, check, wanting)

    for _ in range(2):  # it is not kept, and asked again
        with pytest.raises(GateError, match=rf"{check} does not hold for '[a-z:]+': a row is wrong\. Repair this"):
            demand_upstream(place, "demo")
    assert check not in answers(place)


def finding(*problems: str, asked: list[str] | None = None) -> Check:
    """A check that finds these problems, and lists what it was asked about."""

    def check(place: Place, partition: str) -> Findings:
        if asked is not None:
            asked.append(partition)
        return found(problems, "as it should be", share=float("nan"), table="| a |\n|---|")

    return check


def test_what_has_held_is_shown_again_without_being_asked_and_a_problem_is_asked_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget(place, "check_answer")
    for problems, times in ((("a row is wrong",), 2), ((), 1)):
        asked: list[str] = []
        check = finding(*problems, asked=asked)
        check.__name__ = "rows_match_schema"
        monkeypatch.setattr(checks, "rows_match_schema", check)
        first, again = (ask(place, line.corpus_shards, check, "builtin:builtin") for _ in range(2))
        assert len(asked) == times
        assert repr(again) == repr(first)


def test_an_answer_edited_by_hand_is_no_answer(place: Place) -> None:
    edit_json(summary="all is well")(answers(place)["rows_match_schema"].path / "answer.json")

    with pytest.raises(ArtifactError, match=r"answer\.json: has \d+ bytes, the manifest says"):
        demand_upstream(place, "demo")


@pytest.mark.parametrize("content", [{"summary": "as it should be", "evidence": "{}"}, {"summary": ""}, []])
def test_a_whole_answer_that_no_check_has_given_is_refused(place: Place, content: JSON) -> None:
    # M68: consistent digests, the right inputs and code, and no seal, or that of another answer
    answer = answers(place)["rows_match_schema"]
    other = answers(place)["rows_are_conserved"].read_json("answer.json")["seal"]
    forged = {**content, "seal": other} if isinstance(content, dict) else content
    rewrite(answer, "answer.json", lambda path: write_json_atomically(path, forged))

    with pytest.raises(GateError, match=r"was not given by a check under the key of this user.* Delete it"):
        demand_upstream(place, "demo")


def test_the_answer_of_another_check_stands_for_none_though_it_names_what_it_was_of(place: Place) -> None:
    answer, other = (answers(place)[name] for name in ("rows_match_schema", "rows_are_conserved"))
    forged = {**other.read_json("answer.json"), "key": other.manifest.key}
    rewrite(answer, "answer.json", lambda path: write_json_atomically(path, forged))

    with pytest.raises(GateError, match="was not given by a check under the key of this user"):
        demand_upstream(place, "demo")


def test_what_another_key_has_sealed_is_asked_again(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = stored(place, "check_answer")
    monkeypatch.setenv(KEY_VARIABLE, str(tmp_path / "another"))

    demand_upstream(place, "demo")

    assert stored(place, "check_answer") > kept
    assert find_made(line.eval_report, place, "demo") is None
