"""What people read of a probe: sentences, tables and pictures hold what was found."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mw_pipeline.errors import ArtifactError
from mw_pipeline.probes.gradients import TermRatio, summary_of
from mw_pipeline.probes.separation import Pieces, separation_of
from mw_pipeline.probes.source_gradients import compare_sources
from mw_pipeline.probes.traces import StageTrace, Stats, TokenSet, Trace, compare, outliers_of
from mw_pipeline.report.probe.charts import probe_svg, write_probe
from mw_pipeline.report.probe.tables import probe_markdown, probe_sentence, stopped_run_sentence

SOURCES = {"a": [1.0, 1.1], "b": [1.2, 1.0], "c": [0.9, 1.1], "d": [1.0, 1.0], "odd": [9.0, 11.0]}


def gradients(weighted: float, *, weight: float = 0.05, reduction: str = "per_sequence") -> dict[str, Any]:
    ratio = TermRatio(weighted / weight, weighted, weighted / weight / 12.5, 0.25, 0.0)
    terms = summary_of([ratio] * 5, names=("ce", "crf"), weight=weight) | {"unit_pieces": 12.5}
    return {
        "probe": "gradients",
        "checkpoint": {"step": 250, "weights_sha256": "0" * 64},
        "recipe": "toy",
        "loss": {"kind": "ce+crf", "crf_reduction": reduction},
        "terms": terms,
        "sources": compare_sources(SOURCES),
    }


def activations(factor: float | None = None) -> dict[str, Any]:
    mine = trace(factor or 1.0)
    compared = None if factor is None else compare(mine, trace(1.0))
    found = {"probe": "activations", "checkpoint": {"step": 7}, "tokens": "all", "trace": mine.as_json()}
    return {**found, "outliers": outliers_of(mine), "comparison": compared}


def trace(factor: float) -> Trace:
    """Three stages in a row, of which the second is scaled, and the third with it."""

    def stage(name: str, std: float, *inputs: str) -> StageTrace:
        return StageTrace(name, None, inputs, 4, {"all": Stats(40, 0.0, std, -1.0, 1.0, 0, 0, 0)})

    stages = (stage("embedding", 1.0), stage("norm", factor, "embedding"), stage("logits", 2 * factor, "norm"))
    return Trace("toy", "fp32", {"all": TokenSet(10, "x")}, stages)


def separation() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    inside = rng.random((2000, 3)) < 0.3
    inside[:, 2] = False
    probability = np.where(inside, 0.7, 0.1) + rng.uniform(-0.05, 0.05, inside.shape)
    inside[:, 1] = rng.permutation(inside[:, 1])
    pieces = Pieces(probability, inside, np.arange(2000) // 10)
    labels = separation_of(pieces, ("street", "unit", "cedex"), resamples=200)
    facts = {"split": "test", "rows": 200, "pieces": 2000, "probability": "softmax", "thresholds": None}
    return {"probe": "separation", "checkpoint": {"step": 7}, "labels": labels, **facts}


@pytest.mark.parametrize(
    ("weighted", "sentence"),
    [
        (5.0, "CRF dominates CE (weighted gradient ratio 5 at λ = 0.05)"),
        (3.0, "training leans to CRF (weighted"),
        (1.0, "CRF and CE are balanced (weighted"),
        (0.1, "training leans to CE (weighted"),
        (0.001, "CRF has collapsed beside CE (weighted"),
        (math.nan, "a gradient is not finite;"),
    ],
)
def test_the_balance_of_two_terms_is_said_in_words(weighted: float, sentence: str) -> None:
    assert probe_sentence(gradients(weighted)).startswith(sentence)


def test_a_source_that_stands_out_is_named() -> None:
    assert probe_sentence(gradients(1.0)).endswith("gradients of odd stand out from the other sources")


def test_a_loss_with_one_term_says_so() -> None:
    found = {**gradients(1.0), "terms": None, "loss": {"kind": "ce", "crf_reduction": "per_token"}}

    assert "loss.kind 'ce' has one term: there is nothing to weigh against it" in probe_markdown(found)


def test_the_shift_that_row_length_alone_makes_is_said() -> None:
    assert "that alone makes the ratio 12.5 times as large, the mean row length" in probe_markdown(gradients(1.0))
    assert "Both terms are means over pieces" in probe_markdown(gradients(1.0, reduction="per_token"))


def test_the_first_broken_stage_is_named_with_its_cascade() -> None:
    assert probe_sentence(activations(100.0)) == (
        "norm is the first stage out of band (diverged, std ratio 100) whose inputs are in band; "
        "stages out of band after it, its cascade: 1"
    )
    assert probe_sentence(activations(1.5)) == "all 3 stages agree with toy in fp32"


def test_without_a_reference_nothing_is_called_a_fault() -> None:
    assert probe_sentence(activations()) == "no reference; no stage is unlike its like"
    found = {**activations(), "outliers": [{"stage": "norm", "reason": "std 30 where the other layers have 1"}]}
    assert probe_sentence(found) == "no reference; unlike their like, which need be no fault: norm"


def test_collapsed_labels_are_named() -> None:
    assert probe_sentence(separation()) == "collapsed, as likely outside their spans as inside: unit"
    sound = {**separation(), "labels": {"street": separation()["labels"]["street"]}}
    assert probe_sentence(sound) == "every label that occurs is told from the rest (1 of 1 occur)"


@pytest.mark.parametrize("name", ["labels", "sources"])
def test_a_finding_reads_the_same_from_memory_and_from_its_file(name: str) -> None:
    # A file holds its keys by alphabet: a run once said `subregion, cedex` and its page `cedex, subregion`.
    found = separation() if name == "labels" else gradients(5.0)
    odd = next(facts for facts in found[name].values() if facts.get("collapsed") or facts.get("outlier"))
    found[name] = {"subregion": odd, "street": odd, "cedex": odd}

    written = json.loads(json.dumps(found, sort_keys=True))

    assert probe_sentence(written) == probe_sentence(found)
    assert probe_markdown(written) == probe_markdown(found)
    assert probe_svg(written) == probe_svg(found)


def test_the_probe_of_a_stopped_run_says_where_it_looked_or_why_it_could_not() -> None:
    assert stopped_run_sentence(gradients(5.0)).startswith("gradient probe at step 250: CRF dominates CE")
    assert stopped_run_sentence({"failed": "E: no"}) == "the gradient probe could not run (E: no)"


@pytest.mark.parametrize(
    ("found", "lines"),
    [
        (
            lambda: gradients(1.0),
            ["| weighted | 1 | 1 … 1 | times λ: what training feels |", "| odd | 10 | 2 | 70.7 % |", "outlier |"],
        ),
        (lambda: activations(100.0), ["| norm | 0 | 100 | −1 | 1 |", "| diverged: first |", "| diverged: cascade |"]),
        (activations, ["| stage | mean | std |", "| embedding | 0 | 1 |"]),
        (
            separation,
            ["| cedex | 0.0 % | – | – |", "does not occur", "collapsed", "p is a softmax, over 2,000"],
        ),
    ],
)
def test_a_table_holds_the_numbers(found: Callable[[], dict[str, Any]], lines: list[str]) -> None:
    table = probe_markdown(found())

    assert not [line for line in lines if line.replace("−", "-") not in table.replace("−", "-")], table


@pytest.mark.parametrize("found", [lambda: gradients(5.0), lambda: activations(100.0), activations, separation])
def test_a_picture_is_drawn_as_svg_and_as_png(found: Callable[[], dict[str, Any]], tmp_path: Path) -> None:
    value = found()

    write_probe(value, tmp_path / "probe.png")
    write_probe(value, tmp_path / "probe.svg")

    assert (tmp_path / "probe.png").read_bytes()[:4] == b"\x89PNG"
    assert (tmp_path / "probe.svg").read_text().startswith("<svg ")
    assert probe_svg(value) == probe_svg(value), "equal input, equal bytes"
    assert f"<title>{probe_sentence(value)}</title>" in probe_svg(value)


def test_a_loss_with_one_term_is_drawn_by_its_sources(tmp_path: Path) -> None:
    assert "this loss has one term" in probe_svg({**gradients(1.0), "terms": None})


@pytest.mark.parametrize("ratio", [math.nan, 0.0])
def test_terms_none_of_whose_ratios_can_be_drawn_leave_the_bands_alone(ratio: float) -> None:
    assert "collapsed" in probe_svg(gradients(ratio))


def test_a_picture_of_another_suffix_or_in_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"a plot has the suffix .svg or .png, found '.pdf'"):
        write_probe(gradients(1.0), tmp_path / "probe.pdf")
    with pytest.raises(ArtifactError, match="cannot be written"):
        write_probe(gradients(1.0), tmp_path / "nowhere" / "probe.svg")
