"""The learning rate of each logged step, where a log has one for each group of parameters."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence

from mw_pipeline.digest import JSON
from mw_pipeline.verdict.columns import Columns
from mw_pipeline.verdict.runlog import checked_row


def rates_by_step(records: Sequence[tuple[str, Mapping[str, JSON]]], columns: Columns) -> tuple[dict[int, float], int]:
    """(step → rate, how many logged rates are no numbers).

    Groups may have other peaks and other schedules: the rate of a step is the highest peak × the smallest share that
    any group has of its own, so that a step counts as near the peak where all groups are. A group that is 0 throughout
    is frozen and does not count. A step at which a group has no rate has none."""
    groups: dict[int, dict[str, float]] = {}
    unread = 0
    for location, record in records:
        for column in columns.rates:
            if record.get(column) is None:
                continue
            found = dict(_groups(column, record[column]))
            unread += not found
            step = checked_row({"step": record.get(columns.named["step"])}, (), location)["step"]
            groups.setdefault(int(step), {}).update(found)
    peaks: dict[str, float] = {}
    for rates in groups.values():
        peaks |= {group: max(rate, peaks.get(group, 0.0)) for group, rate in rates.items() if math.isfinite(rate)}
    trained = {group: peak for group, peak in peaks.items() if peak > 0}
    return {step: rate for step in groups if (rate := _rate(groups[step], trained)) is not None}, unread


def _groups(column: str, value: JSON) -> Iterator[tuple[str, float]]:
    """(group, rate) of a logged value: a number, or a list with one for each group; nothing for anything else."""
    values = _parsed(value)
    for at, rate in enumerate(values if isinstance(values, list) else [values]):
        if isinstance(rate, int | float) and not isinstance(rate, bool):
            yield f"{column}[{at}]", float(rate) if abs(rate) <= sys.float_info.max else math.inf


def _parsed(value: JSON) -> JSON:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return None


def _rate(rates: Mapping[str, float], peaks: Mapping[str, float]) -> float | None:
    if not all(math.isfinite(rate) for rate in rates.values()):
        return math.nan
    if not peaks:
        return max(rates.values(), default=None)
    if not peaks.keys() <= rates.keys():
        return None
    if len({(rates[group], peak) for group, peak in peaks.items()}) == 1:
        return rates[next(iter(peaks))]
    return max(peaks.values()) * min(rates[group] / peak for group, peak in peaks.items())
