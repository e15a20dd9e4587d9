"""What the client in JavaScript asks of a package, file by file: made here, and looked for here again.

It installs a package with npm, takes `package.json` and the card at their word, and adds the scores of
`crf-transitions.json` up as they are.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from mw_pipeline.checksums import SUMS_NAME
from mw_pipeline.client import FORBIDDEN_SCORE, MOST_PIECES
from mw_pipeline.client.npm import license_problem, name_problem, version_problem
from mw_pipeline.digest import JSON
from mw_pipeline.labels import LabelSet
from mw_pipeline.package.lineage import LINEAGE_NAME
from mw_pipeline.package_files import (
    ATTRIBUTION_NAME,
    CARD_NAME,
    FACTS_NAME,
    ONNX_NAME,
    README_NAME,
    TRANSITIONS_NAME,
    PackageFiles,
    read_json,
)
from mw_pipeline.tokenizer import MODEL_NAME as TOKENIZER_NAME

ALL_NAMES = (
    ATTRIBUTION_NAME,
    README_NAME,
    SUMS_NAME,
    TRANSITIONS_NAME,
    LINEAGE_NAME,
    CARD_NAME,
    ONNX_NAME,
    FACTS_NAME,
    TOKENIZER_NAME,
)
"""The files of a package: npm packs exactly those that `package.json` lists."""
EXPORTS = {"./*": "./*"}
"""Every file can be asked for by its name, as in `@mailwoman/neural-weights-en-us/model.onnx`."""
FORMAT = "onnx-int8"

_ACTED_ON = ("scripts", "bin", "dependencies", "optionalDependencies", "peerDependencies", "bundleDependencies")
_SCORES = ("transitions", "start_transitions", "end_transitions")


def client_keys(folder: Path, card: Mapping[str, JSON], *, channels: Sequence[str]) -> dict[str, JSON]:
    """The keys of a card that the client reads; `card` has the others, and its `files` lie in the folder."""
    return {
        "format": FORMAT,
        "license": read_json(folder / FACTS_NAME)["license"],
        "requires": {channel: {"required": False} for channel in channels},
        "capabilities": {"crf": True, "any_batch": True, "max_pieces": card["model"]["max_length"]},
        "components_supported": list(card["tags"]),
        "files_md5": {name: md5_of(folder / name) for name in card["files"]},
    }


def md5_of(path: Path) -> str:
    """The MD5 (hex) of a file: the client knows its files by it; what vouches for them is SHA256SUMS."""
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def contract_findings(files: PackageFiles) -> Iterator[str]:
    """What the client would not take, one sentence each."""
    yield from (f"{FACTS_NAME}: {finding}" for finding in _facts_findings(files))
    crf = read_json(files.path / TRANSITIONS_NAME)
    yield from (f"{TRANSITIONS_NAME}: {finding}" for finding in _score_findings(crf, files.labels))
    card = read_json(files.path / CARD_NAME)
    yield from (f"{CARD_NAME}: {finding}" for finding in _card_findings(card, files))


def _facts_findings(files: PackageFiles) -> Iterator[str]:
    facts = files.facts
    for key, problem_of in (("name", name_problem), ("version", version_problem), ("license", license_problem)):
        value = facts.get(key)
        if problem := problem_of(value if isinstance(value, str) else ""):
            yield f"{key} is {value!r}: {problem}"
    if not facts.get("description"):
        yield "has no description"
    yield from (f"has {key}, on which npm would act, and weights need none" for key in _ACTED_ON if key in facts)
    listed = facts.get("files")
    if not isinstance(listed, list) or sorted(map(str, listed)) != sorted(ALL_NAMES):
        yield f"files is {listed!r:.80}, expected a list of {', '.join(ALL_NAMES)}"
    if facts.get("exports") != EXPORTS:
        yield f"exports is {facts.get('exports')!r:.80}, expected {EXPORTS!r}"
    if files.max_length > MOST_PIECES:
        yield f"max_length is {files.max_length}, the client runs {MOST_PIECES} pieces at most"


def _score_findings(crf: Mapping[str, JSON], labels: LabelSet) -> Iterator[str]:
    """Finite numbers everywhere, and the forbidding one exactly where BIO forbids."""
    legal = (labels.legal_moves(), (labels.legal_starts(),), ((True,) * len(labels),))
    for key, wanted in zip(_SCORES, legal, strict=True):
        if key not in crf:
            yield f"has no {key}, without which the client ignores the CRF"
            continue
        rows = crf[key] if key == _SCORES[0] else [crf[key]]
        numbers = [number for row in rows for number in row]
        odd = next((n for n in numbers if type(n) not in (int, float) or not math.isfinite(n)), None)
        if odd is not None or None in numbers:
            yield f"{key} holds {odd!r}, expected finite numbers: the client adds null as 0"
        elif [[number > FORBIDDEN_SCORE for number in row] for row in rows] != [list(row) for row in wanted]:
            yield f"{key} forbids other moves than BIO does: expected {FORBIDDEN_SCORE:g} there and nowhere else"
        elif min(numbers) < FORBIDDEN_SCORE:
            yield f"{key} holds {min(numbers)!r}, expected {FORBIDDEN_SCORE:g} for what is forbidden"


def _card_findings(card: Mapping[str, JSON], files: PackageFiles) -> Iterator[str]:
    for key, kind in (("format", str), ("requires", dict), ("capabilities", dict)):
        if not isinstance(card.get(key), kind):
            yield f"{key} is {card.get(key)!r}, expected {'a text' if kind is str else 'an object'}"
    for channel, asked in dict(card.get("requires") or {}).items():
        if asked != {"required": False}:
            yield f"requires.{channel} is {asked!r}, but the network takes pieces alone: expected {{'required': False}}"
    same = {"license": files.facts.get("license"), "components_supported": list(files.labels.tags)}
    for key, found in same.items():
        if card.get(key) != found:
            yield f"{key} is {card.get(key)!r}, this package has {found!r}"
    md5 = {name: md5_of(files.path / name) for name in card["files"] if (files.path / name).is_file()}
    if card.get("files_md5") != md5:
        yield "files_md5 is not that of the files in this folder"
