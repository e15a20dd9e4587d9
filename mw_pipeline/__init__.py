"""From raw public address files to packaged weights of an address parser, with gates that refuse weak evidence."""

from __future__ import annotations

__version__ = "0.1.0"
