"""Whether a text is a URL, or was meant to be one. Standard library.

As a path, `s3://bucket/rows` is a folder called `s3:`: whoever takes paths or URLs asks here first."""

from __future__ import annotations

import re

# One letter in front of a colon is a drive; a folder with such a name can be written with ./ in front.
_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+):(?P<slashes>/+)(?P<rest>.*)", re.DOTALL)


OBJECT_SCHEMES = ("s3", "gs", "az")
"""Of URLs on object storage: of S3, Google and Azure."""


def is_object_url(text: str) -> bool:
    """Whether a text begins as the URL of an object, or of a folder of objects."""
    return is_url(text) and text.partition("://")[0] in OBJECT_SCHEMES


def is_url(text: str) -> bool:
    """Whether a text begins as a URL with a place behind it: a scheme, a colon and two slashes."""
    return "://" in text


def meant_url(text: str) -> str | None:
    """The URL that a text was likely meant to be, as `s3://rows` for `s3:/rows`; None for a URL, and for any path."""
    found = _URL.fullmatch(text)
    if found is None or is_url(text):
        return None
    return f"{found['scheme']}://{'/' if found['scheme'].lower() == 'file' else ''}{found['rest']}"
