"""How a package does on real labelled US addresses that are neither its gold nor its training rows.

    python benchmarks/usaddress_rows.py MW_DATA --package PACKAGE
    python benchmarks/usaddress_rows.py MW_DATA --export FOLDER

The rows are those of the further gold set `real-us` of `corpora/us-fr.toml`: the judging half, by street and place, of
the labelled sets of the usaddress project below MW_DATA. Prints JSON: rows, what was left out and why, and the averages
with their intervals. `--export` writes the rows as a file of gold instead, for a folder outside the checkout.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from mw_pipeline.digest import JSON
from mw_pipeline.evaluate.evaluation import CONSTRAINED_DECODER, evaluate
from mw_pipeline.evaluate.predictions import predictions_of
from mw_pipeline.golden.gold import GoldenSet
from mw_pipeline.parse import Parser
from mw_pipeline.recipe import load_corpus_spec
from mw_pipeline.sources.registry import get_adapter
from mw_pipeline.stages.further_gold import read_set

SPEC = Path(__file__).parent.parent / "corpora" / "us-fr.toml"
NAME = "real-us"


def scores_of(package: Path, golden: GoldenSet) -> dict[str, JSON]:
    """The averages with their intervals, and F1 of every tag that the gold has."""
    parser = Parser.load(package)
    predictions = predictions_of(parser, golden)
    report = evaluate(
        golden, predictions, decoder=CONSTRAINED_DECODER, labels=parser.labels, policy="normalised"
    ).report
    names = ("core_macro_f1", "micro_f1", "exact_match")
    figures = {name: [round(report[name], 4), *report["intervals"][name]] for name in names}
    return {**figures, "f1": {tag: found["f1"] for tag, found in report["per_tag"].items() if found["support"]}}


def main() -> None:
    """Score the package on the set, or write the set down."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("data", type=Path, metavar="MW_DATA")
    what = arguments.add_mutually_exclusive_group(required=True)
    what.add_argument("--package", type=Path)
    what.add_argument("--export", type=Path, metavar="FOLDER")
    args = arguments.parse_args()
    settings = load_corpus_spec(SPEC).golden_sets[NAME]
    paths = sorted(args.data.glob(settings.input))
    judged, left_out = read_set(settings, NAME, paths, get_adapter(settings.adapter or ""))
    golden = judged.golden
    facts: dict[str, JSON] = {"rows": len(golden.rows), "families": len(golden.families), "left_out": left_out}
    if args.package:
        facts |= scores_of(args.package, golden)
    else:
        args.export.mkdir(parents=True, exist_ok=True)
        (args.export / f"{NAME}.jsonl").write_text(golden.as_jsonl(), encoding="utf-8")
        facts["written"] = str(args.export / f"{NAME}.jsonl")
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
