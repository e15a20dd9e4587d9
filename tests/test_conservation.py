"""No record and no row is lost without a word, whatever the spec: what was counted against what lies on disk."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from corpus_sources import HandMade, address, spec_of
from hypothesis import given, settings
from hypothesis import strategies as st

from mw_pipeline.corpus import pieces
from mw_pipeline.corpus.build import SourceSummary, build_from
from mw_pipeline.corpus.keys import keys_path
from mw_pipeline.corpus.leaks import exclusion_counts, write_exclusions
from mw_pipeline.corpus.waterfall import rows_are_conserved
from mw_pipeline.recipe import Augmentations, CorpusSpec, SourceSpec
from mw_pipeline.records.text import normalised_text
from mw_pipeline.sources.geonames_postal import GeonamesPostal

METHODS = sorted(Augmentations.model_fields)
HOLDOUTS = ("US:colorado", "FR:corse")


def in_shards(summary: SourceSummary) -> pa.Table:
    return pa.concat_tables(pq.read_table(path) for path in summary.shards)


@st.composite
def records(draw: st.DrawFn) -> dict[str, Any]:
    """An address like another one, of another country, faulty, in another script, or with a text that may not fit."""
    number = draw(st.integers(0, 12))
    values: dict[str, Any] = {
        "country_code": draw(st.sampled_from(("US", "US", "US", "FR", "DE", "USA", None))),
        "region_key": draw(st.sampled_from(("", *HOLDOUTS))),
    }
    odd = draw(st.sampled_from(("", "", "", "street", "script", "fits", "does not fit")))
    if odd == "street":
        values["street"] = draw(st.sampled_from(("Oak\x07", "x" * 201, "OAK STREET", "--")))
    elif odd == "script":
        values["locality"] = "Москва"
    elif odd:
        values["raw"] = f"{number} {number // 7} Oak Street" if odd == "fits" else "nothing of it"
        values |= dict.fromkeys(("locality", "region", "postcode"))
    return address(number, **values)


@st.composite
def specs(draw: st.DrawFn) -> CorpusSpec:
    """A corpus of two hand-made sources under any doses, countries, splits and holdouts."""
    doses = draw(st.dictionaries(st.sampled_from(METHODS), st.floats(0, 1), max_size=6))
    return spec_of(
        sources={"a": SourceSpec(adapter="hand-made"), "b": SourceSpec(adapter="hand-made")},
        countries=draw(st.sampled_from(((), ("US",), ("US", "FR")))),
        variants=draw(st.integers(1, 4)),
        seed=draw(st.integers(0, 99)),
        validation_share=draw(st.sampled_from((0.0, 0.3))),
        test_share=draw(st.sampled_from((0.0, 0.3))),
        holdout_regions=draw(st.sampled_from(((), HOLDOUTS))),
        augmentations=Augmentations(**doses),
    )


def assert_it_adds_up(summary: SourceSummary, out: Path, *, read: int) -> None:
    """Both lines add up, and every number in them is that of the rows and records on disk."""
    flow, rows = summary.waterfall, in_shards(summary)
    lost = Counter(pq.read_table(out / "quarantine.parquet")["reason"].to_pylist())

    assert rows_are_conserved(flow) == []
    assert flow.records.read == read
    assert flow.rows.kept == rows.num_rows == summary.counts["rows"] == sum(summary.counts["split"].values())
    assert flow.records.quarantined + flow.rows.quarantined == lost
    assert len(set(rows["raw"].to_pylist())) == rows.num_rows
    for name, method in flow.methods.items():
        kept = sum(name in (found or "").split("+") for found in rows["method"].to_pylist())
        assert kept <= method.applied - method.quarantined <= kept + flow.rows.deduplicated


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "MAX_PIECE_RECORDS", 5)


@pytest.mark.usefixtures("small_pieces")
@settings(max_examples=20)
@given(
    spec=specs(),
    made=st.tuples(st.lists(records(), max_size=25), st.lists(records(), max_size=25)),
    turned_away=st.tuples(st.integers(0, 3), st.integers(0, 3)),
)
def test_every_record_and_row_of_any_corpus_is_somewhere(
    spec: CorpusSpec, made: tuple[list[dict[str, Any]], ...], turned_away: tuple[int, int]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        outs = {source: Path(folder, source) for source in spec.sources}
        found = {}
        for (source, out), held in zip(outs.items(), made, strict=True):
            # ids are an adapter's promise, and row_ids_are_unique holds it to that
            numbered = [row | {"source_id": str(place) if place % 9 else ""} for place, row in enumerate(held)]
            adapter = HandMade([numbered[:11], numbered[11:]], *turned_away)
            found[source] = build_from(spec, source, adapter, (), out)
            assert_it_adds_up(found[source], out, read=len(held) + sum(turned_away))
        assert_each_row_is_kept_or_excluded(found, Path(folder, "excluded.parquet"))


def assert_each_row_is_kept_or_excluded(found: dict[str, SourceSummary], path: Path) -> None:
    """Every row of every source is kept or excluded once; what is kept holds no text twice, and none of the gold."""
    rows = pa.concat_tables(map(in_shards, found.values())).to_pylist()
    gold = normalised_text(pa.array([rows[0]["raw"]] if rows else [], pa.string())).to_pylist()
    keys = [keys_path(shard) for summary in found.values() for shard in summary.shards]

    reasons = write_exclusions(keys, path, gold_texts=gold)
    excluded = pq.read_table(path)["row_id"].to_pylist()
    per_source = exclusion_counts(path)

    kept = [row for row in rows if row["row_id"] not in set(excluded)]
    assert sum(reasons.values()) == len(excluded)
    for source, summary in found.items():
        lost = sum(per_source.get(source, {"excluded": {}})["excluded"].values())
        assert summary.waterfall.rows.kept - lost == sum(row["source"] == source for row in kept)
    assert len({row["raw"] for row in kept}) == len(kept)
    trained = normalised_text(pa.array([row["raw"] for row in kept if row["split"] != "test"], pa.string()))
    assert set(gold).isdisjoint(trained.to_pylist())


@given(
    lines=st.lists(st.sampled_from(("US\t99553\tAkutan", "US\t\tNowhere", "XX\t1\tX", "FR\t75001\tParis")), min_size=1)
)
@settings(max_examples=15)
def test_no_more_records_are_read_than_were_asked_for(lines: list[str]) -> None:
    at_most = 4
    spec = spec_of(sources={"made": SourceSpec(adapter="geonames-postal", max_records=at_most)}, countries=("US",))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "postcodes.txt")
        path.write_text("".join(line + "\t" * 9 + "\n" for line in ["US\t99501\tAnchorage", *lines]), encoding="utf-8")

        summary = build_from(spec, "made", GeonamesPostal(), [path], Path(folder, "out"))
        assert_it_adds_up(summary, Path(folder, "out"), read=min(at_most, 1 + len(lines)))
