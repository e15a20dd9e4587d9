"""The gradient probe: linear models whose gradients are known by hand, and a toy run's own batches."""

from __future__ import annotations

import math
import random
import statistics
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from toy_run import Toy, toy_plan, toy_recipe, toy_row

from mw_pipeline.dataset.batches import Batch
from mw_pipeline.dataset.build import build_dataset
from mw_pipeline.errors import ArtifactError, RecipeError
from mw_pipeline.labels import STAGE2
from mw_pipeline.model.encoder import tensors_of
from mw_pipeline.model.losses import TaggingLoss
from mw_pipeline.probes.gradients import Term, band, compare_terms, probe_gradients, summary_of, terms_of
from mw_pipeline.probes.source_gradients import compare_sources, z_against
from mw_pipeline.probes.subject import Subject, checkpoint_folder
from mw_pipeline.tokenizer import Tokenizer

torch.set_num_threads(1)

LIKE = {"a": [1.0, 1.2, 1.1], "b": [0.9, 1.0, 1.1], "c": [1.1, 1.0, 1.2], "d": [1.0, 0.9, 1.0], "e": [1.2, 1.1, 1.0]}


@pytest.fixture(scope="module")
def run(toy: Toy, unbroken: tuple[Any, Any, Any]) -> Subject:
    return Subject.open(unbroken[0].out, toy.dataset)


def linear_terms(*, weight: float = 1.0, unit_pieces: float = 1.0) -> tuple[Term, Term, list[torch.Tensor]]:
    """3·x − 4·y and 8·x + 6·y + 5·z: gradients (3, −4) and (8, 6), and 5 of the second's own."""
    x, y, z = (torch.tensor(value, requires_grad=True) for value in (1.0, 2.0, 3.0))
    first = Term("first", 3 * x - 4 * y, 1.0)
    return first, Term("second", 8 * x + 6 * y + 5 * z, weight, unit_pieces), [x, y, z]


def test_the_ratio_of_two_linear_losses_is_that_of_their_coefficients() -> None:
    first, second, parameters = linear_terms()

    found = compare_terms(first, second, parameters)

    assert found.raw == pytest.approx(10 / 5)
    assert found.cosine == pytest.approx((3 * 8 - 4 * 6) / 50) == 0.0
    assert found.own_norm == pytest.approx(5.0), "what one term alone reaches takes no part in the ratio"


def test_the_weighted_ratio_is_what_training_feels() -> None:
    first, second, parameters = linear_terms(weight=0.25)

    assert compare_terms(first, second, parameters).weighted == pytest.approx(0.25 * 2)


def test_a_mean_over_rows_alone_makes_a_term_as_many_times_larger_as_a_row_has_pieces() -> None:
    first, second, parameters = linear_terms(unit_pieces=12.5)

    found = compare_terms(first, second, parameters)

    assert found.raw == pytest.approx(12.5 * found.per_token)


@pytest.mark.parametrize(
    ("weighted", "expected"),
    [
        (4.01, "dominates"),
        (math.inf, "dominates"),
        (4.0, "leaning"),
        (2.01, "leaning"),
        (2.0, "balanced"),
        (0.5, "balanced"),
        (0.49, "leaning"),
        (0.01, "leaning"),
        (0.0099, "collapsed"),
        (0.0, "collapsed"),
        (math.nan, "not finite"),
    ],
)
def test_the_bands_of_the_weighted_ratio(weighted: float, expected: str) -> None:
    assert band(weighted) == expected


def test_the_summary_is_the_median_over_batches() -> None:
    ratios = []
    for weight in (1.0, 0.1, 0.2, 40.0, 0.3):
        first, second, parameters = linear_terms(weight=weight)
        ratios.append(compare_terms(first, second, parameters))

    found = summary_of(ratios, names=("first", "second"), weight=0.3)

    assert found["median"]["weighted"] == pytest.approx(0.3 * 2)
    assert found["weighted_range"] == pytest.approx([0.1 * 2, 40.0 * 2])
    assert (found["band"], found["batches"]) == ("balanced", 5)


def test_a_batch_whose_gradient_is_no_number_is_not_hidden_by_the_median() -> None:
    x = torch.tensor(1.0, requires_grad=True)
    good = compare_terms(Term("a", x * 2, 1.0), Term("b", x * 3, 1.0), [x])
    bad = compare_terms(Term("a", x * 2, 1.0), Term("b", x * math.nan, 1.0), [x])

    assert summary_of([good] * 4 + [bad], names=("a", "b"), weight=1.0)["band"] == "not finite"
    assert summary_of([good] * 5, names=("a", "b"), weight=1.0)["band"] == "balanced"


def test_the_probe_agrees_with_two_backward_passes_over_the_same_batches(run: Subject) -> None:
    recipe = toy_recipe()
    loss, tagger = run.loss_of(recipe), run.checkpoint.tagger
    ratios = []
    for batch in run.training_batches(recipe, 5):
        norms = [gradient_norm(run, loss, batch, name) for name in ("ce", "crf")]
        ratios.append(norms[1] / norms[0])
    tagger.zero_grad()

    found = probe_gradients(run, recipe, batches=5)["terms"]

    assert found["median"]["raw"] == pytest.approx(statistics.median(ratios), rel=1e-4)
    assert found["median"]["weighted"] == pytest.approx(0.1 * found["median"]["raw"])


def gradient_norm(subject: Subject, loss: TaggingLoss, batch: Batch, name: str) -> float:
    """‖∇‖ of one term over the encoder, by backward()."""
    tagger = subject.checkpoint.tagger
    tagger.zero_grad()
    ids, tags, mask = tensors_of(batch, torch.device("cpu"))
    share = loss.share(tagger.encoder(ids, mask), tags, mask, tagger.crf, window=loss.extent(tags, mask))
    getattr(share, name).backward()
    return math.sqrt(
        sum(float(p.grad.double().pow(2).sum()) for p in tagger.encoder.parameters() if p.grad is not None)
    )


def test_a_lambda_that_is_too_large_dominates_and_one_of_a_hundredth_does_not(run: Subject) -> None:
    heavy = probe_gradients(run, toy_recipe(loss={"crf_weight": 100.0}), batches=5)["terms"]
    clean = probe_gradients(run, toy_recipe(loss={"crf_weight": 0.05}), batches=5)["terms"]

    assert heavy["band"] == "dominates"
    assert clean["band"] in ("balanced", "leaning")
    assert heavy["median"]["raw"] == pytest.approx(clean["median"]["raw"])


def test_the_mean_row_length_is_said_where_the_terms_are_means_of_different_things(run: Subject) -> None:
    by_row = probe_gradients(run, toy_recipe(loss={"crf_reduction": "per_sequence"}), batches=5)["terms"]
    by_piece = probe_gradients(run, toy_recipe(loss={"crf_reduction": "per_token"}), batches=5)["terms"]

    assert by_row["unit_pieces"] > 5
    assert by_piece["unit_pieces"] == 1.0
    assert by_row["median"]["per_token"] == pytest.approx(by_piece["median"]["raw"], rel=1e-4)


def test_learned_weights_are_those_of_the_checkpoint(run: Subject) -> None:
    recipe = toy_recipe(loss={"kind": "uncertainty"})
    tagger, loss = run.checkpoint.tagger, run.loss_of(recipe)
    with torch.no_grad():
        tagger.log_variances.copy_(torch.log(torch.tensor([2.0, 8.0])))
    terms = terms_of(tagger, loss, run.training_batches(recipe, 1)[0])
    with torch.no_grad():
        tagger.log_variances.zero_()

    assert terms is not None
    assert [term.weight for term in terms] == pytest.approx([1 / 4, 1 / 16])  # 1 / 2σ²


def test_a_loss_with_one_term_has_no_ratio_but_sources(run: Subject) -> None:
    found = probe_gradients(run, toy_recipe(loss={"kind": "soft-span"}), batches=5)

    assert found["terms"] is None
    assert list(found["sources"]) == ["alpha", "beta"]


def test_probing_leaves_the_weights_as_they_are(run: Subject) -> None:
    before = {name: value.clone() for name, value in run.checkpoint.tagger.state_dict().items()}

    probe_gradients(run, toy_recipe(), batches=5)

    assert all(torch.equal(value, before[name]) for name, value in run.checkpoint.tagger.state_dict().items())


def test_fewer_than_five_batches_are_refused(run: Subject) -> None:
    with pytest.raises(
        RecipeError, match="batches is 4, expected at least 5: one batch holds rows of about one length"
    ):
        probe_gradients(run, toy_recipe(), batches=4)


def test_a_source_is_summed_up_by_its_mean_variance_and_share() -> None:
    found = compare_sources({"a": [1.0, 3.0], "b": [6.0]})

    assert (found["a"]["mean_norm"], found["a"]["variance"], found["a"]["share"]) == (2.0, 2.0, 0.25)
    assert (found["b"]["mean_norm"], found["b"]["variance"], found["b"]["share"]) == (6.0, None, 0.75)
    assert found["a"]["z"] is None, "two sources cannot say which of them is odd"


def test_a_poisoned_source_is_the_outlier_and_its_clean_twin_is_not() -> None:
    poisoned = compare_sources({**LIKE, "poisoned": [9.0, 10.0, 11.0]})
    clean = compare_sources({**LIKE, "poisoned": [1.0, 1.1, 1.05]})

    assert [name for name, facts in poisoned.items() if facts["outlier"]] == ["poisoned"]
    assert poisoned["poisoned"]["plain_z"] < 3, "six sources can never reach a plain z of 3"
    assert not [name for name, facts in clean.items() if facts["outlier"]]


@pytest.mark.parametrize(("poisoned", "odd"), [(True, ["last"]), (False, [])])
def test_a_source_with_mixed_up_labels_pulls_harder_than_the_others(
    run: Subject, toy: Toy, tmp_path: Path, poisoned: bool, odd: list[str]
) -> None:
    """Six sources of one kind; in the last one each span has its neighbour's tag, or it is as sound as the rest."""
    rng, files = random.Random(7), {}
    for source in ("a", "b", "c", "d", "e", "last"):
        rows = [{**toy_row(rng, source, number), "split": "train"} for number in range(60)]
        rows[0]["split"] = "validation"
        for row in rows if poisoned and source == "last" else []:
            row["span_tags"] = [*row["span_tags"][1:], row["span_tags"][0]]
        files[source] = [tmp_path / f"{source}.parquet"]
        pq.write_table(pa.Table.from_pylist(rows), files[source][0])
    (tmp_path / "dataset").mkdir()
    build_dataset(files, Tokenizer(toy.tokenizer), STAGE2, 32, tmp_path / "dataset")
    recipe = toy_recipe(mix={"weights": dict.fromkeys(files, 1.0)})

    found = probe_gradients(Subject.open(run.checkpoint.path, tmp_path / "dataset"), recipe, batches=5)["sources"]

    assert [name for name, facts in found.items() if facts["outlier"]] == odd


def test_whatever_has_a_plain_z_above_three_is_an_outlier() -> None:
    norms = {f"s{number}": [1.0 + 0.1 * math.sin(number)] for number in range(30)}
    found = compare_sources({**norms, "odd": [1.5]})

    assert found["odd"]["plain_z"] > 3
    assert found["odd"]["outlier"]


def test_a_source_whose_gradient_is_no_number_is_an_outlier() -> None:
    found = compare_sources({**LIKE, "broken": [1.0, math.nan]})

    assert [name for name, facts in found.items() if facts["outlier"]] == ["broken"]
    assert found["broken"]["mean_norm"] is None


def test_z_is_that_of_students_t_on_the_normal_scale() -> None:
    """t tables: with 4 degrees of freedom 2.776 leaves 2.5 % above it, as 1.960 does in a normal distribution."""
    others = [-2.0, -1.0, 0.0, 1.0, 2.0]
    value = 2.776 * statistics.stdev(others) * math.sqrt(1 + 1 / 5)

    assert z_against(others, value) == pytest.approx(1.960, abs=0.02)
    assert z_against(others, -value) == pytest.approx(-1.960, abs=0.02)


def test_a_run_folder_stands_for_its_best_checkpoint_and_without_one_for_its_last(tmp_path: Path) -> None:
    for name in ("last", "best"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "checkpoint.json").write_text("{}")
        assert checkpoint_folder(tmp_path) == tmp_path / name
    assert checkpoint_folder(tmp_path / "last") == tmp_path / "last"


def test_a_folder_without_a_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"holds no checkpoint: no checkpoint.json there, in best/ or in last/"):
        checkpoint_folder(tmp_path)


def test_the_batches_are_those_that_training_would_have_drawn_next(run: Subject, toy: Toy, tmp_path: Path) -> None:
    from mw_pipeline.train.data import TrainingData

    plan = toy_plan(toy, tmp_path)
    stream = TrainingData.open(plan).stream

    (batch,) = run.training_batches(plan.recipe, 1)

    assert batch.rows.tolist() == stream.batch(run.checkpoint.step).rows.tolist()
