"""Pictures of runs and scores as SVG text: deterministic, self-contained, legible in print and to colour-blind eyes."""

from __future__ import annotations

import functools
import io
import math
import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, PercentFormatter

from mw_pipeline.digest import JSON
from mw_pipeline.errors import ArtifactError
from mw_pipeline.labels import by_tag
from mw_pipeline.verdict.rules import MEDIAN_POINTS, REBOUND_FACTOR, REBOUND_NATS
from mw_pipeline.verdict.runlog import Row, RunLog

# Okabe & Ito, "Color Universal Design", 2008: told apart under every common colour blindness, and in grey by lightness.
BLUE, ORANGE, GREEN, VERMILION, SKY, GREY = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#56b4e9", "#767676"

_DOTS_PER_INCH = 150
_MOST_POINTS = 2000  # of one line: more than its width in pixels, and a page that still opens at once

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.framealpha": 0.85,
    "legend.edgecolor": "none",
    "legend.fontsize": 8,
    "lines.linewidth": 1.4,
}

P = ParamSpec("P")
T = TypeVar("T")


def styled(draw: Callable[P, T]) -> Callable[P, T]:
    """Draws under this module's style, whatever the caller's matplotlib is set to, and leaves that as it was."""

    @functools.wraps(draw)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
        with mpl.rc_context({**mpl.rcParamsDefault, **_STYLE, "svg.hashsalt": draw.__name__}):
            return draw(*args, **kwargs)

    return wrapper


@styled
def curves_svg(runs: Mapping[str, RunLog], verdict: Mapping[str, JSON] | None = None, *, judged: str = "smoke") -> str:
    """Losses, validation macro-F1 and learning rate over steps, one column per run ("smoke", "full").

    The verdict's near-peak window is shaded, and its loss floor, rebound threshold and failing step are drawn, in the
    column of the run that it judged.
    """
    last = " and ".join(runs)
    description = f"Training curves of the {last} run: loss, validation macro-F1 and learning rate."
    return svg_of(_curves(runs, verdict, judged), "curves", description)


def write_curves(log: RunLog, verdict: Mapping[str, JSON], path: Path, *, title: str) -> None:
    """Draws one run and the verdict on it into a file; see `write_picture`."""
    description = f"Training curves of the {title} run: loss, validation macro-F1 and learning rate."
    write_picture(lambda: _curves({title: log}, verdict, title), path, name="curves", description=description)


def write_picture(draw: Callable[[], Figure], path: Path, *, name: str, description: str) -> None:
    """Draws a figure into a file that needs no other; its suffix says what: .svg or .png.

    Raises ArtifactError for another suffix, and when the file cannot be written."""
    if path.suffix not in (".svg", ".png"):
        raise ArtifactError(f"{path}: a plot has the suffix .svg or .png, found {path.suffix!r}. Name it so.")

    @styled
    def content() -> bytes:
        return _png_of(draw()) if path.suffix == ".png" else svg_of(draw(), name, description).encode()

    drawn = content()
    try:
        path.write_bytes(drawn)
    except OSError as error:
        raise ArtifactError(
            f"{path}: cannot be written ({error.strerror}). Name a file in a folder that is there."
        ) from None


def _png_of(figure: Figure) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=_DOTS_PER_INCH, metadata={"Software": None})
    return out.getvalue()


def _curves(runs: Mapping[str, RunLog], verdict: Mapping[str, JSON] | None, judged: str) -> Figure:
    figure = Figure(figsize=(4.6 * len(runs) + 0.4, 6.6), layout="constrained")
    grid = figure.subplots(3, len(runs), squeeze=False, sharex="col")
    for column, (name, log) in enumerate(runs.items()):
        loss, f1, rate = grid[:, column]
        _draw_loss(loss, log)
        _draw_f1(f1, log)
        rate.plot(*_thinned(*_points(log.steps, "lr")), color=GREY)
        rate.set_xlabel("step")
        loss.set_title(name)
        if verdict is not None and name == judged:
            _draw_verdict(loss, f1, rate, verdict)
        if column == 0:
            loss.set_ylabel("loss (nats)")
            f1.set_ylabel("validation macro-F1")
            rate.set_ylabel("learning rate")
        loss.legend(loc="best")
    return figure


@styled
def tag_scores_svg(per_tag: Mapping[str, Mapping[str, JSON]], ceilings: Mapping[str, float | None]) -> str:
    """F1 of every tag with gold support as a dot, its 95 % interval as a line and its ceiling as a tick.

    Dots, not bars: the axis begins where the lowest interval does, so that scores near 1 can be told apart."""
    tags = [tag for tag, facts in by_tag(per_tag) if facts["support"]]
    figure = Figure(figsize=(7.4, 0.8 + 0.3 * max(1, len(tags))), layout="constrained")
    axes = figure.subplots()
    lows = [min([per_tag[tag]["f1"], *(per_tag[tag].get("interval") or ())]) for tag in tags]
    start = min(0.9, math.floor(10 * min(lows, default=0.0)) / 10)
    for place, tag in enumerate(tags):
        facts = per_tag[tag]
        if facts.get("interval"):
            axes.plot(facts["interval"], [place, place], color=SKY, linewidth=4, solid_capstyle="butt")
        axes.plot(facts["f1"], place, marker="o", markersize=6, color=BLUE)
        ceiling = ceilings.get(tag)
        if ceiling is not None:
            axes.plot([ceiling, ceiling], [place - 0.35, place + 0.35], color=VERMILION, linewidth=1.6)
        axes.annotate(f"{facts['f1']:.3f}", (1.03, place), xycoords=("axes fraction", "data"), va="center")
    axes.set_yticks(range(len(tags)), tags)
    axes.set_xlim(start, 1 + 0.01 * (1 - start))
    axes.invert_yaxis()
    axes.set_xlabel(f"F1 from {start:g} (dot), 95 % interval over families (line), ceiling of this gold (red tick)")
    return svg_of(figure, "tags", "F1 of each tag with its interval and ceiling; the table below holds the numbers.")


@styled
def miss_bars_svg(buckets: Mapping[str, Mapping[str, int]]) -> str:
    """Missed and false values by bucket; `buckets` maps a bucket to its `fn` and `fp` counts."""
    figure = Figure(figsize=(7.4, 0.8 + 0.4 * len(buckets)), layout="constrained")
    axes = figure.subplots()
    for offset, side, label, colour in ((-0.19, "fn", "missed", VERMILION), (0.19, "fp", "false", BLUE)):
        places = [place + offset for place in range(len(buckets))]
        bars = axes.barh(places, [counts[side] for counts in buckets.values()], height=0.36, color=colour, label=label)
        axes.bar_label(bars, padding=3)
    axes.set_yticks(range(len(buckets)), [name.replace("_", " ") for name in buckets])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.margins(x=0.12)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    axes.set_xlabel("tag values")
    return svg_of(figure, "misses", "Missed and false tag values by bucket; the table below holds the numbers.")


@styled
def calibration_svg(buckets: Sequence[Mapping[str, JSON]]) -> str:
    """Share of right spans against their mean confidence, the area of a dot growing with its spans."""
    filled = [bucket for bucket in buckets if bucket["spans"]]
    figure = Figure(figsize=(6.4, 3.9), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="calibrated")
    most = max((bucket["spans"] for bucket in filled), default=1)
    confidence = [bucket["mean_confidence"] for bucket in filled]
    right = [bucket["share_correct"] for bucket in filled]
    axes.vlines(confidence, confidence, right, color=VERMILION, linewidth=1.2, label="gap")
    sizes = [18 + 160 * bucket["spans"] / most for bucket in filled]
    axes.scatter(confidence, right, s=sizes, color=BLUE, alpha=0.85, zorder=3, label="spans (number: how many)")
    for bucket, size in zip(filled, sizes, strict=True):
        place = (bucket["mean_confidence"], bucket["share_correct"])
        offset = (-3 - math.sqrt(size) / 2, -3)
        axes.annotate(f"{bucket['spans']:,}", place, xytext=offset, textcoords="offset points", ha="right", fontsize=8)
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), xlabel="mean confidence", ylabel="share right", aspect="equal")
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.legend(loc="upper left", bbox_to_anchor=(1.02, 1.0))
    return svg_of(figure, "calibration", "Share of right spans against their mean confidence, in ten equal buckets.")


@styled
def mix_bars_svg(sources: Sequence[Mapping[str, JSON]]) -> str:
    """Requested and realised share of every source of a mix (the dicts of `Mix.as_json()["sources"]`)."""
    figure = Figure(figsize=(7.4, 0.8 + 0.4 * max(1, len(sources))), layout="constrained")
    axes = figure.subplots()
    for offset, key, colour in ((-0.19, "requested_share", SKY), (0.19, "realised_share", BLUE)):
        places = [place + offset for place in range(len(sources))]
        label = key.removesuffix("_share")
        axes.barh(places, [source[key] for source in sources], height=0.36, color=colour, label=label)
    axes.set_yticks(range(len(sources)), [source["name"] for source in sources])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return svg_of(figure, "mix", "Requested and realised share of each source; the table below holds the numbers.")


def _draw_loss(axes: Axes, log: RunLog) -> None:
    steps, losses = _points(log.steps, "loss")
    axes.plot(*_thinned(steps, losses), color=SKY, linewidth=0.7, alpha=0.8, label="train")
    axes.plot(*_thinned(steps, _running_median(losses)), color=BLUE, label=f"train, median of {MEDIAN_POINTS}")
    axes.plot(*_points(log.evals, "val_loss"), color=ORANGE, marker="o", markersize=2.5, label="validation")
    if losses and min(losses) > 0 and max(losses) > 20 * min(losses):
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_locator(NullLocator())


def _draw_f1(axes: Axes, log: RunLog) -> None:
    steps, values = _points(log.evals, "val_macro_f1")
    axes.plot(steps, values, color=GREEN, marker="o", markersize=2.5)
    if values:
        best = max(range(len(values)), key=values.__getitem__)
        label = f"best {values[best]:.4f} at {steps[best]:,.0f}, last {values[-1]:.4f}"
        axes.plot(steps[best], values[best], marker="o", markersize=7, fillstyle="none", color="black", label=label)
        axes.legend(loc="best")


def _draw_verdict(loss: Axes, f1: Axes, rate: Axes, verdict: Mapping[str, JSON]) -> None:
    evidence = verdict["evidence"]
    window = evidence.get("near_peak_window")
    if window:
        last = evidence.get("last_step") or window[1]
        for axes in (loss, f1, rate):
            axes.axvspan(
                window[0], min(window[1], last), color=ORANGE, alpha=0.13, linewidth=0, label="near-peak window"
            )
        rate.legend(loc="best")
    floor = evidence.get("loss_floor")
    if isinstance(floor, int | float):
        loss.axhline(floor, color=GREY, linewidth=0.9, linestyle=":", label=f"floor {floor:.3g}")
        threshold = max(REBOUND_FACTOR * floor, floor + REBOUND_NATS)
        loss.axhline(threshold, color=VERMILION, linewidth=0.9, linestyle="--", label=f"rebound above {threshold:.3g}")
    if verdict.get("step") is not None:
        for axes in (loss, f1, rate):
            axes.axvline(verdict["step"], color=VERMILION, linewidth=1.2)
        f1.annotate(
            f"{verdict['rule']} at {verdict['step']:,}",
            (verdict["step"], 0.98),
            xycoords=("data", "axes fraction"),
            color=VERMILION,
            fontsize=8,
            va="top",
            xytext=(4, 0),
            textcoords="offset points",
        )


def _points(rows: Sequence[Row], column: str) -> tuple[list[float], list[float]]:
    """Steps and finite values of a column; what is missing or not finite leaves a gap, and the verdict names it."""
    pairs = [(float(row["step"]), float(row[column])) for row in rows if row.get(column) is not None]
    finite = [(step, value) for step, value in pairs if math.isfinite(value)]
    return [step for step, _ in finite], [value for _, value in finite]


def _thinned(steps: Sequence[float], values: Sequence[float]) -> tuple[list[float], list[float]]:
    """At most about `_MOST_POINTS` points: lowest and highest of every stretch, so that no spike is thinned away."""
    stretch = max(1, math.ceil(2 * len(values) / _MOST_POINTS))
    kept: list[int] = []
    for begin in range(0, len(values), stretch):
        places = range(begin, min(begin + stretch, len(values)))
        kept += sorted({min(places, key=values.__getitem__), max(places, key=values.__getitem__)})
    return [steps[i] for i in kept], [values[i] for i in kept]


def _running_median(values: Sequence[float]) -> list[float]:
    """Median of the last five values: what the failure rules look at."""
    return [statistics.median(values[max(0, end - MEDIAN_POINTS) : end]) for end in range(1, len(values) + 1)]


def svg_of(figure: Figure, name: str, description: str) -> str:
    """The figure as an `<svg>` element with a description, ids of its own, and no date: equal input, equal bytes."""
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None})
    text = out.getvalue()
    text = text[text.index("<svg ") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", text)
    text = re.sub(r'width="([\d.]+)pt" height="[\d.]+pt"', r'role="img" style="max-width:\1pt"', text, count=1)
    return re.sub(r"(<svg [^>]*>)", rf"\1<title>{description}</title>", text, count=1)
