"""Starts the processes of a run on this machine through torchrun; the first of them tells what it came to.

Its stdout carries one JSON line for each event of the run, and a last one with the result or the error.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO

from mw_pipeline.digest import JSON
from mw_pipeline.errors import ArtifactError, CorpusError, GateError, MwError, RecipeError, StoreError, UnfinishedError
from mw_pipeline.recipe import Recipe
from mw_pipeline.train.loop import train
from mw_pipeline.train.plan import Permit, RunPlan, RunResult
from mw_pipeline.train.progress import Listener
from mw_pipeline.train.signals import stop_signals

_LAUNCHER = (
    *("-m", "mw_pipeline.train.launcher", "--nnodes", "1", "--rdzv-backend", "c10d"),
    *("--rdzv-endpoint", "127.0.0.1:0", "--local-addr", "127.0.0.1"),
)
_LOOPBACK = "lo0" if sys.platform == "darwin" else "lo"
_ERRORS = {
    error.__name__: error for error in (RecipeError, CorpusError, ArtifactError, StoreError, UnfinishedError, GateError)
}
_PATHS = ("dataset_path", "tokenizer_path", "out", "resume_from")


def train_in_ranks(plan: RunPlan, *, on_event: Listener = lambda event: None) -> RunResult:
    """`train`, in as many processes of this machine as `train.processes` says.

    SIGINT and SIGTERM to this process save and end all of them, as they do a single one. Raises what `train` raises,
    and UnfinishedError when the process that writes died: the same again goes on from its last checkpoint."""
    ranks = plan.recipe.train.processes
    if "WORLD_SIZE" in os.environ:  # torchrun has started this process, and the others too
        return train(plan, on_event=on_event)
    with tempfile.TemporaryDirectory() as folder, stop_signals() as stop:
        path = Path(folder) / "plan.json"
        path.write_text(json.dumps(_as_json(plan)), encoding="utf-8")
        command = [sys.executable, *_LAUNCHER, "--nproc-per-node", str(ranks), "-m", __name__, str(path)]
        env = {"GLOO_SOCKET_IFNAME": _LOOPBACK, "OMP_NUM_THREADS": str(plan.recipe.train.threads), **os.environ}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env, process_group=0) as launcher:
            threading.Thread(target=_hand_on, args=[stop, launcher], daemon=True).start()
            assert launcher.stdout is not None
            answer = _last_word(launcher.stdout, on_event)
            status = launcher.wait()
            stop.set()
    return _result(plan, answer, status)


def _hand_on(stop: threading.Event, launcher: subprocess.Popen[str]) -> None:
    """Stops the launcher, and through it the processes, when this one is asked to stop."""
    stop.wait()
    launcher.terminate()


def _last_word(lines: IO[str], on_event: Listener) -> dict[str, JSON]:
    """Hands events on as they come; returns the result or the error that came last, or nothing of either."""
    answer: dict[str, JSON] = {}
    for line in lines:
        if not line.startswith('{"event"'):
            sys.stderr.write(line)
            continue
        event = json.loads(line)
        if event["event"] in ("result", "failed"):
            answer = event
        else:
            on_event(event)
    return answer


def _result(plan: RunPlan, answer: dict[str, JSON], status: int) -> RunResult:
    if answer.get("event") == "result":
        return RunResult(**{**answer["result"], "out": plan.out})
    if not answer:
        raise UnfinishedError(
            f"{plan.out}: the process that writes here died before it could say why (torchrun ended with {status}). "
            "Start the run again: it goes on from its last checkpoint."
        )
    kind, sentence = answer["kind"], answer["sentence"]
    if answer["errno"] is not None:
        raise OSError(answer["errno"], sentence)
    raise _ERRORS.get(kind, MemoryError if kind == "MemoryError" else RuntimeError)(sentence)


def main() -> None:
    """Trains the plan in a file; the first process tells its launcher how it went, whatever it was."""
    plan, writes = _plan_of(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))), os.environ["RANK"] == "0"
    try:
        result = train(plan, on_event=_print_event)
    except Exception as error:
        if not writes:  # the first meets it too, or loses this peer: a failure here would have torchrun kill it first
            sys.stderr.write(f"process {os.environ['RANK']}: {type(error).__name__}: {error}\n")
            return
        number = error.errno if isinstance(error, OSError) else None
        _print_event({"event": "failed", "kind": type(error).__name__, "sentence": str(error), "errno": number})
        if not isinstance(error, MwError):
            raise
        sys.exit(1)
    if writes:
        _print_event({"event": "result", "result": result.as_json()})


def _print_event(event: dict[str, JSON]) -> None:
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


def _as_json(plan: RunPlan) -> dict[str, JSON]:
    """The plan as a file holds it, with the time of day (s) at which its limit is reached: starting takes of it."""
    fields = {field.name: getattr(plan, field.name) for field in dataclasses.fields(plan)}
    paths = {name: str(Path(fields[name]).absolute()) for name in _PATHS if fields[name] is not None}
    limit = fields.pop("max_wall_seconds")
    ends = None if limit is None else time.time() + limit
    recipe = plan.recipe.model_dump_json()
    permit = None if plan.permit is None else dataclasses.asdict(plan.permit)
    return {**fields, **paths, "digests": dict(plan.digests), "recipe": recipe, "permit": permit, "ends_at": ends}


def _plan_of(values: dict[str, JSON]) -> RunPlan:
    ends = values.pop("ends_at")
    paths = {name: Path(values[name]) for name in _PATHS if values[name] is not None}
    recipe = Recipe.model_validate_json(values["recipe"])
    limit = None if ends is None else max(1.0, ends - time.time())
    permit = None if values["permit"] is None else Permit(**values["permit"])
    return RunPlan(**{**values, **paths, "recipe": recipe, "permit": permit, "max_wall_seconds": limit})


if __name__ == "__main__":
    main()
