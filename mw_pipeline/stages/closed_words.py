"""The closed words of a recipe's locales beside the rows that teach them: a table, and a page for a person."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mw_pipeline.corpus.closed_words import closed_words_of
from mw_pipeline.corpus.taught_words import Taught, closed_words_are_taught, taught_words, worst_first
from mw_pipeline.digest import JSON, write_json_atomically
from mw_pipeline.report.closed_words import kind_table, render_closed_words
from mw_pipeline.stages.corpus import exclusions_of, row_files
from mw_pipeline.stages.place import Progress
from mw_pipeline.stages.stage import Metrics, Request

WORDS_FILE = "closed_words.json"
TABLE_FILE = "closed_words.tsv"
PAGE_FILE = "closed_words.html"
SUMMARY_FILE = "kinds.md"


def build_closed_words(request: Request, out: Path, progress: Progress) -> Metrics:
    """Every closed word of the recipe's locales with the training rows that label it: `closed_words.json`, the same as
    a TSV table and as a page, and `kinds.md`, a line for each kind."""
    recipe = request.recipe
    progress("closed words: counting the rows that teach them")
    counted = counted_words(request)
    facts: JSON = {
        "recipe": {"name": recipe.name, "digest": recipe.digest},
        "corpus": recipe.corpus,
        "locales": list(recipe.package.locales),
        "untaught": list(recipe.package.untaught),
        "findings": closed_words_are_taught(counted, but=recipe.package.untaught),
        "words": [found.as_json() for found in counted],
    }
    write_json_atomically(out / WORDS_FILE, facts)
    _write_table(out / TABLE_FILE, counted)
    (out / SUMMARY_FILE).write_text(kind_table(facts).as_markdown() + "\n", encoding="utf-8")
    render_closed_words(out / PAGE_FILE, facts)
    lacking = sum(not found.is_taught for found in counted)
    return {"words": len(counted), "lacking": lacking, "findings": len(facts["findings"])}


def counted_words(request: Request) -> list[Taught]:
    """Every closed word with the training rows that teach it, the worst first."""
    recipe, manifest = request.recipe, request.input("corpus_manifest")
    used = row_files(manifest, recipe.sources_in_use)
    words = closed_words_of(recipe.package.locales, recipe.label_set.tags)
    return worst_first(taught_words(used, words, excluded=exclusions_of(manifest).of))


def _write_table(path: Path, words: Sequence[Taught]) -> None:
    lines = [("kind", "word", "tags", "where", "rows", "subsets", "taught", "rows by tag")]
    for found in words:
        row = found.as_json()
        by_tag = " ".join(f"{tag}:{rows}" for tag, rows in row["rows_by_tag"].items())
        tags, taught = " ".join(row["tags"]), "yes" if row["taught"] else "no"
        lines.append(
            (row["kind"], row["word"], tags, row["where"], str(row["rows"]), str(row["subsets"]), taught, by_tag)
        )
    path.write_text("".join("\t".join(line) + "\n" for line in lines), encoding="utf-8")
