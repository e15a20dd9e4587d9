"""How fast the embedded default makes aligned rows, against the floor of only writing them.

    python benchmarks/builtin_rows.py [RECORDS]

Prints JSON: rows, CPU seconds (all threads of this process) to make, align, check, count and write them, the same for
writing the finished rows with pyarrow and no logic, rows per CPU second, and the ratio of the two.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

import pyarrow.parquet as pq

from mw_pipeline.recipe import load_corpus_spec
from mw_pipeline.stages.corpus import build_source

PROJECT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Build, then write again what was built."""
    records = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    spec = load_corpus_spec(PROJECT / "corpora" / "builtin.toml")
    settings = spec.sources["builtin"].model_copy(update={"max_records": records})
    spec = spec.model_copy(update={"sources": {"builtin": settings}})
    small = settings.model_copy(update={"max_records": 1000})
    with tempfile.TemporaryDirectory() as folder:
        # The names are loaded once per process, whatever the size: not part of the rate.
        warm_spec = spec.model_copy(update={"sources": {"builtin": small}})
        build_source(warm_spec, "builtin", Path(folder), Path(folder) / "warm")
        begun = time.process_time()
        summary = build_source(spec, "builtin", Path(folder), Path(folder) / "out")
        built_seconds = time.process_time() - begun
        tables = [pq.read_table(path) for path in summary.shards]
        begun = time.process_time()
        for number, table in enumerate(tables):
            pq.write_table(table, Path(folder) / f"floor-{number}.parquet", compression="zstd")
        floor_seconds = time.process_time() - begun
    rows = summary.counts["rows"]
    figures = {
        "records": records,
        "rows": rows,
        "build_cpu_seconds": round(built_seconds, 2),
        "floor_cpu_seconds": round(floor_seconds, 2),
        "rows_per_cpu_second": round(rows / built_seconds),
        "ratio_to_floor": round(built_seconds / floor_seconds, 2),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
