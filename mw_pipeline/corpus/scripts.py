"""Which script a row's components are written in, found by bytes first: most rows are Latin and cost nothing."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mw_pipeline.corpus.text import Mask, mask_of, utf8_bytes

# Letters of the scripts that are written here besides Latin, as RE2 classes.
OTHER = (
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Cyrillic}\p{Greek}\p{Arabic}\p{Hebrew}\p{Devanagari}\p{Bengali}"
    r"\p{Tamil}\p{Telugu}\p{Thai}\p{Georgian}\p{Armenian}]"
)
UNSPACED = r"[\p{Han}\p{Hiragana}\p{Katakana}]"
UNSPACED_WHOLE = r"^[\p{Han}\p{Hiragana}\p{Katakana}]([\p{Han}\p{Hiragana}\p{Katakana}ー・]*)$|^$"
KOREAN = r"\p{Hangul}"
ARABIC = r"\p{Arabic}"

# Greek is the first script behind the Latin letters and their marks; its UTF-8 begins with this byte.
_FIRST_OTHER_BYTE = 0xCD

# Countries whose own addresses are written in another script than Latin.
OTHER_SCRIPT_COUNTRIES = (
    "AE AM BG BY CN CY DZ EG GE GR HK IL IN IQ IR JO JP KR KW KZ LB LK MA MK MM MO NP RS RU SA SY TH TN TW UA"
)


def may_be_foreign(texts: pa.StringArray) -> Mask:
    """Where a text has a byte that no Latin letter of European languages has. It holds for all other scripts, and for
    typographic signs: what is true here needs a closer look."""
    offsets, data = utf8_bytes(texts)
    seen = np.concatenate([[0], np.cumsum(data >= _FIRST_OTHER_BYTE)])
    return np.asarray(seen[offsets[1:]] > seen[offsets[:-1]])


def any_matches(columns: Iterable[pa.StringArray], pattern: str, rows: Mask) -> Mask:
    """The rows, among those given, in which a text of some column matches; columns hold no null."""
    found = np.zeros(len(rows), np.bool_)
    look = pa.array(np.flatnonzero(rows))
    if len(look):
        for texts in columns:
            found[rows] |= mask_of(pc.match_substring_regex(texts.take(look), pattern))
    return found


def all_match(columns: Iterable[pa.StringArray], pattern: str, rows: Mask) -> Mask:
    """The rows, among those given, in which the texts of all columns match; columns hold no null."""
    found = rows.copy()
    look = pa.array(np.flatnonzero(rows))
    if len(look):
        for texts in columns:
            found[rows] &= mask_of(pc.match_substring_regex(texts.take(look), pattern))
    return found


def in_other_script(columns: Iterable[pa.StringArray]) -> Mask:
    """The rows in which some text has a letter of another script than Latin."""
    texts = list(columns)
    doubtful = np.zeros(len(texts[0]) if texts else 0, np.bool_)
    for column in texts:
        doubtful |= may_be_foreign(column)
    return any_matches(texts, OTHER, doubtful)
