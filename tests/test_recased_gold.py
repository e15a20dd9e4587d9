"""The gold as the JavaScript client hands it on: other letters in the same places."""

from __future__ import annotations

from pathlib import Path

from gold_rows import golden_of

from mw_pipeline.golden.gold import load_golden
from mw_pipeline.golden.recased import as_client_reads, typed_in_one_case

ROWS = golden_of(
    [
        {
            "raw": "12 MAIN ST, ST. PAUL MN",
            "components": {"house_number": "12", "street": "MAIN ST", "locality": "ST. PAUL", "region": "MN"},
            "country": "US",
        },
        {"raw": "main st, reno", "components": {"street": "main st", "locality": "reno", "unit": "elsewhere"}},
        {"raw": "3 Rue de l'Ete", "components": {"house_number": "3", "street": "Rue de l'Ete"}},
        {"raw": "3 rue de l'Été", "components": {"house_number": "3", "street": "rue de l'Été"}},
        {"raw": "ave, 3 av", "components": {"street": "av", "house_number": "3"}},
    ],
    name="rows",
)


def test_rows_of_one_case_are_written_anew_with_their_values_where_they_were():
    read = as_client_reads(ROWS)

    assert read.rows[0].raw == "12 Main ST, ST. Paul MN"
    assert read.rows[0].components == {
        "house_number": "12", "street": "Main ST", "locality": "ST. Paul", "region": "MN",
    }  # fmt: skip
    assert read.rows[2:4] == ROWS.rows[2:4]
    assert read.rows[4].components == {"street": "AV", "house_number": "3"}
    assert [row.family for row in read.rows] == [row.family for row in ROWS.rows]
    assert read.hash != ROWS.hash


def test_a_row_with_a_value_that_has_no_place_keeps_its_values():
    assert as_client_reads(ROWS).rows[1].raw == "Main ST, Reno"
    assert as_client_reads(ROWS).rows[1].components == ROWS.rows[1].components


def test_rows_of_ascii_alone_can_be_typed_in_one_case_and_mixed_case_is_lost():
    typed = typed_in_one_case(ROWS)

    assert [row.raw for row in typed.rows] == [
        "12 Main ST, ST. Paul MN", "Main ST, Reno", "3 Rue DE L'Ete", "Ave, 3 AV",
    ]  # fmt: skip
    assert typed.rows[2].components["street"] == "Rue DE L'Ete"


def test_the_own_gold_stays_as_reachable_as_it_was(project: Path):
    own = load_golden(sorted((project / "golden").glob("*.jsonl")))
    tags = own.scored(tuple(own.counts()["tag"]))

    for read in (as_client_reads(own), typed_in_one_case(own)):
        assert read.ceilings(tags)["strict"]["macro_f1"] == 1.0
    assert len(as_client_reads(own).rows) == len(own.rows)
    changed = [new.raw for new, old in zip(as_client_reads(own).rows, own.rows, strict=True) if new.raw != old.raw]
    assert 20 < len(changed) < 200
