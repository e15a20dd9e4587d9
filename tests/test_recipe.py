"""Config files are strict, inherit, and say what they change."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

from mw_pipeline.client.npm import Imprint
from mw_pipeline.errors import RecipeError
from mw_pipeline.recipe import base_chain, load_corpus_spec, load_recipe

BASE = """
corpus = "builtin"
[mix.weights]
builtin = 1.0
[model]
width = 128
layers = 3
heads = 4
feed_forward = 512
[train]
steps = 4000
peak_lr = 3e-3
warmup_steps = 200
batch_size = 256
[smoke]
steps = 1100
"""

CORPUS = """
version = "1"
seed = 1
countries = ["US", "NO"]
[sources.builtin]
adapter = "builtin"
"""


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("gate", "message"),
    [
        ("[eval.gates.real]\n", "eval.gates.real: asks nothing, expected min_core_macro_f1, min_exact_match, or both"),
        ("[eval.gates.real]\nmin_exact = 0.5\n", "nearest known key is 'min_exact_match'"),
        ("[eval.gates.real]\nmin_exact_match = 1.5\n", "eval.gates.real.min_exact_match is 1.5"),
        ("[eval.gates.Real]\nmin_exact_match = 0.5\n", "eval.gates.Real is 'Real': expected small letters, digits"),
        ("[eval.gates.real]\nmin_exact_match = 0.0\nmin_core_macro_f1 = 0.0\n", "and one above 0"),
        ("[eval.gates.real]\nmin_exact_match = 0.0\n", "and one above 0"),
    ],
)
def test_a_gate_on_a_further_set_asks_something_of_a_set_by_its_name(tmp_path: Path, gate: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        load_recipe(write(tmp_path, "recipes/a.toml", BASE + gate))


def test_a_gate_with_one_floor_above_nothing_may_leave_the_other_open(tmp_path: Path) -> None:
    gate = "[eval.gates.real]\nmin_exact_match = 0.5\nmin_core_macro_f1 = 0.0\n"

    assert load_recipe(write(tmp_path, "recipes/a.toml", BASE + gate)).eval.gates["real"].min_exact_match == 0.5


def test_families_of_cells_that_the_matrix_has_may_be_named_as_known_blind(tmp_path: Path) -> None:
    known = '[eval]\nknown_blind = ["country abroad", "subset × separators and case", "directional behind"]\n'

    assert len(load_recipe(write(tmp_path, "recipes/a.toml", BASE + known)).eval.known_blind) == 3


def test_a_recipe_names_its_packages_and_says_what_npm_asks_of_their_publisher(tmp_path: Path) -> None:
    own = '[package]\nversion = "2.0.0-rc.1"\nscope = "@acme"\nname = "parser"\nlicense = "CC-BY-4.0"\n'
    other = 'optional_channels = []\nlocales = ["de-de"]\n'
    found = [load_recipe(write(tmp_path, "recipes/a.toml", BASE + text)).package for text in ("", own + other)]

    assert found[0].imprint("fr-fr") == Imprint("@mailwoman/neural-weights-fr-fr", "0.1.0", "fr-fr")
    assert found[1].imprint("de-de") == Imprint("@acme/parser-de-de", "2.0.0-rc.1", "de-de", "CC-BY-4.0", ())


def test_units_boxes_and_crossings_have_labels_by_default(tmp_path: Path) -> None:
    assert len(load_recipe(write(tmp_path, "recipes/a.toml", BASE)).label_set) == 33


def test_a_recipe_is_named_by_its_path_below_the_recipes_folder(tmp_path: Path) -> None:
    assert load_recipe(write(tmp_path, "recipes/v1/a.toml", BASE)).name == "v1/a"


def test_a_base_is_inherited_and_the_changed_keys_are_listed(tmp_path: Path) -> None:
    write(tmp_path, "recipes/a.toml", BASE)
    child = load_recipe(write(tmp_path, "recipes/b.toml", 'base = "a.toml"\n[train]\npeak_lr = 1e-3\n'))

    assert child.train.peak_lr == 1e-3
    assert child.train.steps == 4000
    assert child.changes == {"train.peak_lr": 1e-3}


@pytest.mark.parametrize(
    ("change", "groups"),
    [
        ("", ()),
        ("[smoke]\nsteps = 1200\n[eval]\nmin_core_macro_f1 = 0.5\n", ()),
        ("[loss]\nkind = 'ce'\ncrf_weight = 0.0\n", ("loss",)),
        ("corpus = 'other'\n[mix.weights]\nban = 2.0\n", ("data",)),
        ("[loss]\nkind = 'ce'\n[loss.class_weights]\nO = 0.5\n[train]\nseed = 1\n", ("class weights", "loss", "train")),
    ],
)
def test_a_recipe_knows_how_many_things_it_changes_at_once(
    tmp_path: Path, change: str, groups: tuple[str, ...]
) -> None:
    write(tmp_path, "recipes/a.toml", BASE)

    assert load_recipe(write(tmp_path, "recipes/b.toml", f'base = "a.toml"\n{change}')).changed_groups == groups


def test_weights_of_a_base_are_replaced_whole(tmp_path: Path) -> None:
    write(tmp_path, "recipes/a.toml", BASE)
    child = load_recipe(write(tmp_path, "recipes/b.toml", 'base = "a.toml"\n[mix.weights]\nban = 2.0\n'))

    assert child.mix.weights == {"ban": 2.0}


def test_equal_effective_recipes_have_equal_digests_however_they_are_split(tmp_path: Path) -> None:
    one = load_recipe(write(tmp_path, "recipes/a.toml", BASE))
    two = load_recipe(write(tmp_path, "recipes/b.toml", 'base = "a.toml"\n'))
    other = load_recipe(write(tmp_path, "recipes/c.toml", 'base = "a.toml"\n[train]\nseed = 1\n'))

    assert one.digest == two.digest != other.digest


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BASE.replace("peak_lr", "peak_ir"), r"train\.peak_ir is not a key; the nearest known key is 'peak_lr'"),
        (BASE + "[train2]\n", "train2 is not a key; the nearest known key is 'train'"),
        (BASE.replace("3e-3", '"3e-3"'), r"train\.peak_lr is '3e-3': expected a valid number"),
        (BASE.replace("heads = 4", "heads = 5"), "width 128 must be an even multiple of heads 5"),
        (BASE.replace("warmup_steps = 200", "warmup_steps = 4000"), "warmup_steps 4000 must be below steps 4000"),
        (
            BASE.replace("warmup_steps = 200", "warmup_steps = 200\ncooldown_from = 300"),
            "cooldown_from is for schedule 'linear_cooldown', not for 'cosine'",
        ),
        (BASE + "[subwords]\nshare = 1.5\n", r"subwords\.share is 1\.5: expected a number less than or equal to 1"),
        (BASE + 'mode = "long-tail"\n', "mode 'long-tail' needs steps ≥ 10000, found 1100"),
        (BASE.replace("corpus =", "corpus"), "not readable as TOML"),
        ('name = "x"\n' + BASE, "name is not a key: it follows from the file"),
        ("base = 3\n" + BASE, "base is 3, expected the path of a TOML file"),
        (BASE.replace("128", "0"), r"model\.width is 0: expected a number greater than 0"),
        (
            BASE.replace("256", "256" + 20 * "0"),
            r"train\.batch_size is 256000.*: expected a number less than or equal to",
        ),
        (BASE.replace("1.0", "inf"), r"mix\.weights\.builtin is inf: expected a finite number"),
        (BASE.replace("steps = 1100", ""), r"smoke\.steps is missing, expected in \[smoke\]\. Add it\."),
        (
            BASE + "[tokenizer]\ncharacter_coverage = 0.95\n",
            r"character_coverage is 0\.95: .* greater than or equal to 0\.98",
        ),
        (BASE.replace("[train]", "[[train]]"), r"train is \[\{.*: expected a table\. Correct the value\.$"),
        (BASE.replace("[mix.weights]\nbuiltin = 1.0", "[mix]\nweights = 3"), "mix.weights is 3: expected a table"),
        (BASE + "[package]\nlocales = 'en-us'\n", "locales is 'en-us': expected a list"),
        (
            BASE.replace("builtin = 1.0", "builtin = 0.0\nban = 0.0"),
            r"mix\.weights: expected a weight above 0 for one source at least, else there is nothing to draw",
        ),
        (BASE.replace("builtin = 1.0", ""), r"mix\.weights is \{\}: expected at least 1 entry"),
        (BASE.replace("[model]", "[model]\ndropout = 1.0"), r"model\.dropout is 1\.0: expected a number less than 1\."),
        (BASE + "[tokenizer]\nvocab_size = 258\n", r"tokenizer\.vocab_size is 258: .* greater than or equal to 259\."),
        (
            BASE + '[eval]\nbaseline = "releases\\u0000/1"\n',
            r"eval\.baseline is 'releases.x00/1': the name holds a character that cannot be shown",
        ),
        (
            BASE.replace("builtin = 1.0", "builtin = 1e308\nban = 1e308"),
            r"mix\.weights: expected smaller weights: their sum is beyond any number",
        ),
        ('base = "nope.toml"\n', r"a\.toml: base is 'nope\.toml', expected a TOML file beside it\. Correct the name"),
        (BASE + "[package]\nlocales = []\n", r"package\.locales is \(\): .* at least 1 entry"),
        (BASE + '[package]\nlocales = ["en-us", "fr-fr", "en-us"]\n', r"package\.locales .*'en-us' stands twice"),
        (BASE + '[package]\nuntaught = ["cedex", "cedex"]\n', r"package\.untaught .*'cedex' stands twice"),
        (
            BASE + '[eval]\nknown_blind = ["contry abroad"]\n',
            r"eval\.known_blind\.0 is 'contry abroad': .*'country abroad'.* or 'script'",
        ),
        (BASE + '[eval]\nknown_blind = ["cedex", "cedex"]\n', r"eval\.known_blind .*'cedex' stands twice"),
        (
            BASE + '[package]\nlocales = ["../fr"]\n',
            r"package\.locales\.0 is '\.\./fr': expected a language and a country in small letters",
        ),
        (BASE + '[package]\nversion = "1"\n', r"package\.version is '1': expected a version of three numbers"),
        (BASE + '[package]\nscope = "acme"\n', r"package\.scope is 'acme': expected @ and small letters"),
        (
            BASE + '[package]\nlicense = "Licence Ouverte 2.0"\n',
            r"package\.license is 'Lic.*: expected a licence as",
        ),
        (BASE + '[package]\nname = "Weights"\n', "'@mailwoman/Weights-en-us', which npm does not take: expected small"),
        (BASE.replace("heads = 4", "heads = 4\nmax_length = 129"), r"model\.max_length is 129: expected 128 at most"),
    ],
)
def test_a_wrong_recipe_is_refused_with_its_key(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        load_recipe(write(tmp_path, "recipes/a.toml", text))


@pytest.mark.parametrize("config", ["recipes/demo.toml", "corpora/builtin.toml"])
def test_every_misspelt_key_of_a_shipped_file_is_refused_with_its_right_spelling(
    tmp_path: Path, project: Path, config: str
) -> None:
    text = (project / config).read_text(encoding="utf-8")
    load = load_recipe if config.startswith("recipes") else load_corpus_spec
    keys = [
        line.split(" = ")[0] for line in text.splitlines() if " = " in line and not line.startswith(("#", "builtin"))
    ]
    assert len(keys) > 15

    for key in keys:
        broken = re.sub(rf"^{key} = ", f"{key}_ = ", text, count=1, flags=re.M)
        with pytest.raises(RecipeError, match=f"{key}_ is not a key; the nearest known key is '{key}'"):
            load(write(tmp_path, config, broken))


def test_a_circle_of_bases_is_refused_by_the_files_that_it_goes_through(tmp_path: Path) -> None:
    write(tmp_path, "recipes/a.toml", 'base = "warm/b.toml"\n')
    write(tmp_path, "recipes/warm/b.toml", 'base = "../c.toml"\n')
    write(tmp_path, "recipes/c.toml", 'base = "warm/b.toml"\n')
    message = (
        r"c\.toml: base is 'warm/b\.toml', which leads back to a file that stands on this one: a\.toml → warm/b\.toml "
        r"→ c\.toml → warm/b\.toml\. Name a file outside this circle, or remove one of these `base` lines\.$"
    )

    for read in (load_recipe, base_chain):
        with pytest.raises(RecipeError, match=message):
            read(tmp_path / "recipes" / "a.toml")


@pytest.mark.parametrize(
    ("base", "message"),
    [
        ("loop.toml", r"base is 'loop\.toml', which is this file itself\. Name the file that it changes, or remove"),
        ("./loop.toml", r"base is '\./loop\.toml', which is this file itself\."),
        ("loop", r"base is 'loop', expected a TOML file beside it\. With \.toml it would be this file itself: name"),
        ("loob.toml", r"base is 'loob\.toml', expected a TOML file beside it\. Correct the name, or write the file\."),
        ("demo", r"base is 'demo', expected a TOML file beside it\. Did you mean 'demo\.toml'\?"),
        ("demos.toml", r"base is 'demos\.toml', expected a TOML file beside it\. Did you mean 'demo\.toml'\?"),
        ("warm/ho", r"base is 'warm/ho', expected a TOML file beside it\. Did you mean 'warm/hot\.toml'\?"),
        ("..", r"base is '\.\.', expected a TOML file beside it\."),
        ("", r"base is '', expected a TOML file beside it\."),
        ("/", r"base is '/', expected a TOML file beside it\."),
        ("\\u0000", r"base is '\\x00', expected the path of a TOML file\. Put it in quotes\."),
    ],
)
def test_a_base_that_leads_nowhere_says_what_to_write_instead(tmp_path: Path, base: str, message: str) -> None:
    write(tmp_path, "recipes/demo.toml", BASE)
    write(tmp_path, "recipes/warm/hot.toml", BASE)

    with pytest.raises(RecipeError, match=rf"loop\.toml: {message}"):
        load_recipe(write(tmp_path, "recipes/loop.toml", f'base = "{base}"\n'))


def test_a_base_that_would_close_a_circle_with_toml_is_not_what_was_meant(tmp_path: Path) -> None:
    write(tmp_path, "recipes/b.toml", 'base = "a"\n')

    with pytest.raises(
        RecipeError, match=r"b\.toml: base is 'a', .* With \.toml it would be a file that stands on this"
    ):
        load_recipe(write(tmp_path, "recipes/a.toml", 'base = "b.toml"\n'))


def test_a_base_that_with_toml_would_be_a_link_to_itself_is_no_file_either(tmp_path: Path) -> None:
    path = write(tmp_path, "recipes/a.toml", 'base = "b"\n')
    (tmp_path / "recipes" / "b.toml").symlink_to("b.toml")

    with pytest.raises(RecipeError, match=r"a\.toml: base is 'b', expected a TOML file beside it\. Correct the name"):
        load_recipe(path)


def test_the_nearest_name_is_sought_beside_a_path_and_not_below_it(tmp_path: Path) -> None:
    """A path that someone mistyped may be on top of a home or of /tmp, where other programs make and remove folders."""
    write(tmp_path, "recipes/deep/deeper/demo.toml", BASE)

    with pytest.raises(RecipeError, match=r"demos\.toml: there is no such file\. Correct the name"):
        load_recipe(tmp_path / "recipes" / "demos.toml")
    with pytest.raises(RecipeError, match=r"base is 'demos\.toml', expected a TOML file beside it\. Correct the name"):
        load_recipe(write(tmp_path, "recipes/a.toml", 'base = "demos.toml"\n'))


def test_a_missing_file_names_the_nearest(tmp_path: Path) -> None:
    write(tmp_path, "recipes/demo.toml", BASE)
    with pytest.raises(RecipeError, match=r"demos\.toml: there is no such file\. Did you mean 'demo'\?"):
        load_recipe(tmp_path / "recipes" / "demos.toml")


def test_norway_is_a_country_and_not_false(tmp_path: Path) -> None:
    assert load_corpus_spec(write(tmp_path, "corpora/a.toml", CORPUS)).countries == ("US", "NO")


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('"NO"', "false", r"countries\.1 is False|countries is .*False"),
        ('"NO"', '"XX"', "'XX' is not an ISO 3166-1 alpha-2 country code"),
        ('"NO"', '"no"', "the nearest is 'NO'"),
        ('"NO"', '"PR"', "'PR' is a region of 'US' here; say 'US'"),
        (
            'adapter = "builtin"',
            'adapter = "builtin"\ninptu = "x"',
            "sources.builtin.inptu is not a key; the nearest .* 'input'",
        ),
        ('version = "1"', "version = 1", "version is 1: expected a valid string"),
        ("seed = 1", "seed = -1", "seed is -1: expected a number greater than or equal to 0"),
        ("seed = 1", 'seed = 1\nholdout_regions = ["vermont"]', "'vermont' is not a country and a region, as in"),
        ("seed = 1", 'seed = 1\nholdout_regions = ["USA:vermont"]', "'USA' is not an ISO 3166-1 alpha-2 country code"),
        ("seed = 1", "seed = 1\nvalidation_share = 0.6\ntest_share = 0.4", r"0\.6, test_share 0\.4, .* leave nothing"),
        ("seed = 1", "seed = 1\nholdout_places_share = 0.98", r"holdout_places_share 0\.98 leave nothing to train on"),
        ("seed = 1", 'seed = 1\nholdout_places_share = "2%"', r"holdout_places_share is '2%'"),
        ("seed = 1", "seed = 1\nholdout_places_share = 1e-5", r"holdout_places_share is 1e-05: expected 0, or 0\.001"),
        ("seed = 1", 'seed = 1\nholdout_regions = ["US:vermnt"]', "'vermnt' is no region .* nearest is 'US:vermont'"),
        ("seed = 1", 'seed = 1\nholdout_regions = ["FR:brittany"]', "nearest is 'FR:bretagne'"),
        (
            "seed = 1",
            'seed = 1\nholdout_regions = ["US:ohio", "US:ohio"]',
            "'US:ohio' stands twice, expected each once",
        ),
        ("seed = 1", 'seed = 1\ngolden = ["golden/**x.jsonl"]', r"golden .*'golden/\*\*x\.jsonl': \*\* stands for any"),
        ("seed = 1", 'seed = 1\ngolden = ["https://x.org/us.jsonl"]', "golden .* that is a URL"),
        ("seed = 1", 'seed = 1\ngolden = ["golden/us.jsonl", "golden/us.jsonl"]', "golden .* stands twice"),
        (
            'adapter = "builtin"',
            'adapter = "builtin"\ninput = "a/**x"',
            r"sources\.builtin: input 'a/\*\*x': \*\* stands",
        ),
        ('adapter = "builtin"', 'adapter = "builtin"\ninput = "~/a.csv"', "~ stands for no home folder"),
        ("seed = 1", "seed = 1\nholdout_places = 0.02", "the nearest known key is 'holdout_places_share'"),
        (
            'adapter = "builtin"',
            'adapter = "builtin"\nbudgets.reasons_share = 0.1',
            r"sources\.builtin\.budgets\.reasons_share is not a key; the nearest known key is 'reason_share'. "
            r"Correct or remove it; known here: filter_share, method_share, methods, quarantine_share, reason_share\.$",
        ),
        (
            'adapter = "builtin"',
            'adapter = "builtin"\nbudgets.methods.ordr = 0.1',
            "'ordr' is not an augmentation; the nearest is 'order'",
        ),
        (
            "seed = 1",
            "seed = 1\nbudgets.methods.order = 2.0",
            r"budgets\.methods\.order is 2\.0: .* less than or equal to 1",
        ),
        *(
            (
                "sources.builtin",
                f"sources.{json.dumps(name)}",
                rf"sources\.{re.escape(name)} is {re.escape(repr(name))}: expected a letter or digit, then letters,",
            )
            for name in ("..", ".", "a/b", "a:b", "a\\b", "-a", "_a", "a b", "a\n", "a@1", "../../out")
        ),
        (
            'adapter = "builtin"',
            'adapter = "builtin"\nlicence = "CC-BY-4.O"',
            r"sources\.builtin\.licence is 'CC-BY-4\.O', and licences_allowed lists nothing\. Correct it, or add it",
        ),
        (
            "seed = 1",
            'seed = 1\nlicences_allowed = ["CC-BY-4.O", "MIT"]\nsources.other = {adapter = "ban", licence = "CC-BY"}',
            r"sources\.other\.licence is 'CC-BY', and licences_allowed lists CC-BY-4\.O, MIT\.",
        ),
        (
            "seed = 1",
            'seed = 1\nlicences_allowed = ["ODbL-1.0"]\nsources.other = {adapter = "ban", licence = "ODbL-1.0"}',
            r"sources\.other\.licence is 'ODbL-1\.0', a share-alike licence\. Leave .* share_alike_allowed = true\.",
        ),
        ("seed = 1", "seed = 1\ngolden = []", r"golden is \(\): .* at least 1 entry"),
    ],
)
def test_a_wrong_corpus_spec_is_refused(tmp_path: Path, before: str, after: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        load_corpus_spec(write(tmp_path, "corpora/a.toml", CORPUS.replace(before, after)))


@pytest.mark.parametrize(
    "line",
    [
        "holdout_places_share = 0.0",
        "holdout_places_share = 0.001",
        'holdout_regions = ["US:Vermont", "FR:Île de France", "FR:nouvelle-calédonie", "DE:bayern"]',
        'golden = ["golden/**/*.jsonl", "golden/", "/elsewhere/[uf]?.jsonl"]',
        'sources.other = {adapter = "builtin", input = "/raw/**/*.csv"}',
    ],
)
def test_a_corpus_spec_may_hold_what_does_something(tmp_path: Path, line: str) -> None:
    spec = load_corpus_spec(write(tmp_path, "corpora/a.toml", CORPUS.replace("seed = 1", f"seed = 1\n{line}")))

    read = spec.model_dump(mode="json")
    for key, value in tomllib.loads(line).items():
        assert read[key]["other"].items() >= value["other"].items() if key == "sources" else read[key] == value


@pytest.mark.parametrize("name", ["a", "7", "us-ny", "geonames.2026_07", "île-de-france"])
def test_a_source_may_be_called_what_a_folder_and_a_partition_may_be(tmp_path: Path, name: str) -> None:
    licences = 'seed = 1\nlicences_allowed = ["MIT", "ODbL-1.0"]'
    text = CORPUS.replace("sources.builtin", f'sources."{name}"').replace("seed = 1", licences)

    for licence in ("MIT", "ODbL-1.0"):
        said = f'licence = "{licence}"\nshare_alike_allowed = {str(licence != "MIT").lower()}\n'
        assert [*load_corpus_spec(write(tmp_path, "corpora/a.toml", text + said)).sources] == [name]


def test_a_source_has_the_budgets_of_its_corpus_but_for_those_it_names(tmp_path: Path) -> None:
    text = (
        CORPUS
        + """
    budgets = {quarantine_share = 0.1, methods.order = 0.04}
    [sources.other]
    adapter = "builtin"
    [budgets]
    quarantine_share = 0.02
    reason_share = 0.01
    methods = {order = 0.03, typos = 0.05}
    """
    )
    spec = load_corpus_spec(write(tmp_path, "corpora/a.toml", text))

    own, other = spec.budgets_of("builtin"), spec.budgets_of("other")
    assert (own.quarantine_share, own.reason_share, own.methods) == (0.1, 0.01, {"order": 0.04, "typos": 0.05})
    assert other == spec.budgets


def test_keys_below_a_source_are_known_whatever_the_source_is_called(tmp_path: Path) -> None:
    text = CORPUS.replace("[sources.builtin]", "[sources.budgets]") + 'inptu = "x"'

    with pytest.raises(RecipeError, match=r"sources\.budgets\.inptu is not a key; the nearest known key is 'input'"):
        load_corpus_spec(write(tmp_path, "corpora/a.toml", text))
