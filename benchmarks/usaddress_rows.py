"""How a package does on real labelled US addresses that are neither its gold nor its training rows.

    python benchmarks/usaddress_rows.py PACKAGE FOLDER

FOLDER holds labelled XML files of the usaddress project. Its tags are mapped to ours by TAGS; rows in which one of our
tags would stand twice are left out and counted. Prints JSON: rows, and the averages with their intervals.
"""

from __future__ import annotations

import gzip
import json
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from mw_pipeline.decode import trim
from mw_pipeline.evaluate.evaluation import CONSTRAINED_DECODER, evaluate
from mw_pipeline.evaluate.predictions import predictions_of
from mw_pipeline.golden.gold import GoldenSet
from mw_pipeline.golden.rows import row_of
from mw_pipeline.parse import Parser

FILES = ("labeled.xml.gz", "us50_messiest_manual_label.xml", "us50_train_tagged.xml")
TAGS = {
    **dict.fromkeys(("AddressNumber", "AddressNumberPrefix", "AddressNumberSuffix"), "house_number"),
    **dict.fromkeys(("PlaceName",), "locality"),
    **dict.fromkeys(("StateName",), "region"),
    **dict.fromkeys(("ZipCode", "ZipPlus4"), "postcode"),
    **dict.fromkeys(("CountryName",), "country"),
    **dict.fromkeys(("BuildingName", "LandmarkName", "Recipient"), "venue"),
}


def tag_of(name: str) -> str | None:
    """Our tag for a tag of usaddress; every part of a street is the street."""
    return "street" if name.startswith("StreetName") else TAGS.get(name)


def gold_of(address: ElementTree.Element) -> tuple[str, dict[str, str]] | None:
    """Text and components of one labelled address, or None where one of our tags would stand twice."""
    raw, parts = "", []
    for part in address:
        tag, start = tag_of(part.tag), len(raw)
        raw += part.text or ""
        if tag and parts and parts[-1][0] == tag:
            parts[-1] = (tag, parts[-1][1], len(raw))
        else:
            parts.append((tag, start, len(raw)))
        raw += part.tail if part.tail and not part.tail.strip() else " "
    ranges = {tag: trim(raw, start, end) for tag, start, end in parts if tag}
    if not ranges or None in ranges.values() or len(ranges) < sum(tag is not None for tag, _, _ in parts):
        return None
    return raw.strip(), {tag: raw[kept[0] : kept[1]] for tag, kept in ranges.items() if kept}


def main() -> None:
    """Score the package on every row that maps."""
    package, folder = Path(sys.argv[1]), Path(sys.argv[2])
    rows, left_out = [], 0
    for name in FILES:
        content = (folder / name).read_bytes()
        tree = ElementTree.fromstring(gzip.decompress(content) if name.endswith(".gz") else content)
        for number, address in enumerate(tree):
            found = gold_of(address)
            if found is None:
                left_out += 1
                continue
            facts = {"raw": found[0], "components": found[1], "country": "US", "source": "usaddress", "notes": ""}
            rows.append(row_of(facts, where=f"{name}:{number}", stratum="real"))
    golden = GoldenSet(tuple(rows))
    predictions = predictions_of(Parser.load(package), golden)
    report = evaluate(golden, predictions, decoder=CONSTRAINED_DECODER, policy="normalised").report
    names = ("core_macro_f1", "micro_f1", "exact_match")
    figures = {name: [round(report[name], 4), *report["intervals"][name]] for name in names}
    tags = {tag: found["f1"] for tag, found in report["per_tag"].items() if found["support"]}
    print(json.dumps({"rows": len(rows), "left_out": left_out, **figures, "f1": tags}))


if __name__ == "__main__":
    main()
