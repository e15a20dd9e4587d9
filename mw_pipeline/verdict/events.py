"""TensorBoard event files, by TensorBoard's own reader. Needs the extra `[logs]`."""

from __future__ import annotations

from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import SCALARS, TENSORS, EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

from mw_pipeline.digest import JSON
from mw_pipeline.errors import ArtifactError
from mw_pipeline.verdict.columns import NAMES, columns_of, log_of
from mw_pipeline.verdict.runlog import RunLog


def read_events(path: Path) -> RunLog:
    """The scalars of an event file, or of all event files of a folder; a step's clock is when its loss was written.

    Raises ArtifactError when there is no scalar in it."""
    events = EventAccumulator(str(path), size_guidance={SCALARS: 0, TENSORS: 0}).Reload()
    scalars = {tag: _points(events, tag) for tag in (*events.Tags()[SCALARS], *_scalar_tensors(events))}
    if not scalars:
        raise ArtifactError(f"{path}: its events hold no scalar. Name the folder that the run's own writer wrote into.")
    loss = columns_of(scalars).get("loss")
    records: list[tuple[str, dict[str, JSON]]] = []
    for tag, points in scalars.items():
        if tag in NAMES["step"]:
            continue  # every event carries its step, and a tag of that name would hide it
        for wall_time, step, value in points:
            clock = {"wall_seconds": wall_time} if tag == loss else {}
            records.append((f"{path}: {tag} at step {step}", {"step": step, tag: value, **clock}))
    return log_of(records, where=str(path), format_name="TensorBoard events")


def _scalar_tensors(events: EventAccumulator) -> list[str]:
    """Tags that a newer writer stored as tensors of one number."""
    plugins = {tag: events.SummaryMetadata(tag).plugin_data.plugin_name for tag in events.Tags()[TENSORS]}
    return [tag for tag, plugin in plugins.items() if plugin == "scalars"]


def _points(events: EventAccumulator, tag: str) -> list[tuple[float, int, float]]:
    if tag in events.Tags()[SCALARS]:
        return [(event.wall_time, event.step, float(event.value)) for event in events.Scalars(tag)]
    return [(e.wall_time, e.step, float(make_ndarray(e.tensor_proto))) for e in events.Tensors(tag)]
