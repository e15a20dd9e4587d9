"""`mw-pipeline probe`: forensics on a checkpoint: its gradients, its activations, its labels."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from mw_pipeline.cli import EXIT_OK, say
from mw_pipeline.cli.arguments import local_path, named_path, positive_count
from mw_pipeline.cli.project import place_in_use
from mw_pipeline.digest import JSON
from mw_pipeline.metrics.resampling import RESAMPLES
from mw_pipeline.probes import activations, gradients, separation
from mw_pipeline.probes.traces import TOKEN_SETS, Trace, trace_from
from mw_pipeline.report.probe.tables import probe_markdown
from mw_pipeline.stages.place import Place
from mw_pipeline.stages.probes import recipe_at, subject_at

PRECISIONS = ("fp32", "bf16")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """gradients | activations | separation, each with --checkpoint DIR [--dataset DIR] [--picture FILE]."""
    kinds = parser.add_subparsers(dest="probe", required=True, metavar="gradients|activations|separation")
    asked = _kind(kinds, "gradients", "the two terms of a loss against each other, and each source by itself")
    asked.add_argument("--recipe", metavar="R", help="whose loss and mix; left out: that of the run")
    asked.add_argument("--batches", type=positive_count, default=gradients.BATCHES, help="at least 5")
    asked = _kind(kinds, "activations", "every stage of the network, and where two checkpoints part")
    asked.add_argument("--against", type=named_path, metavar="OTHER", help="a checkpoint, a run, or a printed trace")
    asked.add_argument("--tokens", choices=TOKEN_SETS, default="all", help="which pieces to look at")
    asked.add_argument("--rows", type=positive_count, default=activations.ROWS, help="validation rows to trace")
    asked.add_argument("--precision", choices=PRECISIONS, default="fp32", help="of the checkpoint's own trace")
    asked.add_argument("--against-precision", choices=PRECISIONS, default="fp32", help="of the other's")
    asked = _kind(kinds, "separation", "what each label gives to the pieces of its spans, and to all others")
    asked.add_argument("--rows", type=positive_count, default=separation.ROWS, help="rows of each split")
    asked.add_argument("--resamples", type=positive_count, default=RESAMPLES, help="bootstrap draws of the intervals")


def _kind(kinds: argparse._SubParsersAction, name: str, text: str) -> argparse.ArgumentParser:  # type: ignore[type-arg]
    parser: argparse.ArgumentParser = kinds.add_parser(
        name, help=text, description=text, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--checkpoint", type=named_path, required=True, metavar="DIR", help="checkpoint or run folder")
    parser.add_argument(
        "--dataset", type=named_path, metavar="DIR", help="tokenized dataset; left out: the one trained on"
    )
    parser.add_argument("--picture", type=local_path, metavar="FILE", help="draw what was found (.svg or .png)")
    return parser


def run(args: argparse.Namespace) -> int:
    """Prints what the probe found as JSON on stdout, and as a table on stderr."""
    found = _PROBES[args.probe](place_in_use(), args)
    if args.picture is not None:
        _draw(found, args.picture)
    print(json.dumps(found, ensure_ascii=False))
    say(probe_markdown(found))
    return EXIT_OK


def _gradients(place: Place, args: argparse.Namespace) -> dict[str, JSON]:
    recipe = recipe_at(place, args.checkpoint, args.recipe)
    subject = subject_at(place, args.checkpoint, args.dataset)
    return gradients.probe_gradients(subject, recipe, batches=args.batches)


def _activations(place: Place, args: argparse.Namespace) -> dict[str, JSON]:
    subject = subject_at(place, args.checkpoint, args.dataset)
    trace = activations.trace_of(subject, name=str(args.checkpoint), rows=args.rows, precision=args.precision)
    reference = None if args.against is None else _reference(place, args)
    return activations.probe_activations(subject, trace, reference, tokens=args.tokens)


def _reference(place: Place, args: argparse.Namespace) -> Trace:
    if args.against.is_file():
        return trace_from(args.against)
    subject = subject_at(place, args.against, args.dataset)
    return activations.trace_of(subject, name=str(args.against), rows=args.rows, precision=args.against_precision)


def _separation(place: Place, args: argparse.Namespace) -> dict[str, JSON]:
    subject = subject_at(place, args.checkpoint, args.dataset)
    return separation.probe_separation(subject, rows=args.rows, resamples=args.resamples)


_PROBES = {"gradients": _gradients, "activations": _activations, "separation": _separation}


def _draw(found: dict[str, JSON], path: Path) -> None:
    from mw_pipeline.report.probe.charts import write_probe  # matplotlib takes a second to load

    write_probe(found, path)
