"""Backtests the verdict: what it says to smokes whose full runs were made too, beside other gates on the same logs.

    python benchmarks/verdict.py [--cache DIR] [--seeds N ...] [--cases N] [--workers N] [--write docs/verdict.md]

Prints JSON: the verdict on logs of the reference campaign's shapes with noise, and on real runs of this trainer, with
detection, false alarms and steps saved of every gate. Every real run is kept in the cache by its digest: stopped at any
moment, the benchmark goes on where it was. `--only-cached` makes no run and reports on those that are there.
Needs the extra `[bench]`.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import multiprocessing
import os
import sys
from itertools import islice
from pathlib import Path

from backtest import tables
from backtest.answer import Smoke
from backtest.cases import Case, cases
from backtest.corpus import Corpus, corpus_at
from backtest.figures import Figures, Tried, figures_of
from backtest.gates import GATES, watched
from backtest.runs import is_done, run_path, train_unwatched
from backtest.shapes import right_shares
from backtest.truth import end_f1, ending_of
from marked_pages import write_between

from mw_pipeline.verdict.exposure import facts_of_run
from mw_pipeline.verdict.runlog import read_run

RECORDS = 20_000
NOISES = ((0.02, 0.0), (0.05, 0.005), (0.10, 0.01), (0.20, 0.02))
KINDS = ("smoke", "full")


def main() -> None:
    """Runs what is missing, judges what is there."""
    args = _arguments()
    os.nice(args.nice)
    corpus = corpus_at(args.cache / "corpus", records=RECORDS)
    wanted = list(islice(cases(args.seeds), args.cases))
    if not args.only_cached:
        train_all(wanted, corpus, args.cache / "runs", workers=args.workers)
    tried = [t for case in wanted if (t := try_case(case, corpus, args.cache / "runs")) is not None]
    figures = figures_of(tried)
    shapes = _shapes(args.shape_seeds)
    found = {"campaign": shapes, "real": figures, "cases": [dataclasses.asdict(t) for t in tried]}
    print(json.dumps(found, indent=2, ensure_ascii=False))
    if args.write:
        write_between(args.write, tables.MARKS, tables.markdown(figures, shapes))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cache", type=Path, default=Path(".mw/backtest"), help="where corpus and runs are kept")
    parser.add_argument("--seeds", type=int, nargs="+", default=[2, 3], help="seeds of every case, one after the other")
    parser.add_argument("--cases", type=int, help="only the first so many cases")
    parser.add_argument("--shape-seeds", type=int, default=100, help="drawn logs for each row of the campaign")
    parser.add_argument("--workers", type=int, default=1, help="processes that train side by side")
    parser.add_argument("--nice", type=int, default=10, help="how far to step back behind other work")
    parser.add_argument("--only-cached", action="store_true", help="make no run, report on those that are there")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="write the tables between the marks of this page")
    return parser.parse_args()


def train_all(wanted: list[Case], corpus: Corpus, runs: Path, *, workers: int) -> None:
    """Every run of every case that is not in the cache; cases that share a run make it once."""
    tasks = {run_path(runs, case, corpus, kind): (case, kind) for case in wanted for kind in KINDS}
    left = [(case, corpus, kind, path) for path, (case, kind) in tasks.items() if not is_done(path)]
    # A worker is a fresh process: torch's threads do not survive a fork.
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        for done, name in enumerate(pool.imap_unordered(_train_one, left), start=1):
            print(f"{done} of {len(left)}: {name}", file=sys.stderr, flush=True)


def _train_one(task: tuple[Case, Corpus, str, Path]) -> str:
    case, corpus, kind, path = task
    train_unwatched(case, corpus, kind, path)
    return f"{kind} of {case.name}"


def try_case(case: Case, corpus: Corpus, runs: Path) -> Tried | None:
    """The case with both its runs; None while one of them is missing."""
    smoke_path, full_path = (run_path(runs, case, corpus, kind) for kind in KINDS)
    if not is_done(smoke_path) or not is_done(full_path):
        return None
    log, full = read_run(smoke_path), read_run(full_path)
    smoke = Smoke(log, facts_of_run(full.run))
    return Tried(
        cause=case.cause,
        name=case.name,
        seed=case.seed,
        ending=ending_of(full.steps, full.evals, full.run["label_entropy"]),
        smoke_steps=int(log.run["step"]),
        full_steps=int(full.run["step"]),
        end_f1=end_f1(full.evals),
        answers={name: gate(smoke) for name, gate in GATES.items()},
        watchdog=watched(full),
    )


def _shapes(seeds: int) -> list[Figures]:
    found = []
    for loss_noise, f1_noise in NOISES:
        shares = right_shares(seeds=seeds, loss_noise=loss_noise, f1_noise=f1_noise)
        logs = seeds * len(shares)
        right = round(sum(shares.values()) * seeds)
        by_row = {str(row): share for row, share in shares.items()}
        found.append({"loss_noise": loss_noise, "f1_noise": f1_noise, "logs": logs, "right": right, "by_row": by_row})
    return found


if __name__ == "__main__":
    main()
