"""The store: where artifacts lie, found again by what went into them, made once and moved into place whole."""

from __future__ import annotations

from mw_pipeline.store.artifact_store import Built, Store

__all__ = ["Built", "Store"]
