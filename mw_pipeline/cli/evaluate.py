"""`mw-pipeline evaluate`: a package or a checkpoint against gold rows."""

from __future__ import annotations

import argparse
import importlib
import json
from pathlib import Path
from typing import cast

from mw_pipeline.cli.arguments import add_gold_arguments, gold_of, local_path, named_path
from mw_pipeline.cli.score import print_scores
from mw_pipeline.errors import ArtifactError
from mw_pipeline.evaluate.evaluation import CONSTRAINED_DECODER
from mw_pipeline.evaluate.predictions import predictions_of
from mw_pipeline.parse import Parser
from mw_pipeline.parser_files import package_at


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """--package DIR | --checkpoint DIR, --golden FILE..."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--package", type=named_path, metavar="DIR", help="a package, or a release folder: its own bytes are measured"
    )
    source.add_argument(
        "--checkpoint", type=named_path, metavar="DIR", help="checkpoint or run folder; needs the train extra"
    )
    parser.add_argument("--locale", help="which package of a release folder, such as fr-fr")
    parser.add_argument(
        "--tokenizer", type=named_path, metavar="FILE", help="the checkpoint's tokenizer, if not beside it"
    )
    add_gold_arguments(parser)
    parser.add_argument(
        "--predictions-out", type=local_path, metavar="FILE", help="also write the predictions as JSON lines"
    )


def run(args: argparse.Namespace) -> int:
    """Prints the scores as JSON on stdout and as a table on stderr."""
    golden = gold_of(args)
    parser = _parser(args)
    predictions = predictions_of(parser, golden)
    if args.predictions_out:
        rows = (prediction.as_json(raw) for raw, prediction in zip(golden.raws, predictions, strict=True))
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        args.predictions_out.write_text(text, encoding="utf-8")
    return print_scores(args, golden, predictions, decoder=CONSTRAINED_DECODER, labels=parser.labels)


def _parser(args: argparse.Namespace) -> Parser:
    """The parser to be measured. Raises ArtifactError for an argument that it has no use for."""
    ignored = ("tokenizer", "a package has its own") if args.package else ("locale", "a checkpoint is for all locales")
    if getattr(args, ignored[0]) is not None:
        raise ArtifactError(f"--{ignored[0]} was given, but {ignored[1]}. Leave it out.")
    if args.package:
        return Parser.load(package_at(args.package, args.locale))
    return _checkpoint_parser(args.checkpoint, args.tokenizer)


def _checkpoint_parser(path: Path, tokenizer_path: Path | None) -> Parser:
    """Torch is imported here alone, so that a package can be evaluated where only the base install is."""
    module = importlib.import_module("mw_pipeline.evaluate.checkpoint_parser")
    return cast(Parser, module.checkpoint_parser(path, tokenizer_path))
