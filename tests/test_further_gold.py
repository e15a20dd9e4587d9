"""Further gold sets: gold files, or the judging half of a labelled source, kept apart from training by family."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from corpus_sources import HandMade, address, install, record
from tiny_project import edit_json, rewrite

from mw_pipeline.artifact import Artifact
from mw_pipeline.corpus.splits import judging_half
from mw_pipeline.errors import CorpusError, RecipeError
from mw_pipeline.golden.gold import write_manifest
from mw_pipeline.labels import STAGE3_TAGS
from mw_pipeline.recipe import GoldenSetSpec, load_corpus_spec
from mw_pipeline.sources.registry import get_adapter
from mw_pipeline.stages import checks, line
from mw_pipeline.stages.corpus import EXCLUSIONS_FILE, row_files
from mw_pipeline.stages.further_gold import read_set
from mw_pipeline.stages.golden import facts_of, golden_of, golden_sets_of
from mw_pipeline.stages.place import Place
from mw_pipeline.stages.upstream import prepare_corpus

SPEC = """
version = "1"
seed = 1
countries = []
variants = 2
validation_share = 0.1
test_share = 0.1
licences_allowed = ["CC0-1.0"]

[sources.made]
adapter = "hand-made"

[golden_sets.real]
adapter = "labelled"
input = "real/*.txt"
"""
GOLD = {"raw": "1 Elm Street, Springfield", "components": {"locality": "Springfield"}, "country": "US"}


def labelled(number: int, **changes: Any) -> dict[str, Any]:
    values = {"house_number": str(number), "street": f"Oak{number} Street", "locality": "Denver"}
    return record(number, **({"raw": f"{number} Oak{number} Street, Denver"} | values | changes))


def half(number: int) -> bool:
    return bool(judging_half(pa.array([f"oak{number} street denver"]))[0])


def read(*records: dict[str, Any]) -> Any:
    settings = GoldenSetSpec(input="x", adapter="labelled")
    judged, left_out = read_set(settings, "real", [Path("x")], HandMade([records], unreadable=2))
    return judged.golden, left_out


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A corpus that trains on the very source whose judging half is a further gold set."""
    rows = [labelled(number) for number in range(120)]
    install(monkeypatch, HandMade([[*rows, *(address(number) for number in range(500, 700))]]))
    install(monkeypatch, HandMade([rows], name="labelled"))
    for name, text in (("corpora/c.toml", SPEC), ("golden/us.jsonl", json.dumps(GOLD) + "\n"), ("real/a.txt", "x")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return Place.of(store=str(tmp_path / ".mw"), project=str(tmp_path), data=str(tmp_path))


def gold(place: Place) -> Artifact:
    return line.golden_set.demand(place, "c")


def test_about_half_of_all_streets_judge_and_always_the_same() -> None:
    streets = pa.array([f"oak{number} street denver" for number in range(4000)])

    judging = judging_half(streets)

    assert 1900 < judging.sum() < 2100
    assert judging.tolist() == judging_half(streets).tolist()
    assert judging[:8].tolist() == [half(number) for number in range(8)]


def test_the_judging_half_of_a_labelled_source_is_gold_with_its_base_id_as_family() -> None:
    golden, left_out = read(*(labelled(number) for number in range(40)))

    judging = [number for number in range(40) if half(number)]
    assert [row.raw for row in golden.rows] == [f"{number} Oak{number} Street, Denver" for number in judging]
    assert golden.families == {f"family {number}" for number in judging}
    assert golden.findings == ()
    assert left_out == {"other_half": 40 - len(judging), "unreadable_line": 2}


def test_what_is_no_gold_in_a_labelled_source_is_counted() -> None:
    number = next(number for number in range(40) if half(number))
    same = {"street": f"OAK{number} street", "locality": "Denver"}

    golden, left_out = read(
        labelled(number),
        labelled(number, source_id="again"),
        labelled(1000, region="CO", **same),
        address(1001, **same),
    )

    assert len(golden.rows) == 1
    assert left_out == {"repeated_text": 1, "unreachable_value": 1, "unreadable_line": 2, "without_text": 1}


def test_all_addresses_of_a_street_are_of_one_half_however_they_are_written() -> None:
    streets = [labelled(n, street=f"OAK{n // 4} Street" if n % 2 else f"Oak{n // 4} street") for n in range(80)]
    written = [{**row, "raw": f"{row['house_number']} {row['street']}, Denver"} for row in streets]

    golden, _ = read(*written)

    met = {row.raw.split()[1].lower() for row in golden.rows}
    assert len(golden.rows) == 4 * len(met) > 0


def test_without_a_street_the_text_or_venue_decides() -> None:
    bare = {"house_number": None, "street": None}
    rows = [labelled(n, raw=f"Mall {n}, Denver", venue=f"Mall {n}", **bare) for n in range(40)]
    towns = [labelled(100 + n, raw=f"Town{n} CO", locality=None, region="CO", **bare) for n in range(40)]

    golden, left_out = read(*rows, *towns)

    assert 20 < len(golden.rows) < 60
    assert left_out["other_half"] == 80 - len(golden.rows)


def test_the_set_stands_beside_the_own_gold_and_none_of_its_families_is_trained_on(place: Place) -> None:
    prepare_corpus(place, "c")

    golden = golden_sets_of(gold(place))["real"]
    listed = pq.read_table(line.corpus_manifest.demand(place, "c").file(EXCLUSIONS_FILE))
    excluded = set(listed["row_id"].to_pylist())
    assert len(golden_of(gold(place)).rows) == 1
    assert len(golden.rows) == sum(half(number) for number in range(120))
    rows = [
        row
        for paths in row_files(line.corpus_manifest.demand(place, "c")).values()
        for row in pa.concat_tables([pq.read_table(path) for path in paths]).to_pylist()
    ]
    kept = [row for row in rows if row["split"] != "test" and row["row_id"] not in excluded]
    assert kept and not [row for row in kept if row["base_id"] in golden.families]
    assert any(row["base_id"] in golden.families for row in rows if row["split"] == "train")
    assert checks.golden_is_not_in_train(place, "c").problems == ()


def test_gold_with_a_stale_manifest_is_invalid_until_the_manifest_is_written_anew(place: Place) -> None:  # M50
    gold = place.project / "golden" / "us.jsonl"
    write_manifest(gold.parent)
    gold.write_text("".join(json.dumps({**GOLD, "raw": f"{n} Elm Street, Springfield"}) + "\n" for n in (1, 2)))

    line.golden_set.make(place, "c")
    (problem,) = checks.golden_is_valid(place, "c").problems
    assert problem.startswith("golden/manifest.json: stale_manifest")

    write_manifest(gold.parent)
    line.golden_set.make(place, "c")
    assert checks.golden_is_valid(place, "c").problems == ()


def test_gold_that_says_of_itself_that_it_is_valid_is_judged_again(place: Place) -> None:
    # M68: a whole artifact, whose golden.json has no finding
    gold = place.project / "golden" / "us.jsonl"
    gold.write_text("".join(json.dumps({**GOLD, "raw": raw}) + "\n" for raw in ("1 Elm Street, Nowhere",)))
    kept = line.golden_set.make(place, "c").artifact
    (problem,) = checks.golden_is_valid(place, "c").problems
    assert "unreachable_value" in problem

    forged = rewrite(kept, "golden.json", edit_json(findings=[], blocking=0))

    first, second = checks.golden_is_valid(place, "c").problems
    assert first == problem
    assert second == f"the gold kept in {forged.path} is not what its files hold: delete it and build it again"


def test_gold_whose_rows_were_changed_in_the_store_is_found(place: Place) -> None:
    # M68
    kept = line.golden_set.make(place, "c").artifact
    assert checks.golden_is_valid(place, "c").problems == ()

    rewrite(kept, "rows/golden.jsonl", lambda path: path.write_text(path.read_text().replace("Elm", "Oak")))

    (problem,) = checks.golden_is_valid(place, "c").problems
    assert "is not what its files hold" in problem


def test_a_labelled_source_without_a_record_is_refused(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, HandMade([], name="labelled"))

    with pytest.raises(CorpusError, match=r"no row of 'real/\*.txt' can be used .its files hold no record"):
        line.golden_set.make(place, "c")


def test_a_set_whose_files_are_not_there_is_refused_unless_it_may_be_absent(place: Place) -> None:
    (place.data / "real" / "a.txt").unlink()

    with pytest.raises(CorpusError, match=r"golden_sets.real: 'real/\*.txt' matches no file .* or say optional = true"):
        line.golden_set.make(place, "c")


def test_an_optional_set_whose_files_are_not_there_is_skipped_with_a_sentence(place: Place) -> None:
    (place.project / "corpora" / "c.toml").write_text(SPEC + "optional = true\n")
    (place.data / "real" / "a.txt").unlink()

    line.golden_set.make(place, "c")

    assert golden_sets_of(gold(place)) == {}
    assert facts_of(gold(place))["sets"]["real"]["skipped"].startswith("real is not scored: 'real/*.txt' matches no")


def test_equal_gold_is_the_same_artifact_wherever_the_project_lies(place: Place, tmp_path: Path) -> None:
    path = place.project / "golden" / "us.jsonl"
    path.write_text(path.read_text() * 2)  # a remark that names its row
    (place.project / "corpora" / "c.toml").write_text(SPEC + "optional = true\n")
    (place.data / "real" / "a.txt").unlink()
    copy = shutil.copytree(place.project, tmp_path / "copy")
    there = Place.of(store=str(copy / ".mw"), project=str(copy), data=str(copy))

    assert line.golden_set.make(place, "c").artifact.digest == line.golden_set.make(there, "c").artifact.digest
    assert "golden/us.jsonl:2" in checks.golden_is_valid(there, "c").evidence["findings"]


def test_another_file_of_a_set_is_another_gold(place: Place) -> None:
    first = line.golden_set.make(place, "c").artifact.digest
    (place.data / "real" / "a.txt").write_text("y")

    assert line.golden_set.make(place, "c").artifact.digest != first


def test_gold_files_of_a_set_are_taken_as_they_are(place: Place) -> None:
    spec = place.project / "corpora" / "c.toml"
    spec.write_text(SPEC.replace('adapter = "labelled"\ninput = "real/*.txt"', 'input = "golden/*.jsonl"'))
    line.golden_set.make(place, "c")

    assert golden_sets_of(gold(place))["real"].raws == [GOLD["raw"]]


@pytest.mark.parametrize("named", ['input = "golden/*.jsonl"', 'adapter = "labelled"\ninput = "real/*.txt"'])
def test_a_set_keeps_the_tags_that_its_labels_are_complete_for(place: Place, named: str) -> None:
    spec = place.project / "corpora" / "c.toml"
    spec.write_text(SPEC.replace('adapter = "labelled"\ninput = "real/*.txt"', named) + 'tags = ["locality"]\n')
    line.golden_set.make(place, "c")

    golden = golden_sets_of(gold(place))["real"]
    assert golden.tags == ("locality",)
    assert golden.scored(STAGE3_TAGS) == ("locality",)
    assert golden_of(gold(place)).tags is None


def test_a_broken_line_in_a_further_set_is_shown_by_row_and_blocks(place: Place) -> None:
    spec = place.project / "corpora" / "c.toml"
    spec.write_text(SPEC.replace('adapter = "labelled"\ninput = "real/*.txt"', 'input = "real/*.jsonl"'))
    gold = place.data / "real" / "mine.jsonl"
    gold.write_text(json.dumps(GOLD) + "\n")
    line.golden_set.make(place, "c")
    assert checks.golden_is_valid(place, "c").problems == ()

    gold.write_text(json.dumps(GOLD) + "\n{\n")
    line.golden_set.make(place, "c")

    found = checks.golden_is_valid(place, "c")
    assert found.problems[0].startswith("real/mine.jsonl:2: not_json")
    assert "real/mine.jsonl:2 | invalid" in found.evidence["findings"]


def test_a_further_set_of_which_no_line_can_be_read_is_refused(place: Place) -> None:
    spec = place.project / "corpora" / "c.toml"
    spec.write_text(SPEC.replace('adapter = "labelled"\ninput = "real/*.txt"', 'input = "real/*"'))

    with pytest.raises(CorpusError, match=r"golden_sets.real: no row of 'real/\*' can be used .*a.txt:1: not_json"):
        line.golden_set.make(place, "c")


def test_the_real_labelled_addresses_are_sound_gold_of_several_hundred_families(raw_data: Path, project: Path) -> None:
    spec = load_corpus_spec(project / "corpora" / "us-fr.toml")
    settings = spec.golden_sets["real-us"]
    paths = sorted(raw_data.glob(settings.input))
    if not paths:
        pytest.skip("no labelled addresses among the raw files")

    judged, left_out = read_set(settings, "real-us", paths, get_adapter(str(settings.adapter)))

    counts = judged.golden.counts()
    assert judged.blocking == ()
    assert counts["rows"] > 600 and counts["families"] > 600  # type: ignore[operator]
    assert set(counts["tag"]) >= {"house_number", "street", "locality", "region", "postcode"}  # type: ignore[arg-type]
    assert 0.4 < counts["rows"] / (counts["rows"] + left_out["other_half"]) < 0.6  # type: ignore[operator]


@pytest.mark.parametrize("name", ["builtin", "us-fr"])
def test_the_shipped_corpora_name_gold_that_others_labelled_and_do_without_it(name: str, project: Path) -> None:  # M86
    sets = load_corpus_spec(project / "corpora" / f"{name}.toml").golden_sets

    assert {"geocoder-tester", "pelias", "libpostal", "real-us"} <= set(sets)
    assert all(found.optional for set_name, found in sets.items() if (name, set_name) != ("us-fr", "real-us"))


@pytest.mark.parametrize("name", ["geocoder-tester", "pelias", "libpostal", "oa-de", "jp-overture"])
def test_the_gold_of_others_is_read_and_holds_no_tag_that_is_not_scored(
    name: str, raw_data: Path, project: Path
) -> None:
    settings = load_corpus_spec(project / "corpora" / "builtin.toml").golden_sets[name]
    paths = sorted(raw_data.glob(settings.input))
    if not paths:
        pytest.skip("no such gold among the raw files")

    judged, _ = read_set(settings, name, paths, None)

    assert judged.blocking == () and judged.golden.tags == settings.tags
    assert set(judged.golden.counts()["tag"]) <= set(settings.tags or ())  # type: ignore[arg-type]


def test_gold_may_lie_anywhere_and_a_folder_stands_for_its_files(place: Place, tmp_path: Path) -> None:
    elsewhere = tmp_path / "else where"
    elsewhere.mkdir()
    (elsewhere / "mine.jsonl").write_text(json.dumps(GOLD) + "\n")
    spec = place.project / "corpora" / "c.toml"

    for pattern in (str(elsewhere), f"{elsewhere}/*.jsonl", "else*"):
        spec.write_text(f'golden = ["{pattern}"]\n' + SPEC)
        assert place.golden_paths(place.corpus_spec("c")) == [elsewhere / "mine.jsonl"]

    spec.write_text('golden = ["/nowhere/*.jsonl"]\n' + SPEC)
    with pytest.raises(RecipeError, match=r"golden pattern '/nowhere/\*.jsonl' matches no file below /. Correct"):
        place.golden_paths(place.corpus_spec("c"))


def test_a_source_without_texts_is_no_gold(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, HandMade([[address(1)]], name="labelled"))

    with pytest.raises(CorpusError, match=r"golden_sets.real: no row of 'real/\*.txt' can be used ..'without_text': 1"):
        line.golden_set.make(place, "c")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            'input = "real/*.txt"',
            'input = "/etc/*.txt"',
            "golden_sets.real.input is '/etc/.*not a path or pattern below",
        ),
        ('input = "real/*.txt"', 'input = "../x"', "not a path or pattern below MW_DATA"),
        ("[golden_sets.real]", '[golden_sets."../x"]', "golden_sets.../x"),
        (
            'input = "real/*.txt"',
            'inputs = "x"',
            "nearest known key is 'input'. Correct or remove it; known here: adapter, country, input, optional, tags",
        ),
        ('input = "real/*.txt"', 'input = "x"\ntags = ["town"]', "golden_sets.real.tags is .*'town' is not a tag"),
        ('input = "real/*.txt"', 'input = "x"\ntags = []', "golden_sets.real.tags"),
        ("[golden_sets.real]", "[golden_sets.golden]", "golden_sets: 'golden' is the corpus's own gold"),
        ('input = "real/*.txt"', 'input = "x"\ntags = ["unit", "unit"]', "tags is .*'unit' stands twice"),
        ('adapter = "labelled"', 'country = "US"', "golden_sets.real: country 'US' says nothing of gold files"),
        ('input = "real/*.txt"', 'input = "real/**x"', r"golden_sets.real.input is 'real/\*\*x': \*\* stands for any"),
        ('input = "real/*.txt"', 'input = "https://x.org/a.jsonl"', "that is a URL"),
        ('input = "real/*.txt"', 'input = "~/real/a.jsonl"', "~ stands for no home folder here"),
        ('input = "real/*.txt"', 'input = "real/{a,b}.jsonl"', "braces stand for no choice here"),
        ('input = "real/*.txt"', 'input = "real/"', "that names folders, expected files"),
        ('input = "real/*.txt"', 'input = "real/**"', "that names folders, expected files"),
        ('input = "real/*.txt"', 'input = "."', "expected the name of a file"),
        ('input = "real/*.txt"', 'input = "x"\ncountry = "us"', "golden_sets.real.country is 'us'"),
    ],
)
def test_a_wrong_set_is_refused_by_its_key(place: Place, old: str, new: str, message: str) -> None:
    path = place.project / "corpora" / "c.toml"
    path.write_text(SPEC.replace(old, new))

    with pytest.raises(RecipeError, match=message):
        load_corpus_spec(path)


def test_the_country_of_an_adapter_and_a_pattern_of_whole_folders_are_read(place: Place) -> None:
    path = place.project / "corpora" / "c.toml"
    path.write_text(SPEC.replace("real/*.txt", "real/**/*.txt") + 'country = "US"\ntags = ["unit", "street"]\n')

    assert place.golden_set_files(place.corpus_spec("c"), "real") == [place.data / "real" / "a.txt"]
