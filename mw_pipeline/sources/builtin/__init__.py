"""The embedded default source: addresses composed from the dependencies' own facts and hand-written lists."""

from __future__ import annotations

from mw_pipeline.sources.builtin.adapter import Builtin

__all__ = ["Builtin"]
