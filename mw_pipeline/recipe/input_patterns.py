"""What a config file may name as the place of raw files: a path or pattern, or a URL."""

from __future__ import annotations

from pathlib import PurePosixPath
from urllib.parse import urlsplit

from mw_pipeline.urls import OBJECT_SCHEMES

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def pattern_problem(pattern: str) -> str:
    """What keeps a path or pattern from matching anything as it is meant, or nothing."""
    if "://" in pattern:
        return "that is a URL, expected a path or pattern of files that are here"
    if pattern.startswith("~"):
        return "~ stands for no home folder here, expected the path written out"
    if "{" in pattern or "}" in pattern:
        return "braces stand for no choice here, expected a pattern of *, ? and [], as in '[uf][sr].csv'"
    if any("**" in part and part != "**" for part in pattern.split("/")):
        return "** stands for any folders and for nothing less, expected it alone between slashes, as in 'a/**/*.csv'"
    if not pattern.isprintable() or not PurePosixPath(pattern).name:
        return "expected the name of a file, or a pattern of such names"
    return ""


def file_pattern_problem(pattern: str) -> str:
    """As `pattern_problem`, where a folder does not stand for the files in it."""
    if problem := pattern_problem(pattern):
        return problem
    of_folders = pattern.endswith(("/", "/**")) or pattern == "**"
    return "that names folders, expected files, as in 'folder/*.csv'" if of_folders else ""


def url_problem(url: str) -> str:
    """What keeps a URL from being fetched, or nothing: it is of object storage, https, or http to this very machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError as error:
        return f"that is no URL ({error})"
    if parts.scheme not in ("http", "https", *OBJECT_SCHEMES) or not host:
        return "only https URLs with a host are fetched, and those of s3, gs and az with a bucket"
    if parts.username is not None or parts.password is not None:
        return "a corpus spec is no place for a password"
    return "plain http is for this machine alone" if parts.scheme == "http" and host not in _LOOPBACK else ""
