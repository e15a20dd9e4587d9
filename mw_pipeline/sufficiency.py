"""Whether there is data enough for what is asked of it: pieces per label, passes over the rows, pieces per parameter.

One rule serves the tokenized dataset, before anything is trained, and the finished run (M27).
"""

from __future__ import annotations

from collections.abc import Mapping

MIN_LABEL_PIECES = 30
MAX_PASSES = 4.0


def shortages(
    label_counts: Mapping[str, int],
    *,
    rows: int | None,
    samples: int | None,
    parameters: int | None = None,
    pieces: int | None = None,
) -> tuple[str, ...]:
    """What is scarce, in words: labels that training hardly meets, rows seen too often, pieces for the parameters.

    `samples` are drawn from `rows`, repetitions counted; `pieces` are those trained on. A rule is skipped where a
    number of it is None.
    """
    scarce = [f"{label} ({count})" for label, count in label_counts.items() if count < MIN_LABEL_PIECES]
    found = [f"fewer than {MIN_LABEL_PIECES} training pieces have the label {', '.join(scarce)}"] if scarce else []
    if rows == 0:
        found.append("there is no training row")
    elif rows is not None and samples is not None and samples / rows > MAX_PASSES:
        found.append(f"each training row is seen {samples / rows:.1f} times: more rows teach more than more steps")
    if parameters is not None and pieces is not None and parameters > pieces:
        found.append(f"{parameters:,} parameters learn from {pieces:,} pieces")
    return tuple(found)
