"""What the client in JavaScript asks of a package, file by file: made here, and looked for here again.

It installs a package with npm, takes `package.json` and the card at their word, and adds the scores of
`crf-transitions.json` up as they are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from mw_pipeline.checksums import SUMS_NAME
from mw_pipeline.client import FORBIDDEN_SCORE, MOST_PIECES
from mw_pipeline.client.npm import license_problem, name_problem, version_problem
from mw_pipeline.digest import JSON, digest_of
from mw_pipeline.labels import LabelSet
from mw_pipeline.package.lineage import LINEAGE_NAME
from mw_pipeline.parser_files import (
    ATTRIBUTION_NAME,
    CARD_NAME,
    FACTS_NAME,
    ONNX_NAME,
    README_NAME,
    TRANSITIONS_NAME,
    ParserFiles,
    read_json,
)
from mw_pipeline.tokenizer import MODEL_NAME as TOKENIZER_NAME
from mw_pipeline.tokenizer import PAD_ID

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
LISTED_NAMES = tuple(sorted({*ALL_NAMES} - {CARD_NAME, README_NAME, SUMS_NAME}))
"""The files whose hashes the card holds: all but itself, and what is written after it."""
EXPORTS = {"./*": "./*"}
"""Every file can be asked for by its name, as in `@mailwoman/neural-weights-en-us/model.onnx`."""
ROLES = {"model": ONNX_NAME, "tokenizer": TOKENIZER_NAME, "transitions": TRANSITIONS_NAME}
FACTS_KEYS = (
    "name",
    "version",
    "license",
    "description",
    "files",
    "exports",
    "locale",
    "labels",
    "label_hash",
    "max_length",
    "pad_id",
    "roles",
    "created_by",
)
"""All that `package.json` may say: npm acts on many another key, and on more of them every year."""
FORMAT = "onnx-int8"

_ON_BOTH = ("name", "version", "locale", "created_by", "license")  # on the card and in package.json
_SCORES = ("transitions", "start_transitions", "end_transitions")


def client_keys(folder: Path, card: Mapping[str, JSON], *, channels: Sequence[str]) -> dict[str, JSON]:
    """The keys of a card that the client reads; `card` has the others, and its `files` lie in the folder."""
    return {
        "format": FORMAT,
        "license": read_json(folder / FACTS_NAME)["license"],
        "requires": {channel: {"required": False} for channel in channels},
        "capabilities": _capabilities(card["model"]["max_length"]),
        "components_supported": list(card["tags"]),
        "files_md5": {name: md5_of(folder / name) for name in card["files"]},
    }


def _capabilities(max_length: int) -> dict[str, JSON]:
    return {"crf": True, "any_batch": True, "max_pieces": max_length}


def md5_of(path: Path) -> str:
    """The MD5 (hex) of a file: the client knows its files by it; what vouches for them is SHA256SUMS."""
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def contract_findings(files: ParserFiles) -> Iterator[str]:
    """What the client would not take, one sentence each."""
    yield from (
        f"{path.name}: is no file of a package, and npm would not pack it"
        for path in sorted(files.path.iterdir())
        if path.name not in ALL_NAMES
    )
    yield from (f"{FACTS_NAME}: {finding}" for finding in _facts_findings(files))
    crf = read_json(files.path / TRANSITIONS_NAME)
    yield from (f"{TRANSITIONS_NAME}: {finding}" for finding in _score_findings(crf, files.labels))
    card = read_json(files.path / CARD_NAME)
    yield from (f"{CARD_NAME}: {finding}" for finding in _card_findings(card, files))


def _facts_findings(files: ParserFiles) -> Iterator[str]:
    facts = files.facts
    for key, problem_of in (("name", name_problem), ("version", version_problem), ("license", license_problem)):
        value = facts.get(key)
        if problem := problem_of(value if isinstance(value, str) else ""):
            yield f"{key} is {value!r}: {problem}"
    for key in ("description", "locale", "created_by"):
        if not (isinstance(facts.get(key), str) and facts[key]):
            yield f"{key} is {facts.get(key)!r:.80}, expected a text"
    yield from (f"has {key}, on which npm may act, and weights need none" for key in facts if key not in FACTS_KEYS)
    listed = facts.get("files")
    if not isinstance(listed, list) or sorted(map(str, listed)) != sorted(ALL_NAMES):
        yield f"files is {listed!r:.80}, expected a list of {', '.join(ALL_NAMES)}"
    fixed = {"exports": EXPORTS, "roles": ROLES, "pad_id": PAD_ID, "labels": list(files.labels.labels)}
    for key, wanted in fixed.items():
        if _differ(facts.get(key), wanted):
            yield f"{key} is {facts.get(key)!r:.80}, expected {wanted!r}"
    if files.max_length > MOST_PIECES:
        yield f"max_length is {files.max_length}, the client runs {MOST_PIECES} pieces at most"


def _score_findings(crf: Mapping[str, JSON], labels: LabelSet) -> Iterator[str]:
    """Numbers everywhere, and the forbidding one exactly where BIO forbids."""
    if "labels" in crf and crf["labels"] != list(labels.labels):
        yield f"labels is {crf['labels']!r:.80}, expected those of {FACTS_NAME} in their order"
    legal = (labels.legal_moves(), (labels.legal_starts(),), ((True,) * len(labels),))
    for key, wanted in zip(_SCORES, legal, strict=True):
        if key not in crf:
            yield f"has no {key}, without which the client ignores the CRF"
            continue
        rows = crf[key] if key == _SCORES[0] else [crf[key]]
        numbers = [number for row in rows for number in row]
        if None in numbers:
            yield f"{key} holds null, expected numbers alone: the client adds null as 0"
        elif [[number > FORBIDDEN_SCORE for number in row] for row in rows] != [list(row) for row in wanted]:
            yield f"{key} forbids other moves than BIO does: expected {FORBIDDEN_SCORE:g} there and nowhere else"


def _card_findings(card: Mapping[str, JSON], files: ParserFiles) -> Iterator[str]:
    """What the card claims is what `package.json`, the labels and the files in this folder say."""
    requires = card.get("requires")
    if not isinstance(requires, dict):
        yield f"requires is {requires!r}, expected an object"
    for channel, value in requires.items() if isinstance(requires, dict) else ():
        if _differ(value, {"required": False}):
            yield f"requires.{channel} is {value!r}, but the network takes pieces alone: expected {{'required': False}}"
    claims: dict[str, JSON] = {key: files.facts.get(key) for key in _ON_BOTH}
    claims |= {"labels": list(files.labels.labels), "tags": list(files.labels.tags)}
    claims |= {"components_supported": list(files.labels.tags)}
    claims |= {"format": FORMAT, "capabilities": _capabilities(files.max_length)}
    for key, expected in claims.items():
        if _differ(card.get(key), expected):
            yield f"{key} is {card.get(key)!r}, this package has {expected!r}"
    if sorted(card["files"]) != list(LISTED_NAMES):
        yield f"files names {', '.join(sorted(card['files'])) or 'nothing'}, expected {', '.join(LISTED_NAMES)}"
    md5 = {name: md5_of(files.path / name) for name in LISTED_NAMES if (files.path / name).is_file()}
    if card.get("files_md5") != md5:
        yield "files_md5 is not that of the files in this folder"


def _differ(one: JSON, other: JSON) -> bool:
    """Whether two values are written otherwise in JSON, where true is no 1. Raises ValueError for NaN."""
    return digest_of(one) != digest_of(other)
