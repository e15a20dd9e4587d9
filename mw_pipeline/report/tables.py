"""The tables of an evaluation report, as plain cells: for the HTML page, and as Markdown for the graph's metadata.

Every number, share and direction is computed from the values given (M56); None is shown as a dash.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from mw_pipeline.digest import JSON
from mw_pipeline.verdict.runlog import Row, RunLog

NOTHING = "–"
AVERAGES = {
    "core_macro_f1": "core macro-F1",
    "macro_f1": "macro-F1, all tags",
    "coarse_f1": "coarse F1",
    "fine_f1": "fine F1",
    "micro_f1": "micro-F1",
    "exact_match": "exact rows",
}


@dataclass(frozen=True)
class Table:
    """A table of text cells. `numeric` holds the indices of columns that are set flush right."""

    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""

    @property
    def numeric(self) -> frozenset[int]:
        """Columns in which every cell is a number, a share, an interval or a dash."""
        return frozenset(i for i in range(len(self.headers)) if all(_is_numeric(row[i]) for row in self.rows))

    def as_markdown(self) -> str:
        """The table for a place that renders Markdown; bars in cells are escaped."""
        rule = ["--:" if i in self.numeric else "---" for i in range(len(self.headers))]
        lines = [self.headers, rule, *self.rows]
        return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def score_table(scores: Mapping[str, JSON]) -> Table:
    """Every average with its interval, its ceiling and the tags that it is an average of (M45, M48).

    The policy that was asked for comes first; the other policies stand beside it as plain values."""
    others = [policy for policy in scores["policies"] if policy != scores["policy"]]
    rows = tuple(
        (
            title,
            number(scores[name]),
            interval(scores["intervals"].get(name)),
            number(scores["ceiling"].get(name)),
            *(number(scores["policies"][policy][name]) for policy in others),
            ", ".join(scores["denominators"].get(name, ())) or "all scored tags together",
        )
        for name, title in AVERAGES.items()
    )
    return Table(("score", scores["policy"], "95 % interval", "ceiling", *others, "over"), rows)


def tag_table(scores: Mapping[str, JSON]) -> Table:
    """Counts, precision, recall and F1 of every tag that gold or prediction holds."""
    rows = tuple(
        (
            tag,
            *(f"{facts[name]:,}" for name in ("support", "tp", "fp", "fn")),
            *(number(facts[name]) for name in ("precision", "recall", "f1")),
            interval(facts.get("interval")),
            number(scores["ceiling"]["per_tag"].get(tag)),
        )
        for tag, facts in scores["per_tag"].items()
        if facts["support"] or facts["fp"]
    )
    headers = ("tag", "gold", "right", "false", "missed", "precision", "recall", "F1", "95 % interval", "ceiling")
    return Table(headers, rows)


def slice_table(scores: Mapping[str, JSON], *, least_rows: int) -> tuple[Table, tuple[str, ...]]:
    """The averages of every slice of the gold with at least that many rows, and the names of the smaller ones.

    Slices are the rows without and with only adversarial ones, each country, and each stratum.
    """
    slices = scores["slices"]
    named = {name.replace("_", " "): slices[name] for name in ("without_adversarial", "adversarial") if name in slices}
    for group in ("country", "stratum"):
        named |= {f"{group} {name}": part for name, part in slices.get(group, {}).items()}
    rows = tuple(
        (
            name,
            f"{part['rows']:,}",
            number(part["core_macro_f1"]),
            interval(part["intervals"].get("core_macro_f1")),
            number(part["macro_f1"]),
            number(part["exact_match"]),
            number(part.get("ece")),
        )
        for name, part in named.items()
        if part["rows"] >= least_rows
    )
    table = Table(("slice", "rows", "core macro-F1", "95 % interval", "macro-F1", "exact rows", "ECE"), rows)
    return table, tuple(name for name, part in named.items() if part["rows"] < least_rows)


def bucket_table(diagnosis: Mapping[str, JSON]) -> Table:
    """Missed and false values by bucket, each with its share of its side, and what the bucket means."""
    totals = diagnosis["totals"]
    rows = tuple(
        (
            bucket.replace("_", " "),
            f"{counts['fn']:,}",
            share(counts["fn"], totals["fn"]),
            f"{counts['fp']:,}",
            share(counts["fp"], totals["fp"]),
            diagnosis["meanings"][bucket],
        )
        for bucket, counts in diagnosis["buckets"].items()
    )
    return Table(("bucket", "missed", "of all missed", "false", "of all false", "meaning"), rows)


def example_table(examples: Mapping[str, Sequence[Mapping[str, str]]], most: int) -> Table:
    """At most `most` examples of every bucket, as gold and prediction have them."""
    rows = tuple(
        (bucket.replace("_", " "), miss["tag"], miss["gold"] or NOTHING, miss["predicted"] or NOTHING, miss["raw"])
        for bucket, misses in examples.items()
        for miss in misses[:most]
    )
    return Table(("bucket", "tag", "gold", "predicted", "in"), rows)


def difference_table(regression: Mapping[str, JSON]) -> Table:
    """Every score now and before, the direction computed from both; an interval that holds 0 is no difference."""
    named = [(AVERAGES[name], found) for name, found in regression["differences"].items() if name in AVERAGES]
    named += [(tag, facts["f1"]) for tag, facts in regression["per_tag"].items()]
    rows = tuple(
        (
            name,
            number(found["baseline"]),
            number(found["candidate"]),
            change(found["difference"]),
            interval(found["interval"]),
            found["verdict"],
        )
        for name, found in named
        if found["candidate"] is not None or found["baseline"] is not None
    )
    return Table(("score", "baseline", "now", "change", "95 % interval", "finding"), rows)


def exchange_table(regression: Mapping[str, JSON]) -> Table:
    """Values fixed, broken and still wrong since the baseline, by bucket (M46)."""
    sides = ("fixed", "broken", "still_wrong")
    rows = tuple(
        (bucket.replace("_", " "), *(f"{regression[side][bucket]:,}" for side in sides))
        for bucket in regression["fixed"]
    )
    return Table(("bucket", "fixed", "broken", "still wrong"), rows)


def run_table(runs: Mapping[str, RunLog]) -> Table:
    """The facts of each run, one column per run: what it did, its best evaluation and its last one (M56)."""
    columns = [_run_facts(log) for log in runs.values()]
    rows = tuple((name, *(facts[name] for facts in columns)) for name in (columns[0] if columns else ()))
    return Table(("", *(f"{name} run" for name in runs)), rows)


def verdict_table(verdict: Mapping[str, JSON]) -> Table:
    """The evidence behind a verdict."""
    evidence = {"exposure_ratio": verdict.get("exposure_ratio"), **verdict["evidence"]}
    rows = tuple((name.replace("_", " "), _any(value)) for name, value in evidence.items())
    return Table(("evidence", "value"), rows)


def change_table(changes: Mapping[str, JSON]) -> Table:
    """The keys of a recipe that differ from its base."""
    return Table(
        ("changed key", "value"),
        tuple((key, json.dumps(value, ensure_ascii=False)) for key, value in sorted(changes.items())),
    )


def mix_table(mix: Mapping[str, JSON]) -> Table:
    """Rows, shares and repetitions of every source of a mix."""
    rows = tuple(
        (
            source["name"],
            f"{source['rows']:,}",
            f"{source['weight']:g}",
            percent(source["requested_share"]),
            percent(source["realised_share"]),
            f"{source['repetitions']:.2f}",
        )
        for source in mix["sources"]
    )
    return Table(("source", "rows", "weight", "requested", "realised", "passes per row"), rows)


def split_table(dataset: Mapping[str, JSON]) -> Table:
    """Rows and pieces of every split."""
    rows = tuple(
        (split, f"{facts['rows']:,}", f"{facts['pieces']:,}", f"{facts['longest']:,}", facts["digest"][:12])
        for split, facts in dataset["splits"].items()
    )
    return Table(("split", "rows", "pieces", "longest row", "digest of the rows"), rows)


def survival_table(dataset: Mapping[str, JSON]) -> Table:
    """Gold spans and how many of them come back from their own labels."""
    rows = tuple(
        (tag, f"{counts['gold']:,}", f"{counts['survived']:,}", share(counts["survived"], counts["gold"]))
        for tag, counts in dataset["survival"].items()
    )
    return Table(("tag", "spans", "survive tokenizing", "share"), rows)


def best_and_last(evals: Sequence[Row], column: str, *, highest: bool) -> tuple[Row, Row] | None:
    """The rows with the best and the last finite value of a column; None when there is none."""
    finite = [row for row in evals if row.get(column) is not None and math.isfinite(row[column])]
    if not finite:
        return None
    return (max if highest else min)(finite, key=lambda row: float(row[column])), finite[-1]


# --- cells -----------------------------------------------------------------------------------------------------------


def number(value: float | None, digits: int = 4) -> str:
    """A score or loss."""
    return NOTHING if value is None else _signed(value, f".{digits}f")


def change(difference: float | None) -> str:
    """A difference with its sign."""
    return NOTHING if difference is None else _signed(difference, "+.4f")


def interval(bounds: Sequence[float] | None) -> str:
    """Both ends of an interval."""
    return NOTHING if not bounds else f"{_signed(bounds[0], '.4f')} … {_signed(bounds[1], '.4f')}"


def percent(value: float | None) -> str:
    """A share 0..1 as a percentage."""
    return NOTHING if value is None else f"{100 * value:.1f} %"


def share(part: int, whole: int) -> str:
    """Part of a whole as a percentage; a dash when the whole is nothing."""
    return percent(part / whole if whole else None)


def _run_facts(log: RunLog) -> dict[str, str]:
    run = log.run
    return {
        "status": _any(run.get("status")),
        "steps": f"{log.steps[-1]['step'] if log.steps else 0:,} of {_any(run.get('max_steps'))}",
        "schedule": f"{_any(run.get('schedule'))}, {_any(run.get('warmup_steps'))} warm-up steps",
        "peak learning rate": _any(run.get("peak_lr")),
        "effective batch": f"{_any(run.get('effective_batch'))} rows",
        **_f1_facts(log),
        **_loss_facts(log),
        "tokens a second (median)": _median(log.steps, "tokens_per_second"),
        "device": _any(run.get("device")),
        "started": _any(run.get("started_at")),
        "ended": _any(run.get("ended_at")),
    }


def _f1_facts(log: RunLog) -> dict[str, str]:
    pair = best_and_last(log.evals, "val_macro_f1", highest=True)
    if pair is None:
        return {"best validation macro-F1": NOTHING, "last validation macro-F1": NOTHING}
    best, last = pair
    drop = best["val_macro_f1"] - last["val_macro_f1"]
    return {
        "best validation macro-F1": f"{best['val_macro_f1']:.4f} at step {best['step']:,}",
        "last validation macro-F1": f"{last['val_macro_f1']:.4f} at step {last['step']:,}"
        + (f", {drop:.4f} below the best" if drop > 0 else ", the best"),
    }


def _loss_facts(log: RunLog) -> dict[str, str]:
    pair = best_and_last(log.evals, "val_loss", highest=False)
    entropy = log.run.get("label_entropy")
    if pair is None:
        return {"best validation loss": NOTHING, "last validation loss": NOTHING}
    best, last = pair
    part = f", {100 * best['val_loss'] / entropy:.1f} % of a constant guess" if entropy else ""
    return {
        "best validation loss": f"{best['val_loss']:.4f} nats at step {best['step']:,}{part}",
        "last validation loss": f"{last['val_loss']:.4f} nats at step {last['step']:,}",
    }


def _median(rows: Sequence[Row], column: str) -> str:
    values = [float(row[column]) for row in rows if row.get(column) is not None]
    return f"{median(values):,.0f}" if values else NOTHING


def _any(value: JSON) -> str:
    """A fact as it reads best: thousands apart, floats short, lists joined, nothing as a dash."""
    if value is None:
        return NOTHING
    if isinstance(value, bool) or not isinstance(value, int | float | list):
        return str(value)
    if isinstance(value, list):
        return " … ".join(_any(item) for item in value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _signed(value: float, form: str) -> str:
    """The value with a minus sign of the width of a plus, and no minus before a zero."""
    return format(value, f"z{form}" if form[0] != "+" else f"+z{form[1:]}").replace("-", "\u2212")


def _is_numeric(cell: str) -> bool:
    return all(not character.isalpha() for character in cell.replace("e-", ""))
