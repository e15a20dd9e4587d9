from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from gold_rows import golden_of

from mw_pipeline.areas import departement_of_postcode, fr_departements
from mw_pipeline.cli import main
from mw_pipeline.errors import CorpusError
from mw_pipeline.golden.gold import MANIFEST, load_golden, write_manifest
from mw_pipeline.golden.reach import spans_in
from mw_pipeline.golden.regions import coverage_of
from mw_pipeline.labels import STAGE3_TAGS

PROJECT = Path(__file__).parents[1]
GOLDEN = sorted((PROJECT / "golden").glob("*.jsonl"))


def row(raw="12 rue Haute, 75001 Paris", components=None, **more):
    found = {"street": "rue Haute", "postcode": "75001", "locality": "Paris"} if components is None else components
    return {"raw": raw, "components": found, "country": "FR", "source": "hand", "notes": "", **more}


def write(path, *rows):
    path.write_text("".join(json.dumps(value, ensure_ascii=False) + "\n" for value in rows), encoding="utf-8")
    return path


def rules(golden):
    return [(finding.rule, finding.blocks) for finding in golden.findings]


def test_the_own_gold_has_no_finding_and_a_ceiling_of_one_for_every_tag():
    golden = load_golden(GOLDEN)

    assert golden.findings == ()
    assert golden.ceilings(STAGE3_TAGS)["strict"]["macro_f1"] == 1.0
    assert golden.ceilings(STAGE3_TAGS)["strict"]["unreachable"] == {}


def test_the_own_gold_is_large_and_supports_every_tag_but_the_parts_of_a_street():
    counts = load_golden(GOLDEN).counts()

    assert counts["rows"] >= 700
    assert min(counts["country"][code] for code in ("US", "FR")) >= 100
    assert all(counts["tag"][tag] >= 15 for tag in STAGE3_TAGS if tag not in ("street_prefix", "street_suffix"))


def test_the_own_gold_has_rows_in_every_state_every_region_and_most_departements():  # M86
    golden = load_golden(GOLDEN)

    assert [(found.country, found.missing) for found in coverage_of(golden.rows)] == [("FR", ()), ("US", ())]
    postcodes = {row.components.get("postcode", "") for row in golden.rows if row.country == "FR"}
    assert len({departement_of_postcode(code) for code in postcodes} & fr_departements().keys()) >= 80


def test_every_word_of_the_own_gold_has_a_label_but_those_that_say_where_a_crossing_is():
    between = {"&", "and", "et", "at", "/", "corner", "of", "angle"}
    for row in load_golden(GOLDEN).rows:
        spans = spans_in(row.raw, row.components)
        rest = "".join(" " if any(a <= i < b for a, b in spans.values()) else c for i, c in enumerate(row.raw))
        left = {word for word in rest.split() if any(c.isalnum() for c in word)}
        assert left <= between, row.raw
        assert not left or "intersection_a" in row.components


def test_the_rows_of_the_label_document_follow_its_conventions():
    text = (PROJECT / "docs/labels.md").read_text(encoding="utf-8")
    lines = re.search(r"```json\n(.*?)```", text, re.DOTALL)[1].splitlines()

    golden = golden_of([json.loads(line) for line in lines], name="labels.md")

    assert golden.findings == ()
    assert all(f"`{tag}`" in text for tag in golden.counts()["tag"])


def test_rows_without_base_id_and_stratum_get_their_text_and_file_name(tmp_path):
    golden = load_golden([write(tmp_path / "adversarial_extra.jsonl", row(), row("12, RUE HAUTE 75001 paris.", {}))])

    assert [r.stratum for r in golden.rows] == ["adversarial_extra"] * 2
    assert len(golden.families) == 1
    assert golden.rows[0].where.endswith("adversarial_extra.jsonl:1")


def test_a_stratum_is_adversarial_by_its_first_part():
    golden = golden_of([row(stratum="adversarial/cedex"), row("x", {}, stratum="plain")], name="adversarial")

    assert [r.is_adversarial for r in golden.rows] == [True, False]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"gold\.jsonl:1: not JSON"),
        ("[1]", "expected an object with a text under 'raw'"),
        ('{"components": {}}', "expected an object with a text under 'raw'"),
        ('{"raw": "x"}', "components is None, expected an object"),
        ('{"raw": "x", "components": {"town": "x"}}', "components.town is not a tag. Use one of country, region"),
        ('{"raw": "x", "components": {"locality": 7}}', "components.locality is 7, expected a text"),
        ('{"raw": "x", "components": {"locality": " "}}', "components.locality is ' ', expected a value"),
        ('{"raw": "x", "components": {}, "raw": "y"}', "not JSON .key 'raw' stands twice."),
        ('{"raw": "x", "components": {"street": "x", "street": "y"}}', "key 'street' stands twice"),
        ('{"raw": "x", "components": {}, "country": 7}', "country is 7, expected a text"),
        (r'{"raw": "\ud800", "components": {}}', "holds half of a surrogate pair"),
        ("", "holds no gold row"),
    ],
)
def test_what_is_no_gold_row_is_refused_by_file_and_line(tmp_path, line, message):
    path = tmp_path / "gold.jsonl"
    path.write_text(line + "\n", encoding="utf-8")

    with pytest.raises(CorpusError, match=message):
        load_golden([path])


def test_a_missing_or_binary_file_is_refused(tmp_path):
    (tmp_path / "b.jsonl").write_bytes(b"\xff\xfe\x00")

    for name in ("a.jsonl", "b.jsonl"):
        with pytest.raises(CorpusError, match=f"{name}: not readable"):
            load_golden([tmp_path / name])


def test_a_saved_set_loads_to_the_same_hash(tmp_path):
    golden = load_golden(GOLDEN)
    path = tmp_path / "all.jsonl"
    path.write_text(golden.as_jsonl(), encoding="utf-8")

    assert load_golden([path]).hash == golden.hash


def test_the_hash_ignores_row_order_and_notes_and_sees_every_value():
    first, second = row(), row("Lyon", {"locality": "Lyon"})
    original = golden_of([first, second], name="g").hash

    assert golden_of([second, {**first, "notes": "other"}], name="g").hash == original
    assert golden_of([first, {**second, "components": {"region": "Lyon"}}], name="g").hash != original


def test_a_value_that_is_no_substring_blocks_and_lowers_the_ceiling():
    golden = golden_of([row(components={"locality": "PARIS"}), row("Lyon", {"locality": "Lyon"})], name="g")

    assert rules(golden) == [("unreachable_value", True)]
    assert golden.ceilings(("locality",))["strict"]["per_tag"]["locality"] == pytest.approx(2 / 3)
    assert golden.ceilings(("locality",))["normalised"]["per_tag"]["locality"] == 1.0
    assert str(golden.findings[0]).startswith("g:1: unreachable_value: locality 'PARIS'")


def test_values_that_overlap_or_split_a_word_block():
    overlapping = row("Lyon", {"locality": "Lyon", "region": "Lyon"})
    inside_a_word = row("Lake Rd", {"region": "ke"})

    assert rules(golden_of([overlapping, inside_a_word], name="g")) == [("overlapping_values", True)] * 2


def test_a_family_or_text_in_dev_and_in_test_blocks_and_within_one_of_them_does_not(tmp_path):  # M49
    family = {"base_id": "town-hall"}
    dev = write(tmp_path / "us-dev.jsonl", row(**family), row("Lyon", {"locality": "Lyon"}))
    test = write(tmp_path / "test.jsonl", row("Paris", {"locality": "Paris"}, **family), row("LYON!", {}, base_id="l"))
    other = write(tmp_path / "other.jsonl", row("75001 Paris", {"postcode": "75001"}, **family))

    both = [str(finding) for finding in load_golden([dev, test]).findings if finding.blocks]

    assert both == [
        f"{test}:1: family_in_dev_and_test: 'town-hall': stands in test here and in dev at {dev}:1",
        f"{test}:2: family_in_dev_and_test: 'text:lyon': stands in test here and in dev at {dev}:2",
    ]
    assert not [f for f in load_golden([dev, other]).findings if f.blocks]
    assert not [f for f in load_golden([test, other]).findings if f.blocks]


def test_one_text_with_two_answers_blocks_and_with_one_answer_does_not():
    twice = golden_of([row(), row()], name="g")
    contradicting = golden_of([row(), row(components={"locality": "Paris"})], name="g")

    assert rules(twice) == [("repeated_text", False)]
    assert rules(contradicting) == [("contradicting_text", True)]
    assert "stands at g:1 too" in str(contradicting.findings[0])


@pytest.mark.parametrize(
    ("raw", "components", "detail"),
    [
        ("7500 Paris", {"postcode": "7500"}, "postcode '7500'"),
        ("Paris Cedex VII", {"cedex": "Cedex VII"}, "expected CEDEX"),
        ("Washington, D.C.", {"region": "D.C."}, "edges"),
        ("number one hundred and two Oak St", {"house_number": "one hundred and two"}, "expected a number"),
    ],
)
def test_a_value_that_hardly_fits_its_tag_is_named(raw, components, detail):
    golden = golden_of([row(raw, components)], name="g")

    assert rules(golden) == [("unusual_value", False)]
    assert detail in str(golden.findings[0])


@pytest.mark.parametrize(("country", "found"), [("us", [("unknown_country", False)]), ("US", []), ("", [])])
def test_a_country_that_no_code_names_is_a_remark(country, found):
    assert rules(golden_of([row("1 Oak St", {"house_number": "1"}, country=country)], name="g")) == found


def test_a_row_without_values_is_named():
    assert rules(golden_of([row("hello", {})], name="g")) == [("no_values", False)]


def test_a_manifest_with_stale_counts_is_refused_and_a_fresh_one_is_not(tmp_path):  # M50
    path = write(tmp_path / "fr.jsonl", row(), row("Lyon", {"locality": "Lyon"}))
    write_manifest(tmp_path)
    assert len(load_golden([path]).rows) == 2

    write(path, row())
    with pytest.raises(CorpusError, match=r"manifest\.json: says rows 2 for fr\.jsonl, found 1\. Review the change"):
        load_golden([path])

    assert main(["golden", "--write-manifest", str(tmp_path)]) == 0
    assert len(load_golden([path]).rows) == 1


def test_a_manifest_of_other_conventions_is_refused(tmp_path):  # M50
    path = write(tmp_path / "fr.jsonl", row())
    manifest = json.loads(write_manifest(tmp_path).read_text())
    (tmp_path / MANIFEST).write_text(json.dumps({**manifest, "conventions": "0" * 64}))

    with pytest.raises(CorpusError, match="written under conventions '000000000000…, today's are '"):
        load_golden([path])


def test_a_changed_value_is_a_changed_file_for_the_manifest(tmp_path):  # M50
    path = write(tmp_path / "fr.jsonl", row())
    write_manifest(tmp_path)
    write(path, row(notes="edited"))

    with pytest.raises(CorpusError, match="says sha256"):
        load_golden([path])


def test_a_file_that_the_manifest_does_not_list_is_read_all_the_same(tmp_path):
    write(tmp_path / "fr.jsonl", row())
    write_manifest(tmp_path)

    assert len(load_golden([write(tmp_path / "mine.jsonl", row())]).rows) == 1


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"conventions": "", "files": {"fr.jsonl": 7}}'])
def test_a_broken_manifest_is_refused(tmp_path, text):
    path = write(tmp_path / "fr.jsonl", row())
    (tmp_path / MANIFEST).write_text(text)

    with pytest.raises(CorpusError, match="not a manifest of gold files"):
        load_golden([path])
