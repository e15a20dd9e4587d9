from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from corpus_sources import HandMade, address, install, record, spec_of

from mw_pipeline.corpus import pieces as pieces_module
from mw_pipeline.corpus import rows as rows_module
from mw_pipeline.corpus.build import SourceSummary
from mw_pipeline.corpus.census import row_ids_are_unique
from mw_pipeline.corpus.lines import Lines
from mw_pipeline.corpus.schema import rows_match_schema
from mw_pipeline.corpus.splits import SPLITS, place_fold
from mw_pipeline.corpus.waterfall import quarantine_within_budget, rows_are_conserved
from mw_pipeline.digest import sha256_file
from mw_pipeline.errors import CorpusError
from mw_pipeline.recipe import Augmentations, CorpusSpec, SourceSpec
from mw_pipeline.records.tables import ROW_SCHEMA, ReadRequest
from mw_pipeline.stages.corpus import build_source


def build(out: Path, spec: CorpusSpec | None = None, source: str = "made") -> SourceSummary:
    return build_source(spec or spec_of(), source, Path("nowhere"), out)


def rows_of(summary: SourceSummary) -> pa.Table:
    return pa.concat_tables(pq.read_table(path) for path in summary.shards)


def quarantined(out: Path) -> list[tuple[int, str]]:
    rows = pq.read_table(out / "quarantine.parquet").to_pylist()
    return sorted((row["line"], row["reason"]) for row in rows)


def test_every_record_and_row_is_accounted_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    records = [
        address(1),
        address(2, country_code="USA"),
        address(3, country_code=None),
        address(4, street="Oak\x07Street"),
        address(5, venue="x" * 201),
        record(6),
        record(7, street="--", street_prefix="N"),
        address(8, source_id=""),
        address(1, source_id="again", base_id="another"),
        address(9, country_code="DE", locale="de-DE"),
        address(10, street="Oak \ufffd Street"),
    ]
    install(monkeypatch, HandMade([records, [address(1, line=99, street="0 OAK STREET")]], unreadable=2, unwanted=4))

    summary = build(tmp_path)

    waterfall = summary.waterfall
    assert rows_are_conserved(waterfall) == []
    assert waterfall.records.read == 11 + 1 + 2 + 4
    assert waterfall.records.kept == 1
    assert waterfall.records.deduplicated == 2
    assert waterfall.records.filtered == {"country_not_in_corpus": 1, "no_street": 4}
    assert waterfall.records.quarantined == {
        "no_country": 2,
        "control_character": 2,
        "value_too_long": 1,
        "empty_record": 2,
        "no_id": 1,
        "unreadable_line": 2,
    }
    assert quarantined(tmp_path) == [
        (2, "no_country"),
        (3, "no_country"),
        (4, "control_character"),
        (5, "value_too_long"),
        (6, "empty_record"),
        (7, "empty_record"),
        (8, "no_id"),
        (10, "control_character"),
        (9000, "unreadable_line"),
        (9001, "unreadable_line"),
    ]
    assert waterfall.rows.read == 3
    assert json.loads((tmp_path / "waterfall.json").read_text()) == waterfall.as_json()
    assert json.loads((tmp_path / "counts.json").read_text()) == summary.counts


def test_the_first_row_of_every_record_is_plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    install(monkeypatch, HandMade([[address(number) for number in range(1, 300)]]))

    rows = rows_of(build(tmp_path)).to_pylist()

    plain = [row for row in rows if row["row_id"].endswith(":0")]
    assert len(plain) == 299
    assert all(row["method"] is None for row in plain)
    assert plain[11]["raw"] == "12 1 Oak Street, City 12, CO 80012"
    assert plain[11]["row_id"] == "made:id12:0"
    assert {row["method"] for row in rows} > {None, "partial", "order"}


def test_two_builds_give_the_same_bytes_and_another_seed_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    install(monkeypatch, HandMade([[address(number) for number in range(400)]] * 2, unreadable=1))

    for name, seed in (("first", 7), ("second", 7), ("third", 8)):
        build(tmp_path / name, spec_of(seed=seed))

    files = {
        name: {path.name: sha256_file(path) for path in sorted((tmp_path / name).rglob("*")) if path.is_file()}
        for name in ("first", "second", "third")
    }
    assert files["first"] == files["second"]
    assert files["first"]["part-00000.parquet"] != files["third"]["part-00000.parquet"]
    assert set(files["first"]) == {
        "part-00000.parquet", "quarantine.parquet", "waterfall.json", "counts.json", "receipts.jsonl",
    }  # fmt: skip


def test_all_variants_of_a_family_share_its_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    records = [address(number, base_id=f"family {number // 2}") for number in range(600)]
    records += [address(700 + number, region_key="US:vermont") for number in range(20)]
    install(monkeypatch, HandMade([records]))

    summary = build(tmp_path, spec_of(holdout_regions=("US:Vermont",)))

    splits: dict[str, set[str]] = {}
    for row in rows_of(summary).to_pylist():
        splits.setdefault(row["base_id"], set()).add(row["split"])
        assert row["split"] == "test" or row["region_key"] != "US:vermont"
    assert all(len(found) == 1 for found in splits.values())
    assert set().union(*splits.values()) == {"train", "validation", "test"}
    assert summary.waterfall.holdout_records == 20


def test_a_held_out_place_is_never_trained_on_while_the_names_of_its_region_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """M65: the towns are withheld, and the words of the closed classes beside them are taught by their neighbours."""
    records = [address(n, locality=f"Town {n % 200}", region_key="US:colorado") for n in range(2000)]
    install(monkeypatch, HandMade([records]))

    summary = build(tmp_path, spec_of(holdout_places_share=0.2))

    rows = rows_of(summary).to_pylist()
    towns = [f"Town {number}" for number in range(200)]
    folds = place_fold(pa.array(["US"] * 200), pa.array(towns), 0.2).tolist()
    of_town = {f"made:id{n}": folds[n % 200] for n in range(2000)}
    assert set(folds) == {0, 1, 2}
    for row in rows:
        fold = of_town[row["row_id"].rpartition(":")[0]]
        assert fold == 0 or row["split"] == SPLITS[fold]
    trained = {row["components"] and dict(row["components"]).get("region") for row in rows if row["split"] == "train"}
    assert {"CO", "Colorado"} <= trained
    assert summary.waterfall.holdout_records == sum(folds[n % 200] != 0 for n in range(2000))


def test_stored_rows_pass_their_schema_and_have_unique_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    french = {"country_code": "FR", "locale": "fr-FR", "region": "Île-de-France", "venue": "Café 😀"}
    install(monkeypatch, HandMade([[address(n, **(french if n % 3 else {})) for n in range(500)]]))

    summary = build(tmp_path)

    assert rows_match_schema(summary.shards) == []
    assert row_ids_are_unique(summary.shards) == []
    assert summary.counts["country"].keys() == {"FR", "US"}
    assert sum(summary.counts["split"].values()) == summary.counts["rows"] == summary.waterfall.rows.kept


def test_no_text_stands_twice_in_a_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    install(monkeypatch, HandMade([[address(n, locality="Reno", postcode=None, region=None) for n in range(300)]] * 2))

    summary = build(tmp_path)

    texts = rows_of(summary)["raw"].to_pylist()
    assert len(texts) == len(set(texts)) == summary.waterfall.rows.kept
    assert summary.waterfall.rows.deduplicated == summary.waterfall.rows.read - len(texts) > 0


def test_a_dose_is_a_share_of_all_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    install(monkeypatch, HandMade([[address(number) for number in range(4_000)]]))

    waterfall = build(tmp_path, spec_of(augmentations=Augmentations(case=0.3))).waterfall

    assert waterfall.methods.keys() == {"case"}
    assert waterfall.methods["case"].asked / waterfall.rows.read == pytest.approx(0.3, abs=0.02)


def test_a_single_variant_takes_no_method(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    install(monkeypatch, HandMade([[address(number) for number in range(50)]]))

    summary = build(tmp_path, spec_of(variants=1))

    assert summary.waterfall.methods == {}
    assert summary.counts["method"] == {"none": 50}


@pytest.mark.parametrize(("dose", "kept"), [(0.0, 0), (0.1, 400 / 9), (0.5, 100), (1.0, 100)])
def test_records_in_another_script_are_kept_up_to_their_dose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dose: float, kept: float
):
    foreign = [record(1_000 + n, locality=f"Бостон {n}", country="США") for n in range(100)]
    install(monkeypatch, HandMade([[address(n) for n in range(400)] + foreign]))

    summary = build(tmp_path, spec_of(variants=1, augmentations=Augmentations(other_script=dose)))

    assert summary.counts["script"].get("Cyrillic", 0) == pytest.approx(kept, abs=20 if 0 < dose < 0.2 else 0)
    assert summary.waterfall.records.filtered.total() == 100 - summary.counts["script"].get("Cyrillic", 0)
    assert rows_are_conserved(summary.waterfall) == []


def test_a_listed_country_is_at_home_in_its_own_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    install(monkeypatch, HandMade([[record(1, country_code="RU", locale="ru-RU", locality="Москва")]]))

    summary = build(tmp_path, spec_of(countries=("RU",), augmentations=Augmentations()))

    assert summary.waterfall.records.kept == 1


def test_shards_are_cut_at_their_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pieces_module, "PART_ROWS", 200)
    install(monkeypatch, HandMade([[address(number) for number in range(270)]]))

    summary = build(tmp_path, spec_of(variants=1))

    assert [pq.read_metadata(path).num_rows for path in summary.shards] == [200, 70]
    assert [path.name for path in summary.shards] == ["part-00000.parquet", "part-00001.parquet"]


def test_a_source_without_records_has_an_empty_shard_and_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    install(monkeypatch, HandMade([]))

    summary = build(tmp_path)

    assert rows_of(summary).schema.names == ROW_SCHEMA.names
    assert rows_match_schema(summary.shards) == ["no row in 1 files, expected at least one"]


def test_labelled_text_is_kept_as_it_came(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    given = address(
        1,
        raw="80305   Boulder (CO), Oak Ave 12",
        locality="Boulder",
        street="Oak Ave",
        house_number="12",
        postcode="80305",
    )
    misfit = address(2, raw="LAKE", locality="LAKE", region="AK", street=None, house_number=None, postcode=None)
    install(monkeypatch, HandMade([[given, misfit]]))

    summary = build(tmp_path)

    first = rows_of(summary).to_pylist()[0]
    assert first["raw"] == "80305   Boulder (CO), Oak Ave 12"
    assert first["components"] == [
        ("postcode", "80305"), ("locality", "Boulder"), ("region", "CO"), ("street", "Oak Ave"), ("house_number", "12"),
    ]  # fmt: skip
    assert summary.waterfall.rows.quarantined == {"only_inside_a_word": 1}
    assert rows_are_conserved(summary.waterfall) == []
    assert quarantined(tmp_path) == [(2, "only_inside_a_word")]


def test_a_method_that_breaks_alignment_is_quarantined_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    install(monkeypatch, HandMade([[address(number) for number in range(500)]]))
    plain = rows_module.write_lines

    def upper_after_the_fact(draft: rows_module.Draft) -> Lines:
        lines = plain(draft)
        upper = np.asarray(draft.between) > 0
        texts = [t.upper() if u else t for t, u in zip(lines.raw.to_pylist(), upper, strict=True)]
        return Lines(pa.array(texts), lines.tags, lines.texts, lines.starts, lines.ends)

    monkeypatch.setattr(rows_module, "write_lines", upper_after_the_fact)
    spec = spec_of(augmentations=Augmentations(separators=0.3, zip4=0.3))

    summary = build(tmp_path, spec)

    findings = quarantine_within_budget(summary.waterfall, spec.budgets_of("made"))
    assert summary.waterfall.methods["separators"].quarantined > 100
    assert any("after augmentation 'separators'" in finding for finding in findings)
    assert rows_are_conserved(summary.waterfall) == []
    assert rows_match_schema(summary.shards) == []


def test_a_file_of_another_format_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    install(monkeypatch, HandMade([], error=CorpusError("not this format")))

    with pytest.raises(CorpusError, match="not this format"):
        build(tmp_path / "out")

    assert not (tmp_path / "out").exists()


def test_shards_are_never_written_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    install(monkeypatch, HandMade([[address(1)]]))
    build(tmp_path)

    with pytest.raises(CorpusError, match="already holds shards"):
        build(tmp_path)


def test_a_licence_that_binds_by_its_name_needs_leave_whatever_the_adapter_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    install(monkeypatch, HandMade([[address(1)]]))
    bound = {"made": SourceSpec(adapter="hand-made", licence="ODbL-1.0")}
    with pytest.raises(CorpusError, match=r"'hand-made' \(ODbL-1\.0\) must be shared alike"):
        build(tmp_path / "a", spec_of(sources=bound))

    free = {"made": SourceSpec(adapter="hand-made", licence="CC-BY-4.0")}
    assert build(tmp_path / "b", spec_of(sources=free)).counts["rows"]


def test_what_the_files_of_a_source_ask_to_be_named_stands_in_its_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    class Crediting(HandMade):
        def credits(self, request: ReadRequest) -> tuple[str, ...]:
            return ("City of A",)

    install(monkeypatch, Crediting([[address(1)]]))
    assert build(tmp_path / "a").counts["credits"] == ["City of A"]

    install(monkeypatch, HandMade([[address(1)]]))
    assert build(tmp_path / "b").counts["credits"] == []


def test_share_alike_rows_need_leave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    install(monkeypatch, HandMade([[address(1)]], share_alike=True))

    with pytest.raises(CorpusError, match="must be shared alike"):
        build(tmp_path)

    allowed = {"made": SourceSpec(adapter="hand-made", share_alike_allowed=True)}
    assert build(tmp_path, spec_of(sources=allowed)).waterfall.records.kept == 1


def test_a_source_that_needs_files_and_names_none_is_refused_by_its_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    install(monkeypatch, HandMade([[address(1)]], needs_input=True))

    with pytest.raises(CorpusError, match=r"sources\.made\.input is missing: adapter 'hand-made' reads files"):
        build(tmp_path)


def test_an_adapter_with_other_columns_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    adapter = install(monkeypatch, HandMade([]))
    monkeypatch.setattr(
        adapter, "read", lambda request, rejects: iter([pa.record_batch({"street": ["Oak"]})]), raising=False
    )

    with pytest.raises(CorpusError, match="yielded columns street, expected RECORD_SCHEMA"):
        build(tmp_path)


def test_the_adapter_is_asked_for_what_the_spec_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    adapter = install(monkeypatch, HandMade([[address(1)]]))
    settings = SourceSpec(adapter="hand-made", country="US", max_records=5, licence="X", share_alike_allowed=True)

    build(tmp_path, spec_of(sources={"made": settings}))

    (request,) = adapter.requests
    assert (request.country, request.max_records, request.licence, request.share_alike_allowed) == ("US", 5, "X", True)
    assert (request.countries, request.seed, request.source) == (("US", "FR"), 7, "made")


@pytest.mark.slow
def test_memory_stays_flat_as_rows_grow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pieces_module, "MAX_PIECE_RECORDS", 5_000)
    batch = [address(number) for number in range(5_000)]
    peaks = []
    for batches in (2, 10):
        fresh = ([{**row, "unit": f"Apt {part}"} for row in batch] for part in range(batches))
        install(monkeypatch, HandMade(fresh))
        tracemalloc.start()
        arrow_before = pa.total_allocated_bytes()
        build(tmp_path / str(batches), spec_of(variants=2))
        peaks.append(tracemalloc.get_traced_memory()[1] + pa.total_allocated_bytes() - arrow_before)
        tracemalloc.stop()

    assert peaks[1] < 1.5 * peaks[0]
