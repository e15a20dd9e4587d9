"""Column kernels that adapters share: tidy text, look-ups by distinct value, sifting with a reason, family ids."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc

from mw_pipeline.countries import COUNTRY_CODES
from mw_pipeline.records.tables import ReadRequest, Rejects
from mw_pipeline.records.text import (
    any_byte,
    ascii_letter_or_digit,
    edited,
    filled,
    mask_of,
    plain,
    utf8_bytes,
    without_placeholders,
    without_remarks,
)

US_PUBLIC_DOMAIN = "Public Domain (US)"
US_STATE_RECORD = "Public record (US state)"

# the language that an address of the country is written in, where there is one
_LANGUAGES = {
    **dict.fromkeys(("US", "GB", "AU", "NZ", "IE"), "en"),
    **dict.fromkeys(("FR", "MC"), "fr"),
    **{"DE": "de", "AT": "de", "ES": "es", "IT": "it", "NL": "nl", "PT": "pt", "PL": "pl"},
}


def tidy(column: pa.Array) -> pa.Array:
    """Trimmed text in which every run of white space is one space; null where nothing is left, or where the text says
    that there is none ("N/A").

    Other control characters stay, for the door of the corpus to quarantine.
    """
    return without_placeholders(_spaced(column))


def _spaced(column: pa.Array) -> pa.Array:
    return edited(column, ~plain(column), _tidy)


def _tidy(column: pa.Array) -> pa.Array:
    spaced = pc.replace_substring_regex(column, r"[\s\x{000B}\x{0085}\p{Z}]+", " ")
    trimmed = pc.utf8_trim_whitespace(spaced)
    return pc.if_else(pc.equal(trimmed, ""), None, trimmed)


def tidied(batch: pa.RecordBatch, names: Iterable[str]) -> pa.RecordBatch:
    """The batch with the named columns tidy."""
    for name in names:
        batch = batch.set_column(batch.schema.get_field_index(name), name, tidy(batch[name]))
    return batch


def tidied_names(batch: pa.RecordBatch, names: Iterable[str]) -> pa.RecordBatch:
    """The batch with the named columns tidy, as names of places: without remarks in brackets, and whatever they say,
    for None is a town of Piedmont."""
    for name in names:
        column = without_remarks(_spaced(batch[name]))
        batch = batch.set_column(batch.schema.get_field_index(name), name, column)
    return batch


def blanked(batch: pa.RecordBatch, name: str, where: pa.BooleanArray) -> pa.RecordBatch:
    """The batch with the named column null where the mask is true; a null in the mask counts as false."""
    column = pc.if_else(pc.fill_null(where, False), None, batch[name])
    return batch.set_column(batch.schema.get_field_index(name), name, column)


def null_if_same(column: pa.Array, other: pa.Array) -> pa.Array:
    """The column, null where it says the same as the other: nobody writes "Guadeloupe, Guadeloupe"."""
    return pc.if_else(pc.equal(folded(column), folded(other)), None, column)


def mapped(column: pa.Array, function: Callable[[str], str | None]) -> pa.StringArray:
    """The function of every value, called once per distinct value; null stays null."""
    encoded = column.dictionary_encode()
    values = pa.array([function(value) for value in encoded.dictionary.to_pylist()], pa.string())
    return values.take(encoded.indices)


def constant(value: str, batch: pa.RecordBatch) -> pa.StringArray:
    """The value, once per record of the batch."""
    return pa.repeat(pa.scalar(value, pa.string()), batch.num_rows)


def quarantined(
    batch: pa.RecordBatch, where: pa.BooleanArray, *, reason: str, detail: str, rejects: Rejects
) -> pa.RecordBatch:
    """The batch without the records where the mask is true, which go to quarantine; null counts as false.

    `detail` names the column whose value the quarantine row quotes.
    """
    mask = pc.fill_null(where, False)
    if not pc.any(mask).as_py():
        return batch
    bad = batch.filter(mask)
    for line, source_id, found in zip(bad["line"], bad["source_id"], bad[detail], strict=True):
        rejects.add(line.as_py(), source_id.as_py(), reason, f"{detail}: {found.as_py()!r}")
    return batch.filter(pc.invert(mask))


def filtered(batch: pa.RecordBatch, where: pa.BooleanArray, *, name: str, rejects: Rejects) -> pa.RecordBatch:
    """The batch without the records where the mask is true, which are counted under the filter's name."""
    mask = pc.fill_null(where, False)
    dropped = pc.sum(mask).as_py() or 0
    if not dropped:
        return batch
    rejects.filtered(name, dropped)
    return batch.filter(pc.invert(mask))


def of_known_countries(batch: pa.RecordBatch, rejects: Rejects) -> pa.RecordBatch:
    """The batch with its column `country` called `country_code`; what is no ISO code is `unknown_country`."""
    unknown = pc.invert(is_country_code(batch["country"]))
    batch = quarantined(batch, unknown, reason="unknown_country", detail="country", rejects=rejects)
    return batch.rename_columns([{"country": "country_code"}.get(name, name) for name in batch.schema.names])


def is_country_code(column: pa.Array) -> pa.BooleanArray:
    """Where the value is an ISO 3166-1 alpha-2 code in upper case; null is none."""
    return pc.is_in(column, value_set=pa.array(sorted(COUNTRY_CODES)))


def of_wanted_countries(batch: pa.RecordBatch, request: ReadRequest, rejects: Rejects) -> pa.RecordBatch:
    """The records whose `country_code` the corpus wants; the filter is called `country_not_wanted`."""
    if not request.countries:
        return batch
    wanted = pc.is_in(batch["country_code"], value_set=pa.array(request.countries, pa.string()))
    return filtered(batch, pc.invert(wanted), name="country_not_wanted", rejects=rejects)


def at_most(batches: Iterator[pa.RecordBatch], max_records: int | None) -> Iterator[pa.RecordBatch]:
    """The first `max_records` well-formed records; the rest of the input is not read. None means all."""
    left = max_records
    for batch in batches:
        if left is None:
            yield batch
            continue
        yield batch.slice(0, left)
        left -= min(left, batch.num_rows)
        if not left:
            return


def folded(column: pa.Array) -> pa.Array:
    """Letters and digits only, lower case, without accents, single spaces between words; "" for null."""
    lowered = pc.utf8_lower(pc.fill_null(column, ""))
    offsets, data = utf8_bytes(lowered)
    with_signs = any_byte(~(ascii_letter_or_digit(data) | (data == ord(" "))), offsets)
    return edited(lowered, (with_signs | ~plain(lowered)) & filled(lowered), _without_signs)


def _without_signs(lowered: pa.Array) -> pa.Array:
    decomposed = pc.utf8_normalize(lowered, form="NFKD")
    bare = pc.replace_substring_regex(decomposed, r"\p{M}+", "")
    return pc.utf8_trim_whitespace(pc.replace_substring_regex(bare, r"[^\p{L}\p{N}]+", " "))


def address_family_ids(
    country_code: pa.Array, *, house_number: pa.Array, street: pa.Array, locality: pa.Array, postcode: pa.Array
) -> pa.StringArray:
    """One id per building, the same whichever source tells of it.

    The number counts by its leading digits ("12", "12 bis" and "12-14" are one family), the place by the first five
    characters of its postcode or, without one, by its locality; units do not count.
    """
    number = pc.replace_substring_regex(folded(house_number), r"^[^0-9]*0*([0-9]*).*$", r"\1")
    code = pc.utf8_slice_codeunits(folded(postcode), 0, 5)
    place = pc.if_else(pc.equal(code, ""), folded(locality), code)
    return family_ids(country_code, number, folded(street), place)


def family_ids(*parts: pa.Array) -> pa.StringArray:
    """A short hash of the joined parts, one per record."""
    joined = pc.binary_join_element_wise(*parts, "|")
    return pa.array([hashlib.blake2b(text.encode(), digest_size=10).hexdigest() for text in joined.to_pylist()])


def whole_numbers(column: pa.Array) -> pa.Array:
    """The column with "359" for the "359.0" that a floating-point column makes of it."""
    return edited(column, mask_of(pc.fill_null(pc.ends_with(column, ".0"), False)), _without_fraction)


def _without_fraction(column: pa.Array) -> pa.Array:
    return pc.replace_substring_regex(column, r"^([0-9]+)\.0$", r"\1")


def zip_codes(zip_code: pa.Array, plus4: pa.Array | None = None) -> pa.Array:
    """US postcodes as they are written, "06242" or "99577-7743", from what the files hold.

    What passed through a floating-point column ("74401.0") is whole again, leading zeros that a spreadsheet has eaten
    come back, nine digits get their dash, "0000" is no add-on, and what is not a ZIP code at all, 00000 among it, is
    null.
    """
    digits = pc.replace_substring(whole_numbers(zip_code), "-", "")
    first = pc.utf8_lpad(
        pc.if_else(pc.greater(pc.utf8_length(digits), 5), pc.utf8_slice_codeunits(digits, 0, -4), digits), 5, "0"
    )
    rest = pc.if_else(pc.greater(pc.utf8_length(digits), 5), pc.utf8_slice_codeunits(digits, -4), plus4)
    rest = pc.utf8_lpad(rest, 4, "0")
    sound = pc.match_substring_regex(digits, "^([0-9]{3,5}|[0-9]{8,9})$")
    sound = pc.and_(sound, pc.not_equal(first, "00000"))
    has_rest = pc.fill_null(pc.match_substring_regex(rest, "^[0-9]*[1-9][0-9]*$"), False)
    whole = pc.if_else(has_rest, pc.binary_join_element_wise(first, rest, "-"), first)
    return pc.if_else(sound, whole, None)


def locales(country_code: pa.Array) -> pa.StringArray:
    """The locale of each country ("en-US"); "und-BE" where the country has several languages or none listed."""
    return mapped(country_code, lambda code: f"{_LANGUAGES.get(code, 'und')}-{code}")
