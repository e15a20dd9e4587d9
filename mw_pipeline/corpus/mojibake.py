"""Text that was decoded wrongly and saved again: UTF-8 read as Latin-1 or Windows-1252 ("PlouÃ©nan"), or as a code page
of DOS or the Mac ("Plou├®nan", "Plou√©nan"). Nothing can be labelled in it, and repairing it would be a guess (M82).

Each byte of a letter has become a letter or a sign of its own: the first byte one of Â to ï, the others signs that no
name holds within a word. A true letter may stand before a quotation mark or a dash, so those count only where the word
goes on; and in scripts whose every letter becomes such a group, two in a row are asked for.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mw_pipeline.records.text import Mask, any_byte, mask_of, utf8_bytes

# What the bytes 80 to BF are in Latin-1 and in Windows-1252: signs that may follow a word, and all the others.
_AFTER_WORDS = r"\x{00AA}\x{00AB}\x{00B0}\x{00B7}\x{00BA}\x{00BB}‘’‚“”„–—…•‹›"
_INSIDE = r"\x{0080}-\x{00A9}\x{00AC}-\x{00AF}\x{00B1}-\x{00B6}\x{00B8}\x{00B9}\x{00BC}-\x{00BF}€ƒ†‡ˆ‰ŠŒŽ˜™šœžŸ"
_ANY = _INSIDE + _AFTER_WORDS

_MOJIBAKE = "|".join(
    (
        rf"Ã[{_INSIDE}]|Ã[{_AFTER_WORDS}](?:\p{{L}}|$)",  # letters of western Europe: é is Ã©, Ö is Ã–
        r"Â[\x{00A0}-\x{00BF}]",  # its signs: ° is Â°
        rf"[ÄÅÈ][{_INSIDE}]\p{{Ll}}",  # letters of central Europe that begin a word: Ş is Åž
        rf"(?:^|[\s-])[ÄÅ][{_AFTER_WORDS}]\p{{Ll}}{{2}}",  # Ż is Å»
        rf"[a-z][Â-Ý][{_ANY}]",  # any of these within a word: ł is Å‚
        rf"(?:[ÄÅÆÈÎ-ÑÕ-Û][{_ANY}]){{2}}",  # Greek, Cyrillic, Armenian, Hebrew, Arabic
        rf"(?:[à-ï][{_ANY}]{{2}}){{2}}",  # India and East Asia
        rf"áº[{_ANY}]|á»[{_INSIDE}]|â[€\x{{0080}}]|ï¿½",  # Vietnamese; quotes and dashes; U+FFFD
        r"(?:^|[\p{Ll}\p{N}\s'’-])Ã(?:$|[\s-])",  # à is Ã and a hard space, which may have been tidied since
        r"[\p{Ll}\p{N}]Â(?:$|\s)",  # and so is the hard space itself
        r"[┌-╿]|[√≈][^\s\p{N}]",  # anything of a DOS page, western and central Europe of the Mac's
    )
)
_LETTERS, _SIGNS = 0xC3, 0xE2  # the first UTF-8 bytes of Â to ï, and of U+2000 to U+2FFF
_SUMS_AND_BOXES = (0x88, 0x89, 0x94, 0x95)


def misdecoded(texts: pa.StringArray) -> Mask:
    """(rows,): texts that hold mojibake; null is none."""
    doubtful = _with_a_first_byte(texts)
    if doubtful.any():
        found = pc.match_substring_regex(texts.filter(pa.array(doubtful)), _MOJIBAKE)
        doubtful[doubtful] = mask_of(found)
    return doubtful


def _with_a_first_byte(texts: pa.StringArray) -> Mask:
    """(rows,): texts in which no ASCII follows a letter Â to ï, but for a blank or an end after Â and Ã, or that hold a
    sign of boxes or sums. The UTF-8 bytes tell, and spare nearly every text the pattern."""
    offsets, data = utf8_bytes(texts)
    padded = np.append(data, np.zeros(2, np.uint8))
    flagged = np.zeros(len(data), np.bool_)
    letters, signs = np.flatnonzero(data == _LETTERS), np.flatnonzero(data == _SIGNS)
    second, third = padded[letters + 1], padded[letters + 2]
    flagged[letters] = (second >= 0x82) & (second <= 0xAF) & ((third >= 0x80) | (second <= 0x83))
    flagged[signs] = np.isin(padded[signs + 1], _SUMS_AND_BOXES)
    return any_byte(flagged, offsets)
