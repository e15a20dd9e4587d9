"""The client in JavaScript that runs our packages: what it asks of them, and what it does to a text before that."""

from __future__ import annotations

MOST_PIECES = 128
"""The longest sequence that it runs a network on."""
FORBIDDEN_SCORE = -1e9
"""What it adds for a move that the labels forbid. JSON knows no infinity, and null would be added as 0."""
