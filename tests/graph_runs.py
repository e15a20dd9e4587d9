"""Runs of the real graph on a tiny project, in this process and from the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import dagster as dg
from tiny_project import place_at

from mw_pipeline.stages.place import Place

ROOT = Path(__file__).resolve().parent.parent
BEHIND_THE_LOCK = ("full_checkpoint", "eval_report", "packaged_weights")
"""What a person may select alone, once there is a smoke."""


@cache
def graph() -> dg.Definitions:
    """The code location, with the recipes and corpora of the checkout as partitions."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Dagster's own: partitioned checks are young
        from assets.definitions import defs
    return defs


def materialize(
    project: Path,
    *selection: str,
    partition: str = "demo",
    instance: dg.DagsterInstance | None = None,
    backoff_seconds: float = 10.0,
) -> dg.ExecuteInProcessResult:
    """One run of some assets and their checks, on the project in a folder."""
    from resources.place import PlaceResource
    from resources.trainer import Trainer

    defs, here = graph(), place_at(project)
    place = PlaceResource(store=here.store.url, project=str(here.project), data=str(here.data))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return dg.materialize(
            [*(defs.assets or []), *(defs.asset_checks or [])],  # type: ignore[list-item]
            selection=list(selection),
            partition_key=partition,
            resources={"place": place, "trainer": Trainer(backoff_seconds=backoff_seconds)},
            instance=instance,
            raise_on_error=False,
        )


def failure_of(result: dg.ExecuteInProcessResult, step: str) -> str:
    """The sentence with which a step failed."""
    (event,) = [event for event in result.all_events if event.is_step_failure and event.step_key == step]
    data = event.step_failure_data.user_failure_data
    assert data is not None and data.description is not None
    return data.description


def checks_of(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    """Check name → passed."""
    return {check.check_name: check.passed for check in result.get_asset_check_evaluations()}


def environment(project: Path) -> dict[str, str]:
    """What a person's shell has after setting up: the tools on the path, the folders of this project."""
    folder = place_at(project)
    home = project / ".dagster"
    home.mkdir(exist_ok=True)
    (home / "dagster.yaml").write_bytes((ROOT / "dagster.yaml").read_bytes())
    return {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONWARNINGS": "ignore",
        "DAGSTER_HOME": str(home),
        "MW_PROJECT": str(project),
        "MW_STORE": folder.store.url,
        "MW_DATA": str(project),
    }


def shell(command: str, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """One command line, run from the checkout."""
    return subprocess.run(["sh", "-c", command], cwd=ROOT, env=env, capture_output=True, text=True, timeout=300)


def trainer_once_at(place: Place, stage: str, step: int) -> int:
    """The process that writes the only run at work of a training stage, as soon as its log has a step."""
    limit = time.monotonic() + 120
    while time.monotonic() < limit:
        for log in (place.store.root / "work" / stage).glob("*/steps.jsonl"):
            if log.read_bytes().count(b"\n") >= step:
                return int(json.loads(log.with_name("run.json").read_text())["owner"].split()[1])
        time.sleep(0.005)
    raise AssertionError(f"{stage} never came to step {step}")
