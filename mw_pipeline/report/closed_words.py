"""The closed words of a recipe as one self-contained HTML page: a chapter per kind, the least taught words first."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mw_pipeline.digest import JSON
from mw_pipeline.report.cells import Table, count, sentence
from mw_pipeline.report.page import Section, Tile, write_page

_PLACES = {
    "value": "the whole value",
    "first": "its first word",
    "last": "its last word",
    "edge": "its first or last word",
    "any": "any word of it",
}


def render_closed_words(out: Path, facts: Mapping[str, JSON]) -> Path:
    """Writes the page of the facts of a closed_words artifact to `out` and returns it. Equal input, equal bytes."""
    return write_page(
        out,
        "findings",
        title=f"Closed words of {facts['recipe']['name']}",
        kind="Closed words of its locales, and the rows that teach them",
        recipe=facts["recipe"],
        subject=f"Corpus {facts['corpus']}, packages for {', '.join(facts['locales'])}.",
        outcome=_outcome(facts["findings"]),
        findings=[sentence(text) for text in facts["findings"]],
        warnings=[f"The recipe does not ask for {kind}: its packages may lack them." for kind in facts["untaught"]],
        tiles=_tiles(facts),
        sections=[
            Section("kinds", "By kind", tables=(kind_table(facts),)),
            *(_section(kind, words) for kind, words in _by_kind(facts).items()),
        ],
    )


def kind_table(facts: Mapping[str, JSON]) -> Table:
    """A line for each kind: its words, those that are taught, and the one with the fewest rows."""
    rows = []
    for kind, words in _by_kind(facts).items():
        lacking = sum(not word["taught"] for word in words)
        asked = "no" if kind in facts["untaught"] else "yes"
        rows.append((kind, count(len(words)), count(lacking), asked, words[0]["word"], count(words[0]["rows"])))
    headers = ("kind", "words", "not taught", "asked for", "least taught", "its rows")
    return Table(headers, tuple(rows))


def _by_kind(facts: Mapping[str, JSON]) -> dict[str, list[JSON]]:
    kinds: dict[str, list[JSON]] = {}
    for word in facts["words"]:
        kinds.setdefault(word["kind"], []).append(word)
    return kinds


def _outcome(findings: list[str]) -> str:
    if not findings:
        return "The training rows teach every closed word that the recipe asks for."
    return "The training rows do not teach all closed words, which blocks every run of this recipe:"


def _tiles(facts: Mapping[str, JSON]) -> list[Tile]:
    words = facts["words"]
    taught = sum(word["taught"] for word in words)
    return [
        Tile("closed words", count(len(words)), f"of {', '.join(facts['locales'])}"),
        Tile("taught", count(taught), "often enough, and in different company"),
        Tile("not taught", count(len(words) - taught), f"{count(len(facts['findings']))} kinds block"),
    ]


def _section(kind: str, words: list[JSON]) -> Section:
    rows = tuple(
        (
            word["word"],
            " or ".join(word["tags"]),
            _PLACES[word["where"]],
            count(word["rows"]),
            count(word["subsets"]),
            ", ".join(f"{tag} {count(rows)}" for tag, rows in word["rows_by_tag"].items()) or "nothing",
            "taught" if word["taught"] else "not taught",
        )
        for word in words
    )
    headers = ("word", "is", "where in its value", "rows as that", "subsets", "all rows, by tag", "verdict")
    return Section(kind.replace(" ", "-"), f"{kind[0].upper()}{kind[1:]}", tables=(Table(headers, rows),))
