"""What changed between two audits, the ledger that says which was the last, and the page that shows it all."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from xml.etree import ElementTree

import pytest
from audit_inputs import audit, flow, source
from html_page import Page, words

from mw_pipeline.errors import ArtifactError
from mw_pipeline.mix.changes import changes_between, sources_stay
from mw_pipeline.report.audit import tables
from mw_pipeline.report.audit.charts import losses_svg
from mw_pipeline.report.audit.page import render_audit
from mw_pipeline.stages.audit_ledger import Entry, enter, last_of, read_ledger

SVG = "{http://www.w3.org/2000/svg}"


def test_sources_are_compared_one_by_one_with_their_digests() -> None:
    before = audit(source("ban"), source("tiger"), source("nad"))
    now = audit(source("ban"), source("tiger", rows=1500, digest="0" * 64), source("imls"))

    changes = changes_between(before, now)

    assert (changes["added"], changes["removed"], changes["unchanged"]) == (["imls"], ["nad"], ["ban"])
    assert changes["changed"] == {"tiger": {"digest": ["t" * 64, "0" * 64], "rows": [1000, 1500]}}


def test_other_rows_under_the_same_licences_change_no_licence() -> None:
    changes = changes_between(audit(source("ban")), audit(source("ban", licences={"CC-BY-4.0": 9})))

    assert changes["unchanged"] == ["ban"]


def test_a_source_that_vanished_shrank_or_changed_its_licence_is_worth_a_look() -> None:
    before = audit(source("ban"), source("tiger"), source("nad"), source("imls"))
    now = audit(
        source("ban", rows=899), source("tiger", rows=900), source("imls", licences={"CC-BY-4.0": 5, "ODbL-1.0": 1})
    )

    assert sources_stay(changes_between(before, now)) == [
        "source 'nad' is gone since the last audit",
        "source 'ban' fell from 1,000 to 899 training rows since the last audit",
        "source 'imls' was under CC-BY-4.0 and is under CC-BY-4.0, ODbL-1.0",
    ]
    assert sources_stay(changes_between(before, before)) == []


def entry(recipe: str, audit_digest: str) -> Entry:
    return Entry(recipe, audit_digest, subject="5" * 32, at="2026-11-23T06:30:00+00:00")


def test_the_last_audit_is_that_of_the_recipe_and_not_the_last_line(tmp_path: Path) -> None:
    path = tmp_path / "ledgers" / "source_audit.jsonl"
    assert read_ledger(path) == []
    for recipe, digest in (("us-fr", "a"), ("us-fr", "b"), ("demo", "c")):
        enter(path, entry(recipe, digest))

    assert last_of(read_ledger(path), "us-fr") == entry("us-fr", "b")
    assert last_of(read_ledger(path), "other") is None


def test_the_same_audit_is_entered_once_in_a_row_and_again_after_another(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    for digest in ("a", "a", "b", "a"):
        enter(path, entry("us-fr", digest))

    assert [found.audit for found in read_ledger(path)] == ["a", "b", "a"]


def test_entries_made_at_the_same_moment_are_all_there(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    writers = [threading.Thread(target=enter, args=(path, entry(f"recipe {n}", "a"))) for n in range(20)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    assert {found.recipe for found in read_ledger(path)} == {f"recipe {n}" for n in range(20)}


def test_what_a_kill_left_of_an_entry_is_dropped_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # M80
    path = tmp_path / "ledger.jsonl"
    enter(path, entry("us-fr", "a"))
    assert read_ledger(path) == [entry("us-fr", "a")] and capsys.readouterr().err == ""
    with path.open("a") as stream:
        stream.write('{"recipe": "us-fr", "aud')

    assert read_ledger(path) == [entry("us-fr", "a")]
    assert "ledger.jsonl: the last line was cut short after 24 bytes and was dropped" in capsys.readouterr().err
    enter(path, entry("us-fr", "b"))
    capsys.readouterr()
    assert [found.audit for found in read_ledger(path)] == ["a", "b"] and capsys.readouterr().err == ""


@pytest.mark.parametrize("line", ['{"recipe": "us-fr", "aud', '{"recipe": "us-fr"}', "[]"])
def test_a_line_that_is_no_entry_is_named_and_not_passed_over(tmp_path: Path, line: str) -> None:
    path = tmp_path / "ledger.jsonl"
    enter(path, entry("us-fr", "a"))
    with path.open("a") as stream:
        stream.write(line + "\n")

    with pytest.raises(ArtifactError, match=r"ledger\.jsonl:2: .* is no entry of a ledger\. Remove the line"):
        read_ledger(path)


def test_differences_are_computed_from_the_two_values_beside_them() -> None:
    before = audit(source("ban"), source("gone"))
    now = audit(source("ban", rows=900, requested_share=0.25, repetitions=2.0), source("new"))
    table = tables.change_table({**now, "changes": changes_between(before, now)})

    assert table.rows == (
        ("gone", "removed", "–", "–", "–"),
        ("new", "added", "–", "1,000 rows", "n" * 12),
        ("ban", "rows", "1,000", "900", "−100"),
        ("ban", "requested share", "33.3 %", "25.0 %", "−8.3 points"),
        ("ban", "repetitions", "3.25", "2", "−1.25"),
    )


def test_every_line_of_a_waterfall_has_its_share_of_what_was_read() -> None:
    waterfall = {**flow(200, quarantined={"no_street": 10}), "rows": flow(380, deduplicated=38), "methods": {}}
    table = tables.flow_table([source("ban", waterfall=waterfall)])

    assert table.rows == (
        ("ban", "read", "200", "100.0 %", "380", "100.0 %"),
        ("ban", "quarantined: no_street", "10", "5.0 %", "0", "0.0 %"),
        ("ban", "deduplicated", "0", "0.0 %", "38", "10.0 %"),
        ("ban", "kept", "190", "95.0 %", "342", "90.0 %"),
    )


def test_the_furthest_tenth_of_the_run_is_shown() -> None:
    drawn = source("ban", requested_share=0.30, window_shares=[0.31, 0.27, 0.30])

    assert tables.dose_table([drawn]).rows[0][5] == "27.0 %"
    assert tables.dose_table([source("ban", window_shares=[])]).rows[0][5] == "–"


def test_the_commonest_place_is_shown_with_how_often_the_run_repeats_it() -> None:
    table = tables.place_table([source("ban"), source("tiger", place=None)])

    assert table.rows == (("ban", "40", "FR::noumea", "500", "50.0 %", "1,625", "1,630", "no"),)


def test_quarantine_is_listed_with_the_most_frequent_reason_first() -> None:
    assert [row[:4] for row in tables.quarantine_table([source("ban"), source("nad")]).rows] == [
        ("ban", "records", "no_street", "30"),
        ("nad", "records", "no_street", "30"),
        ("ban", "rows", "spans_do_not_fit", "10"),
        ("nad", "rows", "spans_do_not_fit", "10"),
    ]


def test_the_largest_five_of_many_values_stand_for_them() -> None:
    counts = {**source("ban")["counts"], "country": {"US": 50, "FR": 20, "DE": 10, "IT": 8, "ES": 7, "PT": 5}}

    shown = tables.content_table([source("ban", counts=counts)]).rows[0][1]
    assert shown == "US 50.0 %, FR 20.0 %, DE 10.0 %, IT 8.0 %, ES 7.0 %, 1 more"


THREE = (source("ban"), source("tiger"), source("nad"))


def page_of(tmp_path: Path, found: dict[str, object]) -> Page:
    return Page(render_audit(tmp_path / "audit.html", found).read_text("utf-8"))


def test_the_page_needs_no_network_and_its_ids_are_its_own(tmp_path: Path) -> None:
    page = page_of(tmp_path, audit(*THREE))

    assert len(page.ids) == len(set(page.ids)), "pictures must not share ids"
    assert all(reference.startswith("#") for reference in page.references)
    assert {reference[1:] for reference in page.references} <= set(page.ids)


def test_the_largest_losses_have_a_colour_each_and_the_smaller_ones_are_one() -> None:
    reasons = {f"reason_{letter}": 10 * size for size, letter in enumerate("abcdefgh", start=1)}
    waterfall = {**flow(1000, deduplicated=5, quarantined=reasons), "rows": flow(0), "methods": {}}

    picture = ElementTree.fromstring(losses_svg([source("ban", waterfall=waterfall)]))

    legend = next(group for group in picture.iter(f"{SVG}g") if "legend" in group.get("id", ""))
    titles = [text.text for text in legend.iter(f"{SVG}text")]
    fills = [re.search(r"fill: (#\w+)", patch.get("style", "")) for patch in legend.iter(f"{SVG}path")]
    colours = [fill[1] for fill in fills if fill]
    assert titles == [
        "deduplicated",
        *(f"quarantined: reason_{letter}" for letter in "cdefgh"),
        "2 smaller, in the table",
    ]
    assert len(colours[-8:]) == len(set(colours[-8:])) == len(titles)


def test_equal_audits_give_equal_bytes(tmp_path: Path) -> None:
    pages = [render_audit(tmp_path / name, audit(*THREE)).read_bytes() for name in ("one", "two")]

    assert pages[0] == pages[1]


def test_a_first_audit_says_so_and_shows_every_section(tmp_path: Path) -> None:
    shown = words(page_of(tmp_path, audit(*THREE)))

    for text in (
        "This is the first audit of this recipe.",
        "Nothing here keeps a run from starting.",
        "3 of 3 sources are in use, with 3,000 rows to train on; the full run draws 9,750",
        "There is no tokenized dataset of this recipe yet: amounts are characters, not pieces.",
        "12 rows of the corpus are gold, or repeat what is held out",
        "quarantined: spans_do_not_fit",
        "People of tiger",
        "shards × weight",
        "c" * 64,
    ):
        assert text in shown, text


def test_findings_and_warnings_stand_at_the_top(tmp_path: Path) -> None:
    found = audit(*THREE, findings=["source 'x' has 3 training rows and no weight"], warnings=["the mix is <odd>"])
    shown = words(page_of(tmp_path, found))

    assert "1 finding blocks every run of this recipe: Source 'x' has 3 training rows and no weight." in shown
    assert "The mix is <odd>." in shown


def test_a_comparison_names_the_audit_that_it_is_with(tmp_path: Path) -> None:
    now = audit(source("ban", rows=10), source("tiger"))
    since = {"digest": "ab" * 32, "at": "2026-11-16T06:30:00+00:00", "lost": None}
    shown = words(page_of(tmp_path, {**now, "since": since, "changes": changes_between(audit(*THREE), now)}))

    assert (
        "Compared with audit abababababab of 2026-11-16 06:30:00 UTC: 0 added, 1 removed, 1 changed, 1 as before."
        in shown
    )


def test_a_last_audit_that_is_gone_is_said_to_be(tmp_path: Path) -> None:
    found = audit(*THREE, since={"digest": None, "at": None, "lost": "ef" * 32})

    assert "The last audit, efefefefefef, is no longer in the store" in words(page_of(tmp_path, found))


def test_a_source_alone_without_losses_or_methods_makes_a_page(tmp_path: Path) -> None:
    waterfall = {**flow(0), "rows": flow(0), "methods": {}}
    shown = words(page_of(tmp_path, audit(source("ban", waterfall=waterfall, amount=None), unit="pieces")))

    for text in ("No augmentation was asked for.", "Nothing is in quarantine.", "of this recipe's tokenizer"):
        assert text in shown
