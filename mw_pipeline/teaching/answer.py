"""Why an address is read as it is: span by span, the sources and rows that pulled, and what the corpus says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mw_pipeline.digest import JSON
from mw_pipeline.teaching.influence import SpanEvidence, evidence_of, pull_by_source
from mw_pipeline.teaching.listed_rows import RowList
from mw_pipeline.teaching.reading import Reading, Stretch
from mw_pipeline.teaching.shapes import Shape, counts_of, shape_sentence

ROWS_SHOWN = 5


def answer(reading: Reading, listed: RowList, shapes: Path, *, rows: int = ROWS_SHOWN) -> dict[str, JSON]:
    """The address, and for each stretch of its reading: sources and methods by their pull, hardest towards it first;
    `rows` rows of each list of `RowList`; what rows of its shape call it; and that in two sentences."""
    index = listed.index
    found = evidence_of(index, reading.layers, [stretch.pieces for stretch in reading.stretches])
    return {
        "address": reading.raw,
        "truncated": reading.truncated,
        **{name: index.facts[name] for name in ("recipe", "checkpoints", "rows")},
        "spans": [
            _span(stretch, evidence, listed, rows=rows, taught=taught_of(reading.stretches, number, shapes))
            for number, (stretch, evidence) in enumerate(zip(reading.stretches, found, strict=True))
        ],
    }


def _span(
    stretch: Stretch, evidence: SpanEvidence, listed: RowList, *, rows: int, taught: dict[str, JSON]
) -> dict[str, JSON]:
    sources = pull_by_source(listed.index, evidence)
    return {
        "tag": stretch.tag or None,
        "value": stretch.value,
        "start": stretch.start,
        "end": stretch.end,
        "confidence": stretch.confidence,
        "sentences": [taught.pop("sentence"), _pull_sentence(sources)],
        "sources": sources,
        "rows": listed.of(evidence, stretch.tag, rows=rows),
        "shape": taught,
    }


def taught_of(stretches: Sequence[Stretch], number: int, shapes: Path) -> dict[str, JSON]:
    """The shape of a span, what the training rows of the whole corpus call it, and that as a sentence."""
    stretch = stretches[number]
    if not stretch.tag:
        return {"sentence": f"`{stretch.value}` is read as nothing.", "says": []}
    before = [other.tag for other in stretches[:number] if other.tag]
    after = [other.tag for other in stretches[number + 1 :] if other.tag]
    shape = Shape.of(stretch.value, before[-1] if before else "", after[0] if after else "")
    says = counts_of(shapes, shape)
    return {
        "sentence": shape_sentence(stretch.value, stretch.tag, shape, says),
        "form": shape.form,
        "before": shape.before or None,
        "after": shape.after or None,
        "says": says,
    }


def _pull_sentence(sources: Sequence[Mapping[str, JSON]]) -> str:
    """Who pulled hardest towards the reading, and who against it, on the whole."""
    first, last, likest = sources[0], sources[-1], sum(source["likest"] for source in sources)
    if first["net"] <= 0:
        return f"Of the {likest} rows that look most like it, those of no source pull towards it on the whole."
    against = f", {last['source']} hardest against it ({-last['net']:.0%})" if last["net"] < 0 else ""
    towards = f"{first['source']} pulls hardest towards it ({first['net']:.0%} net)"
    return f"Of the {likest} rows that look most like it, {towards}{against}."
