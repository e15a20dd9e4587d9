"""The four axes of a release against its baseline in words and tables: for page, card, README and gate."""

from __future__ import annotations

from collections.abc import Mapping

from mw_pipeline.digest import JSON
from mw_pipeline.report.cells import NOTHING, Table, change, interval, number, sentence

AXES = {
    "coarse_f1": "coarse F1",
    "fine_f1": "fine F1",
    "calibration": "calibration",
    "training_stability": "training stability",
}
MEANINGS = {
    "coarse_f1": "country, region, locality, postcode; higher is better",
    "fine_f1": "venue, street, house number, and unit and box where both label them; higher is better",
    "calibration": "expected calibration error over ten buckets of confidence; lower is better",
    "training_stability": "largest fall of validation macro-F1 in five evaluations near the peak rate; lower is better",
}
_WITH, _WITHOUT = "with_adversarial", "without_adversarial"


def axes_table(part: Mapping[str, JSON]) -> Table:
    """Both values of each axis, their difference with its interval, and what follows, adversarial rows in and out."""
    rows = tuple(
        (
            title,
            number(found["baseline"]),
            number(found["candidate"]),
            change(found["difference"]),
            interval(found["interval"]),
            found["verdict"],
            part[_WITHOUT][axis]["verdict"],
        )
        for axis, title in AXES.items()
        for found in (part[_WITH][axis],)
    )
    headers = ("axis", "baseline", "this release", "change", "95 % interval", "finding", "without adversarial rows")
    return Table(headers, rows)


def comparison_sentence(part: Mapping[str, JSON]) -> str:
    """What was compared with what, on which rows and tags, and how many axes improved."""
    former = part["baseline"]
    title = " ".join(str(word) for word in (former["name"], former["version"]) if word)
    package = f"{former['folder']} ({title})" if title else former["folder"]
    return (
        f"{part['headline']}: against {package}, network {former['model_sha256'][:12]}, by the packaged bytes of both "
        f"on {part['rows'][_WITH]:,} rows of {part['gold']}.{tags_sentence(part)}"
    )


def tags_sentence(part: Mapping[str, JSON]) -> str:
    """With a blank before it: which tags alone were compared, where the labels differ; nothing where they do not."""
    sides = (("this release", part["only_here"]), ("the baseline", part["only_there"]))
    if not any(tags for _, tags in sides):
        return ""
    alone = "; ".join(f"only {name} has {', '.join(tags)}" for name, tags in sides if tags)
    return (
        f" Their labels differ, so they are compared on the tags that both have: {', '.join(part['tags'])} ({alone})."
    )


def worse_sentence(locale: str, axis: str, part: Mapping[str, JSON]) -> str:
    """One axis that got worse, with both values, the interval and the rows behind it."""
    found = part[_WITH][axis]
    bounds = interval(found["interval"])
    certain = f", 95 % interval {bounds}" if bounds != NOTHING else ""
    rows = "by both cards" if axis == "training_stability" else f"on {part['rows'][_WITH]:,} rows of {part['gold']}"
    return (
        f"{locale}: {AXES[axis]} is worse than that of the baseline {part['baseline']['folder']}, "
        f"{number(found['candidate'])} after {number(found['baseline'])} "
        f"(change {change(found['difference'])}{certain}) {rows}"
    )


def exchange_sentence(regression: Mapping[str, JSON]) -> str:
    """The values behind the differences: a difference never stands without them (M46)."""
    return (
        f"{regression['fixed']['total']:,} values that the baseline had wrong are right, "
        f"{regression['broken']['total']:,} that it had right are wrong."
    )


def axes_text(part: Mapping[str, JSON]) -> str:
    """The section of a README: the sentence about it alone where there is no baseline, and sentence and table else."""
    if "headline" not in part:
        return sentence(part["sentence"])
    meanings = "\n".join(f"- {AXES[axis]}: {meaning}" for axis, meaning in MEANINGS.items())
    return f"{comparison_sentence(part)}\n\n{axes_table(part).as_markdown()}\n\n{meanings}"
