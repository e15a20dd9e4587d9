"""`make demo` once more, from nothing, with its store on a service of S3 on this machine: the packages must be those of
the folder that `make demo` has filled, to the byte.

    .venv/bin/python .ci/demo_on_s3.py
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from object_servers import s3_server  # noqa: E402

CONFIGS = ("corpora", "recipes", "golden")
PACKAGED = ("model.onnx", "tokenizer.model", "crf-transitions.json")


def packaged(project: Path) -> dict[str, bytes]:
    """What the parser reads of each package of a project's release."""
    names = [f"{locale}/{name}" for locale in ("en-us", "fr-fr") for name in PACKAGED]
    return {name: (project / "releases" / "demo" / name).read_bytes() for name in names}


def main() -> None:
    """Runs it in a project of its own, and ends with an error that names the files that differ."""
    with s3_server() as s3, tempfile.TemporaryDirectory() as folder:
        project = Path(folder, "project")
        for name in CONFIGS:
            shutil.copytree(ROOT / name, project / name)
        there = {"MW_STORE": s3.make_bucket("demo"), "MW_PROJECT": str(project), "XDG_CACHE_HOME": f"{folder}/cache"}
        patient = {"MW_STORE_RETRY_SECONDS": "60"}
        subprocess.run(["make", "demo"], cwd=ROOT, env={**os.environ, **s3.env, **there, **patient}, check=True)
        made, expected = packaged(project), packaged(ROOT)
    other = [name for name, content in made.items() if content != expected[name]]
    if other:
        sys.exit(f"made on object storage, these differ from those of a folder: {', '.join(other)}")
    print("made on object storage: the same packages as in a folder")


if __name__ == "__main__":
    main()
