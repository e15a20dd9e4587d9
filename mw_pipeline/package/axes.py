"""What a card says of the four axes of a release against its baseline."""

from __future__ import annotations

from collections.abc import Mapping

from mw_pipeline.digest import JSON

_QUOTED = (
    "baseline", "gold", "tags", "only_here", "only_there", "rows", "headline", "improved", "worsened",
    "with_adversarial", "without_adversarial", "sentence",
)  # fmt: skip
NOT_COMPARED = "no baseline: nobody has compared this package with one"


def axes_on_card(axes: Mapping[str, JSON] | None) -> dict[str, JSON]:
    """The comparison of one locale as the card quotes it: how many values changed, and not which."""
    if axes is None:
        return {"sentence": NOT_COMPARED}
    said: dict[str, JSON] = {key: axes[key] for key in _QUOTED if key in axes}
    if "regression" in axes:
        said["values"] = {side: axes["regression"][side] for side in ("fixed", "broken", "still_wrong")}
    return said
