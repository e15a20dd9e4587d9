"""Methods that change what an address says: the units, boxes, people and crossings that records lack.

Each takes a draft, the rows asked and a generator, and returns the new draft and the rows that it really changed.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mw_pipeline.corpus.compose import Draft, Ints, placed_in, sequence
from mw_pipeline.corpus.conventions import (
    LEAD,
    TAG_INDEX,
    country_names,
    crossing_leads,
    directions,
    postcode_joints,
    word_swaps,
)
from mw_pipeline.corpus.orders import unit_forms
from mw_pipeline.corpus.phrases import People, Phrases, people, phrases
from mw_pipeline.countries import country as country_file
from mw_pipeline.records.text import Mask, differs, hash64, mask_of, replaced

CROSSED_OUT = ("street", "house_number", "unit", "po_box")


def cross_streets(draft: Draft, asked: Mask, rng: np.random.Generator) -> tuple[Draft, Mask]:
    """Rows whose street crosses another one of the same town, which some other row of the batch and split has.

    The number, the unit and the box go: a crossing has none. A street that knows no other one in its town stays.
    """
    street = draft.texts("street")
    target = asked & draft.writes("street")
    other = _neighbours(draft, rng)
    crossed = target & (other >= 0)
    crossed[crossed] = differs(
        pc.utf8_lower(street.filter(pa.array(crossed))), pc.utf8_lower(street.take(pa.array(other[crossed])))
    )
    if not crossed.any():
        return draft, crossed
    without = pa.array(crossed)
    new = {tag: pc.if_else(without, "", draft.values[tag]) for tag in CROSSED_OUT if tag in draft.values}
    new["intersection_a"] = pc.if_else(without, street, draft.texts("intersection_a"))
    new["intersection_b"] = replaced(draft.texts("intersection_b"), crossed, street.take(pa.array(other[crossed])))
    return draft.with_values(new), crossed


def write_po_box(draft: Draft, asked: Mask, rng: np.random.Generator) -> tuple[Draft, Mask]:
    """Rows with a post office box, in place of their street or behind it, by the habit of the country."""
    known = phrases(draft.country, "po_box")
    target = asked & (draft.writes("locality") | draft.writes("postcode"))
    target &= ~draft.writes("po_box") & ~draft.writes("intersection_a") & ~draft.in_other_script(asked)
    if known is None or not target.any():
        return draft, np.zeros(draft.rows, np.bool_)
    new = {"po_box": replaced(draft.texts("po_box"), target, _drawn(known, draft, target, rng))}
    alone = target & (rng.random(draft.rows) < country_file(draft.country)["phrases"]["box_alone_share"])
    for tag in ("street", "house_number", "unit"):
        if tag in draft.values:
            new[tag] = pc.if_else(pa.array(alone), "", draft.values[tag])
    return draft.with_values(new), target


def write_cedex(draft: Draft, asked: Mask, rng: np.random.Generator) -> tuple[Draft, Mask]:
    """French rows as business mail: CEDEX behind the city, and a postcode of the département that is no town's own."""
    known = phrases(draft.country, "cedex")
    target = asked & draft.writes("locality") & ~draft.writes("cedex")
    target[target] = mask_of(pc.match_substring_regex(draft.texts("postcode").filter(pa.array(target)), "^[0-9]{5}$"))
    if known is None or not target.any():
        return draft, np.zeros(draft.rows, np.bool_)
    count = int(target.sum())
    old = draft.values["postcode"].filter(pa.array(target))
    overseas = pc.match_substring_regex(old, "^9[78]")  # their départements have three digits
    stem = pc.if_else(overseas, pc.utf8_slice_codeunits(old, 0, 3), pc.utf8_slice_codeunits(old, 0, 2))
    code = pc.utf8_slice_codeunits(pc.binary_join_element_wise(stem, _digits(rng, 3, count), ""), 0, 5)
    return draft.with_values(
        {
            "cedex": replaced(draft.texts("cedex"), target, known.draw(count, rng)),
            "postcode": replaced(draft.values["postcode"], target, code),
        }
    ), target


def write_unit(draft: Draft, asked: Mask, rng: np.random.Generator) -> tuple[Draft, Mask]:
    """Rows with an apartment, suite or floor where people put one: behind the street, in front of it, by the venue."""
    known = phrases(draft.country, "unit")
    target = asked & draft.writes("house_number") & draft.writes("street") & ~draft.in_other_script(asked)
    if known is None or not target.any():
        return draft, np.zeros(draft.rows, np.bool_)
    bare = target & ~draft.writes("unit")
    added = draft.with_values({"unit": replaced(draft.texts("unit"), bare, _drawn(known, draft, bare, rng))})
    moved = placed_in(added, unit_forms(draft.country), target, rng)
    changed = bare.copy()
    changed[target] |= (sequence(moved, target) != sequence(added, target)).any(axis=1)
    return moved, changed


def write_person(draft: Draft, asked: Mask, rng: np.random.Generator) -> tuple[Draft, Mask]:
    """Rows with a street or a box of somebody: a person as the venue, where no other is written."""
    known = people(draft.country)
    target = asked & (draft.writes("street") | draft.writes("po_box")) & ~draft.in_other_script(asked)
    target &= ~draft.writes("venue")
    if known is None or not target.any():
        return draft, np.zeros(draft.rows, np.bool_)
    return draft.with_values(
        {"venue": replaced(draft.texts("venue"), target, _drawn(known, draft, target, rng))}
    ), target


def lead_in(draft: Draft, asked: Mask, rng: np.random.Generator) -> tuple[Draft, Mask]:
    """Crossings with the words that announce one, without a label: "corner of"."""
    leads = crossing_leads(draft.country)
    target = asked & draft.writes("intersection_a") & draft.writes("intersection_b")
    if leads is None or not target.any():
        return draft, np.zeros(draft.rows, np.bool_)
    texts = leads.texts.take(pa.array(leads.draw(int(target.sum()), rng)))
    texts = pc.if_else(pa.array(draft.all_caps(target)), pc.utf8_upper(texts), texts)
    return draft.with_values({LEAD: replaced(draft.texts(LEAD), target, texts)}), target


def add_direction(draft: Draft, asked: Mask, rng: np.random.Generator) -> tuple[Draft, Mask]:
    """Rows whose street gets a direction in front of it or behind it, where it has none."""
    habit = directions(draft.country)
    target = asked & draft.writes("street")
    if habit is None or not target.any():
        return draft, np.zeros(draft.rows, np.bool_)
    behind_share, texts = habit
    target[target] = _takes_direction(draft.values["street"].filter(pa.array(target)), draft.country)
    street = draft.values["street"].filter(pa.array(target))
    direction = texts.texts.take(pa.array(texts.draw(len(street), rng)))
    direction = pc.if_else(pa.array(~differs(street, pc.utf8_upper(street))), pc.utf8_upper(direction), direction)
    behind = pa.array(rng.random(len(street)) < behind_share)
    new = pc.if_else(
        behind,
        pc.binary_join_element_wise(street, direction, " "),
        pc.binary_join_element_wise(direction, street, " "),
    )
    return draft.with_values({"street": replaced(draft.values["street"], target, new)}), target


def write_country(draft: Draft, asked: Mask, rng: np.random.Generator) -> tuple[Draft, Mask]:
    """Rows with their country written in one of its names, added where it was left out.

    A street alone gets none, and a row in another script keeps what it has."""
    present = draft.present()
    placed = present[:, [TAG_INDEX[tag] for tag in ("locality", "region", "postcode", "country")]].any(axis=1)
    target = asked & placed & ~draft.in_other_script(asked)
    old = new = draft.texts("country")
    for code in pc.unique(draft.codes.filter(pa.array(target))).to_pylist():
        names = country_names(code)
        if names is not None:
            rows = target & mask_of(pc.equal(draft.codes, code))
            new = replaced(new, rows, names.texts.take(pa.array(names.draw(int(rows.sum()), rng))))
    return draft.with_values({"country": new}), differs(old, new)


def add_zip4(draft: Draft, asked: Mask, rng: np.random.Generator) -> tuple[Draft, Mask]:
    """United States rows with four more digits behind a five-digit ZIP code, and something or nothing between."""
    joints = postcode_joints(draft.country)
    postcodes = draft.values.get("postcode")
    if joints is None or postcodes is None:
        return draft, np.zeros(draft.rows, np.bool_)
    target = asked & mask_of(pc.match_substring_regex(postcodes, r"^[0-9]{5}$"))
    count = int(target.sum())
    joint = joints.texts.take(pa.array(joints.draw(count, rng)))
    longer = pc.binary_join_element_wise(postcodes.filter(pa.array(target)), joint, _digits(rng, 4, count), "")
    return draft.with_values({"postcode": replaced(postcodes, target, longer)}), target


def _drawn(known: Phrases | People, draft: Draft, rows: Mask, rng: np.random.Generator) -> pa.StringArray:
    """One phrase or name for each row under the mask, in capitals where the row is."""
    texts = known.draw(int(rows.sum()), rng)
    return pc.if_else(pa.array(draft.all_caps(rows)), pc.utf8_upper(texts), texts)


def _digits(rng: np.random.Generator, width: int, rows: int) -> pa.StringArray:
    """(rows,): whole numbers from 1, padded with zeros."""
    return pc.utf8_lpad(pa.array(rng.integers(1, 10**width, rows)).cast(pa.string()), width, "0")


def _neighbours(draft: Draft, rng: np.random.Generator) -> Ints:
    """(N,): for each row with a street another such row of its town and pool at random; -1 where there is none.

    Rows of one town stand in a ring in random order, and each one's neighbour is the next.
    """
    found = np.full(draft.rows, -1, np.int64)
    placed = draft.writes("street") & (draft.writes("locality") | draft.writes("postcode"))
    rows = np.flatnonzero(placed)
    if len(rows) < 2:
        return found
    town = [pc.utf8_lower(draft.texts(tag).take(pa.array(rows))) for tag in ("postcode", "locality", "region")]
    key = hash64(pc.binary_join_element_wise(pa.array(draft.pool[rows]).cast(pa.string()), *town, "\x1f"))
    ring = np.lexsort((rng.random(len(rows)), key))
    ordered = key[ring]
    opens = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    following = np.arange(1, len(rows) + 1)
    following[np.append(opens[1:], len(rows)) - 1] = opens
    alone = following == np.arange(len(rows))
    found[rows[ring]] = np.where(alone, -1, rows[ring[following]])
    return found


def _takes_direction(streets: pa.StringArray, country: str) -> Mask:
    """Streets of at least a name and a type that have no direction at either end yet."""
    words = pc.split_pattern(streets, " ")
    sizes = np.diff(words.offsets.to_numpy())
    flat = pc.utf8_lower(words.flatten())
    offsets = words.offsets.to_numpy()
    known = pa.array(sorted(_direction_words(country)), pa.string())
    ends = [mask_of(pc.is_in(flat.take(pa.array(place)), value_set=known)) for place in (offsets[:-1], offsets[1:] - 1)]
    return np.asarray((sizes >= 2) & ~ends[0] & ~ends[1])


def _direction_words(country: str) -> set[str]:
    """Every word, in lower case, that is a direction."""
    habit = directions(country)
    tables = [
        word_swaps(country, "street", "direction", "shorter"),
        word_swaps(country, "street", "direction", "fuller"),
    ]
    words = {text.lower() for text in (habit[1].texts.to_pylist() if habit else ())}
    return words.union(*(table.keys.to_pylist() for table in tables if table is not None))
