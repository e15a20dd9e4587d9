"""Methods that change how the parts of an address are spelled: abbreviations, accents, case, another script, typos.

Each takes a draft, the rows asked and a generator, and returns the new draft and the rows that it really changed.
Components are spelled before the text is written and its lengths are taken, so no spelling can move a span.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mw_pipeline.corpus.compose import NAME_TAGS, Draft
from mw_pipeline.corpus.conventions import Way, region_swaps
from mw_pipeline.corpus.scripts import CASELESS, PHONETIC, any_matches, in_latin_letters
from mw_pipeline.corpus.swaps import swap_whole, swap_words
from mw_pipeline.corpus.typos import mistyped
from mw_pipeline.records.text import AFTER, BEFORE, Mask, differs, filled, mask_of, replaced, without_accents

Columns = Mapping[str, pa.StringArray]

RESPELLED_COMPONENT_SHARE = 0.7
RESPELLED = ("region", "street", "locality", "dependent_locality", "subregion", "unit", "venue")
MISTYPED = ("street", "locality", "venue", "region", "dependent_locality")
# Wholly upper or lower, each word with a capital, or the French post's own rule: the city line in capitals.
CASE_SHARES = {"upper": 0.34, "lower": 0.36, "title": 0.1, "city": 0.2}
# What each case is about: codes and numbers have no title case.
CASED_TAGS = {
    "title": (*NAME_TAGS, "unit"),
    "city": ("locality", "cedex"),
}


def abbreviate(draft: Draft, asked: Mask, rng: np.random.Generator) -> tuple[Draft, Mask]:
    """Rows with known words in a short form: states, street and unit types, directions, titles, saints."""
    return _respelled(draft, asked, "shorter", rng)


def expand(draft: Draft, asked: Mask, rng: np.random.Generator) -> tuple[Draft, Mask]:
    """Rows with known short forms written out."""
    return _respelled(draft, asked, "fuller", rng)


def _respelled(draft: Draft, asked: Mask, way: Way, rng: np.random.Generator) -> tuple[Draft, Mask]:
    regions = region_swaps(draft.country, way)
    capitals = np.zeros(draft.rows, np.bool_)
    capitals[asked] = draft.all_caps(asked) if regions is not None else False
    new: dict[str, pa.StringArray] = {}
    for tag in (tag for tag in RESPELLED if tag in draft.values):
        chosen = asked & (rng.random(draft.rows) < RESPELLED_COMPONENT_SHARE) & draft.writes(tag)
        if not chosen.any():
            continue
        texts = draft.values[tag].filter(pa.array(chosen))
        if tag in ("region", "subregion") and regions is not None:
            texts = swap_whole(texts, regions, capitals[chosen], rng)
        edited = swap_words(texts, draft.country, tag, way, rng)
        new[tag] = replaced(draft.values[tag], chosen, edited)
    return _with_edits(draft, new)


def strip_accents(draft: Draft, asked: Mask, rng: np.random.Generator) -> tuple[Draft, Mask]:
    """Rows as typed on a keyboard without accents. Other scripts keep their marks: there they are letters."""
    return _with_edits(draft, {tag: _edited(texts, asked, without_accents) for tag, texts in draft.values.items()})


def transliterate(draft: Draft, asked: Mask, rng: np.random.Generator) -> tuple[Draft, Mask]:
    """Rows of a script that is read letter by letter, in Latin letters, with the separators of Latin text.

    Chinese, Japanese, Arabic, Hebrew and Indian names are left alone: what people write for them is no spelling of
    their letters.
    """
    target = draft.in_other_script(asked)
    target &= ~any_matches(draft.values.values(), rf"[^\P{{L}}\p{{Latin}}{PHONETIC}]", target)
    if not target.any():
        return draft, target
    new = {}
    for tag, texts in draft.values.items():
        if not (target & filled(texts)).any():
            continue
        old = texts.filter(pa.array(target))
        caseless = mask_of(pc.match_substring_regex(old, CASELESS))
        latin = in_latin_letters(old)
        new[tag] = replaced(texts, target, pc.if_else(pa.array(caseless), pc.utf8_title(latin), latin))
    between = np.where(target, 0, draft.between)
    return _with_edits(replace(draft, between=between), new)


def mistype(draft: Draft, asked: Mask, rng: np.random.Generator) -> tuple[Draft, Mask]:
    """Rows with one slip of the finger in a name: two letters swapped, or one lost, doubled or the neighbour's.

    Digits and other scripts are left alone, and so is the first letter of a name.
    """
    tags = [tag for tag in MISTYPED if tag in draft.values]
    if not tags:
        return draft, np.zeros(draft.rows, np.bool_)
    writes = np.stack([draft.writes(tag) for tag in tags], axis=1)
    drawn = (rng.random(writes.shape) * writes).argmax(axis=1)
    new = {}
    for place, tag in enumerate(tags):
        chosen = asked & writes[:, place] & (drawn == place)
        texts = draft.values[tag].filter(pa.array(chosen))
        new[tag] = replaced(draft.values[tag], chosen, mistyped(texts, draft.country, rng))
    return _with_edits(draft, new)


def change_case(draft: Draft, asked: Mask, rng: np.random.Generator) -> tuple[Draft, Mask]:
    """Rows in capitals, in lower case, in title case, or with the city line alone in capitals.

    A row that is in capitals already takes title case where it drew capitals.
    """
    mode = np.searchsorted(np.cumsum(list(CASE_SHARES.values())), rng.random(draft.rows), side="right")
    names = list(CASES)
    capitals = asked & np.isin(mode, [names.index("upper"), names.index("city")])
    capitals[capitals] = draft.all_caps(capitals)
    mode = np.where(capitals, names.index("title"), mode)
    new = dict(draft.values)
    for index, (name, edit) in enumerate(CASES.items()):
        for tag in new.keys() & CASED_TAGS.get(name, new.keys()):
            new[tag] = _edited(new[tag], asked & (mode == index), edit)
    return _with_edits(draft, new)


def title_case(texts: pa.StringArray) -> pa.StringArray:
    """Each word with a capital; ordinals, a possessive s, two-letter directions and codes as people write them."""
    titled = pc.utf8_title(texts)
    odd = mask_of(pc.match_substring_regex(titled, _NO_TITLE))
    if odd.any():
        titled = replaced(titled, odd, _corrected(texts.filter(pa.array(odd)), titled.filter(pa.array(odd))))
    return titled


# What `utf8_title` gets wrong: 5Th, 1Er, Ne, O'hare'S, and codes of two letters. 5E is both an ordinal and a name.
_ORDINALS = ("St", "Nd", "Rd", "Th", "Er", "Ère", "Ere", "Ème", "Eme")
_NO_TITLE = rf"[0-9](?:{'|'.join(_ORDINALS)}|E){AFTER}|{BEFORE}(?:Ne|Nw|Se|Sw){AFTER}|['’]S{AFTER}|^[A-Z][a-z]$"


def _corrected(texts: pa.StringArray, titled: pa.StringArray) -> pa.StringArray:
    for ending in _ORDINALS:
        titled = pc.replace_substring_regex(titled, rf"([0-9]){ending}{AFTER}", rf"\1{ending.lower()}\2")
    lower_e = pc.replace_substring_regex(titled, rf"([0-9])E{AFTER}", r"\1e\2")
    titled = pc.if_else(pc.match_substring_regex(texts, rf"[0-9]e{AFTER}"), lower_e, titled)
    for direction in ("NE", "NW", "SE", "SW"):
        titled = pc.replace_substring_regex(titled, rf"{BEFORE}{direction.title()}{AFTER}", rf"\1{direction}\2")
    titled = pc.replace_substring_regex(titled, rf"(['’])S{AFTER}", r"\1s\2")
    return pc.if_else(pc.match_substring_regex(texts, "^[A-Z]{2}$"), texts, titled)


CASES: dict[str, Callable[[pa.StringArray], pa.StringArray]] = {
    "upper": pc.utf8_upper,
    "lower": pc.utf8_lower,
    "title": title_case,
    "city": pc.utf8_upper,
}


def _edited(texts: pa.StringArray, chosen: Mask, edit: Callable[[pa.StringArray], pa.StringArray]) -> pa.StringArray:
    chosen = chosen & filled(texts)
    if not chosen.any():
        return texts
    return replaced(texts, chosen, edit(texts.filter(pa.array(chosen))))


def _with_edits(draft: Draft, new: Columns) -> tuple[Draft, Mask]:
    applied = np.zeros(draft.rows, np.bool_)
    for tag, texts in new.items():
        if texts is not draft.values[tag]:
            applied |= differs(draft.values[tag], texts)
    return draft.with_values(new), applied
