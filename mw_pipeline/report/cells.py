"""Values as the cells, tables and sentences of a report show them; None is a dash, and a minus is as wide as a plus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from mw_pipeline.digest import JSON

NOTHING = "–"


@dataclass(frozen=True)
class Table:
    """A table of text cells. `numeric` holds the indices of columns that are set flush right."""

    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""

    @property
    def numeric(self) -> frozenset[int]:
        """Columns in which every cell is a number, a share, an interval or a dash."""
        return frozenset(i for i in range(len(self.headers)) if all(is_numeric(row[i]) for row in self.rows))

    def as_markdown(self) -> str:
        """The table for a place that renders Markdown; bars in cells are escaped, line ends are shown as ⏎."""
        rule = ["--:" if i in self.numeric else "---" for i in range(len(self.headers))]
        lines = [self.headers, rule, *self.rows]
        return "\n".join("| " + " | ".join(map(_on_one_line, line)) + " |" for line in lines)


def _on_one_line(cell: str) -> str:
    return " ⏎ ".join(cell.splitlines()).replace("|", "\\|")


def number(value: float | None, digits: int = 4) -> str:
    """A score or loss."""
    return NOTHING if value is None else _signed(value, f".{digits}f")


def count(value: int | None) -> str:
    """A whole number, thousands apart."""
    return NOTHING if value is None else f"{value:,}"


def change(difference: float | None) -> str:
    """A difference with its sign."""
    return NOTHING if difference is None else _signed(difference, "+.4f")


def interval(bounds: Sequence[float] | None, digits: int = 4) -> str:
    """Both ends of an interval."""
    return NOTHING if not bounds else " … ".join(number(bound, digits) for bound in bounds)


def interval_words(bounds: Sequence[float] | None) -> str:
    """Both ends of an interval, as sentences and Markdown have them."""
    return NOTHING if not bounds else f"{number(bounds[0])} to {number(bounds[1])}"


def percent(value: float | None) -> str:
    """A share 0..1 as a percentage."""
    return NOTHING if value is None else f"{100 * value:.1f} %"


def share(part: int, whole: int) -> str:
    """Part of a whole as a percentage; a dash when the whole is nothing."""
    return percent(part / whole if whole else None)


def moment(text: str | None) -> str:
    """An ISO time to the second, in UTC; one that names no zone is in UTC."""
    if text is None:
        return NOTHING
    return f"{_time(text):%Y-%m-%d %H:%M:%S} UTC"


def duration(begin: str | None, end: str | None) -> str:
    """The time between two ISO times as hours, minutes and seconds; one that names no zone is in UTC."""
    if begin is None or end is None:
        return NOTHING
    seconds = round((_time(end) - _time(begin)) / timedelta(seconds=1))
    parts = ((seconds // 3600, "h"), (seconds // 60 % 60, "min"), (seconds % 60, "s"))
    return " ".join(f"{count} {unit}" for count, unit in parts if count) or "0 s"


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)


def fact(value: JSON) -> str:
    """A value of any kind as it reads best: thousands apart, floats short, lists joined."""
    if value is None:
        return NOTHING
    if isinstance(value, bool) or not isinstance(value, int | float | list):
        return str(value)
    if isinstance(value, list):
        return " … ".join(fact(item) for item in value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def sentence(text: str) -> str:
    """The words with a capital and a full stop."""
    return f"{text[0].upper()}{text[1:]}."


def is_numeric(cell: str) -> bool:
    """Whether a cell is a number, a share, an interval or a dash."""
    return all(not character.isalpha() for character in cell.replace("e-", ""))


def _signed(value: float, form: str) -> str:
    """The value with a minus sign of the width of a plus, and no minus before a zero."""
    return format(value, f"z{form}" if form[0] != "+" else f"+z{form[1:]}").replace("-", "\u2212")
