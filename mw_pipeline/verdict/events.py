"""TensorBoard event files, by TensorBoard's own reader. Needs the extra `[logs]`.

A writer that goes on after a restart says from which step, and readers drop what stood there from that step on.
Writers that do not say it are told by their steps: a file that begins within the steps of an older one goes on from
there, and one that begins where that began is another run.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.compat.proto.event_pb2 import SessionLog
from tensorboard.util.tensor_util import make_ndarray

from mw_pipeline.digest import JSON
from mw_pipeline.errors import ArtifactError
from mw_pipeline.verdict.columns import NAMES, columns_of, plain_name
from mw_pipeline.verdict.records import log_of
from mw_pipeline.verdict.runlog import RunLog


@dataclass(frozen=True)
class Scalar:
    """One logged value; wall_time in seconds since 1970."""

    tag: str
    step: int
    value: float
    wall_time: float


@dataclass
class EventFile:
    """What an event file holds, up to where it is damaged or cut off: its scalars in the order of writing, and how many
    of them stood there when a writer said that it restarts from a step."""

    path: Path
    scalars: list[Scalar] = field(default_factory=list)
    restarts: list[tuple[int, int]] = field(default_factory=list)

    @property
    def start_order(self) -> tuple[float, str]:
        """When its first scalar was written; its name where that is the same."""
        return (self.scalars[0].wall_time if self.scalars else 0.0, self.path.name)


def read_events(path: Path, pattern: str) -> RunLog:
    """The scalars of an event file, or of a folder's files that match; a step's clock is when its loss was written.

    Raises ArtifactError when there is no scalar in them, and when the files are of two runs."""
    paths = sorted(path.glob(pattern)) if path.is_dir() else [path]
    merged = _RunScalars(path)
    for file in sorted((_read(file) for file in paths), key=lambda file: file.start_order):
        merged.add(file)
    if not merged.scalars:
        raise ArtifactError(f"{path}: its events hold no scalar. Name the folder that the run's own writer wrote into.")
    loss = columns_of(dict.fromkeys(scalar.tag for scalar in merged.scalars)).named.get("loss")
    records = [
        (f"{path}: {scalar.tag} at step {scalar.step}", _record(scalar, with_clock=scalar.tag == loss))
        for scalar in merged.scalars
        if plain_name(scalar.tag) not in NAMES["step"]  # every event carries its step
    ]
    notes = [f"{merged.dropped} values were taken back by a restart and are not judged"] if merged.dropped else []
    run = {"resumed_from_steps": merged.resumed_from} if merged.resumed_from else {}
    return log_of(records, where=str(path), format_name="TensorBoard events", notes=notes, run=run)


class _RunScalars:
    """The scalars of one run's files; `dropped` counts those that a restart took back."""

    def __init__(self, path: Path) -> None:
        self.scalars: list[Scalar] = []
        self.resumed_from: list[int] = []
        self.dropped = 0
        self._path = path
        self._files: list[str] = []

    def add(self, file: EventFile) -> None:
        """Adds a file that was begun after those before. Raises ArtifactError when it is another run's."""
        restarts = file.restarts
        if not restarts or restarts[0][0] > 0:
            restarts = [*((0, step) for step in self._unrecorded_restart(file)), *restarts]
        begin = 0
        for end, step in restarts:
            self.scalars += file.scalars[begin:end]
            self._restart(step)
            begin = end
        self.scalars += file.scalars[begin:]
        self._files += [file.path.name] if file.scalars else []

    def _restart(self, step: int) -> None:
        kept = [scalar for scalar in self.scalars if scalar.step < step]
        self.dropped += len(self.scalars) - len(kept)
        self.resumed_from += [step - 1] if kept else []
        self.scalars = kept

    def _unrecorded_restart(self, file: EventFile) -> Iterator[int]:
        """The step from which a file goes on with the tags of those before; nothing where it has none of these."""
        new_steps, old_steps = _steps_of(file.scalars), _steps_of(self.scalars)
        shared = new_steps.keys() & old_steps.keys() & _measured_tags([*new_steps, *old_steps])
        if not shared:
            return
        first = min(min(new_steps[tag]) for tag in shared)
        started = {tag: min(scalar.wall_time for scalar in file.scalars if scalar.tag == tag) for tag in shared}
        overlaps = any(scalar.wall_time > started[scalar.tag] for scalar in self.scalars if scalar.tag in shared)
        if overlaps or first <= max(min(min(old_steps[tag]) for tag in shared), _interval(new_steps, shared)):
            raise ArtifactError(
                f"{self._path}: holds the events of several runs ({', '.join([*self._files, file.path.name])}): "
                f"{file.path.name} does not go on from the others. Name one file, or a folder with those of one run."
            )
        yield first


def _interval(steps: Mapping[str, set[int]], tags: Iterable[str]) -> float:
    """How far apart the values of these tags lie, the densest of them: a run that begins logs its first no later."""
    gaps = [statistics.median(b - a for a, b in pairwise(sorted(steps[tag]))) for tag in tags if len(steps[tag]) > 1]
    return min(gaps, default=0.0)


def _measured_tags(tags: Sequence[str]) -> set[str]:
    """The tags that are a loss, a score or a rate: two writers of one run may both say the epoch."""
    columns = columns_of(dict.fromkeys(tags))
    return {
        *columns.named.values(),
        *columns.rates,
        *(tag for table in columns.sets.values() for tag in table.values()),
    }


def _steps_of(scalars: Sequence[Scalar]) -> Mapping[str, set[int]]:
    steps: dict[str, set[int]] = {}
    for scalar in scalars:
        steps.setdefault(scalar.tag, set()).add(scalar.step)
    return steps


def _record(scalar: Scalar, *, with_clock: bool) -> dict[str, JSON]:
    clock = {"wall_seconds": scalar.wall_time} if with_clock else {}
    return {"step": scalar.step, scalar.tag: scalar.value, **clock}


def _read(path: Path) -> EventFile:
    """The loader brings every kind of scalar that there was into one form: a tensor of the plugin `scalars`."""
    file = EventFile(path)
    plugins: dict[str, str] = {}  # a writer says the plugin with a tag's first value alone
    for event in EventFileLoader(str(path)).Load():
        if event.HasField("session_log") and event.session_log.status == SessionLog.START:
            file.restarts.append((len(file.scalars), event.step))
        for value in event.summary.value:
            plugin = plugins.setdefault(value.tag, value.metadata.plugin_data.plugin_name)
            if plugin == "scalars":
                scalar = float(make_ndarray(value.tensor))
                file.scalars.append(Scalar(value.tag, event.step, scalar, event.wall_time))
    return file
