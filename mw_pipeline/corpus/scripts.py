"""Which script a row's components are written in, found by bytes first: most rows are Latin and cost nothing."""

from __future__ import annotations

from collections.abc import Iterable

import anyascii
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mw_pipeline.records.text import Mask, any_byte, code_point_lengths, code_points, filled, mask_of, utf8_bytes

OTHER_SCRIPTS = (
    "Han", "Hiragana", "Katakana", "Hangul", "Cyrillic", "Greek", "Arabic", "Hebrew", "Devanagari", "Bengali", "Tamil",
    "Telugu", "Thai", "Georgian", "Armenian",
)  # fmt: skip
"""The scripts that are written here besides Latin, as RE2 knows them."""
OTHER = "[" + "".join(rf"\p{{{script}}}" for script in OTHER_SCRIPTS) + "]"
UNSPACED = r"[\p{Han}\p{Hiragana}\p{Katakana}]"
_BETWEEN = "\x1f"
_UNSPACED_TEXT = r"[\p{Han}\p{Hiragana}\p{Katakana}][\p{Han}\p{Hiragana}\p{Katakana}ー・]*"
_UNSPACED_WITH_NUMBERS = r"[\p{Han}\p{Hiragana}\p{Katakana}0-9〒][\p{Han}\p{Hiragana}\p{Katakana}ー・0-9-]*"

# How scripts with habits of their own are written, by what all texts of a row together look like; the first that fits.
STYLES = {
    "plain": r"^$",
    "unspaced": rf"^{_BETWEEN}*(?:{_UNSPACED_TEXT}{_BETWEEN}+)*$",
    "numbered": rf"^{_BETWEEN}*(?:{_UNSPACED_WITH_NUMBERS}{_BETWEEN}+)*$",
    "mixed": UNSPACED,
    "arabic": r"\p{Arabic}",
    "korean": r"\p{Hangul}",
}
STYLE = {name: number for number, name in enumerate(STYLES)}

# Scripts that are read letter by letter, so that a spelling in Latin letters is what people write, for use in a class;
# and those of them without capitals, where the Latin name takes them.
PHONETIC = r"\p{Cyrillic}\p{Greek}\p{Georgian}\p{Armenian}\p{Hangul}"
CASELESS = r"[\p{Georgian}\p{Hangul}]"

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
    return any_byte(data >= _FIRST_OTHER_BYTE, offsets)


def any_matches(columns: Iterable[pa.StringArray], pattern: str, rows: Mask) -> Mask:
    """The rows, among those given, in which a text of some column matches; columns hold no null."""
    found = rows.copy()
    if rows.any():
        found[rows] = mask_of(pc.match_substring_regex(_side_by_side(columns, rows), pattern))
    return found


def styles(columns: Iterable[pa.StringArray], rows: Mask) -> npt.NDArray[np.int64]:
    """(N,): which of STYLES each row is written in, "plain" outside the rows given."""
    found = np.zeros(len(rows), np.int64)
    if rows.any():
        texts = _side_by_side(columns, rows)
        ways = [mask_of(pc.match_substring_regex(texts, pattern)) for pattern in STYLES.values()]
        found[rows] = np.where(np.any(ways, axis=0), np.argmax(ways, axis=0), 0)
    return found


def _side_by_side(columns: Iterable[pa.StringArray], rows: Mask) -> pa.StringArray:
    """The texts of the rows given, one behind the other with a sign between that no text has."""
    look = pa.array(np.flatnonzero(rows))
    return pc.binary_join_element_wise(*(texts.take(look) for texts in columns if filled(texts).any()), "", _BETWEEN)


def in_other_script(columns: Iterable[pa.StringArray]) -> Mask:
    """The rows in which some text has a letter of another script than Latin."""
    texts = list(columns)
    doubtful = np.zeros(len(texts[0]) if texts else 0, np.bool_)
    for column in texts:
        doubtful |= may_be_foreign(column)
    return any_matches(texts, OTHER, doubtful)


def in_latin_letters(texts: pa.StringArray) -> pa.StringArray:
    """Each text letter by letter in ASCII, by the table of anyascii; signs that only soften a letter are left out."""
    distinct, index = np.unique(code_points(texts), return_inverse=True)
    spelled = pa.array([anyascii.anyascii(chr(point)) for point in distinct], pa.string())
    soft = pa.array([not chr(point).isascii() for point in distinct])
    spelled = pc.if_else(soft, pc.replace_substring_regex(spelled, "['`]", ""), spelled)
    offsets = pa.array(np.concatenate([[0], np.cumsum(code_point_lengths(texts))]), pa.int32())
    return pc.binary_join(pa.ListArray.from_arrays(offsets, spelled.take(pa.array(index.ravel()))), "")
