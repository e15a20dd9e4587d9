"""Checks of what the training rows teach, each with the table that a person judges it by."""

from __future__ import annotations

from collections.abc import Sequence

from mw_pipeline.corpus import applied_methods, holdouts, lints, taught_words
from mw_pipeline.corpus.closed_words import closed_words_of
from mw_pipeline.report.cells import Table, count, percent, share
from mw_pipeline.report.closed_words import kind_table
from mw_pipeline.stages import line
from mw_pipeline.stages.checks.corpus import all_rows
from mw_pipeline.stages.closed_words import WORDS_FILE, counted_words
from mw_pipeline.stages.evidence import ClosedWords, read_evidence
from mw_pipeline.stages.findings import Findings, found
from mw_pipeline.stages.place import Place


def closed_words_are_taught(place: Place, partition: str) -> Findings:
    """At least 50 training rows, in at least 3 subsets of components, teach every state, country, street type and other
    closed word of the package's locales (M65)."""
    recipe = place.recipe(partition)
    facts = read_evidence(line.closed_words.demand(place, recipe), WORDS_FILE, ClosedWords)
    words = taught_words.worst_first(map(taught_words.Taught.from_json, facts["words"]))
    wanted, untaught = closed_words_of(recipe.package.locales, recipe.label_set.tags), recipe.package.untaught
    findings = taught_words.closed_words_are_counted(words, wanted)
    findings += taught_words.closed_words_are_taught(words, but=untaught)
    # Counting takes seconds, and a count that somebody has written is the cheapest thing to forge.
    if not findings and words != counted_words(line.closed_words.request(place, recipe)):
        findings.append(f"{WORDS_FILE} is not what the training rows teach: remove the artifact and count them again")
    lacking = sum(not word.is_taught for word in words)
    excused = f"; not asked for: {', '.join(untaught)}" if untaught else ""
    return found(
        findings,
        f"{len(words) - lacking:,} closed words are taught{excused}",
        kinds=kind_table({"words": [word.as_json() for word in words], "untaught": untaught}).as_markdown(),
        lacking=lacking,
    )


def labels_agree(place: Place, partition: str) -> Findings:
    """No two sources label a word or a word pair differently, each nearly always (M28)."""
    conflicts = lints.label_conflicts(all_rows(place, partition))
    return found([str(conflict) for conflict in conflicts], "sources agree", conflicts=_conflict_table(conflicts))


def ordinals_are_no_house_numbers(place: Place, partition: str) -> Findings:
    """No source labels an ordinal as a house number, as in "5th Avenue Theatre" (M29)."""
    files = all_rows(place, partition)
    return found(
        [str(wrong) for wrong in lints.ordinal_house_numbers(files)],
        "no house number is an ordinal",
        first_numbers=_first_number_table(lints.first_numbers(files)),
    )


def scripts_are_at_home(place: Place, partition: str) -> Findings:
    """No source writes the addresses of a country mostly in a script that it does not use (M30)."""
    files = all_rows(place, partition)
    return found(
        [str(foreign) for foreign in lints.foreign_scripts(files)],
        "every country is written in its own script",
        scripts=_script_table(lints.script_shares(files)),
    )


def methods_apply(place: Place, partition: str) -> Findings:
    """Every augmentation that the corpus asks for has changed rows of each country that it is about (M76)."""
    spec = place.corpus_spec(partition)
    # The first variant of a record is plain, so that a corpus of one variant has nothing to apply them to.
    doses = spec.augmentations.model_dump() if spec.variants > 1 else {}
    applied = applied_methods.applied_methods(all_rows(place, partition), doses)
    return found(
        applied_methods.methods_apply(applied),
        f"{len({found.method for found in applied})} augmentations have changed rows of every country they are for",
        applied=_applied_table(applied),
    )


def holdout_is_covered(place: Place, partition: str) -> Findings:
    """Every source says the places and regions of its rows, so that the held-out ones can be held out of it (M22)."""
    spec = place.corpus_spec(partition)
    regions, of_places = spec.holdout_regions, spec.holdout_places_share
    coverage = holdouts.holdout_coverage(all_rows(place, partition), holdout_regions=regions, places_share=of_places)
    return found(
        holdouts.holdout_is_covered(coverage, holdout_regions=regions, places_share=of_places),
        f"held out: {of_places:.1%} of places, and {', '.join(regions) or 'no region'}",
        coverage=_coverage_table(coverage),
    )


def _conflict_table(conflicts: Sequence[lints.Conflict]) -> str:
    sides = ("label", "times", "in source", "as in")
    rows = (
        (
            c.words,
            *(c.tag, count(c.times), c.source, c.example),
            *(c.other_tag, count(c.other_times), c.other_source, c.other_example),
        )
        for c in conflicts
    )
    return Table(("words", *sides, *(f"other {side}" for side in sides)), tuple(rows)).as_markdown()


def _first_number_table(found: Sequence[lints.FirstNumber]) -> str:
    """One line per source and context: rows, the share of every label, and a row that has the rarest one."""
    lines = []
    for source, context in dict.fromkeys((f.source, f.context) for f in found):
        ranked = sorted((f for f in found if (f.source, f.context) == (source, context)), key=lambda f: -f.rows)
        rows = sum(f.rows for f in ranked)
        labels = ", ".join(f"{f.tag} {share(f.rows, rows)}" for f in ranked)
        lines.append((source, context, count(rows), labels, ranked[-1].tag, ranked[-1].example))
    headers = ("source", "first number of a row", "rows", "is labelled", "rarest label", "as in")
    return Table(headers, tuple(lines)).as_markdown()


def _script_table(shares: Sequence[lints.ScriptShare]) -> str:
    rows = ((s.source, s.country, s.language, s.script, count(s.rows), percent(s.share)) for s in shares)
    return Table(("source", "country", "language", "script", "rows", "of the source"), tuple(rows)).as_markdown()


def _applied_table(applied: Sequence[applied_methods.Applied]) -> str:
    rows = tuple(
        (found.country, found.method, percent(found.dose), count(found.changed), share(found.changed, found.rows))
        for found in applied
    )
    return Table(("country", "augmentation", "dose", "rows changed", "of its rows"), rows).as_markdown()


def _coverage_table(coverage: Sequence[holdouts.Coverage]) -> str:
    headers = ("source", "rows", "with a region", "regions", "with a place", "places", "places held out", "held out")
    rows = (
        (
            *(c.source, count(c.rows), share(c.with_region, c.rows), count(len(c.regions))),
            *(share(c.with_place, c.rows), count(c.places), count(c.places_held_out), count(c.held_out)),
        )
        for c in coverage
    )
    return Table(headers, tuple(rows)).as_markdown()
