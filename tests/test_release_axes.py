"""The four axes of a release: each moves either way with real packages on both sides, whoever built the baseline."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from axis_packages import SHAKY, STEADY, axis_package, toy_gold
from gold_rows import golden_of
from toy_run import Toy

from mw_pipeline.checksums import SUMS_NAME
from mw_pipeline.digest import JSON, sha256_file
from mw_pipeline.errors import ArtifactError, GateError
from mw_pipeline.evaluate.against_baseline import against_baseline, shared_labels
from mw_pipeline.evaluate.evaluation import Evaluation, evaluate
from mw_pipeline.evaluate.predictions import Prediction
from mw_pipeline.evaluate.release_axes import AXES, release_axes
from mw_pipeline.golden.gold import GoldenSet
from mw_pipeline.labels import STAGE2, STAGE3, LabelSet
from mw_pipeline.metrics.stability import compare_stability, fall_on_card, largest_fall, stability_of
from mw_pipeline.package.layout import PackageLayout, layout_hashes
from mw_pipeline.parse import Parser
from mw_pipeline.recipe import EvalConfig
from mw_pipeline.report.evaluation import axes as words
from mw_pipeline.stages.release_gates import worsened

Packages = Callable[[str], Path]
GOLD = "golden, US rows"


@pytest.fixture(scope="module")
def packages(toy: Toy, unbroken: tuple[Any, Any, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Packages]:
    """The toy's package, spoilt on an axis or on none; each built once."""
    folder = tmp_path_factory.mktemp("axes")

    def package(axis: str) -> Path:
        path = folder / axis
        return path if path.exists() else axis_package(path, unbroken[0].out, toy, axis)

    return package  # type: ignore[return-value]


def axes_of(candidate: Path, baseline: Path) -> dict[str, JSON]:
    """What the stage finds for one locale."""
    card = json.loads((candidate / "model-card.json").read_text())
    return against_baseline(
        Parser.load(candidate),
        PackageLayout.read(baseline),
        {GOLD: toy_gold()},
        gold=GOLD,
        policy="normalised",
        fall=fall_on_card(card),
    )


def verdicts(part: dict[str, JSON]) -> dict[str, str]:
    return {axis: part["with_adversarial"][axis]["verdict"] for axis in AXES}


@pytest.mark.parametrize("axis", AXES)
def test_each_axis_has_a_pair_of_packages_that_worsens_it_and_one_that_improves_it(
    packages: Packages, axis: str
) -> None:  # M79
    worse = axes_of(packages(axis), packages("good"))
    better = axes_of(packages("good"), packages(axis))

    assert verdicts(worse)[axis] == worse["without_adversarial"][axis]["verdict"] == "worse"
    assert verdicts(better)[axis] == better["without_adversarial"][axis]["verdict"] == "better"
    spared = {"coarse_f1", "fine_f1"} - {axis}
    assert {verdicts(worse)[name] for name in spared} == {"no difference"}
    assert axis in worse["worsened"]
    assert better["worsened"] == []
    assert better["improved"]["with_adversarial"] >= 1


def test_a_package_moves_no_axis_against_itself(packages: Packages) -> None:  # M79
    part = axes_of(packages("good"), packages("good"))

    assert set(verdicts(part).values()) == {"no difference"}
    assert part["headline"] == "0 of 4 axes improved with the adversarial rows, 0 of 4 without"
    assert (part["rows"]["with_adversarial"], part["rows"]["without_adversarial"]) == (240, 180)
    assert part["with_adversarial"]["coarse_f1"]["candidate"] > 0.8, "a network that finds nothing proves nothing"


@pytest.mark.parametrize("axis", AXES)
def test_a_release_that_is_worse_in_one_axis_is_refused_with_the_axis_and_its_evidence(
    packages: Packages, axis: str
) -> None:
    part = axes_of(packages(axis), packages("good"))
    part["baseline"]["folder"] = "releases/demo/0.1.0+abc"
    problems = worsened(EvalConfig(), {"en-us": part})

    (problem,) = [found for found in problems if words.AXES[axis] in found]
    found = part["with_adversarial"][axis]
    assert problem.startswith(
        f"en-us: {words.AXES[axis]} is worse than that of the baseline releases/demo/0.1.0+abc, "
        f"{found['candidate']:.4f} after {found['baseline']:.4f} (change "
    )
    assert ("95 % interval" in problem and "240 rows of golden, US rows" in problem) != (axis == "training_stability")
    assert f"{len(part['worsened'])} of 4 axes got worse, eval.axes_may_worsen is 0" in problem
    assert worsened(EvalConfig(axes_may_worsen=len(part["worsened"])), {"en-us": part}) == []
    assert worsened(EvalConfig(), {"en-us": axes_of(packages("good"), packages(axis))}) == []


def foreign(package: Path, folder: Path, *, labels: tuple[str, ...], order: list[int], max_length: int = 32) -> Path:
    """The same network in another project's hands: their card and CRF file, their label names in their order."""
    folder.mkdir()
    for name in ("model.onnx", "tokenizer.model"):
        shutil.copyfile(package / name, folder / name)
    crf = json.loads((package / "crf-transitions.json").read_text())
    moves = [[-1e9 if score is None else score for score in row] for row in crf["transitions"]]
    starts = [-1e9 if score is None else score for score in crf.get("start_transitions", crf.get("start"))]
    (folder / "crf-transitions.json").write_text(
        json.dumps({"transitions": moves, "start_transitions": starts, "end_transitions": [0.0] * len(labels)})
    )
    (folder / "model-card.json").write_text(json.dumps({"labels": list(labels), "max_length": max_length}))
    return folder


def renamed(**names: str) -> tuple[str, ...]:
    return tuple(f"{label[:2]}{names.get(label[2:], label[2:])}" if label != "O" else label for label in STAGE2.labels)


def test_a_package_of_another_project_reads_as_the_same_network_does_in_ours(
    packages: Packages, tmp_path: Path
) -> None:
    theirs = PackageLayout.read(foreign(packages("good"), tmp_path / "p", labels=STAGE2.labels, order=[]))
    texts = toy_gold(40).raws

    assert [found.as_json() for found in theirs.parser().parse_many(texts)] == [
        found.as_json() for found in Parser.load(packages("good")).parse_many(texts)
    ]


def test_a_package_with_other_labels_is_compared_on_the_tags_that_both_have_and_says_so(
    packages: Packages, tmp_path: Path
) -> None:
    labels = renamed(street="road", venue="house")
    baseline = foreign(packages("good"), tmp_path / "p", labels=labels, order=[])
    part = axes_of(packages("good"), baseline)

    assert part["only_here"] == ["venue", "street"]
    assert part["only_there"] == ["house", "road"]
    assert set(part["with_adversarial"]) == set(AXES)
    assert verdicts(part)["coarse_f1"] == "no difference"
    assert part["with_adversarial"]["training_stability"]["baseline"] is None
    assert verdicts(part)["training_stability"] == "no difference"
    part["baseline"]["folder"] = "theirs"
    assert words.comparison_sentence(part).endswith(
        "Their labels differ, so they are compared on the tags that both have: country, region, locality, "
        "dependent_locality, postcode, subregion, cedex, house_number (only this release has venue, street; only the "
        "baseline has house, road)."
    )


def test_what_a_baseline_has_no_label_for_is_not_held_against_it_by_the_gates(
    packages: Packages, tmp_path: Path
) -> None:
    baseline = foreign(packages("good"), tmp_path / "p", labels=renamed(street="road"), order=[])

    ours = axes_of(packages("good"), packages("good"))["metrics"][GOLD]
    theirs = axes_of(packages("good"), baseline)["metrics"][GOLD]
    assert theirs["exact_match"] >= ours["exact_match"] > 0.5


def test_labels_that_share_no_tag_are_refused() -> None:
    with pytest.raises(GateError, match=r"the labels of the baseline have the tags city, road, .* nothing can be"):
        shared_labels(STAGE3, LabelSet(("city", "road")))
    assert shared_labels(STAGE3, STAGE2) == STAGE2


def test_labels_in_another_order_and_without_inner_ones_are_read_by_their_names(
    packages: Packages, tmp_path: Path
) -> None:
    package = foreign(packages("good"), tmp_path / "p", labels=STAGE2.labels, order=[])
    layout = PackageLayout.read(package)
    shuffled = list(reversed(range(len(STAGE2))))
    card = {"labels": [STAGE2.labels[i] for i in shuffled]}
    (package / "model-card.json").write_text(json.dumps(card))
    other = PackageLayout.read(package)

    assert set(other.label_set.tags) == set(layout.label_set.tags)
    assert [card["labels"][place] for place in other.source] == list(other.label_set.labels)


def test_scores_of_ending_in_a_label_count_where_a_row_ends(packages: Packages, tmp_path: Path) -> None:
    package = foreign(packages("good"), tmp_path / "p", labels=STAGE2.labels, order=[])
    crf = json.loads((package / "crf-transitions.json").read_text())
    ends = [0.0 if label == "O" else -1e6 for label in STAGE2.labels]
    (package / "crf-transitions.json").write_text(json.dumps({**crf, "end_transitions": ends}))

    for text, parsed in zip(
        toy_gold(20).raws, PackageLayout.read(package).parser().parse_many(toy_gold(20).raws), strict=True
    ):
        assert all(span.end < len(text) for span in parsed.spans), "nothing may end where the row does"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("model-card.json", None, r"has no model-card\.json, so it is no package\. Name a folder with model\.onnx"),
        ("model-card.json", "[]", r"model-card\.json: is \[\], expected an object"),
        (
            "model-card.json",
            '{"labels": ["O", "B-x", "B-x"]}',
            r"labels is \['O', 'B-x', 'B-x'\], expected O and B-tag",
        ),
        ("model-card.json", '{"labels": ["B-x", "I-x"]}', r"expected O and B-tag and I-tag"),
        ("crf-transitions.json", '{"transitions": [[0]]}', r"transitions has the shape \(1, 1\), expected numbers or"),
        ("crf-transitions.json", '{"transitions": "x"}', r"transitions holds 'x', expected numbers from -1e\+09"),
        ("crf-transitions.json", '{"transitions": [[0], [0, 1]]}', r"transitions holds \[0\], expected numbers"),
        ("crf-transitions.json", '{"labels": 5}', r"its labels are not those of model-card\.json"),
        ("crf-transitions.json", '{"labels": ["O"]}', r"its labels are not those of model-card\.json"),
    ],
)
def test_a_folder_that_is_no_package_is_refused_by_what_is_wrong(
    packages: Packages, tmp_path: Path, name: str, content: str | None, message: str
) -> None:
    package = foreign(packages("good"), tmp_path / "p", labels=STAGE2.labels, order=[])
    (package / name).unlink()
    if content is not None:
        (package / name).write_text(content)

    with pytest.raises(ArtifactError, match=message):
        PackageLayout.read(package)


@pytest.mark.parametrize("key", ["transitions", "start_transitions", "end_transitions"])
@pytest.mark.parametrize("score", ["NaN", "Infinity", "-Infinity", "1e308", "-1.1e9", "true", '"0.5"', "1" + "0" * 400])
def test_a_score_that_is_no_number_or_drowns_all_others_is_refused(
    packages: Packages, tmp_path: Path, key: str, score: str
) -> None:
    package = foreign(packages("good"), tmp_path / "p", labels=STAGE2.labels, order=[])
    crf = json.loads((package / "crf-transitions.json").read_text())
    (crf[key][0] if key == "transitions" else crf[key])[0] = "HERE"

    def written(text: str) -> PackageLayout:
        (package / "crf-transitions.json").write_text(json.dumps(crf).replace('"HERE"', text))
        return PackageLayout.read(package)

    with pytest.raises(ArtifactError, match=rf"crf-transitions\.json: {key} holds .*, expected numbers from -1e\+09"):
        written(score)
    read = {"transitions": "transitions", "start_transitions": "starts", "end_transitions": "ends"}[key]
    found = [getattr(written(text), read).flat[0] for text in ("null", "1e9", "-1000000000", "0.5")]
    assert found == [float("-inf"), 1e9, -1e9, 0.5]


def test_a_sealed_package_whose_bytes_were_touched_is_no_baseline(packages: Packages, tmp_path: Path) -> None:
    package = Path(shutil.copytree(packages("good"), tmp_path / "p"))
    assert (package / SUMS_NAME).is_file()
    assert layout_hashes(package)["model.onnx"] == sha256_file(package / "model.onnx")
    (package / "model.onnx").write_bytes(b"other")

    with pytest.raises(ArtifactError, match=r"model\.onnx: has the sha256"):
        PackageLayout.read(package)


def many(share_right: float, confidence: float) -> Evaluation:
    rows = [{"raw": f"town{i}", "components": {"locality": f"town{i}"}, "stratum": "plain"} for i in range(80)]
    found = [
        Prediction({"locality": f"town{i}" if i < 80 * share_right else "x"}, {"locality": confidence})
        for i in range(80)
    ]
    return evaluate(golden_of(rows, name="g"), found, decoder="test", resamples=20)


def test_a_difference_whose_interval_holds_nothing_else_than_chance_is_none() -> None:
    axes = release_axes(many(0.9, 0.9), many(0.89, 0.9), falls=(0.01, 0.01))

    assert verdicts(axes) == dict.fromkeys(AXES, "no difference")


def test_releases_on_different_gold_are_not_compared() -> None:  # M44
    other = evaluate(golden_of([{"raw": "a", "components": {}}], name="o"), [Prediction({})], decoder="test")

    with pytest.raises(GateError, match="not comparable: gold"):
        release_axes(many(0.9, 0.9), other, falls=(None, None))


def test_calibration_is_the_mean_gap_of_a_bucket_and_not_the_distance_from_its_middle() -> None:
    axes = release_axes(many(0.9, 0.90), many(0.9, 0.99), falls=(None, None))["with_adversarial"]["calibration"]

    assert axes["candidate"] == pytest.approx(0.0, abs=1e-9)  # the middle of its bucket is 0.95
    assert axes["baseline"] == pytest.approx(0.09)


@pytest.mark.parametrize(
    ("scores", "fall"),
    [
        ([], None),
        ([0.5], None),
        ([0.1, 0.2, 0.3], 0.0),
        ([0.9, 0.8], 0.1),
        ([0.5, 0.9, 0.7, 0.8], 0.2),
        ([0.9, 0.88, 0.86, 0.84, 0.82], 0.08),  # the fifth is within five
        ([0.9, 0.88, 0.86, 0.84, 0.82, 0.60], 0.28),  # from the second of six, not from the first
    ],
)
def test_the_largest_fall_is_that_within_any_five_evaluations(scores: list[float], fall: float | None) -> None:
    found = largest_fall(scores)

    assert found == (None if fall is None else pytest.approx(fall))
    pairs = [(a, b) for i, a in enumerate(scores) for b in scores[i + 1 : i + 5]]
    assert found is None or found == pytest.approx(max([0.0, *(a - b for a, b in pairs)]))


RUN = {"schedule": "cosine", "warmup_steps": 1000, "max_steps": 10_000}


def evals(*pairs: tuple[int, float | None]) -> list[dict[str, JSON]]:
    return [{"step": step, "val_macro_f1": score} for step, score in pairs]


def test_only_evaluations_near_the_peak_rate_count() -> None:
    # cosine, W = 1000, S = 10000: near the peak through step 4923, which an evaluation at 4924 has seen
    log = evals((500, 0.9), (1000, 0.5), (3000, 0.6), (4924, 0.55), (4925, 0.1))

    assert stability_of(RUN, log) == {
        "largest_fall": pytest.approx(0.05),
        "evaluations": 3,
        "near_peak_window": [1000, 4924],
    }


@pytest.mark.parametrize("missing", ["schedule", "warmup_steps", "max_steps"])
def test_a_run_that_does_not_say_its_schedule_has_no_stability(missing: str) -> None:
    run = {key: value for key, value in RUN.items() if key != missing}

    assert stability_of(run, evals((1000, 0.5), (3000, 0.6))) is None
    assert stability_of(RUN, evals((1000, 0.5), (3000, None), (3500, float("nan")))) is None
    assert stability_of(RUN, evals((1000, 0.5), (3000, 0.6))) is not None


@pytest.mark.parametrize(
    ("candidate", "baseline", "verdict"),
    [
        (STEADY, SHAKY, "better"),
        (SHAKY, STEADY, "worse"),
        (0.05, 0.03, "worse"),  # 0.02 is a difference, however binary rounds it
        (0.12, 0.10, "worse"),
        (0.03, 0.05, "better"),
        (0.0499, 0.03, "no difference"),
        (0.5, None, "no difference"),
        (None, 0.5, "no difference"),
        (None, None, "no difference"),
    ],
)
def test_a_fall_that_differs_by_less_than_two_points_or_is_not_known_is_no_difference(
    candidate: float | None, baseline: float | None, verdict: str
) -> None:
    assert compare_stability(candidate, baseline)["verdict"] == verdict


@pytest.mark.parametrize("said", [None, "0.1", True, -0.1, 7, float("nan"), [0.1]])
def test_a_card_that_says_no_fall_of_a_score_says_none(said: JSON) -> None:
    assert fall_on_card({"training": {"stability": {"largest_fall": said}}}) is None
    assert fall_on_card({"training": "secret"}) is None
    assert fall_on_card({"training": {"stability": {"largest_fall": np.float64(0.1)}}}) == 0.1


def test_a_locale_without_a_row_is_not_compared_and_says_so(packages: Packages) -> None:
    found = against_baseline(
        Parser.load(packages("good")),
        PackageLayout.read(packages("good")),
        {GOLD: GoldenSet(())},
        gold=GOLD,
        policy="normalised",
        fall=None,
    )

    assert found == {"sentence": "not compared with the baseline: there is no row of golden, US rows"}
