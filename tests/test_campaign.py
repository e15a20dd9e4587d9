"""Campaigns: the reference campaign of ten runs from its logs, folders of recipes, and what became of their runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from campaign_logs import BASE, CRF, CW, RECIPES, STEADY_F1, write_logs, write_recipes
from html_page import Page, words
from run_logs import HEALTHY_LOSS, course, eval_rows, line, run_json, step_rows, write_run

from mw_pipeline.campaign.folder import read_campaign
from mw_pipeline.campaign.logs import outcomes_in
from mw_pipeline.campaign.next_runs import Proposal, as_toml, write_proposals
from mw_pipeline.campaign.rates import RATE_KEY
from mw_pipeline.campaign.report import campaign_report, proposals_of
from mw_pipeline.errors import ArtifactError, RecipeError
from mw_pipeline.recipe import differences, load_recipe
from mw_pipeline.report.campaign.page import as_text, render_campaign


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The report on the ten runs."""
    folder = tmp_path_factory.mktemp("reference")
    campaign = read_campaign(write_recipes(folder / "v0_4_0"))
    return campaign_report(campaign, outcomes_in(write_logs(folder / "runs"), campaign))


def endings(report: dict[str, Any]) -> dict[str, tuple[str, int | None]]:
    runs = {row["recipe"]: row["full"] or row["smoke"] for row in report["rows"]}
    return {name: (run["outcome"], run["step"]) for name, run in runs.items()}


def test_every_verdict_of_the_reference_campaign_is_as_published(reference: dict[str, Any]) -> None:
    found = endings(reference)

    assert {name: outcome for name, (outcome, _) in found.items()} == {
        "1-all": "failed",
        "2-all-slower": "failed",
        "3-all-slowest": "failed",
        "4-cw-fast": "failed",
        "5-crf-fast": "failed",
        "6-source-smoke": "invalid",
        "7-cw-smoke": "invalid",
        "8-crf-smoke": "fail",
        "9-cw-promoted": "failed",
        "10-source": "sound",
    }


def test_the_steps_of_failure_are_those_of_the_table(reference: dict[str, Any]) -> None:
    found = endings(reference)
    published = {"1-all": 750, "2-all-slower": 1000, "3-all-slowest": 2000, "9-cw-promoted": 2250}

    for name, step in published.items():
        assert found[name][1] == pytest.approx(step, rel=0.1), name


def test_two_changes_are_each_enough_and_the_rate_is_neither_blamed_nor_cleared(reference: dict[str, Any]) -> None:
    attribution = reference["attribution"]

    assert attribution["status"] == "explained"
    assert attribution["sentences"][0] == (
        'Each is enough alone: loss.class_weights, or loss.crf_reduction = "per_token". Every one of the 7 failures '
        "has one of them, the one that survived has not."
    )
    assert [RATE_KEY, "0.0005"] in attribution["suspects"]
    assert attribution["unknown"] == ["6-source-smoke", "7-cw-smoke"]


def test_a_factor_in_rate_buys_fewer_steps_and_the_rate_alone_is_cleared_as_the_cause(
    reference: dict[str, Any],
) -> None:
    fit = next(fit for fit in reference["rates"]["fits"] if len(fit["points"]) == 3)
    sentences = reference["rates"]["sentences"]

    assert fit["rate_factor"] == pytest.approx(3.33, abs=0.01)
    assert fit["step_factor"] == pytest.approx(2.7, rel=0.1)
    assert reference["rates"]["cleared"] == (
        "The learning rate alone cannot be the cause: 10-source survived at 0.00015, and 3-all-slowest failed at "
        "0.00015."
    )
    assert "to outlast the steps near the peak, up to 22,359, it would have to be 7.7e-06" in " ".join(sentences)


def test_the_decayed_smoke_that_was_called_a_pass_is_remarked_on_beside_its_failure(reference: dict[str, Any]) -> None:
    (remark,) = [remark for remark in reference["remarks"] if remark.startswith("7-cw-smoke")]

    assert "no rule fired in its smoke, and it proves nothing" in remark
    assert "872 near-peak steps, 2000 required" in remark
    assert remark.endswith("the same training failed as 9-cw-promoted")


def test_what_is_proposed_next_clears_the_rate_with_one_change_each(reference: dict[str, Any]) -> None:
    assert [proposal["changes"] for proposal in reference["proposals"]] == [{RATE_KEY: 0.0003}, {RATE_KEY: 0.0005}]


def test_best_and_final_stand_side_by_side_with_the_distance_computed(reference: dict[str, Any]) -> None:
    row = next(row for row in reference["rows"] if row["recipe"] == "10-source")["full"]
    (line,) = [line for line in as_text(reference).splitlines() if line.startswith("| 10-source, full")]
    cells = [cell.strip() for cell in line.strip("|").split("|")]

    assert row["best_f1"] > row["final_f1"]
    assert cells[2] == f"{row['best_f1']:.4f}"
    assert cells[4] == f"{row['final_f1']:.4f}"
    assert cells[5] == f"{row['final_f1'] - row['best_f1']:.4f}".replace("-", "\u2212")


def test_a_run_that_ends_at_its_best_has_no_falling_sign(tmp_path: Path, reference: dict[str, Any]) -> None:
    rising = {**next(row for row in reference["rows"] if row["full"])["full"], "best_f1": 0.4, "final_f1": 0.4}
    report = {**reference, "rows": [{**reference["rows"][0], "full": rising}]}

    assert "| +0.0000 |" in as_text(report)


def test_the_page_holds_matrix_pictures_and_findings_and_fetches_nothing(
    reference: dict[str, Any], tmp_path: Path
) -> None:
    page = Page(render_campaign(tmp_path / "page.html", reference).read_text("utf-8"))

    assert reference["attribution"]["sentences"][0] in words(page)
    for title in ("Changes and outcomes", "The runs", "Learning rate", "What to run next"):
        assert title in words(page)
    assert all(reference.startswith("#") for reference in page.references)
    assert len(page.ids) == len(set(page.ids))


def test_equal_reports_give_equal_pages(reference: dict[str, Any], tmp_path: Path) -> None:
    first, second = (render_campaign(tmp_path / name, reference).read_bytes() for name in ("a.html", "b.html"))

    assert first == second


def test_changes_are_counted_against_the_base_of_all_and_not_against_the_next_file(tmp_path: Path) -> None:
    folder = write_recipes(tmp_path / "c", {"a": CRF, "c": ""})
    (folder / "b.toml").write_text(f'base = "a.toml"\n{CW}')
    campaign = read_campaign(folder)

    assert campaign.base_path == (tmp_path / "base.toml").resolve()
    assert {member.name: sorted(member.changes) for member in campaign.members} == {
        "a": ["loss.crf_reduction"],
        "b": ["loss.class_weights", "loss.crf_reduction"],
        "c": [],
    }


def test_a_base_among_the_recipes_is_one_of_them(tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_text(BASE)
    (tmp_path / "crf.toml").write_text(f'base = "base.toml"\n{CRF}')
    campaign = read_campaign(tmp_path)

    assert (campaign.base_path.name, [m.name for m in campaign.members]) == ("base.toml", ["base", "crf"])


def test_how_a_run_is_judged_is_no_change_of_its_training(tmp_path: Path) -> None:
    campaign = read_campaign(write_recipes(tmp_path / "c", {"a": '[smoke]\nmode = "constant"\n', "b": ""}))

    member = campaign.members[0]
    assert (member.changes, member.judged) == ({}, {"smoke.mode": "constant"})


def test_recipes_without_a_common_base_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(BASE)
    (tmp_path / "b.toml").write_text(BASE)

    with pytest.raises(RecipeError, match="stand on 2 different bases") as error:
        read_campaign(tmp_path)
    assert "Give all of them one `base`" in str(error.value)


def test_a_folder_without_recipes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="holds no recipes"):
        read_campaign(tmp_path)


def test_a_folder_of_logs_that_no_recipe_is_named_like_is_refused(tmp_path: Path) -> None:
    campaign = read_campaign(write_recipes(tmp_path / "c"))
    (tmp_path / "runs" / "1-al").mkdir(parents=True)

    with pytest.raises(ArtifactError, match="no recipe of c has that name"):
        outcomes_in(tmp_path / "runs", campaign)
    with pytest.raises(ArtifactError, match="is not a folder"):
        outcomes_in(tmp_path / "nowhere", campaign)


def test_a_smoke_and_a_full_run_of_one_recipe_lie_in_folders_of_these_names(tmp_path: Path) -> None:
    campaign = read_campaign(write_recipes(tmp_path / "c"))
    logs = write_logs(tmp_path / "logs")
    target = tmp_path / "runs" / "7-cw-smoke"
    target.mkdir(parents=True)
    (logs / "7-cw-smoke").rename(target / "smoke")
    (logs / "9-cw-promoted").rename(target / "full")
    report = campaign_report(campaign, outcomes_in(tmp_path / "runs", campaign))

    row = next(row for row in report["rows"] if row["recipe"] == "7-cw-smoke")
    assert (row["smoke"]["outcome"], row["full"]["outcome"], row["failed"]) == ("invalid", "failed", True)
    assert "10-source has no smoke yet" in report["missing"]


CONVERGED = {"status": "CONVERGED", "step": 20_000, "converged": "3 evaluations since step 17000 without a lower loss"}


def full_run(tmp_path: Path, *, until: int, **run: Any) -> tuple[str, str | None, str]:
    """How a campaign judges the full run of 10-source whose log ends at a step: outcome, rule and reason."""
    facts = course("cosine", 50_000, peak_lr=1.5e-4)
    evals = [row for row in eval_rows(facts, STEADY_F1) if row["step"] <= until]
    path = tmp_path / "runs" / "10-source" / "full"
    write_run(path, step_rows(facts, HEALTHY_LOSS, every=50, until=until), evals, run_json(facts, kind="full", **run))
    campaign = read_campaign(write_recipes(tmp_path / "c"))
    found = outcomes_in(tmp_path / "runs", campaign)["10-source"]["full"]
    return found.outcome, found.rule, found.reason


def test_a_full_run_that_converged_is_an_outcome_like_one_of_all_steps(tmp_path: Path) -> None:
    # M80
    outcome, rule, reason = full_run(tmp_path, until=20_000, **CONVERGED)

    assert (outcome, rule) == ("sound", None)
    assert reason.endswith("converged at step 20000, 3 evaluations since step 17000 without a lower loss")


@pytest.mark.parametrize(
    ("until", "change", "sentence"),
    [
        (15_000, {}, "log incomplete: it ends at step 15000 of 20000"),
        (20_000, {"converged": None}, "log incomplete: it ends at step 20000 of 50000"),
        (20_000, {"status": "INTERRUPTED"}, "log incomplete: it ends at step 20000 of 50000"),
        (20_000, {"status": "BUDGET_EXHAUSTED", "converged": None}, "log incomplete: it ends at step 20000 of 50000"),
    ],
)
def test_a_full_run_that_ended_early_for_another_reason_is_unfinished(
    tmp_path: Path, until: int, change: dict[str, Any], sentence: str
) -> None:
    found = full_run(tmp_path, until=until, **{**CONVERGED, **change})

    assert found == ("unfinished", "log_incomplete", sentence)


def test_a_full_run_that_converged_by_itself_and_failed_has_failed(tmp_path: Path) -> None:
    facts = course("cosine", 50_000, peak_lr=1.5e-4)
    fall = line([(0, 0.0), (5000, 0.4), (9000, 0.1)])
    campaign, path = read_campaign(write_recipes(tmp_path / "c")), tmp_path / "runs" / "10-source" / "full"
    evals = [row for row in eval_rows(facts, fall) if row["step"] <= 20_000]
    write_run(
        path, step_rows(facts, HEALTHY_LOSS, every=50, until=20_000), evals, run_json(facts, kind="full") | CONVERGED
    )

    assert outcomes_in(tmp_path / "runs", campaign)["10-source"]["full"].rule == "collapse"


def test_a_log_without_run_json_is_told_by_its_length_near_the_peak(tmp_path: Path) -> None:
    campaign = read_campaign(write_recipes(tmp_path / "c"))
    logs = write_logs(tmp_path / "logs")
    for name in ("7-cw-smoke", "10-source"):
        (logs / name / "run.json").unlink()
    found = outcomes_in(logs, campaign)

    assert (set(found["7-cw-smoke"]), set(found["10-source"])) == ({"smoke"}, {"full"})


def test_proposals_are_written_as_recipes_that_change_just_that(tmp_path: Path) -> None:
    campaign = read_campaign(write_recipes(tmp_path / "c", {"all": RECIPES["1-all"], "base-itself": ""}))
    out = tmp_path / "next"
    proposals = (
        Proposal("only-cw", dict(campaign.members[0].changes), "shows it", None),
        Proposal("there", {}, "is there", "base-itself"),
    )
    (path,) = write_proposals(proposals, out, base=campaign.base_path)

    assert differences(campaign.base, load_recipe(path)) == campaign.members[0].changes
    with pytest.raises(RecipeError, match="is there already"):
        write_proposals(proposals, out, base=campaign.base_path)


def test_a_key_taken_away_cannot_be_written() -> None:
    with pytest.raises(RecipeError, match="which TOML cannot say"):
        as_toml(Proposal("x", {"train.cooldown_from": None}, "why", None), base="base.toml")


def test_a_whole_campaign_read_twice_gives_the_same_report(tmp_path: Path) -> None:
    campaign = read_campaign(write_recipes(tmp_path / "c"))
    found = outcomes_in(write_logs(tmp_path / "runs"), campaign)

    assert json.dumps(campaign_report(campaign, found)) == json.dumps(campaign_report(campaign, found))
    assert [proposal.changes for proposal in proposals_of(campaign, found)] == [{RATE_KEY: 0.0003}, {RATE_KEY: 0.0005}]
