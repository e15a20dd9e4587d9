"""The project that a command works on, and a word about it where someone stands outside of it."""

from __future__ import annotations

import os
from pathlib import Path

from mw_pipeline.cli import say
from mw_pipeline.stages.place import Place, checkout_of


def place_in_use(*, time_limit: str | None = None, in_parts: bool | None = None) -> Place:
    """The place that environment and code name. Says on stderr which it is when nobody named it and nobody is in it."""
    place = Place.of(time_limit=time_limit, in_parts=in_parts).remembering()
    if not os.environ.get("MW_PROJECT") and (why := _why_this_project(place)):
        say(f"project {place.project} ({why}), store {place.store.url}; MW_PROJECT and MW_STORE name others")
    return place


def _why_this_project(place: Place) -> str | None:
    if checkout_of(Path(__file__)) is None:
        return "where you stand, as this mw_pipeline was installed without recipes and corpora"
    return None if Path.cwd().is_relative_to(place.project) else "where this mw_pipeline lies"
