"""What the pages have in common: chapters, headline numbers, and templates in one style.

A page is self-contained HTML: pictures are inline SVG, nothing is fetched, and equal values give equal bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from mw_pipeline.report.cells import Table


@dataclass(frozen=True)
class Section:
    """A chapter of the page: sentences, pictures and tables, shown in this order."""

    anchor: str
    title: str
    sentences: tuple[str, ...] = ()
    pictures: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()


@dataclass(frozen=True)
class Tile:
    """One number of the headline with the words around it."""

    label: str
    value: str
    note: str


def write_page(out: Path, template: str, **values: object) -> Path:
    """Writes a template with its values to `out` and returns it.

    All texts are escaped but the pictures, whose texts matplotlib escapes."""
    environment = Environment(
        loader=PackageLoader("mw_pipeline.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    page = environment.get_template(f"{template}.html.jinja").render(**values, svg=Markup)
    out.write_text(page, encoding="utf-8")
    return out
