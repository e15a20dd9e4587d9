"""`make demo` once more, with a short training, in a folder and from nothing on a service of S3 on this machine: the
packages must be the same to the byte. The corpus, the dataset and the network are those of the demo.

    .venv/bin/python .ci/demo_on_s3.py
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from object_servers import s3_server  # noqa: E402

CONFIGS = ("corpora", "recipes", "golden")
PACKAGED = ("model.onnx", "tokenizer.model", "crf-transitions.json")
NAME = "brief"
RECIPE = """
# What is asked of a release is asked of the demo itself: this one shows that a store changes nothing.
base = "demo.toml"

[train]
steps = 600
warmup_steps = 50
log_every = 3
eval_every = 300

[smoke]
steps = 230
eval_every = 30

[eval]
min_core_macro_f1 = 0.0
max_ece = 1.0
max_quantisation_cost = 1.0
min_label_agreement = 0.0
min_cell = 0.0
"""


def made(project: Path, there: Mapping[str, str]) -> dict[str, bytes]:
    """What the parser reads of each package that `make demo` releases in a new project, with a store somewhere."""
    for name in CONFIGS:
        shutil.copytree(ROOT / name, project / name)
    (project / "recipes" / f"{NAME}.toml").write_text(RECIPE, encoding="utf-8")
    environment = {**os.environ, "MW_PROJECT": str(project), **there}
    subprocess.run(["make", "demo", f"RECIPE={NAME}"], cwd=ROOT, env=environment, check=True)
    names = [f"{locale}/{name}" for locale in ("en-us", "fr-fr") for name in PACKAGED]
    return {name: (project / "releases" / NAME / name).read_bytes() for name in names}


def main() -> None:
    """Runs both, the first in the store of this checkout, and ends with an error that names the files that differ."""
    with tempfile.TemporaryDirectory() as folder, s3_server() as s3:
        expected = made(Path(folder, "here"), {"MW_STORE": str(ROOT / ".mw")})
        away = {"MW_STORE": s3.make_bucket("demo"), "XDG_CACHE_HOME": f"{folder}/cache", "MW_STORE_RETRY_SECONDS": "60"}
        found = made(Path(folder, "there"), {**s3.env, **away})
    other = [name for name, content in found.items() if content != expected[name]]
    if other:
        sys.exit(f"made on object storage, these differ from those of a folder: {', '.join(other)}")
    print("made on object storage: the same packages as in a folder")


if __name__ == "__main__":
    main()
