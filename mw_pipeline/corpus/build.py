"""One source of a corpus, from raw files to shards: read, admit, deduplicate, split, compose, count, as a stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mw_pipeline.corpus.census import count_rows, tag_counts
from mw_pipeline.corpus.conventions import LINE_TAGS
from mw_pipeline.corpus.intake import admit, component_keys
from mw_pipeline.corpus.records import ReadRequest, Rejects
from mw_pipeline.corpus.rows import SPANS_DO_NOT_FIT, Composed, compose_rows, given_rows, labelled_mask
from mw_pipeline.corpus.scripts import OTHER_SCRIPT_COUNTRIES, in_other_script
from mw_pipeline.corpus.seen import SeenHashes
from mw_pipeline.corpus.shards import QuarantineWriter, ShardWriter
from mw_pipeline.corpus.splits import in_holdout, split_of
from mw_pipeline.corpus.text import hash64, mask_of
from mw_pipeline.corpus.waterfall import MethodFlow, Waterfall
from mw_pipeline.digest import write_json_atomically
from mw_pipeline.errors import CorpusError
from mw_pipeline.licences import asks_to_share_alike
from mw_pipeline.recipe import CorpusSpec
from mw_pipeline.sources.adapter import Adapter, NamesUpstreams


@dataclass(frozen=True)
class SourceSummary:
    """What one source became: its waterfall, its shards in order, and its rows counted by what they are."""

    waterfall: Waterfall
    shards: tuple[Path, ...]
    counts: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """The waterfall with the counts and the names of the shards."""
        return {
            **self.waterfall.as_json(),
            "counts": self.counts,
            "shards": [path.name for path in self.shards],
        }


def build_from(
    spec: CorpusSpec,
    source: str,
    adapter: Adapter,
    paths: Sequence[Path],
    out: Path,
    progress: Callable[[str], None] = lambda line: None,
) -> SourceSummary:
    """Writes shards/part-*.parquet, quarantine.parquet, waterfall.json and counts.json, the same bytes every time.

    Raises CorpusError for an input that is not of the adapter's format, before anything is written; for a source whose
    rows must be shared alike where the spec does not allow it; without the input that the adapter needs; and when
    `out` already holds shards.
    """
    settings = spec.sources[source]
    _check_licence(spec, source, adapter)
    if adapter.needs_input and not paths:
        raise CorpusError(
            f"corpora/{spec.name}.toml: sources.{source}.input is missing: adapter {adapter.name!r} reads files. "
            "Name a file, or a pattern of files, below MW_DATA."
        )
    if (out / "shards").exists():
        raise CorpusError(f"{out}: already holds shards. Name another folder, or remove this one first.")
    request = ReadRequest(
        paths=tuple(paths),
        source=source,
        country=settings.country,
        countries=spec.countries,
        seed=spec.seed,
        max_records=settings.max_records,
        licence=settings.licence,
        share_alike_allowed=settings.share_alike_allowed,
    )
    return _Build(spec, source, adapter, out, progress).run(request)


def _check_licence(spec: CorpusSpec, source: str, adapter: Adapter) -> None:
    settings = spec.sources[source]
    licence = settings.licence or adapter.licence
    if (adapter.share_alike or asks_to_share_alike(licence)) and not settings.share_alike_allowed:
        raise CorpusError(
            f"corpora/{spec.name}.toml: sources.{source}: rows of {adapter.name!r} ({licence}) must be "
            "shared alike. Leave the source out, or set share_alike_allowed = true."
        )


class _Build:
    """The state of one build: the counts so far, and which records and texts have been seen."""

    def __init__(
        self, spec: CorpusSpec, source: str, adapter: Adapter, out: Path, progress: Callable[[str], None]
    ) -> None:
        self._spec, self._source, self._adapter, self._out, self._progress = spec, source, adapter, out, progress
        self._waterfall = Waterfall(source, adapter.name, spec.variants)
        self._unread, self._unfit = Rejects(source), Rejects(source)
        self._records_seen, self._texts_seen = SeenHashes(), SeenHashes()
        # The first variant takes no method, so the others take more: a dose is a share of all composed rows.
        later_share = (spec.variants - 1) / spec.variants
        doses = spec.augmentations.model_dump()
        self._doses = {name: min(1.0, dose / later_share) if later_share else 0.0 for name, dose in doses.items()}

    def run(self, request: ReadRequest) -> SourceSummary:
        """Reads everything and writes everything."""
        from_adapter = Rejects(self._source)
        batches = self._adapter.read(request, from_adapter)
        first = next(batches, None)  # a file of another format fails here, before there is any output
        quarantine_path = self._out / "quarantine.parquet"
        with ShardWriter(self._out / "shards") as shards, QuarantineWriter(quarantine_path) as quarantine:
            for number, batch in enumerate(chain([] if first is None else [first], batches)):
                self._waterfall.records.read += batch.num_rows
                for rows in self._rows(self._admitted(batch, number), number):
                    shards.write(rows)
                quarantine.drain(from_adapter, self._unread, self._unfit)
                self._progress(self._waterfall.one_line())
            quarantine.drain(from_adapter)
        self._settle(from_adapter)
        counts = {
            **count_rows(shards.paths),
            "tag": tag_counts(shards.paths).get(self._source, {}),
            "credits": list(self._adapter.credits(request)) if isinstance(self._adapter, NamesUpstreams) else [],
        }
        write_json_atomically(self._out / "waterfall.json", self._waterfall.as_json())
        write_json_atomically(self._out / "counts.json", counts)
        return SourceSummary(self._waterfall, tuple(shards.paths), counts)

    def _admitted(self, batch: pa.RecordBatch, number: int) -> pa.Table:
        """The records of a batch that are sound, wanted and new, with their split."""
        flow = self._waterfall.records
        sound = self._in_script_dose(admit(batch, self._spec.countries, self._unread), number)
        new = self._records_seen.first_seen(component_keys(sound))
        flow.deduplicated += int((~new).sum())
        flow.kept += int(new.sum())
        records = pa.Table.from_batches([sound.filter(pa.array(new))]).combine_chunks()
        regions = _column(records, "region_key")
        splits = split_of(
            _column(records, "base_id"),
            regions,
            validation_share=self._spec.validation_share,
            test_share=self._spec.test_share,
            holdout_regions=self._spec.holdout_regions,
        )
        self._waterfall.holdout_records += int(in_holdout(regions, self._spec.holdout_regions).sum())
        return records.append_column("split", splits)

    def _in_script_dose(self, records: pa.RecordBatch, number: int) -> pa.RecordBatch:
        """At most the dosed share of records in another script than Latin; a country that the corpus lists and that
        writes its own script is not counted among them."""
        dose = self._spec.augmentations.other_script
        at_home = [code for code in self._spec.countries if code in OTHER_SCRIPT_COUNTRIES.split()]
        foreign = in_other_script(pc.fill_null(records[tag], "") for tag in LINE_TAGS)
        foreign &= ~mask_of(pc.is_in(records["country_code"], value_set=pa.array(at_home, pa.string())))
        wanted_share = 1.0 if dose == 1 else dose / (1 - dose) * (~foreign).sum() / max(1, foreign.sum())
        rng = np.random.default_rng([self._spec.seed, *self._source.encode(), number])
        surplus = foreign & (rng.random(len(foreign)) >= wanted_share)
        self._unread.filtered("other_script_dose", int(surplus.sum()))
        return records.filter(pa.array(~surplus))

    def _rows(self, records: pa.Table, number: int) -> Iterator[pa.Table]:
        """All rows of a batch of records: country by country, variant by variant, texts met before left out."""
        for place, country in enumerate(pc.unique(records["country_code"]).to_pylist()):
            of_country = records.filter(pc.equal(records["country_code"], country))
            for variant in range(self._spec.variants):
                rng = np.random.default_rng([self._spec.seed, *self._source.encode(), number, place, variant])
                for part, composed in self._composed(of_country, variant, rng):
                    yield self._counted(part, composed)

    def _composed(
        self, records: pa.Table, variant: int, rng: np.random.Generator
    ) -> Iterator[tuple[pa.Table, Composed]]:
        labelled = labelled_mask(records) if variant == 0 else np.zeros(len(records), np.bool_)
        plain, given = records.filter(pa.array(~labelled)), records.filter(pa.array(labelled))
        if len(plain):
            yield plain, compose_rows(plain, source=self._source, variant=variant, doses=self._doses, rng=rng)
        if len(given):
            yield given, given_rows(given, source=self._source)

    def _counted(self, records: pa.Table, composed: Composed) -> pa.Table:
        """The rows whose text this source has not had before; the waterfall knows about all others."""
        flow = self._waterfall.rows
        flow.read += len(records)
        for name, tally in composed.tallies.items():
            self._waterfall.methods.setdefault(name, MethodFlow()).add(tally)
        for index, reason, detail in composed.unfit:
            self._unfit.add(records["line"][index].as_py(), records["source_id"][index].as_py(), reason, detail)
            for name in detail.split("+") if reason == SPANS_DO_NOT_FIT and detail else ():
                self._waterfall.methods[name].quarantined += 1
        new = self._texts_seen.first_seen(hash64(_column(composed.rows, "raw")))
        flow.deduplicated += int((~new).sum())
        flow.kept += int(new.sum())
        return composed.rows.filter(pa.array(new))

    def _settle(self, from_adapter: Rejects) -> None:
        """Moves the counts of what was turned away into the waterfall."""
        records, rows = self._waterfall.records, self._waterfall.rows
        records.read += from_adapter.counts.total() + from_adapter.filters.total()
        records.quarantined = from_adapter.counts + self._unread.counts
        records.filtered = from_adapter.filters + self._unread.filters
        rows.quarantined = self._unfit.counts


def _column(table: pa.Table, name: str) -> pa.Array:
    return table[name].combine_chunks()
