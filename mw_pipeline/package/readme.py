"""The README and the attribution of a package, in Markdown, from its card alone and the real parse of an example."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from mw_pipeline.client import FORBIDDEN_SCORE
from mw_pipeline.digest import JSON
from mw_pipeline.labels import by_tag
from mw_pipeline.package.lineage import LINEAGE_NAME
from mw_pipeline.parse import ParsedAddress
from mw_pipeline.parser_files import ATTRIBUTION_NAME, CARD_NAME, ONNX_NAME, TRANSITIONS_NAME
from mw_pipeline.report.cells import interval_words, number
from mw_pipeline.report.evaluation.axes import axes_text
from mw_pipeline.tokenizer import MODEL_NAME as TOKENIZER_NAME

EXAMPLES = {
    "en-us": "1600 Pennsylvania Ave NW, Washington, DC 20500",
    "fr-fr": "12 bis rue de la République, 75001 Paris",
}
"""The address that the README of a locale parses; another locale shows the first."""

PURPOSES = {
    ONNX_NAME: "the network, int8",
    TOKENIZER_NAME: "SentencePiece model",
    TRANSITIONS_NAME: f"labels and the scores of moves between them; {FORBIDDEN_SCORE:g} forbids",
    CARD_NAME: "all that is known of this model: scores, training, licences, toolchain",
    LINEAGE_NAME: "every artifact behind these weights, with digests",
    ATTRIBUTION_NAME: "the sources of the training rows, to be named wherever the weights go",
}
_FAILURE_MODES_SHOWN = 8
_NOT_EXACT = "A row with a value of one is no exact match."


def package_readme(card: Mapping[str, JSON], example: ParsedAddress) -> str:
    """The README of a package: what it scores, how to use it, where it fails, and what it is made of."""
    metrics = card["metrics"]
    sections = {
        "Use": usage(example),
        "In JavaScript": npm_usage(card),
        "Tags": tag_table(metrics),
        "Against its baseline": axes_text(card["release_axes"]),
        "Known failure modes": failure_table(card["known_failure_modes"]),
        "What it reads worst": capability_table(card["capability"]),
        "What it is": f"{training_sentence(card)}\n\n{network_description(card)}",
        "Attribution": attribution_list(card["licences"]),
    }
    head = f"""# {card["name"]} {card["version"]}

An address parser for {card["locale"]}: text in, tagged spans out. It runs with onnxruntime, sentencepiece and numpy.

{score_table(metrics)}

Measured on the `{ONNX_NAME}` of this folder. The ceiling is what the best span extractor could score on the same gold.
"""
    return "\n".join([head, *(f"## {title}\n\n{text}\n" for title, text in sections.items())])


def usage(example: ParsedAddress) -> str:
    """How to parse an address on the command line and in Python, with what the package answers."""
    raw = json.dumps(example.raw, ensure_ascii=False)
    return f"""    mw-pipeline parse --package . {raw}

prints, on one line:

```json
{_shown(example)}
```

In Python:

```python
from pathlib import Path

from mw_pipeline.parse import Parser

parser = Parser.load(Path("."))
parser.parse_many([{raw}])
```"""


def npm_usage(card: Mapping[str, JSON]) -> str:
    """How to install the folder with npm and find its files, and what a client in JavaScript has to know of it."""
    name = card["name"]
    tarball = f"{name.removeprefix('@').replace('/', '-')}-{card['version']}.tgz"
    return f"""In the folder of a project, with the path of this one:

    npm pack {card["locale"]}/
    npm install ./{tarball}

Every file then has a name, as in `require.resolve("{name}/{ONNX_NAME}")`. `start_utf16` and `end_utf16` of a span are
offsets as JavaScript counts them. A text of ASCII alone that is all in capitals or all in small letters may be written
anew before it is read, as Mailwoman's client does: runs of up to two letters in capitals, longer ones with a first
capital."""


def network_description(card: Mapping[str, JSON]) -> str:
    """Inputs and output of the network, and what each file of the package is."""
    network = card["model"]
    files = "\n".join(f"| `{name}` | {purpose} |" for name, purpose in PURPOSES.items())
    return f"""The network has {network["parameters"]:,} parameters. Its inputs are `input_ids` and
`attention_mask`, int64 `[batch, sequence]`, at most {network["max_length"]} pieces, padded with id {network["pad_id"]};
its output is `logits`, float32 `[batch, sequence, {len(card["labels"])}]`.

| file | what it is |
|---|---|
{files}

`sha256sum -c SHA256SUMS` or `mw-pipeline inspect .` checks every byte; `mw-pipeline lineage .` prints all that it came
from."""


def score_table(scores: Mapping[str, JSON]) -> str:
    """One line per set of gold that was scored, or a sentence when none was."""
    parts = {name: part for name, part in scores.items() if isinstance(part, Mapping) and "core_macro_f1" in part}
    if not parts:
        return "No gold was scored."
    lines = [
        "| gold | rows | core macro-F1 | 95 % interval | ceiling | macro-F1 | exact rows |",
        "|---" + "|--:" * 6 + "|",
    ]
    for name, part in parts.items():
        shown = (
            number(part["core_macro_f1"]),
            interval_words(part.get("intervals", {}).get("core_macro_f1")),
            number(part.get("ceiling", {}).get("core_macro_f1")),
            number(part.get("macro_f1")),
            number(part.get("exact_match")),
        )
        lines.append(f"| {name} | {part['rows']:,} | {' | '.join(shown)} |")
    return "\n".join(lines)


def tag_table(scores: Mapping[str, JSON]) -> str:
    """F1 of every tag on all gold in the order of the labels, and which written tags this model does not have."""
    golden = scores.get("golden", {})
    if not golden.get("per_tag"):
        return "No tag was scored."
    lines = ["| tag | gold values | precision | recall | F1 | 95 % interval |", "|---" + "|--:" * 5 + "|"]
    for tag, found in by_tag(golden["per_tag"]):
        numbers = " | ".join(number(found[name]) for name in ("precision", "recall", "f1"))
        lines.append(f"| {tag} | {found['support']:,} | {numbers} | {interval_words(found['interval'])} |")
    absent = [tag for tag, _ in by_tag(golden.get("not_scored", {}).get("gold", {}))]
    beyond = f"\n\nIn the gold, but not among this model's tags: {', '.join(absent)}. {_NOT_EXACT}" if absent else ""
    return "\n".join(lines) + beyond


def failure_table(diagnosis: Mapping[str, JSON]) -> str:
    """The most frequent ways to miss a gold value, or a sentence when there is none."""
    modes = diagnosis.get("failure_modes", [])[:_FAILURE_MODES_SHOWN]
    if not modes:
        return "No gold value was missed."
    meanings = diagnosis.get("meanings", {})
    head = "| tag | what happens | values missed | of the tag's gold |\n|---|---|--:|--:|"
    lines = [
        f"| {m['tag']} | {meanings.get(m['bucket'], m['bucket'])} | {m['missed']:,} | {m['share_of_gold']:.1%} |"
        for m in modes
    ]
    return "\n".join([head, *lines])


def capability_table(capability: Mapping[str, JSON] | None) -> str:
    """The worst cells of the capability matrix under a sentence about all of them, or a sentence when there is none."""
    if capability is None:
        return "Nobody has measured what it can read, cell by cell: `mw-pipeline capability --package .` does."
    judged = capability["cells"] - capability["too_few"]
    sentence = (
        f"`mw-pipeline capability --package .` asks {capability['rows']:,} rows in {judged:,} cells, of which "
        f"{capability['blind']:,} are blind: certainly right on fewer than {capability['min_cell']:.0%} of their rows. "
        f"{capability['places']} The worst:"
    )
    head = "| cell | rows right whole | 95 % interval |\n|---|--:|--:|"
    lines = [
        f"| {found['cell']} | {found['right']} of {found['rows']} | {interval_words(found['interval'])} |"
        for found in capability["worst"]
    ]
    return "\n".join([sentence, "", head, *lines])


def training_sentence(card: Mapping[str, JSON]) -> str:
    """Recipe, corpus and steps of the run behind the weights, as far as the card has them."""
    run, corpus = card["training"], card["corpus"]
    parts = []
    if run.get("train_rows") and corpus:
        parts.append(f"on {run['train_rows']:,} rows of corpus {corpus['name']}, version {corpus['version']},")
    if run.get("step") and run.get("effective_batch"):
        parts.append(f"for {run['step']:,} steps of {run['effective_batch']:,} rows")
        parts.append(f"(these weights: step {run['best_step']:,})")
    recipe = f" by recipe `{run['recipe']}`" if run.get("recipe") else ""
    return f"Trained{recipe} {' '.join(parts)}." if parts else f"Trained{recipe}."


def attribution_list(licences: Sequence[Mapping[str, JSON]]) -> str:
    """One line per source and licence of the training rows, under what they ask for."""
    if not licences:
        return "The training rows came from no licensed source."
    head = "The training rows came from these sources, which are to be named wherever the weights go.\n"
    return "\n".join(
        [head, *(f"- `{e['source']}`, {e['rows']:,} rows, {e['licence']}. {e['attribution']}" for e in licences)]
    )


def attribution_text(name: str, licences: Sequence[Mapping[str, JSON]]) -> str:
    """ATTRIBUTION.md: what must be said wherever the weights go. A function of the card, so that it can be checked."""
    return f"# Attribution of {name}\n\n{attribution_list(licences)}\n"


def _shown(example: ParsedAddress) -> str:
    """A parse as JSON with one line per span."""
    parsed = example.as_json()
    spans = ",\n".join(f"    {json.dumps(span, ensure_ascii=False)}" for span in parsed["spans"])
    text = json.dumps({**parsed, "spans": []}, ensure_ascii=False, indent=2)
    return text.replace('"spans": []', f'"spans": [\n{spans}\n  ]') if spans else text
