"""How packages do on the project's gold and on the gold that others have labelled, as JSON and as the README's table.

    python benchmarks/gold.py MW_DATA --package NAME=DIR [--package NAME=DIR ...] [--write README.md]
    python benchmarks/gold.py MW_DATA --export FOLDER

The sets are those of `corpora/us-fr.toml`: the project's own rows, the further sets below MW_DATA, and of the labelled
sets of the usaddress project the half, by street and place, that no recipe trains on. Of several packages of one NAME,
which are runs with other seeds, the table shows each. DIR may be the folder of a full run as well: its best checkpoint
is asked in float32. Each set is scored on the tags that its labels are complete for, under the policy `normalised`,
with 95 % intervals by families. `--export` writes the further sets as files of gold instead, for a folder outside the
checkout.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from marked_pages import write_between

from mw_pipeline.digest import JSON
from mw_pipeline.evaluate.checkpoint_parser import checkpoint_parser
from mw_pipeline.evaluate.evaluation import CONSTRAINED_DECODER, evaluate
from mw_pipeline.evaluate.predictions import predictions_of
from mw_pipeline.golden.gold import GoldenSet
from mw_pipeline.parse import Parser
from mw_pipeline.parser_files import FACTS_NAME
from mw_pipeline.stages.diagnosis import POLICY
from mw_pipeline.stages.golden import judged_gold
from mw_pipeline.stages.place import Place
from mw_pipeline.stages.slices import gold_files
from mw_pipeline.stages.stage import Subject

PROJECT, CORPUS = Path(__file__).resolve().parent.parent, "us-fr"
MARKS = ("<!-- scores: begin -->", "<!-- scores: end -->")
AVERAGES = ("core_macro_f1", "micro_f1", "exact_match")
SETS = {
    "golden": "the project's own, written from memory",
    "geocoder-tester": "French addresses of geocoder-tester, without commas",
    "real-us": "half the streets of the labelled sets of usaddress",
    "oa-de": "German register of OpenAddresses",
    "oa-es": "Spanish register",
    "oa-it": "Italian register",
    "oa-nl": "Dutch register",
    "jp-overture": "Japanese municipalities of Overture",
    "pelias": "queries of the tests of Pelias",
    "libpostal": "cases of the tests of libpostal",
}
"""The sets in the order of the table, as it calls them."""

Scores = Mapping[str, Mapping[str, JSON]]
"""Of one package, by set: each average as value, lower and upper end, and `f1` of every tag that the gold has."""


def main() -> None:
    """Score the packages on every set, or write the sets down."""
    args = _arguments()
    place = Place.of(project=str(PROJECT), data=str(args.data))
    judged = judged_gold(gold_files(Subject(place, CORPUS, CORPUS)))
    golden = {Path(name).stem: rows for name, rows in judged.golden.items()}
    facts: dict[str, JSON] = {
        "sets": {
            name: {"rows": len(rows.rows), "families": len(rows.families), "tags": rows.tags and list(rows.tags)}
            for name, rows in golden.items()
        },
        "left_out": {name: said["left_out"] for name, said in judged.facts["sets"].items() if said.get("left_out")},
    }
    if args.export:
        args.export.mkdir(parents=True, exist_ok=True)
        for name, rows in golden.items():
            (args.export / f"{name}.jsonl").write_text(rows.as_jsonl(), encoding="utf-8")
    else:
        runs = [(name, scores_of(folder, golden)) for name, folder in args.package]
        facts["packages"] = [{"name": name, "scores": scores} for name, scores in runs]
        if args.write:
            write_between(args.write, MARKS, table_of(golden, runs))
    print(json.dumps(facts))


def _arguments() -> argparse.Namespace:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("data", type=Path, metavar="MW_DATA")
    what = arguments.add_mutually_exclusive_group(required=True)
    what.add_argument("--package", action="append", type=_named_folder, metavar="NAME=DIR")
    what.add_argument("--export", type=Path, metavar="FOLDER")
    arguments.add_argument("--write", type=Path, metavar="PAGE", help="the page whose table of scores is written anew")
    return arguments.parse_args()


def _named_folder(text: str) -> tuple[str, Path]:
    name, _, folder = text.partition("=")
    return name, Path(folder)


def scores_of(package: Path, golden: Mapping[str, GoldenSet]) -> Scores:
    """The averages with their intervals, set by set."""
    parser = Parser.load(package) if (package / FACTS_NAME).exists() else checkpoint_parser(package)
    found = {}
    for name, rows in golden.items():
        predictions = predictions_of(parser, rows)
        evaluation = evaluate(rows, predictions, decoder=CONSTRAINED_DECODER, labels=parser.labels, policy=POLICY)
        report = evaluation.report
        averages = {key: [round(report[key], 4), *report["intervals"][key]] for key in AVERAGES}
        f1 = {tag: score["f1"] for tag, score in report["per_tag"].items() if score["support"]}
        found[name] = {**averages, "f1": f1}
    return found


def table_of(golden: Mapping[str, GoldenSet], runs: Sequence[tuple[str, Scores]]) -> str:
    """Core and exact of every set: one column each for every name."""
    names = list(dict.fromkeys(name for name, _ in runs))
    heads = ["gold", "rows", *(f"{name}: {score}" for name in names for score in ("core", "exact"))]
    lines = [f"| {' | '.join(heads)} |", f"|---|--:|{'---|' * (2 * len(names))}"]
    for key in [*(key for key in SETS if key in golden), *sorted(golden.keys() - SETS.keys())]:
        cells = [
            _cell([scores[key][average] for mine, scores in runs if mine == name])
            for name in names
            for average in ("core_macro_f1", "exact_match")
        ]
        lines.append(f"| {SETS.get(key, key)} | {len(golden[key].rows):,} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(found: Sequence[Sequence[float]]) -> str:
    """The values of all runs, and from the lowest end of an interval to the highest."""
    values = " and ".join(f"{value:.3f}" for value, _, _ in found)
    return f"{values} ({min(low for _, low, _ in found):.3f}–{max(high for _, _, high in found):.3f})"


if __name__ == "__main__":
    main()
