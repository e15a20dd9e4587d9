"""The evaluation report as one page that a person can read, print and file.

All numbers come from the JSON values of other stages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mw_pipeline.digest import JSON
from mw_pipeline.report import cells
from mw_pipeline.report.cells import Table
from mw_pipeline.report.charts import mix_bars_svg
from mw_pipeline.report.evaluation import charts, tables
from mw_pipeline.report.evaluation.axes import AXES, MEANINGS, axes_table, comparison_sentence, exchange_sentence
from mw_pipeline.report.page import Section, Tile, write_page
from mw_pipeline.report.runs.charts import curves_svg
from mw_pipeline.report.runs.tables import run_table, verdict_table
from mw_pipeline.verdict.runlog import RunLog

_EXAMPLES_PER_BUCKET = 5
_SLICE_ROWS = 5
_OUTCOMES = {
    "pass": "The smoke run passed",
    "fail": "The smoke run failed",
    "invalid": "The smoke run proves nothing",
}


@dataclass(frozen=True)
class Comparison:
    """A release against its baseline on the first screen: a sentence, and the four axes where there is a baseline."""

    sentence: str
    table: Table | None = None


def render_report(
    out: Path,
    *,
    recipe: Mapping[str, JSON],
    scores: Mapping[str, JSON],
    verdict: Mapping[str, JSON] | None = None,
    smoke: RunLog | None = None,
    full: RunLog | None = None,
    axes: Mapping[str, Mapping[str, JSON]] | None = None,
    diagnosis: Mapping[str, JSON] | None = None,
    dataset: Mapping[str, JSON] | None = None,
    mix: Mapping[str, JSON] | None = None,
    held_out: Mapping[str, JSON] | None = None,
    golden_sets: Mapping[str, JSON] | None = None,
    gated: Sequence[str] = (),
    skipped: Sequence[str] = (),
    lineage: Sequence[Mapping[str, str]] = (),
) -> Path:
    """Writes the page to `out` and returns it. What is not given is left out of the page, never made up.

    recipe     name, digest and changes (dotted key → value) against its base
    scores     the report of `evaluate`
    verdict    the smoke's verdict as JSON
    axes       locale → its four axes against the baseline, or the sentence that there is none
    diagnosis  buckets of misses with examples, as `diagnose` gives them
    dataset    a dataset.json
    mix        `Mix.as_json()`
    held_out   the report of `evaluate` on rows that the corpus kept out of training
    golden_sets  the report of `evaluate` on each further gold set, by name
    gated      the further gold sets that the recipe's gates ask
    skipped    a sentence for every gold set that was not there
    lineage    artifacts behind the scores: kind and digest of each
    """
    runs = {name: log for name, log in (("smoke", smoke), ("full", full)) if log is not None}
    sections = [
        _scores_section(scores),
        *([_golden_sets_section(scores, golden_sets or {}, gated, skipped)] if golden_sets or skipped else []),
        _tags_section(scores),
        _slices_section(scores),
        *([_held_out_section(held_out)] if held_out else []),
        _calibration_section(scores),
        *([_misses_section(diagnosis)] if diagnosis else []),
        *(_baseline_section(locale, part) for locale, part in (axes or {}).items() if "regression" in part),
        *([_training_section(runs, verdict)] if runs else []),
        *([_verdict_section(verdict)] if verdict else []),
        *([_data_section(dataset, mix)] if dataset or mix else []),
        _lineage_section(scores, lineage),
    ]
    return write_page(
        out,
        "evaluation",
        recipe=recipe,
        subject=_subject(scores, full, dataset),
        changes=tables.change_table(recipe["changes"]) if recipe["changes"] else None,
        verdict=verdict,
        verdict_sentence=_verdict_sentence(verdict),
        tiles=_tiles(scores),
        comparisons=_comparisons(axes or {}),
        sections=sections,
    )


def _subject(scores: Mapping[str, JSON], full: RunLog | None, dataset: Mapping[str, JSON] | None) -> str:
    """One sentence: what was trained, on what, and on what it was scored."""
    run = full.run if full else {}
    parts = ["An address parser"]
    if run.get("parameters"):
        parts.append(f" of {run['parameters']:,} parameters")
    if dataset:
        train = dataset["splits"]["train"]
        parts.append(f", trained on {train['rows']:,} rows of {', '.join(sorted(train['sources']))}")
    if dataset and run.get("effective_batch"):
        parts.append(f" in {cells.fact(run.get('step'))} steps of {run['effective_batch']:,} rows")
    return f"{''.join(parts)}; scored on {scores['rows']:,} gold rows."


def _verdict_sentence(verdict: Mapping[str, JSON] | None) -> str:
    if verdict is None:
        return "No verdict was given for this run."
    return f"{_OUTCOMES[verdict['outcome']]}: {verdict['reason']}."


def _tiles(scores: Mapping[str, JSON]) -> list[Tile]:
    averages = [
        Tile(
            tables.AVERAGES[name],
            cells.number(scores[name], 3),
            f"95 %: {cells.interval(scores['intervals'].get(name), 3)}; "
            f"ceiling {cells.number(scores['ceiling'].get(name), 3)}",
        )
        for name in ("core_macro_f1", "macro_f1", "exact_match")
    ]
    calibration = scores["calibration"]
    error = Tile("calibration error", cells.number(calibration["ece"], 3), f"ECE over {calibration['spans']:,} spans")
    return [*averages, error]


def _comparisons(axes: Mapping[str, Mapping[str, JSON]]) -> list[Comparison]:
    """One for each locale; one sentence for all of them where none has a baseline."""
    alone = {part["sentence"] for part in axes.values() if "sentence" in part}
    if axes and len(alone) == 1 and all("sentence" in part for part in axes.values()):
        return [Comparison(cells.sentence(alone.pop()))]
    return [
        Comparison(f"{locale}: {part['sentence']}.")
        if "sentence" in part
        else Comparison(f"{locale}: {comparison_sentence(part)}", axes_table(part))
        for locale, part in axes.items()
    ]


def _scores_section(scores: Mapping[str, JSON]) -> Section:
    without = scores["without_support"]
    sentences = [
        f"{scores['rows']:,} gold rows of {scores['families']:,} families, values compared by the policy "
        f"“{scores['policy']}”. Intervals come from {scores['bootstrap']['resamples']:,} resamples of whole families; "
        "the ceiling is what the best span extractor could score on this gold."
    ]
    if without:
        sentences.append(f"No gold value, so in no macro average: {', '.join(without)}.")
    return Section("scores", "Scores", tuple(sentences), tables=(tables.score_table(scores),))


def _golden_sets_section(
    scores: Mapping[str, JSON], sets: Mapping[str, JSON], gated: Sequence[str], skipped: Sequence[str]
) -> Section:
    asked, absent = ([name for name in gated if (name in sets) is there] for there in (True, False))
    others = f", and {', '.join(absent)} would, but were not there" if absent else ""
    sentences = [
        f"“{tables.OWN_SET}” is the gold of the corpus itself, which gates the release; of the further sets "
        f"{', '.join(asked) or 'none'} gate it too{others}. The rows of all are left out of training and validation by "
        "text and by family. Where the labels of a set are complete for some tags only, these alone are scored.",
        *([cells.sentence("; ".join(skipped))] if skipped else []),
    ]
    shown = (tables.golden_set_table(scores, sets), *tables.set_tag_tables(sets))
    return Section("golden-sets", "Gold sets", tuple(sentences), tables=shown)


def _tags_section(scores: Mapping[str, JSON]) -> Section:
    picture = charts.tag_scores_svg(scores["per_tag"], scores["ceiling"]["per_tag"])
    return Section("tags", "Tags", pictures=(picture,), tables=(tables.tag_table(scores),))


def _slices_section(scores: Mapping[str, JSON]) -> Section:
    table, small = tables.slice_table(scores, least_rows=_SLICE_ROWS)
    sentences = ["A slice has its own denominators: only tags with gold support in it count towards its macro average."]
    if small:
        sentences.append(f"Not shown, with fewer than {_SLICE_ROWS} rows each: {'; '.join(small)}.")
    return Section("slices", "Slices of the gold", tuple(sentences), tables=(table,))


def _held_out_section(held_out: Mapping[str, JSON]) -> Section:
    sentence = (
        f"{held_out['rows']:,} rows of {held_out['families']:,} families that the corpus kept out of training. They "
        "are composed as the training rows are, so they tell how well the corpus was learnt; gold decides."
    )
    return Section("held-out", "Held-out rows", (sentence,), tables=(tables.score_table(held_out),))


def _calibration_section(scores: Mapping[str, JSON]) -> Section:
    calibration = scores["calibration"]
    if not calibration["spans"]:
        return Section("calibration", "Calibration", ("These predictions carry no confidences.",))
    sentence = (
        f"Over {calibration['spans']:,} predicted spans the mean gap between confidence and share right is "
        f"{calibration['ece']:.4f} (expected calibration error, ten equal-width buckets)."
    )
    return Section("calibration", "Calibration", (sentence,), (charts.calibration_svg(calibration["buckets"]),))


def _misses_section(diagnosis: Mapping[str, JSON]) -> Section:
    totals = diagnosis["totals"]
    sentence = (
        f"{totals['fn']:,} gold values were missed (false negatives) and {totals['fp']:,} predicted values are false "
        "(false positives); a wrong value is both. Each stands in the first bucket that fits it."
    )
    shown = (
        tables.bucket_table(diagnosis),
        tables.example_table(diagnosis["examples"], _EXAMPLES_PER_BUCKET),
    )
    return Section("misses", "Misses by bucket", (sentence,), (charts.miss_bars_svg(diagnosis["buckets"]),), shown)


def _baseline_section(locale: str, part: Mapping[str, JSON]) -> Section:
    """What changed against the baseline, never without the buckets behind it (M46)."""
    regression = part["regression"]
    sentences = (
        exchange_sentence(regression),
        f"Measured on {part['rows']['with_adversarial']:,} rows of {part['gold']} with the packaged bytes of both.",
        *(f"{AXES[axis].capitalize()}: {meaning}." for axis, meaning in MEANINGS.items()),
    )
    shown = (tables.difference_table(regression), tables.exchange_table(regression))
    return Section(f"baseline-{locale}", f"Against the baseline, {locale}", sentences, tables=shown)


def _training_section(runs: Mapping[str, RunLog], verdict: Mapping[str, JSON] | None) -> Section:
    notes = tuple(f"{name}: {note}." for name, log in runs.items() for note in log.notes)
    picture = curves_svg(runs, verdict)
    return Section("training", "Training", notes, (picture,), (run_table(runs),))


def _verdict_section(verdict: Mapping[str, JSON]) -> Section:
    sentences = [_verdict_sentence(verdict)]
    sentences += [f"Also found: {f['rule']} at step {f['step']:,}: {f['reason']}." for f in verdict["findings"][1:]]
    sentences += [f"Warning: {w['rule']} at step {w['step']:,}: {w['reason']}." for w in verdict["warnings"]]
    sentences += [f"Not checked: {item}." for item in verdict["not_checked"]]
    return Section("verdict", "Verdict", tuple(sentences), tables=(verdict_table(verdict),))


def _data_section(dataset: Mapping[str, JSON] | None, mix: Mapping[str, JSON] | None) -> Section:
    sentences: list[str] = []
    pictures: list[str] = []
    shown: list[Table] = []
    if dataset:
        dropped = sum(sum(reasons.values()) for reasons in dataset["dropped"].values())
        sentences.append(
            f"{dataset['rows']:,} rows were tokenized with a vocabulary of {dataset['vocab_size']:,} pieces, "
            f"{dropped:,} were dropped; the entropy of the training labels is {dataset['label_entropy']:.4f} nats "
            "per piece."
        )
        shown += [tables.split_table(dataset), tables.survival_table(dataset)]
    if mix:
        sentences += [cells.sentence(text) for text in (*mix["findings"], *mix["warnings"])]
        pictures += [mix_bars_svg(mix["sources"])] if len(mix["sources"]) > 1 else []
        shown.insert(0, tables.mix_table(mix))
    return Section("data", "Data", tuple(sentences), tuple(pictures), tuple(shown))


def _lineage_section(scores: Mapping[str, JSON], lineage: Sequence[Mapping[str, str]]) -> Section:
    rows = [(entry["kind"].replace("_", " "), entry["digest"]) for entry in lineage]
    rows += [(f"{name} hash of these scores", digest) for name, digest in scores["hashes"].items()]
    sentence = "Scores compare only with scores whose gold, labels, policy and decoder hashes are the same."
    return Section("lineage", "Lineage", (sentence,), tables=(Table(("what", "SHA-256"), tuple(rows)),))
