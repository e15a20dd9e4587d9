"""`mw-pipeline audit`: what a recipe's sources hold, what its sampler draws, what was lost, and what changed."""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

from mw_pipeline.cli import EXIT_OK, EXIT_REFUSED, say
from mw_pipeline.cli.arguments import local_path
from mw_pipeline.cli.project import place_in_use
from mw_pipeline.stages import line
from mw_pipeline.stages.audit import PAGE_FILE, TABLE_FILE
from mw_pipeline.stages.audit_ledger import AUDIT_FILE
from mw_pipeline.stages.closed_words import PAGE_FILE as CLOSED_WORDS_PAGE
from mw_pipeline.stages.closed_words import SUMMARY_FILE, WORDS_FILE
from mw_pipeline.stages.evidence import Audit, ClosedWords, read_evidence
from mw_pipeline.stages.upstream import prepare_corpus


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """--recipe R [--page FILE] [--since DIGEST]."""
    parser.add_argument("--recipe", required=True, metavar="R", help="name below recipes/, or a TOML file")
    parser.add_argument("--page", type=local_path, metavar="FILE", help="also write the page for people here, as HTML")
    parser.add_argument(
        "--since", metavar="DIGEST", help="compare with this audit, and not with the recipe's last one in the ledger"
    )


def run(args: argparse.Namespace) -> int:
    """Prints the audit as JSON, and its table for people; returns 1 when a finding stands that blocks."""
    place = place_in_use()
    recipe = place.recipe(args.recipe)
    prepare_corpus(place, recipe.corpus, progress=say)
    line.source_mix.make(place, args.recipe, progress=say)
    words = line.closed_words.make(place, args.recipe, progress=say).artifact
    built = line.source_audit.make(place, args.recipe, since=args.since, progress=say)
    found = read_evidence(built.artifact, AUDIT_FILE, Audit)
    say(built.artifact.file(TABLE_FILE).read_text(encoding="utf-8").rstrip())
    say(words.file(SUMMARY_FILE).read_text(encoding="utf-8").rstrip())
    lacking = read_evidence(words, WORDS_FILE, ClosedWords)["findings"]
    for sentence in (*found["findings"], *lacking, *found["warnings"]):
        say(sentence)
    page = built.artifact.file(PAGE_FILE)
    if args.page is not None:
        args.page.parent.mkdir(parents=True, exist_ok=True)
        page = Path(shutil.copyfile(page, args.page))
    say(f"{'the last audit still stands' if built.reused else 'audited'}: {page}")
    closed = {"findings": lacking, "page": str(words.file(CLOSED_WORDS_PAGE)), **words.metrics}
    shown = {"audit": built.artifact.digest, "reused": built.reused, "page": str(page), **found, "closed_words": closed}
    print(json.dumps(shown, ensure_ascii=False))
    return EXIT_REFUSED if found["findings"] or lacking else EXIT_OK
