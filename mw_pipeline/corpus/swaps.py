"""Words written another way, for whole columns: full and short forms, chosen by the word's place in its component."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mw_pipeline.corpus.conventions import Swaps, Way, word_swaps
from mw_pipeline.countries import WORD_PLACES
from mw_pipeline.countries import country as country_file
from mw_pipeline.records.text import BEFORE, Mask, differs, mask_of, replaced


def swap_words(texts: pa.StringArray, country: str, tag: str, way: Way, rng: np.random.Generator) -> pa.StringArray:
    """The texts with every word that the country's tables know, and that stands where it can mean that, made shorter or
    written out.

    A street type is a type only at the end or before a closing direction, so that "Court Street" and "Lake Road" keep
    their first word; a direction needs a name beside it, so that "North Avenue" stays.
    """
    if country_file(country)["words"]["hyphenated_saints"]:
        texts = swap_saints(texts, way)
    tables = {place: word_swaps(country, tag, place, way) for place in WORD_PLACES}
    if not any(tables.values()) or not len(texts):
        return texts
    lists = pc.split_pattern(texts, " ")
    words = lists.flatten()
    offsets = lists.offsets.to_numpy()
    counts = np.diff(offsets)
    size = np.repeat(counts, counts)
    index = np.arange(len(words)) - np.repeat(offsets[:-1], counts)
    lowered = pc.utf8_lower(words)
    closes = index == size - 1
    closing_direction = closes & _is_direction(lowered, country, tag)
    before_direction = np.append(closing_direction[1:], False) & ~closes
    where = {
        "type": (closes | before_direction) & (index > 0),
        "direction": ((index == 0) | closes) & (size >= 3),
        "first": (index == 0) & (size >= 2),
        "inner": (index > 0) & ~closes,
        "last": closes & (size >= 2),
        "any": size >= 2,
    }
    all_caps = np.repeat(~differs(texts, pc.utf8_upper(texts)), counts)
    for place, table in tables.items():
        if table is not None:
            words = _swap(words, lowered, table, where[place], all_caps, rng)
    return pc.binary_join(pa.ListArray.from_arrays(lists.offsets, words), " ")


def swap_whole(texts: pa.StringArray, table: Swaps, capitals: Mask, rng: np.random.Generator) -> pa.StringArray:
    """The texts with every one that is itself a key swapped, in capitals where the mask says that its row is."""
    everywhere = np.ones(len(texts), np.bool_)
    return _swap(texts, pc.utf8_lower(texts), table, everywhere, capitals, rng)


def swap_saints(texts: pa.StringArray, way: Way) -> pa.StringArray:
    """The texts with the French Saint and Sainte shortened or written out, hyphens included."""
    for full, brief in (("Saint", "St"), ("saint", "st"), ("SAINT", "ST")):
        found, new = (full, brief) if way == "shorter" else (brief, full)
        texts = pc.replace_substring_regex(texts, rf"{BEFORE}{found}([eE]?)\.?([- ])", rf"\1{new}\2\3")
    return texts


def _swap(
    texts: pa.StringArray, lowered: pa.StringArray, table: Swaps, where: Mask, all_caps: Mask, rng: np.random.Generator
) -> pa.StringArray:
    """The texts under the mask swapped by the table, in the case of what they replace."""
    found = pc.index_in(lowered, value_set=table.keys)
    hit = where & found.is_valid().to_numpy(zero_copy_only=False)
    rows = np.flatnonzero(hit)
    if not len(rows):
        return texts
    key = found.take(pa.array(rows)).to_numpy()
    option = table.first[key] + (rng.random(len(rows)) * table.count[key]).astype(np.int64)
    new = table.options.take(pa.array(option))
    old = texts.take(pa.array(rows))
    capitalised = pc.binary_join_element_wise(
        pc.utf8_upper(pc.utf8_slice_codeunits(new, 0, 1)), pc.utf8_slice_codeunits(new, 1), ""
    )
    starts_lower = ~differs(pc.utf8_slice_codeunits(old, 0, 1), pc.utf8_lower(pc.utf8_slice_codeunits(old, 0, 1)))
    cased = pc.if_else(pa.array(starts_lower), pc.utf8_lower(new), capitalised)
    cased = pc.if_else(pa.array(all_caps[rows]), pc.utf8_upper(new), cased)
    return replaced(texts, hit, cased)


def _is_direction(lowered: pa.StringArray, country: str, tag: str) -> Mask:
    """Where a word is a direction, in full or short."""
    found = np.zeros(len(lowered), np.bool_)
    ways: tuple[Way, ...] = ("shorter", "fuller")
    for way in ways:
        table = word_swaps(country, tag, "direction", way)
        if table is not None:
            found |= mask_of(pc.is_in(lowered, value_set=table.keys))
    return found
