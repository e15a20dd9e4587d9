"""TensorBoard event files, by TensorBoard's own reader. Needs the extra `[logs]`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.util.tensor_util import make_ndarray

from mw_pipeline.digest import JSON
from mw_pipeline.errors import ArtifactError
from mw_pipeline.verdict.columns import NAMES, columns_of, log_of, plain_name
from mw_pipeline.verdict.runlog import RunLog

Scalar = tuple[str, int, float, float]


def read_events(path: Path, pattern: str) -> RunLog:
    """The scalars of an event file, or of a folder's files that match; a step's clock is when its loss was written.

    Raises ArtifactError when there is no scalar in them."""
    files = sorted(path.glob(pattern)) if path.is_dir() else [path]
    scalars = [scalar for file in files for scalar in _scalars(file)]
    if not scalars:
        raise ArtifactError(f"{path}: its events hold no scalar. Name the folder that the run's own writer wrote into.")
    loss = columns_of(tag for tag, *_ in scalars).get("loss")
    records = [
        (f"{path}: {tag} at step {step}", _record(tag, step, value, wall_time if tag == loss else None))
        for tag, step, value, wall_time in scalars
        if plain_name(tag) not in NAMES["step"]  # every event carries its step
    ]
    return log_of(records, where=str(path), format_name="TensorBoard events")


def _record(tag: str, step: int, value: float, wall_time: float | None) -> dict[str, JSON]:
    return {"step": step, tag: value, **({} if wall_time is None else {"wall_seconds": wall_time})}


def _scalars(file: Path) -> Iterator[Scalar]:
    """(tag, step, value, wall time in seconds) in the order of writing, up to where the file is damaged or cut off.

    The loader brings every kind of scalar that there was into one form: a tensor of the plugin `scalars`."""
    plugins: dict[str, str] = {}  # a writer says the plugin with a tag's first value alone
    for event in EventFileLoader(str(file)).Load():
        for value in event.summary.value:
            plugin = plugins.setdefault(value.tag, value.metadata.plugin_data.plugin_name)
            if plugin == "scalars":
                yield value.tag, event.step, float(make_ndarray(value.tensor)), event.wall_time
