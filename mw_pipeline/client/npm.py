"""What npm takes for the name, version and licence of a package, and what a package is called by default.

Sources: docs.npmjs.com "package.json", and the packages validate-npm-package-name and validate-npm-package-license.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import accumulate

SCOPE = "@mailwoman"
NAME = "neural-weights"
UNDECIDED_LICENSE = "SEE LICENSE IN ATTRIBUTION.md"
"""Says no more than the sources of the training rows ask for."""
OPTIONAL_CHANNELS = ("anchor", "gazetteer")
"""Inputs beside the text that the client can offer, and that our networks do without."""

_MOST_CHARACTERS = 214
_LONGEST_VERSION, _LARGEST_NUMBER = 256, 2**53 - 1  # of the package semver, by which npm reads a version
_SEGMENT = "[a-z0-9][a-z0-9._-]*"
_SCOPED_NAME = re.compile(f"(?:@{_SEGMENT}/)?{_SEGMENT}")
_NOT_ALLOWED = ("node_modules", "favicon.ico")
# semver.org, "Is there a suggested regular expression".
_NUMBER, _IDENTIFIER = "(?:0|[1-9][0-9]*)", "(?:0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)"
_VERSION = re.compile(
    rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-{_IDENTIFIER}(?:\.{_IDENTIFIER})*)?(?:\+[0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*)?"
)
_LICENSE = r"\(*[A-Za-z0-9][A-Za-z0-9.-]*\+?\)*"
_SPDX = re.compile(rf"{_LICENSE}(?: (?:AND|OR|WITH) {_LICENSE})*")


@dataclass(frozen=True)
class Imprint:
    """What whoever publishes a package decides of it; everything else that it says of itself is measured."""

    name: str
    version: str
    locale: str
    license: str = UNDECIDED_LICENSE
    optional_channels: tuple[str, ...] = OPTIONAL_CHANNELS

    @property
    def description(self) -> str:
        """One line for a list of packages."""
        return f"Weights of an address parser for {self.locale}: int8 ONNX, SentencePiece model, CRF transitions"


def package_name(locale: str, *, scope: str = SCOPE, name: str = NAME) -> str:
    """The name of the package of a locale; a scope of "" is none."""
    return f"{scope}/{name}-{locale}" if scope else f"{name}-{locale}"


def name_problem(name: str) -> str:
    """What keeps npm from taking a new package of this name, or nothing."""
    if len(name) > _MOST_CHARACTERS:
        return f"expected {_MOST_CHARACTERS} characters at most, found {len(name)}"
    if not _SCOPED_NAME.fullmatch(name) or name in _NOT_ALLOWED:
        return "expected small letters and digits, with dots, hyphens and underscores inside"
    return ""


def scope_problem(scope: str) -> str:
    """What keeps a text from being a scope of npm, or nothing; "" stands for none."""
    if scope and not re.fullmatch(f"@{_SEGMENT}", scope):
        return "expected @ and small letters, as in '@mailwoman', or '' for none"
    return ""


def version_problem(version: str) -> str:
    """What keeps npm from taking a version, or nothing."""
    if len(version) > _LONGEST_VERSION or not _VERSION.fullmatch(version):
        return f"expected a version of three numbers, as in '0.1.0', in {_LONGEST_VERSION} characters at most"
    numbers = re.split("[-+]", version)[0].split(".")
    if any(int(number) > _LARGEST_NUMBER for number in numbers):
        return f"expected three numbers of {_LARGEST_NUMBER} at most"
    return ""


def license_problem(text: str) -> str:
    """What keeps npm from reading a licence, or nothing; whether SPDX lists each id is not looked up."""
    if text in ("UNLICENSED", UNDECIDED_LICENSE) or (_SPDX.fullmatch(text) and _is_nested(text)):
        return ""
    return f"expected a licence as SPDX has it, as in 'CC-BY-4.0', or {UNDECIDED_LICENSE!r}, or 'UNLICENSED'"


def _is_nested(text: str) -> bool:
    """Whether every bracket that opens is closed behind that, and none is closed that was not opened."""
    depths = [*accumulate({"(": 1, ")": -1}.get(character, 0) for character in text)]
    return min(depths) >= 0 and depths[-1] == 0
