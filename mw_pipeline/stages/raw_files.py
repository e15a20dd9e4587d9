"""What was last seen of the raw files of each source, and which run a change of them asks for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from mw_pipeline.corpus.inputs import match_inputs
from mw_pipeline.errors import MwError
from mw_pipeline.stages.place import Place


@dataclass(frozen=True)
class SeenFiles:
    """Source → size and time of its files when last seen, and source → how often a change of them has asked.

    `since` is when the counting began, in seconds since 1970: a count that begins anew gives no key a second time."""

    since: int
    states: Mapping[str, str] = field(default_factory=dict)
    asked: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of_text(cls, text: str | None, *, now: int) -> SeenFiles:
        """What `as_text` wrote; nothing seen yet for no text, or for one that something else wrote."""
        try:
            written = json.loads(text or "{}")
            return cls(int(written["since"]), dict(written["states"]), dict(written["asked"]))
        except (ValueError, TypeError, KeyError):
            return cls(since=now)

    def as_text(self) -> str:
        """For the next look."""
        return json.dumps({"since": self.since, "states": dict(self.states), "asked": dict(self.asked)})

    def after(self, now: Mapping[str, str]) -> tuple[dict[str, str], SeenFiles]:
        """Changed source → a key that no earlier change had, also where files go back to what they were; and what is
        seen now. What is gone stays as it was seen, so that it counts as changed when it comes back as something else.
        """
        changed = [source for source, state in now.items() if self.states.get(source, state) != state]
        asked = {**self.asked, **{source: self.asked.get(source, 0) + 1 for source in changed}}
        keys = {source: f"{source}@{self.since}-{asked[source]}" for source in changed}
        return keys, replace(self, states={**self.states, **now}, asked=asked)


def state_of(place: Place, key: str) -> str | None:
    """Sizes and times of the files of CORPUS:SOURCE as one word, or None where it has none on this machine to watch."""
    corpus, _, source = key.partition(":")
    try:
        stats = [path.stat() for path in match_inputs(place.corpus_spec(corpus), source, place.data)]
    except (MwError, OSError):
        return None
    return ",".join(f"{s.st_size}.{s.st_mtime_ns}" for s in stats) or None
