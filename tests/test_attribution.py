"""What may and may not be claimed from the runs of a campaign: which change failed them, and whether the rate did."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mw_pipeline.campaign.attribution import Attribution, Condition, Trial, attribute, predicts
from mw_pipeline.campaign.next_runs import propose
from mw_pipeline.campaign.rates import RATE_KEY, RatedRun, fit_rates, rate_is_cleared


def trial(name: str, failed: bool | None) -> Trial:
    """A trial whose capital letters are its changes: "AB" changes a and b."""
    return Trial(name, dict.fromkeys(name, 1), failed)


def named(found: Attribution) -> list[list[str]]:
    """Each explanation as its causes, each a word of the letters that must be together."""
    return [["".join(condition.key for condition in cause) for cause in each] for each in found.explanations]


def test_a_change_in_all_failures_and_no_survivor_is_named() -> None:
    found = attribute([trial("", False), trial("A", True), trial("B", False), trial("AB", True)])

    assert (found.status, named(found)) == ("explained", [["A"]])


def test_a_pair_is_named_when_each_survives_without_the_other() -> None:
    found = attribute([trial("", False), trial("A", False), trial("B", False), trial("AB", True)])

    assert (found.status, named(found)) == ("explained", [["AB"]])


def test_three_changes_at_once_cannot_be_told_apart_and_three_single_runs_would() -> None:
    trials = [trial("", False), trial("ABC", True)]
    found = attribute(trials)

    assert found.status == "open"
    assert named(found) == [["A"], ["B"], ["C"], ["AB"], ["AC"], ["BC"]]
    assert [proposal.changes for proposal in propose(found, trials)] == [{"A": 1}, {"B": 1}, {"C": 1}]


def test_the_clean_twin_of_one_change_a_run_is_told_apart() -> None:
    trials = [trial("", False), trial("A", True), trial("B", False), trial("C", False)]
    found = attribute(trials)

    assert (found.status, named(found), propose(found, trials)) == ("explained", [["A"]], ())


def test_after_single_runs_survived_pairs_are_proposed() -> None:
    trials = [trial("", False), *(trial(name, False) for name in "ABC"), trial("ABC", True)]
    found = attribute(trials)

    assert named(found) == [["AB"], ["AC"], ["BC"]]
    assert [sorted(proposal.changes) for proposal in propose(found, trials)] == [["A", "B"], ["A", "C"]]


def test_without_a_survivor_the_base_itself_is_under_suspicion_and_its_run_is_proposed() -> None:
    trials = [trial("A", True), trial("", None)]
    found = attribute(trials)

    assert named(found) == [[""], ["A"]]
    assert [(proposal.changes, proposal.recipe) for proposal in propose(found, trials)] == [({}, "")]


def test_the_same_changes_failing_and_surviving_is_a_contradiction_and_no_cause() -> None:
    found = attribute([trial("", False), trial("A", True), Trial("A again", {"A": 1}, False)])

    assert (found.status, found.explanations) == ("contradictory", ())
    assert found.contradictions == (("A", "A again"),)


def test_nothing_is_explained_where_nothing_failed() -> None:
    assert attribute([trial("", False), trial("A", None)]).status == "nothing failed"


def test_four_separate_causes_are_more_than_is_claimed() -> None:
    found = attribute([trial("", False), *(trial(name, True) for name in "ABCD")])

    assert (found.status, found.explanations) == ("unexplained", ())


def test_of_several_values_of_one_key_the_failing_one_is_named() -> None:
    trials = [Trial("base", {}, False), Trial("hot", {"lr": 2}, True), Trial("warm", {"lr": 1}, False)]

    assert attribute(trials).explanations == (((Condition("lr", "2"),),),)


CHANGES = "ABCD"


subsets = st.lists(
    st.sampled_from(["".join(c) for n in range(5) for c in itertools.combinations(CHANGES, n)]), max_size=9
)


@settings(max_examples=150, deadline=None)
@given(names=subsets, planted=st.sampled_from(["A", "B", "AB", "CD", "A|B", "C|D"]), hidden=st.sets(st.integers(0, 8)))
def test_a_planted_cause_is_never_ruled_out_and_what_is_named_fits_every_run(
    names: list[str], planted: str, hidden: set[int]
) -> None:
    def fails(name: str) -> bool:
        return any(set(cause) <= set(name) for cause in planted.split("|"))

    trials = [trial(name, None if i in hidden else fails(name)) for i, name in enumerate(names)]
    found = attribute(trials)

    known = [each for each in trials if each.failed is not None]
    assert all(predicts(e, each.changes) == each.failed for e in found.explanations for each in known)
    met = [part for part in planted.split("|") if any(set(part) <= set(t.name) for t in known if t.failed)]
    if met:
        size = min(len(explanation) for explanation in found.explanations)
        assert size <= len(met)
        assert size < len(met) or met in named(found)


@settings(max_examples=60, deadline=None)
@given(planted=st.sampled_from(["A", "B", "C", "D", "AB", "AC", "BD", "CD"]))
def test_following_the_proposals_ends_with_the_planted_cause_and_no_other(planted: str) -> None:
    trials = [trial("", False), trial(CHANGES, True)]
    for _ in range(4):
        for proposal in propose(attribute(trials), trials):
            name = "".join(proposal.changes)
            trials.append(trial(name, set(planted) <= set(name)))

    assert named(attribute(trials)) == [[planted]]


def test_a_power_law_is_found_again_and_says_how_far_the_rate_would_have_to_fall() -> None:
    runs = [RatedRun(str(rate), {"x": 1, RATE_KEY: rate}, rate, round(0.3 / rate)) for rate in (1e-3, 5e-4, 1e-4)]
    (fit,) = fit_rates(runs)

    assert fit.slope == pytest.approx(-1.0, abs=1e-9)
    assert (fit.rate_factor, fit.step_factor) == (pytest.approx(10.0), pytest.approx(10.0))
    assert fit.rate_for(30_000) == pytest.approx(1e-5)
    assert fit.step_at(1e-3) == pytest.approx(300)
    assert fit.changes == {"x": 1}


def test_a_lower_rate_that_buys_no_steps_has_no_rate_that_would_do() -> None:
    (fit,) = fit_rates([RatedRun("a", {}, 1e-3, 500), RatedRun("b", {}, 1e-4, 400)])

    assert fit.rate_for(10_000) is None


def test_runs_that_differ_in_more_than_the_rate_are_not_fitted_together() -> None:
    assert fit_rates([RatedRun("a", {"x": 1}, 1e-3, 500), RatedRun("b", {}, 1e-4, 400)]) == ()


@pytest.mark.parametrize(("survivor", "cleared"), [(2e-3, True), (1e-3, True), (5e-4, False)])
def test_the_rate_is_cleared_only_by_a_survivor_at_no_lower_a_rate(survivor: float, cleared: bool) -> None:
    runs = [RatedRun("failed", {}, 1e-3, 700), RatedRun("survived", {"x": 1}, survivor, None)]

    assert (rate_is_cleared(runs) is not None) == cleared
