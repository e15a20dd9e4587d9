"""How fast records become aligned rows, plain and by each augmentation alone.

    python benchmarks/composition.py CORPUS SOURCE

CORPUS is a spec of corpora/ and SOURCE one of its sources, whose files lie below MW_DATA. Prints JSON: per country of
the first batch its records, and the rows per CPU second (the best of three) of composing them plainly, with the doses
of the spec, and with each method asked of every row. Takes about half a minute on a free core; stderr says where it is.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mw_pipeline.corpus.augment import METHODS
from mw_pipeline.corpus.intake import admit
from mw_pipeline.corpus.pieces import Job
from mw_pipeline.corpus.rows import compose_rows
from mw_pipeline.errors import CorpusError, MwError
from mw_pipeline.failures import EXIT_BAD_INPUT
from mw_pipeline.recipe import load_corpus_spec
from mw_pipeline.records.adapter import read_records
from mw_pipeline.records.tables import Rejects
from mw_pipeline.sources.registry import get_adapter

PROJECT = Path(__file__).resolve().parent.parent
SMALLEST = 1000


def first_batch(corpus: str, source: str) -> tuple[pa.Table, dict[str, float]]:
    """The first admitted records of a source, all in training, and the doses of its corpus for the second variant."""
    spec = load_corpus_spec(PROJECT / "corpora" / f"{corpus}.toml")
    if source not in spec.sources:
        raise CorpusError(f"{source!r} is no source of corpora/{corpus}.toml: name one of {', '.join(spec.sources)}.")
    settings = spec.sources[source]
    paths = sorted(Path(os.environ.get("MW_DATA", ".")).glob(settings.input)) if settings.input else []
    job = Job(spec, source, get_adapter(settings.adapter), Path(), "")
    rejects = Rejects(source)
    first = next(read_records(job.adapter, job.reading(paths), rejects), None)
    if first is None:
        raise CorpusError(
            f"source {source!r} of corpora/{corpus}.toml has no record. Set MW_DATA to where its files lie."
        )
    batch = admit(first, spec.countries, rejects)
    records = pa.Table.from_batches([batch])
    return records.append_column("split", pa.array(["train"] * len(records))), job.doses


def rate(records: pa.Table, variant: int, doses: Mapping[str, float]) -> int:
    """Rows per CPU second, the best of three."""
    seconds = []
    for seed in range(3):
        begun = time.process_time()
        compose_rows(records, source="any", variant=variant, doses=doses, rng=np.random.default_rng(seed))
        seconds.append(time.process_time() - begun)
    return int(len(records) / min(seconds))


def main() -> None:
    """Measure each country that has enough records."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", help="a spec of corpora/, such as builtin")
    parser.add_argument("source", help="one of its sources, such as builtin")
    arguments = parser.parse_args()
    try:
        records, doses = first_batch(arguments.corpus, arguments.source)
    except MwError as error:
        parser.exit(EXIT_BAD_INPUT, f"{error}\n")
    figures = {}
    for country in pc.unique(records["country_code"]).to_pylist():
        of_country = records.filter(pc.equal(records["country_code"], country)).combine_chunks()
        if len(of_country) >= SMALLEST:
            print(f"{country}: {len(of_country):,} records, {len(METHODS) + 2} ways", file=sys.stderr)
            figures[country] = {
                "records": len(of_country),
                "plain": rate(of_country, 0, {}),
                "doses_of_the_corpus": rate(of_country, 1, doses),
                **{name: rate(of_country, 1, {name: 1.0}) for name in METHODS},
            }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
