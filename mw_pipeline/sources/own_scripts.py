"""Which of many unlabelled names of a place is the one that its own country writes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher

from anyascii import anyascii

_HAN = "[\u3400-\u9fff々]"
_CYRILLIC, _ARABIC = "[\u0400-\u04ff]", "[\u0620-\u06ff]"
_ARAB_COUNTRIES = "AE BH DZ EG IQ JO KW LB LY MA OM PS QA SA SD SY TN YE"
# the vowel signs of Arabic, which schoolbooks write and addresses do not
_VOWEL_SIGNS = re.compile("[\u064b-\u0652]")


@dataclass(frozen=True)
class OwnScript:
    """The letters of a country's own names.

    A national character set knows them better than Unicode, in which one block serves many languages: KOI8-R has the
    letters of Russian and not those of Serbian, GB 2312 has simplified characters only, ISO 8859-6 no Persian letters.
    """

    letter: str
    charset: str | None = None

    def writes(self, name: str) -> bool:
        """Whether the name is written in these letters throughout."""
        if not re.fullmatch(f"(?:{self.letter}|[\u0300-\u036f -])*{self.letter}(?:{self.letter}|[ -])*", name):
            return False
        try:
            name.encode(self.charset or "utf-8")
        except UnicodeEncodeError:
            return False
        return True


OWN_SCRIPTS: Mapping[str, OwnScript] = {
    "AM": OwnScript("[\u0531-\u0587]"),
    "BD": OwnScript("[\u0980-\u09ff]"),
    "BG": OwnScript("[\u0410-\u0429\u042a\u042c\u042e-\u044a\u044c\u044e\u044f]"),
    "CN": OwnScript(_HAN, "gb2312"),
    "GE": OwnScript("[\u10d0-\u10ff]"),
    "GR": OwnScript("[\u0370-\u03ff]", "iso8859_7"),
    "HK": OwnScript(_HAN, "big5"),
    "IL": OwnScript("[\u05d0-\u05ea'\"]"),
    "IR": OwnScript(_ARABIC),
    "JP": OwnScript("[\u3040-\u30ff\u3400-\u9fff々]", "euc_jp"),
    "KR": OwnScript("[\uac00-\ud7a3]", "euc_kr"),
    "MK": OwnScript(_CYRILLIC, "iso8859_5"),
    "MO": OwnScript(_HAN, "big5"),
    "NP": OwnScript("[\u0900-\u097f]"),
    "RS": OwnScript(_CYRILLIC, "iso8859_5"),
    "RU": OwnScript(_CYRILLIC, "koi8_r"),
    "TH": OwnScript("[\u0e00-\u0e7f]", "tis_620"),
    "TW": OwnScript(_HAN, "big5"),
    "UA": OwnScript("[\u0404\u0406\u0407\u0410-\u0429\u042c\u042e-\u0449\u044c\u044e\u044f\u0454\u0456\u0457’'ґҐ]"),
    **dict.fromkeys(_ARAB_COUNTRIES.split(), OwnScript(_ARABIC, "iso8859_6")),
}


def own_name(country: str, latin: str, names: Iterable[str]) -> str | None:
    """The name in the country's own script that sounds most like its name in Latin letters; None where there is none.

    Japanese names are read in many ways, so there the first, which is the shortest of its family, is taken.
    """
    script = OWN_SCRIPTS.get(country)
    if script is None:
        return None
    found = [name for name in (_VOWEL_SIGNS.sub("", name.strip()) for name in names) if script.writes(name)]
    if len(found) < 2 or country == "JP":
        return found[0] if found else None
    wanted = latin.lower()
    return max(found, key=lambda name: SequenceMatcher(None, anyascii(name).lower(), wanted).ratio())
