"""Who is named for a planted fault: influence, likeness and chance on addresses that the fault spoiled.

    python benchmarks/why.py [FOLDER] [--kind WORD] [--seed N]

Writes a tiny project with a source that calls one kind of street a venue (`planted_slips.py`), trains it, and asks of
fresh addresses of that kind which source taught their reading. FOLDER keeps the project, which must be new;
another kind and seed are another planting. Prints
JSON: `spoiled`, of the addresses whose street is read as a venue, the share for which each way of asking names the
planted source first; `read_right` and `elsewhere`, the same where it should not be named: of such addresses whose
street is read as a street, and of the spans of gold rows, which know no such street; `rows`, which share of the
five rows that are shown first is of the planted source; and `examples`, the first of the spoiled addresses.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from planted_slips import KIND, RECIPE, RIGHT_TAG, SEED, SLIPS, WRONG_TAG, train_planted, write_planted

from mw_pipeline.digest import JSON
from mw_pipeline.golden.gold import load_golden
from mw_pipeline.stages.teaching import Teaching
from mw_pipeline.teaching.influence import SpanEvidence, evidence_of, pull_by_source
from mw_pipeline.teaching.listed_rows import RowList

ASKED = 400
NEIGHBOURS = 20
SHOWN = 5
GOLD_STEP = 6

Ask = Callable[[RowList, SpanEvidence, str], str]
"""(rows, evidence of a span, its tag) → the source that is named first."""


def _by_likest(listed: RowList, evidence: SpanEvidence, tag: str) -> str:
    return str(pull_by_source(listed.index, evidence)[0]["source"])


def _by_influence(listed: RowList, evidence: SpanEvidence, tag: str) -> str:
    return _most(listed, evidence.pull * listed.index.draws)


def _by_alignment(listed: RowList, evidence: SpanEvidence, tag: str) -> str:
    return _most(listed, evidence.alignment * listed.index.draws)


def _by_likeness(listed: RowList, evidence: SpanEvidence, tag: str) -> str:
    return _most(listed, _near(evidence.similarity))


def _by_likeness_and_draws(listed: RowList, evidence: SpanEvidence, tag: str) -> str:
    return _most(listed, _near(evidence.similarity) * listed.index.draws)


def _by_likeness_and_label(listed: RowList, evidence: SpanEvidence, tag: str) -> str:
    same = np.array([said == tag for said in listed.tags_at(evidence.alike)])
    return _most(listed, _near(np.where(same, evidence.similarity, -1.0)))


def _by_chance(listed: RowList, evidence: SpanEvidence, tag: str) -> str:
    seed = int(evidence.alike.sum())  # another draw for each address, the same in each run
    return _most(listed, _near(np.random.default_rng(seed).random(len(listed.index))))


WAYS: Mapping[str, Ask] = {
    "likest rows, by alignment": _by_likest,
    "influence of all rows": _by_influence,
    "alignment of all rows": _by_alignment,
    "likeness": _by_likeness,
    "likeness, by draws": _by_likeness_and_draws,
    "likeness, same label": _by_likeness_and_label,
    "chance": _by_chance,
}


def _near(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 for the rows with the greatest values, 0 for the others."""
    found = np.zeros(len(values))
    found[np.argsort(-values, kind="stable")[:NEIGHBOURS]] = 1.0
    return found


def _most(listed: RowList, weights: NDArray[np.float64]) -> str:
    """The source with the greatest sum of weights."""
    sources, number = np.unique(listed.index.rows["source"].to_pylist(), return_inverse=True)
    return str(sources[np.bincount(number, weights).argmax()])


def figures_of(teaching: Teaching, addresses: Sequence[str], others: Sequence[str], *, kind: str) -> dict[str, JSON]:
    """The figures for addresses of the planted kind, and for others."""
    named: dict[str, list[dict[str, str]]] = {WRONG_TAG: [], RIGHT_TAG: [], "": []}
    ours: dict[str, list[float]] = {"by alignment": [], "by influence": []}
    begun = time.perf_counter()
    examples = []
    for address, tag, evidence in _asked(teaching, addresses, only=kind):
        if tag in (WRONG_TAG, RIGHT_TAG):
            named[tag].append(_answers(teaching.listed, evidence, tag))
        if tag == WRONG_TAG:
            examples.append(address)
            ours["by alignment"].append(_share_of_slips(teaching.listed, evidence.alignment))
            ours["by influence"].append(_share_of_slips(teaching.listed, evidence.pull))
    seconds = time.perf_counter() - begun
    named[""] = [_answers(teaching.listed, evidence, tag) for _, tag, evidence in _asked(teaching, others)]
    return {
        "spoiled": _shares(named[WRONG_TAG]),
        "read_right": _shares(named[RIGHT_TAG]),
        "elsewhere": _shares(named[""]),
        "rows": {name: round(float(np.mean(shares)), 3) for name, shares in ours.items()},
        "examples": examples[:SHOWN],
        "rows_indexed": len(teaching.index),
        "seconds_each": round(seconds / len(addresses), 4),
    }


def _asked(teaching: Teaching, addresses: Sequence[str], *, only: str = "") -> Iterator[tuple[str, str, SpanEvidence]]:
    """Address, tag and evidence of the spans of some addresses, of those alone that hold a word."""
    for address in addresses:
        reading = teaching.read(address)
        asked = [stretch for stretch in reading.stretches if stretch.tag and only in stretch.value]
        for stretch, found in zip(
            asked, evidence_of(teaching.index, reading.layers, [stretch.pieces for stretch in asked]), strict=True
        ):
            yield address, stretch.tag, found


def _answers(listed: RowList, evidence: SpanEvidence, tag: str) -> dict[str, str]:
    return {name: ask(listed, evidence, tag) for name, ask in WAYS.items()}


def _share_of_slips(listed: RowList, values: NDArray[np.float64]) -> float:
    first = np.argsort(-values, kind="stable")[:SHOWN]
    sources = listed.index.rows["source"].take(first).to_pylist()
    return sources.count(SLIPS) / SHOWN


def _shares(answers: list[dict[str, str]]) -> dict[str, JSON]:
    shares = {way: sum(found[way] == SLIPS for found in answers) / max(1, len(answers)) for way in WAYS}
    return {"spans": len(answers), **{way: round(share, 3) for way, share in shares.items()}}


def main() -> None:
    """Plant, train, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--kind", default=KIND)
    parser.add_argument("--seed", type=int, default=SEED)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.folder or Path(scratch) / "project"
        addresses = write_planted(folder, asked=ASKED, kind=args.kind, seed=args.seed)
        place = train_planted(folder)
        others = [row.raw for row in load_golden(sorted((folder / "golden").glob("[fu]*.jsonl"))).rows[::GOLD_STEP]]
        print(json.dumps(figures_of(Teaching.open(place, RECIPE), addresses, others, kind=args.kind), indent=1))


if __name__ == "__main__":
    main()
