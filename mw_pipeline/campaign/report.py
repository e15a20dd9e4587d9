"""The report on a campaign as one JSON value: who changed what, how it ended, what explains it, what to run next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mw_pipeline.campaign.attribution import Attribution, Cause, Condition, Explanation, Trial, attribute
from mw_pipeline.campaign.folder import Campaign, Member
from mw_pipeline.campaign.next_runs import Proposal, propose
from mw_pipeline.campaign.outcomes import RunOutcome
from mw_pipeline.campaign.rates import RATE_KEY, RatedRun, RateFit, fit_rates, rate_is_cleared
from mw_pipeline.digest import JSON
from mw_pipeline.schedule import near_peak_end

Outcomes = Mapping[str, Mapping[str, RunOutcome]]
"""Recipe → "smoke" or "full" → how that run ended; what has not been run is not there."""


def campaign_report(campaign: Campaign, outcomes: Outcomes) -> dict[str, JSON]:
    """Everything that the page, the table and the command show. Pure: equal input gives equal output."""
    trials = trials_of(campaign, outcomes)
    attribution = attribute(trials)
    rated = _rated(campaign, outcomes)
    fits = fit_rates(rated)
    return {
        "campaign": campaign.name,
        "base": campaign.base_path.stem,
        "columns": sorted({key for member in campaign.members for key in member.changes}),
        "rows": [_row(member, outcomes.get(member.name, {})) for member in campaign.members],
        "missing": _missing(campaign, outcomes),
        "attribution": {**_as_json(attribution), "sentences": sentences_of(attribution)},
        "rates": {
            "fits": [fit.as_json() for fit in fits],
            "sentences": [_fit_sentence(campaign, fit) for fit in fits],
            "cleared": _cleared_sentence(rated),
        },
        "proposals": [_proposal_json(proposal) for proposal in propose(attribution, trials)],
        "remarks": _remarks(campaign, outcomes),
    }


def trials_of(campaign: Campaign, outcomes: Outcomes) -> list[Trial]:
    """The campaign as attribution looks at it."""
    return [Trial(member.name, member.changes, failed_of(outcomes.get(member.name, {}))) for member in campaign.members]


def failed_of(runs: Mapping[str, RunOutcome]) -> bool | None:
    """Whether a recipe failed: its full run decides where there is one that ended, else its smoke; None: unknown."""
    decided = [runs[kind].failed for kind in ("full", "smoke") if kind in runs]
    return next((failed for failed in decided if failed is not None), None)


def proposals_of(campaign: Campaign, outcomes: Outcomes) -> tuple[Proposal, ...]:
    """The runs to make next."""
    trials = trials_of(campaign, outcomes)
    return propose(attribute(trials), trials)


def _row(member: Member, runs: Mapping[str, RunOutcome]) -> dict[str, JSON]:
    return {
        "recipe": member.name,
        "digest": member.recipe.digest,
        "changes": dict(member.changes),
        "judged": dict(member.judged),
        "smoke": runs["smoke"].as_json() if "smoke" in runs else None,
        "full": runs["full"].as_json() if "full" in runs else None,
        "failed": failed_of(runs),
        "steps_spent": sum(run.steps for run in runs.values()),
    }


def _missing(campaign: Campaign, outcomes: Outcomes) -> list[str]:
    """What could still be run: smokes, and full runs of recipes whose smoke has passed."""
    found = []
    for member in campaign.members:
        runs = outcomes.get(member.name, {})
        if not runs:
            found.append(f"{member.name} has no smoke yet")
        elif "full" not in runs and runs["smoke"].outcome == "pass":
            found.append(f"{member.name} has passed its smoke and has no full run yet")
    return found


def _remarks(campaign: Campaign, outcomes: Outcomes) -> list[str]:
    """Where a smoke and its full run disagree, and smokes that looked well and had seen nothing."""
    found = []
    for member in campaign.members:
        runs = outcomes.get(member.name, {})
        smoke, full = runs.get("smoke"), runs.get("full")
        if smoke is not None and smoke.outcome == "invalid":
            twins = [other for other in campaign.members if other is not member and other.changes == member.changes]
            fails = [other.name for other in twins if failed_of(outcomes.get(other.name, {}))]
            note = f"; the same training failed as {', '.join(fails)}" if fails else ""
            found.append(f"{member.name}: no rule fired in its smoke, and it proves nothing: {smoke.reason}{note}")
        if (
            smoke is not None
            and full is not None
            and smoke.failed is not None
            and full.failed not in (None, smoke.failed)
        ):
            found.append(f"{member.name}: its smoke says {smoke.outcome}, its full run {full.outcome}")
    return found


def sentences_of(attribution: Attribution) -> list[str]:
    """What the attribution says, and what it does not."""
    failed, survived = len(attribution.failing), len(attribution.surviving)
    sentence = {
        "nothing failed": _nothing_failed(attribution),
        "contradictory": "The same changes failed and survived: "
        + "; ".join(f"{a} and {b}" for a, b in attribution.contradictions)
        + ". Chance decides, or something that no recipe says: run both over more seeds before looking for a cause",
        "unexplained": f"No change, no pair and no three of them explain the {failed} failures",
        "explained": "; ".join(_explained(explanation, failed, survived) for explanation in attribution.explanations),
        "open": f"{len(attribution.explanations)} explanations fit and cannot be told apart yet: "
        + "; or ".join(words_of(explanation) for explanation in attribution.explanations),
    }[attribution.status]
    lines = [f"{sentence}."]
    if attribution.failing and not attribution.surviving:
        lines.append("No run has survived: the base itself may be what fails.")
    if attribution.suspects:
        names = ", ".join(
            condition_words(condition) for condition in attribution.suspects if condition.value is not None
        )
        lines.append(f"Neither blamed nor cleared, for no run with it has survived: {names}.")
    if attribution.unknown:
        lines.append(f"Not counted, for no run of theirs has shown anything yet: {', '.join(attribution.unknown)}.")
    return lines


def _nothing_failed(attribution: Attribution) -> str:
    return (
        f"{len(attribution.surviving)} recipes survived and none failed"
        if attribution.surviving
        else "No run has ended yet"
    )


def _explained(explanation: Explanation, failed: int, survived: int) -> str:
    others = f"none of the {survived} that survived has" if survived != 1 else "the one that survived has not"
    if len(explanation) == 1 and len(explanation[0]) == 1:
        return f"{words_of(explanation)} explains the failures: all {failed} recipes that failed have it, {others}"
    if len(explanation) == 1 and len(explanation[0]) == 2:
        return (
            f"Only together do {words_of(explanation)} explain the failures: all {failed} recipes that failed have "
            f"both, {others}, and each has survived without the other"
        )
    return (
        f"Each is enough alone: {words_of(explanation)}. Every one of the {failed} failures has one of them, {others}"
    )


def words_of(explanation: Explanation) -> str:
    """An explanation as a phrase."""
    return ", or ".join(_cause_words(cause) for cause in explanation)


def _cause_words(cause: Cause) -> str:
    return " with ".join(condition_words(condition) for condition in cause) or "the base itself"


def condition_words(condition: Condition) -> str:
    """A condition as a phrase; a table by its key alone."""
    if condition.value is None:
        return f"{condition.key} (any change)"
    return condition.key if condition.value.startswith("{") else f"{condition.key} = {condition.value}"


def _as_json(attribution: Attribution) -> dict[str, JSON]:
    return {
        "status": attribution.status,
        "explanations": [
            [[[c.key, c.value] for c in cause] for cause in explanation] for explanation in attribution.explanations
        ],
        "suspects": [[condition.key, condition.value] for condition in attribution.suspects],
        "failing": list(attribution.failing),
        "surviving": list(attribution.surviving),
        "unknown": list(attribution.unknown),
    }


def _rated(campaign: Campaign, outcomes: Outcomes) -> list[RatedRun]:
    """Every recipe whose run ended, at its rate; the step of its first failure where it failed."""
    found = []
    for member in campaign.members:
        runs = outcomes.get(member.name, {})
        failed = failed_of(runs)
        if failed is None:
            continue
        steps = [run.step for kind in ("full", "smoke") if (run := runs.get(kind)) and run.failed and run.step]
        if not failed or steps:
            rate = member.recipe.train.peak_lr
            found.append(RatedRun(member.name, member.changes, rate, steps[0] if failed else None))
    return found


def _cleared_sentence(rated: Sequence[RatedRun]) -> str | None:
    pair = rate_is_cleared(rated)
    if pair is None:
        return None
    survived, failed = pair
    return (
        f"The learning rate alone cannot be the cause: {survived.name} survived at {survived.peak_lr:g}, and "
        f"{failed.name} failed at {failed.peak_lr:g}."
    )


def _fit_sentence(campaign: Campaign, fit: RateFit) -> str:
    """What a lower rate bought, and how far it would have to fall to outlast the near-peak steps of a full run."""
    train = campaign.base.train
    end = near_peak_end(
        schedule=train.schedule, warmup_steps=train.warmup_steps, steps=train.steps, cooldown_from=train.cooldown_from
    )
    with_what = f" (with {', '.join(sorted(fit.changes))})" if fit.changes else ""
    rate = fit.rate_for(end)
    within = f"within a factor {fit.scatter:.2f}" if len(fit.points) > 2 else "through two points"
    reach = (
        f"to outlast the steps near the peak, up to {end - 1:,}, it would have to be {rate:.2g}"
        if rate
        else "no rate would do"
    )
    return (
        f"A factor {fit.rate_factor:.1f} in {RATE_KEY} bought a factor {fit.step_factor:.1f} in steps{with_what}: "
        f"{', '.join(f'{r:g} failed at {step:,}' for _, r, step in fit.points)}. By this fit (step ∝ rate^"
        f"{fit.slope:.2f}, {within}) {reach}."
    )


def _proposal_json(proposal: Proposal) -> dict[str, JSON]:
    return {"name": proposal.name, "changes": proposal.changes, "why": proposal.why, "recipe": proposal.recipe}
