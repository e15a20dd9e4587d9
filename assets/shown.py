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
from mw_pipeline.stages.stage import Stage

Facts = Mapping[str, dg.MetadataValue | str]


@dataclass(frozen=True)
class Shown:
    """How a stage looks in the graph.

    kinds    the tags of its node
    facts    artifact, and those of `beside` → what is shown of it by name; a text is Markdown
    beside   stages whose artifacts of the same partition say more of it
    columns  those of the table that it is, as definition metadata
    counted  whether its metric `rows` counts the rows of a table, which the UI shows in places of its own
    """

    kinds: frozenset[str] = frozenset({"json"})
    facts: Callable[..., Facts] = lambda artifact: {}
    beside: tuple[Stage, ...] = ()
    columns: Mapping[str, dg.TableSchemaMetadataValue] = field(default_factory=dict)
    counted: bool = False


def _smoke(artifact: Artifact, verdict: Artifact) -> Facts:
    """Its curves with what its verdict says of them."""
    return {
        "curves": views.curves_picture(artifact, verdict),
        "run": views.run_facts(artifact),
        "verdict": views.verdict_facts(verdict),
        **views.probe_of(artifact),
    }


def _text(artifact: Artifact, name: str) -> str:
    return artifact.file(name).read_text(encoding="utf-8")


def _page(artifact: Artifact, name: str) -> dg.MetadataValue:
    return dg.MetadataValue.path(near(artifact.file(name)))


def _pages(artifact: Artifact) -> dg.MetadataValue:
    return dg.MetadataValue.json([near(path) for path in views.capability_pages(artifact)])


_PROBE = Shown(frozenset({"pytorch", "matplotlib"}), views.probe_of)

SHOWN: Mapping[str, Shown] = {
    "corpus_shards": Shown(
        frozenset({"parquet", "pyarrow"}),
        lambda made: {
            "waterfall": checks.waterfall_table(corpus.waterfall_of(made)),
            "augmentations": views.method_facts(made),
        },
        columns=columns(ROW_SCHEMA, ROW_MEANINGS),
        counted=True,
    ),
    "golden_set": Shown(
        facts=lambda made: {"ceilings": views.ceiling_facts(made), "regions": views.region_facts(made)}, counted=True
    ),
    "corpus_manifest": Shown(frozenset({"duckdb"}), lambda made: {"census": corpus.census_table(made)}, counted=True),
    "source_mix": Shown(frozenset({"numpy"}), lambda made: {"mix": _text(made, "mix.md")}),
    "closed_words": Shown(
        frozenset({"json", "pyarrow"}),
        lambda made: {"kinds": _text(made, closed_words.SUMMARY_FILE), "page": _page(made, closed_words.PAGE_FILE)},
    ),
    "source_audit": Shown(
        frozenset({"json", "matplotlib"}),
        lambda made: {"mix": _text(made, audit.TABLE_FILE), "page": _page(made, audit.PAGE_FILE)},
    ),
    "tokenizer": Shown(frozenset({"sentencepiece"})),
    "tokenized_dataset": Shown(
        frozenset({"arrow"}),
        lambda made: {"splits": views.split_facts(made), "spans": views.survival_facts(made)},
        columns=columns(TOKENIZED_SCHEMA, TOKENIZED_MEANINGS),
        counted=True,
    ),
    "smoke_checkpoint": Shown(frozenset({"pytorch"}), _smoke, beside=(line.smoke_verdict,)),
    "full_checkpoint": Shown(
        frozenset({"pytorch"}),
        lambda made: {"curves": views.curves_picture(made), "run": views.run_facts(made), **views.probe_of(made)},
    ),
    "gradient_probe": _PROBE,
    "activation_trace": _PROBE,
    "label_separation": _PROBE,
    "teaching_index": Shown(frozenset({"pytorch", "duckdb"}), lambda made: {"sources": views.teaching_facts(made)}),
    "eval_report": Shown(
        frozenset({"pytorch", "matplotlib"}),
        lambda made: {
            "scores": _text(made, "scores.md"),
            "golden_sets": views.golden_set_facts(made),
            "tags": views.tags_picture(made),
            "report": _page(made, "report.html"),
        },
    ),
    "regression_diagnosis": Shown(
        facts=lambda made: {"buckets": views.bucket_facts(made), "misses_by_tag": _text(made, "diagnosis.md")}
    ),
    "capability_matrix": Shown(
        frozenset({"onnx", "matplotlib"}),
        lambda made: {"worst": views.capability_facts(made), "pages": _pages(made)},
    ),
    "packaged_weights": Shown(
        frozenset({"onnx"}),
        lambda made: {"packages": views.package_facts(made), "lineage": _text(made, "lineage.md")},
    ),
    "loss_comparison": Shown(frozenset({"pytorch"}), lambda made: {"ranking": _text(made, "comparison.md")}),
    "campaign_runs": Shown(frozenset({"pytorch"})),
    "campaign_report": Shown(
        frozenset({"json", "matplotlib"}),
        lambda made: {"table": _text(made, campaign.TABLE_FILE), "page": _page(made, campaign.PAGE_FILE)},
    ),
}
