"""What the graph shows of each stage beside its name: kinds, columns, tables, pictures and pages.

A stage without an entry is shown with its metrics, files and digests alone, as all of them are.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import dagster as dg

from assets.metadata import columns, near
from mw_pipeline.artifact import Artifact
from mw_pipeline.dataset.tokenized import TOKENIZED_MEANINGS, TOKENIZED_SCHEMA
from mw_pipeline.records.tables import ROW_MEANINGS, ROW_SCHEMA
from mw_pipeline.stages import audit, campaign, checks, closed_words, corpus, line, views
from mw_pipeline.stages.place import Place

Facts = Mapping[str, dg.MetadataValue | str]


def _nothing(place: Place, partition: str, artifact: Artifact) -> Facts:
    return {}


@dataclass(frozen=True)
class Shown:
    """How a stage looks in the graph.

    kinds    the tags of its node
    facts    (place, partition, artifact) → what is shown of a partition that was made; a text is Markdown
    columns  those of the table that it is, as definition metadata
    counted  whether its metric `rows` counts the rows of a table, which the UI shows in places of its own
    """

    kinds: frozenset[str] = frozenset({"json"})
    facts: Callable[[Place, str, Artifact], Facts] = _nothing
    columns: Mapping[str, dg.TableSchemaMetadataValue] = field(default_factory=dict)
    counted: bool = False


def _shards(place: Place, partition: str, artifact: Artifact) -> Facts:
    waterfall = checks.waterfall_table(corpus.waterfall_of(artifact))
    return {"waterfall": waterfall, "augmentations": views.method_facts(artifact)}


def _gold(place: Place, partition: str, artifact: Artifact) -> Facts:
    return {"ceilings": views.ceiling_facts(artifact), "regions": views.region_facts(artifact)}


def _manifest(place: Place, partition: str, artifact: Artifact) -> Facts:
    return {"census": corpus.census_table(artifact)}


def _mix(place: Place, partition: str, artifact: Artifact) -> Facts:
    return {"mix": artifact.file("mix.md").read_text()}


def _closed_words(place: Place, partition: str, artifact: Artifact) -> Facts:
    return {
        "kinds": artifact.file(closed_words.SUMMARY_FILE).read_text(),
        "page": _page(artifact, closed_words.PAGE_FILE),
    }


def _audit(place: Place, partition: str, artifact: Artifact) -> Facts:
    return {"mix": artifact.file(audit.TABLE_FILE).read_text(), "page": _page(artifact, audit.PAGE_FILE)}


def _dataset(place: Place, partition: str, artifact: Artifact) -> Facts:
    return {"splits": views.split_facts(artifact), "spans": views.survival_facts(artifact)}


def _smoke(place: Place, partition: str, artifact: Artifact) -> Facts:
    """Its curves with what its verdict says of them."""
    verdict = line.smoke_verdict.demand(place, partition)
    return {
        "curves": views.curves_picture(artifact, verdict),
        "run": views.run_facts(artifact),
        "verdict": views.verdict_facts(verdict),
        **views.probe_of(artifact),
    }


def _full(place: Place, partition: str, artifact: Artifact) -> Facts:
    curves = views.curves_picture(artifact)
    return {"curves": curves, "run": views.run_facts(artifact), **views.probe_of(artifact)}


def _probe(place: Place, partition: str, artifact: Artifact) -> Facts:
    return views.probe_of(artifact)


def _teaching(place: Place, partition: str, artifact: Artifact) -> Facts:
    return {"sources": views.teaching_facts(artifact)}


def _report(place: Place, partition: str, artifact: Artifact) -> Facts:
    return {
        "scores": artifact.file("scores.md").read_text(),
        "golden_sets": views.golden_set_facts(artifact),
        "tags": views.tags_picture(artifact),
        "report": _page(artifact, "report.html"),
    }


def _diagnosis(place: Place, partition: str, artifact: Artifact) -> Facts:
    return {"buckets": views.bucket_facts(artifact), "misses_by_tag": artifact.file("diagnosis.md").read_text()}


def _capability(place: Place, partition: str, artifact: Artifact) -> Facts:
    pages = [near(path) for path in views.capability_pages(artifact)]
    return {"worst": views.capability_facts(artifact), "pages": dg.MetadataValue.json(pages)}


def _packages(place: Place, partition: str, artifact: Artifact) -> Facts:
    return {"packages": views.package_facts(artifact), "lineage": artifact.file("lineage.md").read_text()}


def _comparison(place: Place, partition: str, artifact: Artifact) -> Facts:
    return {"ranking": artifact.file("comparison.md").read_text()}


def _campaign(place: Place, partition: str, artifact: Artifact) -> Facts:
    return {"table": artifact.file(campaign.TABLE_FILE).read_text(), "page": _page(artifact, campaign.PAGE_FILE)}


def _page(artifact: Artifact, name: str) -> dg.MetadataValue:
    return dg.MetadataValue.path(near(artifact.file(name)))


_PROBE = Shown(frozenset({"pytorch", "matplotlib"}), _probe)

SHOWN: Mapping[str, Shown] = {
    "corpus_shards": Shown(
        frozenset({"parquet", "pyarrow"}), _shards, columns=columns(ROW_SCHEMA, ROW_MEANINGS), counted=True
    ),
    "golden_set": Shown(facts=_gold, counted=True),
    "corpus_manifest": Shown(frozenset({"duckdb"}), _manifest, counted=True),
    "source_mix": Shown(frozenset({"numpy"}), _mix),
    "closed_words": Shown(frozenset({"json", "pyarrow"}), _closed_words),
    "source_audit": Shown(frozenset({"json", "matplotlib"}), _audit),
    "tokenizer": Shown(frozenset({"sentencepiece"})),
    "tokenized_dataset": Shown(
        frozenset({"arrow"}), _dataset, columns=columns(TOKENIZED_SCHEMA, TOKENIZED_MEANINGS), counted=True
    ),
    "smoke_checkpoint": Shown(frozenset({"pytorch"}), _smoke),
    "full_checkpoint": Shown(frozenset({"pytorch"}), _full),
    "gradient_probe": _PROBE,
    "activation_trace": _PROBE,
    "label_separation": _PROBE,
    "teaching_index": Shown(frozenset({"pytorch", "duckdb"}), _teaching),
    "eval_report": Shown(frozenset({"pytorch", "matplotlib"}), _report),
    "regression_diagnosis": Shown(facts=_diagnosis),
    "capability_matrix": Shown(frozenset({"onnx", "matplotlib"}), _capability),
    "packaged_weights": Shown(frozenset({"onnx"}), _packages),
    "loss_comparison": Shown(frozenset({"pytorch"}), _comparison),
    "campaign_runs": Shown(frozenset({"pytorch"})),
    "campaign_report": Shown(frozenset({"json", "matplotlib"}), _campaign),
}
