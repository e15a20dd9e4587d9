"""The model card, README and attribution of a package: generated from measured values, never typed.

Everything here is a pure function of what it is given; `package` gathers the facts and writes the files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mw_pipeline.digest import JSON, digest_of
from mw_pipeline.package.lineage import LINEAGE_NAME
from mw_pipeline.package_files import CARD_NAME, ONNX_NAME, TRANSITIONS_NAME
from mw_pipeline.parse import ParsedAddress
from mw_pipeline.tokenizer import MODEL_NAME as TOKENIZER_NAME

EXAMPLES = {
    "en-us": "1600 Pennsylvania Ave NW, Washington, DC 20500",
    "fr-fr": "12 bis rue de la République, 75001 Paris",
}
"""The address that the README of a locale parses; another locale shows the first."""

_DIAGNOSED = ("policy", "rows", "totals", "meanings", "buckets", "failure_modes")
_FAILURE_MODES_SHOWN = 8

PURPOSES = {
    ONNX_NAME: "the network, int8 weights",
    TOKENIZER_NAME: "SentencePiece model",
    TRANSITIONS_NAME: "labels and the scores of moves between them; null forbids",
    CARD_NAME: "what is known of this model",
    LINEAGE_NAME: "every artifact behind these weights, with digests",
}


@dataclass(frozen=True)
class Licence:
    """What one source of the training rows asks of those who pass the weights on."""

    source: str
    licence: str
    attribution: str


@dataclass(frozen=True)
class Evidence:
    """What was measured on the way to a package, each value as its stage wrote it.

    run        facts of the training run (`run.json`)
    corpus     name, version, counts of the corpus
    diagnosis  misses sorted into buckets (see `diagnose`): the known failure modes
    lineage    see `lineage.lineage_of`
    licences   of all sources of the training rows
    """

    run: Mapping[str, JSON]
    corpus: Mapping[str, JSON]
    diagnosis: Mapping[str, JSON]
    lineage: Mapping[str, JSON]
    licences: Sequence[Licence]


def model_card(
    *,
    facts: Mapping[str, JSON],
    model: Mapping[str, JSON],
    files: Mapping[str, JSON],
    scores: Mapping[str, JSON],
    evidence: Evidence,
    toolchain: Mapping[str, str],
) -> dict[str, JSON]:
    """The card: `facts` are those of package.json, `model` describes the network, `scores` were measured on `files`."""
    labels = facts["labels"]
    return {
        "name": facts["name"],
        "version": facts["version"],
        "locale": facts["locale"],
        "created_by": facts["created_by"],
        "task": "address parsing: one BIO label per piece, decoded to spans",
        "tags": [label[2:] for label in labels if label.startswith("B-")],
        "labels": labels,
        "label_hash": facts["label_hash"],
        "model": dict(model),
        "files": dict(files),
        "metrics": {"measured_on": {ONNX_NAME: files[ONNX_NAME]["sha256"]}, **scores},
        "training": dict(evidence.run),
        "corpus": dict(evidence.corpus),
        "licences": [vars(licence) for licence in evidence.licences],
        "known_failure_modes": {key: evidence.diagnosis[key] for key in _DIAGNOSED if key in evidence.diagnosis},
        "toolchain": dict(toolchain),
        "lineage": {"roots": evidence.lineage.get("roots", []), "digest": digest_of(evidence.lineage)},
    }


def package_readme(card: Mapping[str, JSON], example: ParsedAddress) -> str:
    """The README of a package, in Markdown, with the real parse of an example."""
    shown = json.dumps(example.as_json(), ensure_ascii=False, indent=2)
    files = "\n".join(f"| `{name}` | {purpose} |" for name, purpose in PURPOSES.items())
    network = card["model"]
    return f"""# {card["name"]} {card["version"]}

An address parser for {card["locale"]}: text in, tagged spans out. It runs with onnxruntime, sentencepiece and numpy.

    mw-pipeline parse --package . {json.dumps(example.raw, ensure_ascii=False)}

prints, on one line:

```json
{shown}
```

In Python: `from mw_pipeline.parse import Parser`, then `Parser.load(Path("."))` and `.parse_many(texts)`.

| file | what it is |
|---|---|
{files}

## The network

{network["parameters"]:,} parameters; inputs `input_ids` and `attention_mask`, int64 [batch, sequence], at most
{network["max_length"]} pieces, padded with id {network["pad_id"]}; output `logits`, float32 [batch, sequence,
{len(card["labels"])}]. Tags: {", ".join(f"`{tag}`" for tag in card["tags"])}.

## Measured on these bytes

{score_table(card["metrics"])}

## Known failure modes

{failure_table(card["known_failure_modes"])}

## Licences

{attribution_list(card["licences"])}
"""


def score_table(scores: Mapping[str, JSON]) -> str:
    """One line per set of gold that was scored, or a sentence when none was."""
    rows = [(name, part) for name, part in scores.items() if isinstance(part, Mapping) and "core_macro_f1" in part]
    if not rows:
        return "No gold was scored."
    head = "| gold | rows | core macro-F1 | macro-F1 | micro-F1 | exact |\n|---|---:|---:|---:|---:|---:|"
    names = ("core_macro_f1", "macro_f1", "micro_f1", "exact_match")
    lines = [f"| {name} | {p['rows']} | {' | '.join(_share(p.get(key)) for key in names)} |" for name, p in rows]
    return "\n".join([head, *lines])


def failure_table(diagnosis: Mapping[str, JSON]) -> str:
    """The most frequent ways to miss a gold value, or a sentence when there is none."""
    modes = diagnosis.get("failure_modes", [])[:_FAILURE_MODES_SHOWN]
    if not modes:
        return "No gold value was missed."
    meanings = diagnosis.get("meanings", {})
    head = "| tag | what happens | gold values missed | share of the tag's |\n|---|---|---:|---:|"
    lines = [
        f"| {m['tag']} | {meanings.get(m['bucket'], m['bucket'])} | {m['missed']} | {m['share_of_gold']:.1%} |"
        for m in modes
    ]
    return "\n".join([head, *lines])


def attribution_list(licences: Sequence[Mapping[str, str]]) -> str:
    """One line per source of the training rows."""
    if not licences:
        return "The training rows came from no licensed source."
    return "\n".join(f"- {entry['source']} ({entry['licence']}): {entry['attribution']}" for entry in licences)


def attribution_text(name: str, licences: Sequence[Licence]) -> str:
    """ATTRIBUTION.md: what must be said wherever the weights go."""
    lines = attribution_list([vars(licence) for licence in licences])
    return f"# Attribution\n\nThe weights of {name} were trained on rows from these sources.\n\n{lines}\n"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"
