"""Seals: marks that tell what a gate of ours has found from what someone else has written.

The digest of an artifact says that its bytes are whole, not who made them: whoever may write to a store can lay an
answer there that is consistent in itself. So what a gate keeps for later runs carries a keyed hash (HMAC-SHA256,
RFC 2104). The key lies outside the store, in a file that only its owner may read, and is made when it is first needed.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import hmac
import os
import secrets
import tempfile
from pathlib import Path

from mw_pipeline.digest import JSON, digest_of
from mw_pipeline.errors import ArtifactError

KEY_VARIABLE = "MW_SEAL_KEY"
_KEY_BYTES = 32


def seal_of(value: JSON) -> str:
    """The seal (64 hex) of a JSON value under the key of this user. Raises ArtifactError when that cannot be read."""
    return hmac.new(_key(key_path()), digest_of(value).encode(), hashlib.sha256).hexdigest()


def is_sealed(value: JSON, seal: JSON) -> bool:
    """Whether a seal is that of this value under the key of this user. What JSON cannot hold has none."""
    try:
        return isinstance(seal, str) and hmac.compare_digest(seal_of(value).encode(), seal.encode())
    except ValueError:  # a number that is not finite, or half of a surrogate pair
        return False


def key_name() -> str:
    """What the key is called (16 hex), which tells nothing of it: answers under another key have another name."""
    return hashlib.sha256(b"name of " + _key(key_path())).hexdigest()[:16]


def key_path() -> Path:
    """Where the key lies: the file that MW_SEAL_KEY names, else one in the folder for the state of this user."""
    if named := os.environ.get(KEY_VARIABLE):
        return Path(named).absolute()
    try:
        home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    except RuntimeError as error:
        raise ArtifactError(f"the key that seals what gates find has no place ({error}). Set {KEY_VARIABLE}.") from None
    return Path(home) / "mw-pipeline" / "seal.key"


@functools.cache
def _key(path: Path) -> bytes:
    try:
        if not path.exists():
            _make_key(path)
        key, open_to_others = path.read_bytes(), path.stat().st_mode & 0o077
    except OSError as error:
        raise ArtifactError(
            f"{path}: the key that seals what gates have found cannot be made or read ({error.strerror}). "
            f"Set {KEY_VARIABLE} to a file that may be."
        ) from None
    if open_to_others:
        raise ArtifactError(
            f"{path}: may be read or written by others, who could then seal what they like. Run `chmod 600` on it, or "
            "delete it: a new one is made."
        )
    if len(key) != _KEY_BYTES:
        raise ArtifactError(
            f"{path}: has {len(key)} bytes, expected the {_KEY_BYTES} of a key. Delete it: a new one is made, and "
            "gates ask again what they had kept."
        )
    return key


def _make_key(path: Path) -> None:
    """Makes the key whole and once, whoever else does it at the same time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent) as draft:  # that only its owner may read
        draft.write(secrets.token_bytes(_KEY_BYTES))
        draft.flush()
        with contextlib.suppress(FileExistsError):
            os.link(draft.name, path)
