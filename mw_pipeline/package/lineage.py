"""The chain behind an artifact: every ancestor once, each bound to its inputs, config and code by its digest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from mw_pipeline.artifact import MANIFEST, Artifact, Reference, key_of, read_artifact
from mw_pipeline.checksums import SUMS_NAME, sums_findings
from mw_pipeline.digest import JSON
from mw_pipeline.errors import ArtifactError
from mw_pipeline.parser_files import read_json
from mw_pipeline.store import Store

LINEAGE_NAME = "lineage.json"
_SHORT = 12
_SHOWN_FACTS = {
    "recipe_name": str,
    "recipe_digest": str,
    "code_digest": str,
    "created_at": str,
    "files": int,
    "bytes": int,
}


def lineage_of(roots: Sequence[Artifact]) -> JSON:
    """`{"roots": [...], "nodes": [...]}`: the roots and all their ancestors, each node once, ancestors after heirs.

    A node says what went in (inputs, config, recipe, code, toolchain) and how much came out. Raises ArtifactError when
    an ancestor is no longer in the store."""
    nodes: dict[Reference, JSON] = {}
    pending = list(roots)
    while pending:
        artifact = pending.pop(0)
        if artifact.reference not in nodes:
            nodes[artifact.reference] = _node(artifact)
            pending += artifact.inputs()
    return {"roots": [_named(artifact.reference) for artifact in roots], "nodes": list(nodes.values())}


def read_lineage(path: Path) -> JSON:
    """The lineage of a package, or of an artifact folder inside a store. Raises ArtifactError for other paths, and for
    a lineage that is not as sealed."""
    if not path.exists():
        raise ArtifactError(f"{path}: there is no such folder. Check the path.")
    if (path / LINEAGE_NAME).is_file():
        lineage = read_json(path / LINEAGE_NAME)
        touched = sums_findings(path, only=(LINEAGE_NAME,)) if (path / SUMS_NAME).is_file() else []
        if findings := [*touched, *lineage_findings(lineage)]:
            raise ArtifactError(f"{path / LINEAGE_NAME}: {findings[0]}. Fetch the package again.")
        return lineage
    if (path / MANIFEST).is_file():
        folder = path.resolve()
        return lineage_of([replace(read_artifact(folder), load=Store(folder.parent.parent).load)])
    raise ArtifactError(
        f"{path}: has neither {LINEAGE_NAME} nor {MANIFEST}. Name a package folder, or an artifact folder of a store."
    )


def lineage_findings(lineage: JSON) -> list[str]:
    """What does not hold together, empty when every digest is that of its node's facts and none of them is missing."""
    try:
        nodes = {(node["kind"], node["digest"]): node for node in lineage["nodes"]}
        wanted = [*lineage["roots"], *(entry for node in nodes.values() for entry in node["inputs"])]
        findings = [
            f"{kind} {digest[:_SHORT]} is not the digest of its inputs, config and code: the node was edited"
            for (kind, digest), node in nodes.items()
            if digest[: len(key := _key(node))] != key
        ]
        findings += [
            f"{kind} {digest[:_SHORT]} has the {name} {node.get(name)!r:.40}, which is no fact of an artifact"
            for (kind, digest), node in nodes.items()
            for name, expected in _SHOWN_FACTS.items()
            if not isinstance(node.get(name), expected)
        ]
        lost = {(entry["kind"], entry["digest"]) for entry in wanted} - nodes.keys()
        findings += [f"{kind} {digest[:_SHORT]} is named as an input and not among the nodes" for kind, digest in lost]
    except (KeyError, TypeError, ValueError) as error:  # digests are of no NaN
        return [f"not a lineage of this version ({error!r})"]
    return findings


def lineage_tree(lineage: JSON) -> str:
    """The chain as an indented tree; an ancestor that several heirs share is drawn once and named after that."""
    nodes = {(node["kind"], node["digest"]): node for node in lineage["nodes"]}
    drawn: set[tuple[str, str]] = set()
    lines = [line for root in lineage["roots"] for line in _branch(nodes, (root["kind"], root["digest"]), drawn)]
    return "\n".join(lines)


def _branch(nodes: dict[tuple[str, str], JSON], name: tuple[str, str], drawn: set[tuple[str, str]]) -> Iterator[str]:
    node = nodes[name]
    head = f"{name[0]} {name[1][:_SHORT]}"
    if name in drawn:
        yield f"{head} (above)"
        return
    drawn.add(name)
    recipe = f" · recipe {node['recipe_name']} {node['recipe_digest'][:_SHORT]}" if node["recipe_name"] else ""
    size = f" · {node['files']} files, {node['bytes']:,} bytes" if node["files"] != 1 else f" · {node['bytes']:,} bytes"
    yield f"{head}{recipe} · code {node['code_digest'][:_SHORT]}{size} · {node['created_at']}"
    for number, entry in enumerate(node["inputs"], 1):
        last = number == len(node["inputs"])
        for index, line in enumerate(_branch(nodes, (entry["kind"], entry["digest"]), drawn)):
            elbow = ("└─ " if last else "├─ ") if index == 0 else ("   " if last else "│  ")
            yield elbow + line


def _node(artifact: Artifact) -> JSON:
    manifest = artifact.manifest
    return {
        **_named(artifact.reference),
        "recipe_name": manifest.recipe_name,
        "recipe_digest": manifest.recipe_digest,
        "code_digest": manifest.code_digest,
        "config": manifest.config,
        "inputs": [_named(reference) for reference in manifest.inputs],
        "toolchain": manifest.toolchain,
        "files": len(manifest.files),
        "bytes": sum(entry.bytes for entry in manifest.files),
        "created_at": manifest.created_at,
    }


def _key(node: JSON) -> str:
    inputs = [Reference(entry["kind"], entry["digest"]) for entry in node["inputs"]]
    return key_of(node["kind"], inputs, node["config"], node["code_digest"])


def _named(reference: Reference) -> JSON:
    return {"kind": reference.kind, "digest": reference.digest}
