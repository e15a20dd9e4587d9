"""Column kernels over text: hashing, normalising and word edits on whole Arrow arrays, never row by row."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mw_pipeline.draws import GOLDEN_GAMMA, splitmix64

Mask = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]
Hashes = npt.NDArray[np.uint64]
Kernel = Callable[[pa.StringArray], pa.Array]
Rows = TypeVar("Rows", pa.Table, pa.RecordBatch, pa.StringArray)

# The marks that Latin, Greek and Cyrillic letters take. Vowel signs of other scripts are letters, not accents.
_MARKS = r"[\x{0300}-\x{036F}]+"

# Where a word begins and ends, as groups of RE2: its own \b takes the é of "Séné" for the end of a word.
BEFORE = r"(^|[^\p{L}\p{M}\p{N}])"
AFTER = r"($|[^\p{L}\p{M}\p{N}])"


def hash64(texts: pa.StringArray, *, salt: int = 0) -> Hashes:
    """A 64-bit hash of each text's UTF-8 bytes, the same on every machine and version.

    Each 8-byte word is mixed with a key of its position, and the mixed words are summed modulo 2^64: one pass of array
    arithmetic whatever the lengths. The array must hold no null.
    """
    offsets, data = utf8_bytes(texts)
    lengths = np.diff(offsets)
    counts = (lengths + 7) // 8
    ends = np.cumsum(counts)
    position = np.arange(int(counts.sum())) - np.repeat(ends - counts, counts)
    padded = np.concatenate([data, np.zeros(8, np.uint8)])
    overlapping = np.ndarray((len(data) + 1,), dtype="<u8", buffer=padded.data, strides=(1,))
    words = overlapping[np.repeat(offsets[:-1], counts) + 8 * position]
    unused_bits = np.clip(8 * position + 8 - np.repeat(lengths, counts), 0, 7).astype(np.uint64) * _EIGHT
    words = (words << unused_bits) >> unused_bits
    start = splitmix64(np.full(1, salt, np.uint64))
    keys = splitmix64(np.arange(int(counts.max(initial=0)), dtype=np.uint64) + start)
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(splitmix64(words ^ keys[position]), dtype=np.uint64)])
    return splitmix64(start + sums[ends] - sums[ends - counts] + lengths.astype(np.uint64) * GOLDEN_GAMMA)


def utf8_bytes(texts: pa.StringArray) -> tuple[npt.NDArray[np.int64], Bytes]:
    """The UTF-8 bytes of all texts end to end, and the rows + 1 offsets into them."""
    _, offset_buffer, data_buffer = texts.buffers()
    if not len(texts):
        return np.zeros(1, np.int64), np.zeros(0, np.uint8)
    offsets = np.frombuffer(offset_buffer, np.int32, len(texts) + 1, 4 * texts.offset).astype(np.int64)
    data = np.frombuffer(data_buffer or b"", dtype=np.uint8)[offsets[0] : offsets[-1]]
    return offsets - offsets[0], data


def code_points(texts: pa.StringArray) -> npt.NDArray[np.uint32]:
    """The Unicode code points of all texts end to end."""
    _, data = utf8_bytes(texts)
    return np.frombuffer(data.tobytes().decode().encode("utf-32-le"), dtype=np.uint32)


def texts_of(points: npt.NDArray[np.uint32], lengths: npt.NDArray[np.int64]) -> pa.StringArray:
    """The texts of these lengths that code points end to end make up: the inverse of `code_points`."""
    data = points.astype("<u4").tobytes().decode("utf-32-le").encode()
    sizes = 1 + (points >= 0x80) + (points >= 0x800).astype(np.int64) + (points >= 0x10000)
    ends = np.concatenate([[0], np.cumsum(sizes)])[np.concatenate([[0], np.cumsum(lengths)])]
    offsets = pa.py_buffer(ends.astype(np.int32).tobytes())
    return pa.StringArray.from_buffers(len(lengths), offsets, pa.py_buffer(data))


def code_point_lengths(texts: pa.StringArray) -> npt.NDArray[np.int64]:
    """The length of each text in code points; what a person would count as UTF-16 units is never used (M19)."""
    offsets, data = utf8_bytes(texts)
    if data.max(initial=0) < _PAST_ASCII:
        return np.diff(offsets)
    lengths: npt.NDArray[np.int64] = pc.utf8_length(texts).to_numpy(zero_copy_only=False).astype(np.int64)
    return lengths


def normalised_text(texts: pa.StringArray) -> pa.StringArray:
    """Each text as the leak checks compare it: lower case, accents off, runs of anything but letters and digits as one
    space. Case, accent and punctuation variants of one address are equal under it (M20, M21)."""
    lowered = pc.utf8_lower(pc.utf8_normalize(texts, form="NFKD"))
    plain = pc.replace_substring_regex(lowered, _MARKS, "")
    return pc.utf8_trim(pc.replace_substring_regex(plain, r"[^\p{L}\p{M}\p{N}]+", " "), " ")


def without_accents(texts: pa.StringArray) -> pa.StringArray:
    """Each text with the accents of its Latin letters taken off and ligatures spelled out; other scripts stay."""
    plain = pc.replace_substring_regex(pc.utf8_normalize(texts, form="NFD"), r"([A-Za-z])" + _MARKS, r"\1")
    for ligature, letters in (("œ", "oe"), ("Œ", "Oe"), ("æ", "ae"), ("Æ", "Ae")):
        plain = pc.replace_substring(plain, ligature, letters)
    return pc.utf8_normalize(plain, form="NFC")


def canonical(texts: pa.StringArray) -> pa.StringArray:
    """Each value in NFC with single spaces and no outer white space; null where it has no letter or digit."""
    return edited(texts, ~plain(texts), _canonical)


def _canonical(texts: pa.StringArray) -> pa.StringArray:
    squeezed = pc.replace_substring_regex(pc.utf8_normalize(texts, form="NFC"), r"[\s\p{Z}]+", " ")
    squeezed = pc.utf8_trim_whitespace(squeezed)
    return pc.if_else(pc.match_substring_regex(squeezed, r"[\p{L}\p{N}]"), squeezed, pa.scalar(None, pa.string()))


def without_placeholders(texts: pa.StringArray) -> pa.StringArray:
    """The texts, null where the whole of one says that there is none, in any case and however often: "undefined",
    "Not Available", "NULL NULL NULL" (M83). Of "nan" the forms that programs write count; Nan is a town."""
    return edited(texts, _may_be_placeholders(texts), _null_placeholders)


def _may_be_placeholders(texts: pa.StringArray) -> Mask:
    """(rows,): texts that begin and end as a placeholder does; most do not, and are spared the pattern."""
    offsets, data = utf8_bytes(texts)
    some = np.flatnonzero(offsets[1:] > offsets[:-1])
    some = some[_BEGINS[data[offsets[some]]]]
    some = some[_ENDS[data[offsets[some + 1] - 1]]]
    found = np.zeros(len(texts), np.bool_)
    found[some] = True
    return found


def _null_placeholders(texts: pa.StringArray) -> pa.Array:
    return pc.if_else(pc.match_substring_regex(texts, _PLACEHOLDER), pa.scalar(None, pa.string()), texts)


def without_remarks(texts: pa.StringArray) -> pa.StringArray:
    """The texts without the remark in brackets that ends one: "Calgary" of "Calgary (Bow Trail)", of which a label
    would keep one bracket, for values end in a letter or a digit. A bracket that stands alone goes too."""
    offsets, data = utf8_bytes(texts)
    return edited(texts, any_byte((data == ord("(")) | (data == ord(")")), offsets), _cut_remarks)


def _cut_remarks(texts: pa.StringArray) -> pa.Array:
    cut = pc.replace_substring_regex(texts, r"(\s*\([^()]*\)*)+\s*$", "")
    alone = pc.not_equal(pc.count_substring(cut, "("), pc.count_substring(cut, ")"))
    cut = pc.if_else(alone, pc.utf8_trim_whitespace(pc.replace_substring_regex(cut, "[()]+", " ")), cut)
    return pc.if_else(pc.equal(cut, ""), pa.scalar(None, pa.string()), cut)


def plain(texts: pa.StringArray) -> Mask:
    """Where a text is of printable ASCII, with single spaces, and has a letter or digit at either end: most are, and
    what is seen by their bytes alone spares them every pattern. The empty text is not plain; null is."""
    offsets, data = utf8_bytes(texts)
    blank = data == _SPACE
    odd = (data < _SPACE) | (data > _LAST_PRINTABLE)
    odd[1:] |= blank[1:] & blank[:-1]
    doubtful = any_byte(odd, offsets) | ~_whole_ends(offsets, data)
    if texts.null_count:
        doubtful &= mask_of(texts.is_valid())
    return ~doubtful


def _whole_ends(offsets: npt.NDArray[np.int64], data: Bytes) -> Mask:
    """(rows,): texts whose first and last byte are ASCII letters or digits."""
    whole = offsets[1:] > offsets[:-1]
    some = np.flatnonzero(whole)
    whole[some] = ascii_letter_or_digit(data[offsets[some]]) & ascii_letter_or_digit(data[offsets[some + 1] - 1])
    return whole


def ascii_letter(data: Bytes) -> Mask:
    """Which bytes are ASCII letters. Arithmetic on bytes wraps, and is ten times faster than a table of 256."""
    return np.asarray((data | np.uint8(0x20)) - np.uint8(ord("a")) < 26)


def ascii_letter_or_digit(data: Bytes) -> Mask:
    """Which bytes are ASCII letters or digits."""
    return np.asarray(ascii_letter(data) | (data - np.uint8(ord("0")) < 10))


def any_byte(flagged: Mask, offsets: npt.NDArray[np.int64]) -> Mask:
    """(rows,): texts of which some byte is flagged; offsets as `utf8_bytes` gives them."""
    if not flagged.any():
        return np.zeros(len(offsets) - 1, np.bool_)
    found = np.logical_or.reduceat(np.append(flagged, False), offsets)[:-1]
    return np.asarray(found & (offsets[1:] > offsets[:-1]))  # of an empty text reduceat gives the byte behind it


def edited(texts: pa.StringArray, where: Mask, kernel: Kernel) -> pa.StringArray:
    """The texts, with those under the mask as the kernel writes them."""
    if not where.any():
        return texts
    return replaced(texts, where, kernel(texts.filter(pa.array(where))))


def by_distinct(texts: pa.StringArray, kernel: Kernel) -> pa.Array:
    """What the kernel makes of every text, for columns in which few texts stand many times: each is looked at once."""
    encoded = texts.dictionary_encode()
    return kernel(encoded.dictionary).take(encoded.indices)


def kept(rows: Rows, wanted: Mask) -> Rows:
    """The rows under the mask; without a copy where that is all of them, as it mostly is."""
    return rows if wanted.all() else rows.filter(pa.array(wanted))


def trimmed(texts: pa.StringArray) -> tuple[pa.StringArray, npt.NDArray[np.int64]]:
    """Each text without what is no letter or digit at its ends, and how many code points went at the front.

    A final vowel sign or accent belongs to its letter and stays.
    """
    offsets, data = utf8_bytes(texts)
    left = np.zeros(len(texts), np.int64)
    doubtful = ~_whole_ends(offsets, data) & (offsets[1:] > offsets[:-1])  # nearly all are seen to be fine by two bytes
    if not doubtful.any():
        return texts, left
    whole = texts.filter(pa.array(doubtful))
    tail = pc.replace_substring_regex(whole, r"^[^\p{L}\p{N}]+", "")
    left[doubtful] = code_point_lengths(whole) - code_point_lengths(tail)
    return replaced(texts, doubtful, pc.replace_substring_regex(tail, r"[^\p{L}\p{N}\p{M}]+$", "")), left


def replaced(texts: pa.StringArray, mask: Mask, new: pa.StringArray) -> pa.StringArray:
    """The texts, with those under the mask taken from `new`, which holds one text per true entry."""
    place = np.arange(len(texts))
    place[mask] = len(texts) + np.arange(len(new))
    return pa.concat_arrays([texts, new]).take(pa.array(place))


def filled(texts: pa.StringArray) -> Mask:
    """Where a column without nulls has a text that is not empty: read off the offsets alone."""
    if not len(texts):
        return np.zeros(0, np.bool_)
    offsets = np.frombuffer(texts.buffers()[1], np.int32, len(texts) + 1, 4 * texts.offset)
    return np.asarray(offsets[1:] > offsets[:-1])


def differs(before: pa.StringArray, after: pa.StringArray) -> Mask:
    """Where two columns without nulls differ."""
    return mask_of(pc.not_equal(before, after))


def mask_of(flags: pa.BooleanArray) -> Mask:
    """A Boolean column without nulls as a numpy mask."""
    mask: Mask = flags.to_numpy(zero_copy_only=False)
    return mask


def _bytes_of(letters: str) -> Mask:
    """(256,): which bytes are these characters, in either case."""
    return np.isin(np.arange(256), np.frombuffer(f"{letters}{letters.upper()}".encode(), np.uint8))


_SAYS_NOTHING = (
    r"null|none|nil|undefined|unknown|unnamed|unspecified|unassigned|n\.?/?a\.?|(?-i:nan|NaN|NAN)|noname|tbd|tba|s/n|s\.n\.|\\n"
    r"|not? (?:available|applicable|known|stated|specified|given|provided|assigned|recorded|data|name|address|value)"
)
_PLACEHOLDER = rf"(?i)^[\s<(\[{{\"'#]*(?:(?:{_SAYS_NOTHING})(?:[\s,;/|_.<>()\[\]{{}}\"'#-]+|$))+$"
_BEGINS, _ENDS = _bytes_of("nust<([{\"'#\\"), _bytes_of("ldnease.>)]}\"'")
_SPACE, _LAST_PRINTABLE, _PAST_ASCII = 0x20, 0x7E, 0x80
_EIGHT = np.uint64(8)
