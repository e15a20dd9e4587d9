"""A whole project that runs in seconds: one small corpus, forty gold rows, a network of thirty thousand parameters.

Recipe and corpus have the names of the checkout's own, `demo` and `builtin`: those are the partitions that the graph
of this process knows.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import shutil
from collections.abc import Callable
from itertools import islice
from pathlib import Path

from mw_pipeline.artifact import MANIFEST, Artifact, FileEntry, content_of
from mw_pipeline.digest import JSON, sha256_file, write_json_atomically
from mw_pipeline.stages.place import Place

CORPUS = """
version = "1"
seed = 5
countries = ["US", "FR"]
variants = 1
validation_share = 0.05
test_share = 0.05
licences_allowed = ["CC-BY-4.0"]

[augmentations]
partial = 0.2
case = 0.2

[sources.builtin]
adapter = "builtin"
max_records = 3000

[golden_sets.extra]
input = "extra/*.jsonl"
tags = ["house_number", "street", "locality", "postcode"]

[golden_sets.absent]
input = "nowhere/*.jsonl"
optional = true
"""

GHOST = """[sources.ghost]
adapter = "ban"
input = "ghost.csv"
licence = "CC-BY-4.0"
"""
GHOST_CSV = """id;numero;rep;nom_voie;code_postal;code_insee;nom_commune
x;4;;Rue Haute;01640;01002;Ambronay
"""

EXTRA = """
{"raw": "12 Oak Street, Denver", "components": {"house_number": "12", "street": "Oak Street"}, "country": "US"}
{"raw": "7 rue Haute, 75001 Paris", "components": {"postcode": "75001", "locality": "Paris"}, "country": "FR"}
"""

RECIPE = """
corpus = "builtin"

[tokenizer]
vocab_size = 600
sample_rows = 2000

[mix.weights]
builtin = 1.0

[model]
width = 32
layers = 1
heads = 2
feed_forward = 64
max_length = 64

[train]
steps = 240
peak_lr = 5e-3
warmup_steps = 60
batch_size = 64
eval_every = 24
eval_rows = 200
checkpoint_every = 20
log_every = 1
threads = 1

[smoke]
steps = 300
eval_every = 30

[eval]
max_quantisation_cost = 1.0
min_label_agreement = 0.0
min_cell = 0.0
max_ece = 1.0

[package]
untaught = [
    "region name", "region code", "subregion name", "country", "country abroad", "street type", "directional",
    "military mail", "unit word", "box word", "cedex",
]
"""
GOLD_ROWS = 20
LOCALES = ("en-us", "fr-fr")
"""Those of its packages."""


def write_project(folder: Path, *, golden: Path) -> Path:
    """corpora/, recipes/, golden/ and two rows of further gold in `folder`; the gold is the first rows of `golden`."""
    for name in ("corpora", "recipes", "golden"):
        (folder / name).mkdir(parents=True)
    (folder / "corpora" / "builtin.toml").write_text(CORPUS)
    (folder / "extra").mkdir()
    (folder / "extra" / "hand.jsonl").write_text(EXTRA)
    (folder / "recipes" / "demo.toml").write_text(RECIPE)
    for name in ("us", "fr"):
        with (golden / f"{name}.jsonl").open() as rows:
            (folder / "golden" / f"{name}.jsonl").write_text("".join(islice(rows, GOLD_ROWS)))
    return folder


def change(folder: Path, old: str, new: str, *, file: str = "recipes/demo.toml") -> None:
    """Edits one of the project's config files by hand, as a person would."""
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new))


def with_baseline(place: Place, baseline: str) -> Place:
    """The place, whose recipe names a baseline now."""
    change(place.project, "[eval]", f'[eval]\nbaseline = "{baseline}"')
    return place


def add_source_without_training_rows(folder: Path) -> None:
    """A weighted source `ghost` of one row, which falls into the test split."""
    (folder / "ghost.csv").write_text(GHOST_CSV)
    change(folder, "[sources.builtin]", f"{GHOST}\n[sources.builtin]", file="corpora/builtin.toml")
    change(folder, "builtin = 1.0", "builtin = 1.0\nghost = 1.0")


def place_at(folder: Path) -> Place:
    """The place of a project folder, with its store inside."""
    return Place.of(store=str(folder / ".mw"), project=str(folder), data=str(folder))


def copy_project(folder: Path, target: Path) -> Place:
    """A copy of a project and its store, for a test to break."""
    return place_at(Path(shutil.copytree(folder, target)))


def rewrite(artifact: Artifact, name: str, edit: Callable[[Path], object]) -> Artifact:
    """The artifact after an edit of one of its files, with a manifest and a name that fit: as whole as the true one."""
    edit(artifact.path / name)
    manifest = artifact.manifest
    paths = [(entry.path, artifact.path / entry.path) for entry in manifest.files]
    files = tuple(FileEntry(listed, path.stat().st_size, sha256_file(path)) for listed, path in paths)
    changed = dataclasses.replace(manifest, files=files, digest=manifest.key + content_of(files))
    write_json_atomically(artifact.path / MANIFEST, changed.as_json())
    return Artifact(artifact.path.rename(artifact.path.with_name(changed.digest)), changed)


def edit_json(**values: JSON) -> Callable[[Path], None]:
    """An edit that sets keys of a JSON file; `a__b` is the key b of the table a."""

    def edit(path: Path) -> None:
        content = json.loads(path.read_text())
        for key, value in values.items():
            *tables, last = key.split("__")
            functools.reduce(dict.__getitem__, tables, content)[last] = value
        write_json_atomically(path, content)

    return edit


def stored(place: Place, kind: str) -> set[str]:
    """The names of all artifacts of a kind in the store."""
    return {path.name for path in (place.store.root / kind).glob("[0-9a-f]*")}


def forget(place: Place, *kinds: str) -> None:
    """Takes all artifacts of some kinds out of the store."""
    for kind in kinds:
        shutil.rmtree(place.store.root / kind)
