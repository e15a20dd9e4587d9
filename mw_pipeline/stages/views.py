"""What a person wants to see of an artifact, as Markdown: for the graph's metadata.

A picture is an image whose bytes are in the text itself, so that it shows wherever Markdown does."""

from __future__ import annotations

import base64
from pathlib import Path

from mw_pipeline.artifact import Artifact
from mw_pipeline.capability.matrix import CapabilityMatrix
from mw_pipeline.dataset.summary import DATASET_JSON, DatasetSummary
from mw_pipeline.labels import STAGE3_TAGS
from mw_pipeline.recipe import OWN_GOLD
from mw_pipeline.report.capability.page import worst_table
from mw_pipeline.report.cells import Table, count, interval, number, share
from mw_pipeline.report.evaluation.charts import tag_scores_svg
from mw_pipeline.report.evaluation.tables import (
    bucket_table,
    golden_set_table,
    set_tag_tables,
    split_table,
    survival_table,
)
from mw_pipeline.report.probe.charts import probe_svg
from mw_pipeline.report.probe.tables import PROBE_FILE, probe_markdown, stopped_run_sentence
from mw_pipeline.report.runs.charts import curves_svg
from mw_pipeline.report.runs.tables import run_table, verdict_table
from mw_pipeline.stages.corpus import waterfall_of
from mw_pipeline.stages.diagnosis import DIAGNOSIS_FILE, POLICY, SCORES_FILE, SETS_FILE
from mw_pipeline.stages.evidence import Card, Diagnosis, GoldenSets, Matrix, Scores, Verdict, read_evidence, read_probe
from mw_pipeline.stages.golden import facts_of
from mw_pipeline.stages.matrices import matrix_file
from mw_pipeline.teaching.index_facts import INDEX_FILE, IndexFacts
from mw_pipeline.verdict.binding import VERDICT_FILE
from mw_pipeline.verdict.runlog import read_run

_WORST_SHOWN = 10


def curves_picture(run: Artifact, verdict: Artifact | None = None) -> str:
    """Losses, validation macro-F1 and learning rate of a run; with a verdict, what it looked at."""
    judged = read_evidence(verdict, VERDICT_FILE, Verdict) if verdict else None
    return _picture("training curves", curves_svg({_kind(run): read_run(run.folder())}, judged))


def run_facts(run: Artifact) -> str:
    """Schedule, scores, losses, speed and time of a run."""
    return run_table({_kind(run): read_run(run.folder())}).as_markdown()


def verdict_facts(verdict: Artifact) -> str:
    """The numbers behind a verdict and what each of them is."""
    return verdict_table(read_evidence(verdict, VERDICT_FILE, Verdict)).as_markdown()


def tags_picture(report: Artifact) -> str:
    """F1 of every tag with its interval and ceiling."""
    scores = read_evidence(report, SCORES_FILE, Scores)
    return _picture("F1 of each tag", tag_scores_svg(scores["per_tag"], scores["ceiling"]["per_tag"]))


def golden_set_facts(report: Artifact) -> str:
    """Averages on every gold set with their intervals, the tags of each further set, and which sets were not there."""
    found = read_evidence(report, SETS_FILE, GoldenSets)
    table = golden_set_table(read_evidence(report, SCORES_FILE, Scores), found["scores"]).as_markdown()
    of_sets = [f"{tags.caption}\n\n{tags.as_markdown()}" for tags in set_tag_tables(found["scores"])]
    return "\n\n".join([table, *of_sets, *found["skipped"]])


def bucket_facts(diagnosis: Artifact) -> str:
    """Missed and false values by bucket, and what each bucket means."""
    return bucket_table(read_evidence(diagnosis, DIAGNOSIS_FILE, Diagnosis)).as_markdown()


def split_facts(dataset: Artifact) -> str:
    """Rows and pieces of every split of a tokenized dataset."""
    return split_table(read_evidence(dataset, DATASET_JSON, DatasetSummary)).as_markdown()


def survival_facts(dataset: Artifact) -> str:
    """Spans of every tag, and how many were lost in tokenizing."""
    return survival_table(read_evidence(dataset, DATASET_JSON, DatasetSummary)).as_markdown()


def ceiling_facts(golden: Artifact) -> str:
    """Gold values of every tag, and the best F1 that a span extractor could have on them."""
    facts = facts_of(golden)
    values, ceilings = facts["counts"]["tag"], facts["ceilings"][POLICY]["per_tag"]
    rows = tuple((tag, f"{values[tag]:,}", number(ceilings.get(tag))) for tag in STAGE3_TAGS if tag in values)
    return Table(("tag", "gold values", "ceiling"), rows).as_markdown()


def region_facts(golden: Artifact) -> str:
    """Gold rows of each country by region: how many regions have one, the fewest rows, and the regions without any."""
    rows = tuple(
        (
            country,
            f"{len(found['rows']) - len(found['missing'])} of {len(found['rows'])}",
            f"{sum(found['rows'].values()):,}",
            f"{found['elsewhere']:,}",
            ", ".join(found["missing"]) or "none",
        )
        for country, found in facts_of(golden)["regions"].items()
    )
    headers = ("country", "regions with a row", "rows in them", "rows that tell no region", "regions without a row")
    return Table(headers, rows).as_markdown() if rows else "no row of a country whose regions are listed"


def method_facts(shards: Artifact) -> str:
    """How many rows each augmentation was asked to change, and how many it changed."""
    methods = waterfall_of(shards).methods
    rows = tuple((name, f"{m.asked:,}", f"{m.applied:,}", share(m.applied, m.asked)) for name, m in methods.items())
    return Table(("augmentation", "rows chosen", "rows changed", "share"), rows).as_markdown() if rows else "none"


def capability_facts(matrices: Artifact) -> str:
    """The worst cells of every locale's matrix, each with its interval and a row that was read wrongly."""
    parts = []
    for path in capability_pages(matrices):
        found = read_evidence(matrices, matrix_file(path.stem), Matrix)
        matrix = CapabilityMatrix.from_json(found, min_cell=found["min_cell"]).as_json()
        sentence = (
            f"{matrix['locale']}: {matrix['blind']:,} of {matrix['cells']:,} cells blind below {matrix['min_cell']:g}"
        )
        parts += [sentence, worst_table(matrix, _WORST_SHOWN).as_markdown()]
    return "\n\n".join(parts)


def capability_pages(matrices: Artifact) -> list[Path]:
    """The page of every locale's matrix."""
    names = sorted(entry.path for entry in matrices.manifest.files if entry.path.endswith(".html"))
    return [matrices.file(name) for name in names]


def package_facts(packages: Artifact) -> str:
    """Size and scores of the package of every locale, from its card."""
    rows = []
    for name in sorted(entry.path for entry in packages.manifest.files if entry.path.endswith("/model-card.json")):
        card = read_evidence(packages, name, Card)
        scores = card["metrics"][OWN_GOLD]
        rows.append(
            (
                card["name"],
                card["version"],
                f"{card['files']['model.onnx']['bytes']:,}",
                number(scores["core_macro_f1"]),
                interval(scores["intervals"]["core_macro_f1"]),
                number(scores["exact_match"]),
            )
        )
    headers = ("package", "version", "bytes of the network", "core macro-F1", "95 % interval", "exact rows")
    return Table(headers, tuple(rows)).as_markdown()


def teaching_facts(index: Artifact) -> str:
    """Training rows of each source, how many of them an index of teaching rows holds, and draws of the run."""
    found = read_evidence(index, INDEX_FILE, IndexFacts)["sources"]
    rows = tuple((name, count(s["rows"]), count(s["indexed"]), count(round(s["draws"]))) for name, s in found.items())
    return Table(("source", "training rows", "in the index", "draws of the run"), rows).as_markdown()


def probe_of(artifact: Artifact) -> dict[str, str]:
    """Picture and tables of a probe, or of the one that ran when a run was stopped; nothing where none did."""
    if not any(entry.path == PROBE_FILE for entry in artifact.manifest.files):
        return {}
    found = read_probe(artifact, PROBE_FILE)
    if "failed" in found:
        return {"probe": stopped_run_sentence(found)}
    return {"probe_picture": _picture("what the probe found", probe_svg(found)), "probe": probe_markdown(found)}


def _kind(run: Artifact) -> str:
    return run.kind.removesuffix("_checkpoint")


def _picture(title: str, svg: str) -> str:
    return f"![{title}](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})"
