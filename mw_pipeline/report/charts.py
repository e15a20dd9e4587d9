"""How pictures are drawn: as SVG text, deterministic, self-contained, legible in print and to colour-blind eyes."""

from __future__ import annotations

import functools
import io
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from mw_pipeline.digest import JSON
from mw_pipeline.errors import ArtifactError

# Okabe & Ito, "Color Universal Design", 2008: told apart under every common colour blindness, and in grey by lightness.
BLUE, ORANGE, GREEN, VERMILION, SKY, GREY = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#56b4e9", "#767676"

_DOTS_PER_INCH = 150

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
