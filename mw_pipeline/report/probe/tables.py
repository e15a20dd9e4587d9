"""What the probes found, as sentences and tables: for people, on stderr and in the graph's metadata."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from mw_pipeline.digest import JSON
from mw_pipeline.labels import by_tag
from mw_pipeline.report.cells import NOTHING, Table, count, fact, interval, number, percent

PROBE_FILE, PROBE_PICTURE = "probe.json", "probe.svg"
"""What a probe leaves in its artifact, and beside a run that the watchdog has stopped."""
_TERM_NAMES = {"ce": "CE", "crf": "CRF"}


def probe_sentence(found: Mapping[str, JSON]) -> str:
    """What any probe found, in one line."""
    sentence, _ = _PROBES[found["probe"]]
    return sentence(found)


def probe_markdown(found: Mapping[str, JSON]) -> str:
    """What any probe found: the sentence, and its tables."""
    sentence, tables = _PROBES[found["probe"]]
    return "\n\n".join([f"{sentence(found)}.", *(part for part in tables(found) if part)])


def stopped_run_sentence(found: Mapping[str, JSON]) -> str:
    """What the probe of a diverged run found at its last good checkpoint, or why it could not look."""
    if "failed" in found:
        return f"the gradient probe could not run ({found['failed']})"
    return f"gradient probe at step {found['checkpoint']['step']}: {gradient_sentence(found)}"


def term_name(terms: Mapping[str, JSON], side: str) -> str:
    """The "first" or "second" term as people write it."""
    return _TERM_NAMES.get(terms[side], str(terms[side]))


def gradient_sentence(found: Mapping[str, JSON]) -> str:
    """The balance of the two terms and the sources that stand out, in one line."""
    parts = [_balance(found["terms"], found["loss"]["kind"])]
    odd = sorted(name for name, facts in found["sources"].items() if facts["outlier"])
    if odd:
        parts.append(f"gradients of {', '.join(odd)} stand out from the other sources")
    return "; ".join(parts)


def _balance(terms: Mapping[str, JSON] | None, kind: str) -> str:
    if terms is None:
        return f"loss.kind {kind!r} has one term: there is nothing to weigh against it"
    first, second = term_name(terms, "first"), term_name(terms, "second")
    ratio = terms["median"]["weighted"]
    words = {
        "dominates": f"{second} dominates {first}",
        "balanced": f"{second} and {first} are balanced",
        "collapsed": f"{second} has collapsed beside {first}",
        "leaning": f"training leans to {second if ratio is not None and ratio > 1 else first}",
        "not finite": "a gradient is not finite",
    }[terms["band"]]
    size = "" if ratio is None else f" (weighted gradient ratio {fact(ratio)} at λ = {fact(terms['weight'])})"
    return words + size


def unit_note(found: Mapping[str, JSON]) -> str:
    """What the means of the two terms are over, and what that alone does to their ratio."""
    terms = found["terms"]
    if terms is None:
        return ""
    pieces = terms["unit_pieces"]
    if found["loss"]["crf_reduction"] == "per_token":
        return "Both terms are means over pieces: their ratio does not hang on row length."
    return (
        f"{term_name(terms, 'second')} is a mean over rows and {term_name(terms, 'first')} one over pieces: that alone "
        f"makes the ratio {fact(pieces)} times as large, the mean row length."
    )


def gradient_table(found: Mapping[str, JSON]) -> Table:
    """Raw, weighted and per-token ratio and cosine: the median over batches, and the range."""
    terms = found["terms"]
    if terms is None:
        return Table(("ratio", "median"), ())
    meanings = {
        "raw": "‖∇₂‖/‖∇₁‖, as the loss takes their means",
        "weighted": "times λ: what training feels",
        "per_token": "both as means over pieces, without λ",
        "cosine": "of the two gradients: 1 same way, −1 against each other",
    }
    spread = {key: _range([row[key] for row in terms["per_batch"]]) for key in meanings}
    rows = tuple(
        (key.replace("_", " "), fact(terms["median"][key]), spread[key], meaning) for key, meaning in meanings.items()
    )
    return Table(
        (f"{term_name(terms, 'second')} against {term_name(terms, 'first')}", "median", "over batches", "what it is"),
        rows,
    )


def _range(values: list[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{fact(min(known))} … {fact(max(known))}" if known else NOTHING


def source_table(found: Mapping[str, JSON]) -> Table:
    """Gradient norm of every source by itself, the largest first."""
    order = sorted(found["sources"].items(), key=lambda item: (-(item[1]["mean_norm"] or math.inf), item[0]))
    rows = tuple(
        (
            name,
            fact(facts["mean_norm"]),
            fact(facts["variance"]),
            percent(facts["share"]),
            NOTHING if facts["z"] is None else number(facts["z"], 1),
            "outlier" if facts["outlier"] else "",
        )
        for name, facts in order
    )
    return Table(("source", "mean norm", "variance", "share", "z", "finding"), rows)


def trace_sentence(found: Mapping[str, JSON]) -> str:
    """Where two traces part, or which stages of one stand apart, in one line."""
    compared = found["comparison"]
    if compared is None:
        names = ", ".join(row["stage"] for row in found["outliers"])
        odd = f"unlike their like, which need be no fault: {names}" if names else "no stage is unlike its like"
        return f"no reference; {odd}"
    if compared["origin"] is None:
        return f"all {compared['agrees']} stages agree with {reference_of(compared)}"
    row = next(row for row in compared["stages"] if row["stage"] == compared["origin"])
    ratio = "not finite" if row["ratio"] is None else f"std ratio {fact(row['ratio'])}"
    return (
        f"{compared['origin']} is the first stage out of band ({row['status']}, {ratio}) whose inputs are in band; "
        f"stages out of band after it, its cascade: {len(compared['cascade'])}"
    )


def reference_of(compared: Mapping[str, JSON]) -> str:
    """The reference of a comparison in words."""
    reference = compared["reference"]
    return f"{reference['name'] or 'the reference'} in {reference['precision']}"


def trace_table(found: Mapping[str, JSON]) -> Table:
    """Every stage over one token set, beside the reference where there is one."""
    tokens, compared = found["tokens"], found["comparison"]
    reference = {row["stage"]: row for row in compared["stages"]} if compared else {}
    rows = []
    for stage in found["trace"]["stages"]:
        stats = stage["stats"][tokens]
        cells = [fact(stats[key]) for key in ("mean", "std", "min", "max")]
        broken = [count(stats[key]) for key in ("nan", "inf", "zero", "n")]
        other = reference.get(stage["name"])
        last = [] if other is None else [fact(other["reference_std"]), fact(other["ratio"]), _role(compared, other)]
        rows.append((stage["name"], *cells, *broken, *last))
    headers = ("stage", "mean", "std", "min", "max", "NaN", "Inf", "zero", "n")
    return Table((*headers, "std of reference", "ratio", "status") if compared else headers, tuple(rows))


def _role(compared: Mapping[str, JSON], row: Mapping[str, JSON]) -> str:
    if row["status"] == "agrees":
        return "agrees"
    return f"{row['status']}: {'first' if row['stage'] == compared['origin'] else 'cascade'}"


def separation_sentence(found: Mapping[str, JSON]) -> str:
    """Which labels have collapsed, in one line."""
    judged = {tag: facts for tag, facts in by_tag(found["labels"]) if facts["collapsed"] is not None}
    lost = [tag for tag, facts in judged.items() if facts["collapsed"]]
    if lost:
        return f"collapsed, as likely outside their spans as inside: {', '.join(lost)}"
    return f"every label that occurs is told from the rest ({len(judged)} of {len(found['labels'])} occur)"


def separation_table(found: Mapping[str, JSON]) -> Table:
    """Every label with its means, interval and AUROC, and its threshold where there is one."""
    thresholds = found["thresholds"]["labels"] if found["thresholds"] else {}
    rows = []
    for tag, facts in by_tag(found["labels"]):
        scored = thresholds.get(tag, {})
        rows.append(
            (
                tag,
                percent(facts["base_rate"]),
                number(facts["mean_inside"]),
                number(facts["mean_outside"]),
                number(facts["separation"]),
                interval(facts["interval"]),
                number(facts["auroc"]),
                {True: "collapsed", False: "", None: "does not occur"}[facts["collapsed"]],
                *(
                    (fact(scored["threshold"]), number(scored["f1"]), number(scored["all_positive_f1"]))
                    if scored
                    else ()
                ),
            )
        )
    headers = ("label", "base rate", "p inside", "p outside", "separation", "95 % interval", "AUROC", "finding")
    more = ("threshold", "F1 on test", "F1 of yes everywhere") if thresholds else ()
    return Table((*headers, *more), tuple(rows))


def _gradient_parts(found: Mapping[str, JSON]) -> list[str]:
    terms = [gradient_table(found).as_markdown(), unit_note(found)] if found["terms"] else []
    return [*terms, source_table(found).as_markdown()]


def _trace_parts(found: Mapping[str, JSON]) -> list[str]:
    odd = [f"- {row['stage']}: {row['reason']}" for row in found["outliers"]]
    return ["\n".join(odd), trace_table(found).as_markdown()]


def _separation_parts(found: Mapping[str, JSON]) -> list[str]:
    note = f"p is a {found['probability']}, over {found['pieces']:,} pieces of {found['rows']:,} {found['split']} rows."
    return [note, separation_table(found).as_markdown()]


_Found = Mapping[str, JSON]
_PROBES: dict[str, tuple[Callable[[_Found], str], Callable[[_Found], list[str]]]] = {
    "gradients": (gradient_sentence, _gradient_parts),
    "activations": (trace_sentence, _trace_parts),
    "separation": (separation_sentence, _separation_parts),
}
