"""Arguments that several commands take."""

from __future__ import annotations

import argparse
from pathlib import Path

from mw_pipeline.cli import say
from mw_pipeline.golden.gold import GoldenSet, load_golden
from mw_pipeline.labels import STAGE3_TAGS
from mw_pipeline.metrics.matching import POLICIES
from mw_pipeline.metrics.resampling import RESAMPLES
from mw_pipeline.urls import is_url, meant_url

_SHOWN_FINDINGS = 5


def positive_count(text: str) -> int:
    """A whole number of at least 1, for argparse."""
    return _whole_number(text, least=1)


def seed_number(text: str) -> int:
    """A whole number of at least 0, for argparse: what random generators start from."""
    return _whole_number(text, least=0)


def share(text: str) -> float:
    """A number from 0 to 1, for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share from 0 to 1")
    return value


def local_path(text: str) -> Path:
    """A place on this machine to write to, for argparse: as a path, s3://bucket/rows would be a folder called "s3:"."""
    return path_on_this_machine(text, otherwise="Write here, and copy it there")


def path_on_this_machine(text: str, *, otherwise: str) -> Path:
    """A path, for argparse; `otherwise` says what to do with a URL, which is none."""
    meant = meant_url(text)
    if is_url(text) or meant:
        what = f"is the URL {meant!r} with a slash missing" if meant else "is a URL"
        raise argparse.ArgumentTypeError(f"{text!r} {what}, expected a path on this machine. {otherwise}")
    return named_path(text)


def named_path(text: str) -> Path:
    """A path, for argparse: an empty one, as an unset variable leaves it, would be the current folder."""
    if not text:
        raise argparse.ArgumentTypeError("is empty, expected a path. Write it out; '.' is the current folder")
    return Path(text)


def _whole_number(text: str, *, least: int) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < least:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {least}")
    return int(text)


def add_gold_arguments(parser: argparse.ArgumentParser) -> None:
    """--golden FILE... and how to compare with it."""
    parser.add_argument(
        "--golden", type=named_path, nargs="+", required=True, metavar="FILE", help="gold rows as JSON lines"
    )
    parser.add_argument(
        "--tags",
        nargs="+",
        choices=STAGE3_TAGS,
        metavar="TAG",
        help="the tags its labels are complete for; others are not scored",
    )
    parser.add_argument("--policy", choices=tuple(POLICIES), default="strict", help="when two values are equal")
    parser.add_argument("--resamples", type=positive_count, default=RESAMPLES, help="bootstrap draws of the intervals")
    parser.add_argument("--seed", type=seed_number, default=0, help="seed of these draws")


def add_prediction_arguments(parser: argparse.ArgumentParser, *, decoder: str) -> None:
    """--predictions FILE and what is known of it."""
    parser.add_argument(
        "--predictions", type=named_path, required=True, help='JSON lines {"raw", "components"}, one per text'
    )
    parser.add_argument("--decoder", default=decoder, help="how values were decoded; compared with other scores")
    parser.add_argument("--stage", type=int, choices=(2, 3), default=3, help="label set whose tags are looked at")


def gold_of(args: argparse.Namespace) -> GoldenSet:
    """The gold rows; what is wrong with them is said on stderr: it lowers the ceiling, or makes one row count twice."""
    golden = load_golden(args.golden, tags=args.tags)
    for finding in golden.findings[:_SHOWN_FINDINGS]:
        say(f"gold: {finding}")
    if len(golden.findings) > _SHOWN_FINDINGS:
        say(f"gold: {len(golden.findings) - _SHOWN_FINDINGS} more findings")
    return golden
