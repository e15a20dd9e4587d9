"""What gates of this user have found, kept in the store so that later runs need not find it again.

Whoever may write to a store could lay an answer there that is consistent in itself. So each carries a seal, made of
what it says and of the key of its artifact: it cannot stand for another. The name of the key of this user belongs into
the config of a request, so that what was found under another key is found anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mw_pipeline.digest import JSON, write_json_atomically
from mw_pipeline.errors import GateError
from mw_pipeline.seal import is_sealed, seal_of
from mw_pipeline.stages.stage import A_MOMENT_SECONDS, Request
from mw_pipeline.store import Store

_ANSWER_FILE = "answer.json"


def keep(answer: Request, store: Store, content: dict[str, JSON], **metrics: JSON) -> None:
    """Returns when an answer is in the store, this one or one that was there before."""

    def make(out: Path) -> Mapping[str, JSON]:
        write_json_atomically(out / _ANSWER_FILE, content | {"seal": seal_of(_sealed(content, answer.key))})
        return metrics

    answer.build(store, make, patience_seconds=A_MOMENT_SECONDS)


def kept(answer: Request, store: Store) -> dict[str, JSON] | None:
    """What an earlier run has kept, or None. Raises GateError for what no run of this user has given (M68)."""
    artifact = answer.find(store)
    if artifact is None:
        return None
    content: dict[str, JSON] = artifact.read_json(_ANSWER_FILE)
    seal = content.pop("seal", None) if isinstance(content, dict) else None
    if seal is None or not is_sealed(_sealed(content, artifact.manifest.key), seal):
        raise GateError(
            f"{artifact.path}: was not given by a check under the key of this user: its seal is not theirs. "
            "Delete it: the check is asked again."
        )
    return content


def _sealed(content: JSON, key: str) -> JSON:
    return {"kind": "check_answer", "key": key, "content": content}
