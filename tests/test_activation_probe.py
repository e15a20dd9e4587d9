"""The activation trace: every stage counted, two checkpoints compared, and the first broken stage found."""

from __future__ import annotations

import copy
import json
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toy_run import Toy

from mw_pipeline.dataset.batches import Batch
from mw_pipeline.errors import ArtifactError, CorpusError
from mw_pipeline.model.encoder import Encoder
from mw_pipeline.probes.activations import stats_of, taps_of, token_masks, trace, trace_of
from mw_pipeline.probes.subject import Subject
from mw_pipeline.probes.traces import StageTrace, Stats, TokenSet, Trace, compare, outliers_of, status_of, trace_from
from mw_pipeline.recipe import ModelConfig

torch.set_num_threads(1)

MASK = np.array([[True, True, True, False], [True, True, True, True]])
BATCH = Batch(
    input_ids=np.array([[3, 4, 5, 0], [6, 7, 8, 9]]),
    labels=np.zeros((2, 4), dtype=np.int64),
    kinds=MASK.astype(np.uint8),
    attention_mask=MASK,
    rows=np.arange(2),
    passes=np.zeros(2, dtype=np.int64),
)


@pytest.fixture
def encoder() -> Encoder:
    torch.manual_seed(0)
    return Encoder(ModelConfig(width=16, layers=3, heads=2, feed_forward=32, dropout=0.5), 12, 21).eval()


def one_row(row: int, pieces: int) -> Batch:
    part = (slice(row, row + 1), slice(0, pieces))
    return Batch(
        BATCH.input_ids[part], BATCH.labels[part], BATCH.kinds[part], MASK[part], BATCH.rows[:1], BATCH.passes[:1]
    )


def test_the_numbers_of_a_stage_are_those_of_its_finite_values() -> None:
    found = stats_of(np.array([[1.0, 2.0, 6.0], [0.0, np.nan, -np.inf]], dtype=np.float32))

    assert (found.n, found.nan, found.inf, found.zero) == (6, 1, 1, 1)
    assert (found.mean, found.min, found.max) == (9 / 4, 0.0, 6.0)
    assert found.std == pytest.approx(math.sqrt(((1 - 9 / 4) ** 2 + 1 / 16 + (6 - 9 / 4) ** 2 + 81 / 16) / 3))


def test_a_stage_without_a_finite_value_has_no_mean_and_one_value_has_no_spread() -> None:
    assert stats_of(np.array([[np.nan]], dtype=np.float32)).mean is None
    assert stats_of(np.array([[2.0]], dtype=np.float32)).std is None


def test_the_token_sets_leave_padding_out() -> None:
    sets = token_masks(MASK)

    assert {name: int(mask.sum()) for name, mask in sets.items()} == {"all": 7, "first": 2, "rest": 5}
    assert not (sets["first"] & sets["rest"]).any()


def test_every_stage_comes_after_those_that_it_is_made_of(encoder: Encoder) -> None:
    taps = taps_of(encoder)

    assert len(taps) == 3 * 10 + 4
    for place, tap in enumerate(taps):
        assert set(tap.inputs) <= {before.name for before in taps[:place]}
    assert {name for tap in taps for name in tap.inputs} == {tap.name for tap in taps[:-1]}, "each stage is used"


def test_a_trace_sees_what_the_network_computes(encoder: Encoder) -> None:
    found = {stage.name: stage for stage in trace(encoder, BATCH).stages}
    embedded = encoder.embedding.weight.detach().numpy()[BATCH.input_ids[MASK]]
    logits = encoder(torch.from_numpy(BATCH.input_ids), torch.from_numpy(MASK)).detach().numpy()[MASK]

    assert found["embedding"].stats["all"].std == pytest.approx(embedded.std(ddof=1), rel=1e-5)
    assert found["logits"].stats["all"].mean == pytest.approx(logits.mean(), rel=1e-4)
    assert (found["logits"].width, found["logits"].stats["first"].n) == (21, 2 * 21)
    assert found["layers.1.gelu"].layer == 1


def test_a_network_agrees_with_itself(encoder: Encoder) -> None:
    found = compare(trace(encoder, BATCH), trace(encoder, BATCH))

    assert (found["origin"], found["cascade"], found["agrees"]) == (None, [], 34)


@pytest.mark.parametrize(
    ("parameter", "stage"),
    [
        ("layers.1.contract.weight", "layers.1.contract"),
        ("layers.0.attention.output.weight", "layers.0.attention_output"),
        ("layers.2.feed_forward_norm.weight", "layers.2.feed_forward_norm"),
        ("embedding.weight", "embedding"),
    ],
)
def test_a_layer_scaled_a_hundredfold_is_named_and_the_rest_is_its_cascade(
    encoder: Encoder, parameter: str, stage: str
) -> None:
    broken = scaled(encoder, parameter, 100.0)

    found = compare(trace(broken, BATCH), trace(encoder, BATCH))

    order = [tap.name for tap in taps_of(encoder)]
    row = found["stages"][order.index(stage)]
    assert found["origin"] == stage
    assert (row["status"], row["ratio"]) == ("diverged", pytest.approx(100.0, rel=0.01))
    assert all(order.index(name) > order.index(stage) for name in found["cascade"])


def scaled(encoder: Encoder, parameter: str, factor: float) -> Encoder:
    other = copy.deepcopy(encoder)
    with torch.no_grad():
        dict(other.named_parameters())[parameter].mul_(factor)
    return other


def test_two_broken_layers_are_told_by_the_first(encoder: Encoder) -> None:
    broken = scaled(scaled(encoder, "layers.2.expand.weight", 100.0), "layers.1.expand.weight", 100.0)

    found = compare(trace(broken, BATCH), trace(encoder, BATCH))

    assert found["origin"] == "layers.1.expand"
    assert "layers.2.expand" in found["cascade"]


def test_nan_in_one_stage_alone_is_diverged_though_the_finite_values_agree(encoder: Encoder) -> None:
    good = trace(encoder, BATCH)
    (first, *rest) = good.stages
    stats = {**first.stats, "all": Stats(**{**vars(first.stats["all"]), "nan": 1})}
    poisoned = Trace("x", "fp32", good.tokens, (StageTrace(first.name, None, (), first.width, stats), *rest))

    assert compare(poisoned, good)["origin"] == "embedding"


@pytest.mark.parametrize(
    ("ratio", "status"),
    [
        (1.0, "agrees"),
        (2.0, "agrees"),
        (2.01, "suspect"),
        (9.99, "suspect"),
        (10.0, "diverged"),
        (math.inf, "diverged"),
    ],
)
def test_the_bands_of_the_ratio_of_spreads(ratio: float, status: str) -> None:
    assert status_of(ratio) == status


def test_half_precision_agrees_with_full(encoder: Encoder) -> None:
    found = compare(trace(encoder, BATCH, precision="bf16"), trace(encoder, BATCH))

    assert (found["origin"], found["agrees"]) == (None, 34)
    assert trace(encoder, BATCH, precision="bf16").stages != trace(encoder, BATCH).stages


def test_seven_pieces_and_one_are_not_comparable(encoder: Encoder) -> None:
    # M59: the same network, and a "bug site" of any size between its rows
    seven, one = trace(encoder, BATCH), trace(encoder, one_row(0, 1))

    with pytest.raises(ArtifactError, match=r"not comparable: 7×16 vs 1×16 at embedding \(pieces × width\)"):
        compare(seven, one)
    assert compare(seven, seven)["origin"] is None


def test_another_token_set_of_the_same_rows_is_not_comparable(encoder: Encoder) -> None:
    # M59
    found = trace(encoder, BATCH)

    with pytest.raises(ArtifactError, match="not comparable: 7×16 vs 2×16"):
        compare(found, found, tokens="all", reference_tokens="first")


def test_as_many_pieces_of_other_ids_are_not_comparable(encoder: Encoder) -> None:
    # M59
    other = Batch(BATCH.input_ids[:, ::-1].copy(), BATCH.labels, BATCH.kinds, MASK, BATCH.rows, BATCH.passes)

    with pytest.raises(ArtifactError, match="not comparable: both have 7 pieces, but of other ids"):
        compare(trace(encoder, BATCH), trace(encoder, other))


def test_networks_of_other_shapes_are_not_comparable(encoder: Encoder) -> None:
    shallow = Encoder(ModelConfig(width=16, layers=1, heads=2, feed_forward=32), 12, 21).eval()

    with pytest.raises(ArtifactError, match=r"not comparable: 34 stages vs 14. Compare networks of one shape"):
        compare(trace(encoder, BATCH), trace(shallow, BATCH))


def stage(layer: int, std: float, **counts: int) -> StageTrace:
    values: Mapping[str, Any] = {"n": 10, "mean": 0.0, "min": 0.0, "max": 1.0, "nan": 0, "inf": 0, "zero": 0, **counts}
    return StageTrace(f"layers.{layer}.expand", layer, (), 4, {"all": Stats(std=std, **values)})


def test_without_a_reference_a_stage_unlike_its_like_is_an_outlier() -> None:
    tokens = {"all": TokenSet(1, "")}

    odd = outliers_of(Trace("x", "fp32", tokens, (stage(0, 1.0), stage(1, 1.2), stage(2, 12.0))))
    even = outliers_of(Trace("x", "fp32", tokens, (stage(0, 1.0), stage(1, 1.2), stage(2, 3.0))))

    assert odd == [{"stage": "layers.2.expand", "reason": "std 12 where the other layers have 1.1"}]
    assert even == []


def test_values_that_are_no_numbers_are_outliers_anywhere() -> None:
    found = outliers_of(Trace("x", "fp32", {"all": TokenSet(1, "")}, (stage(0, 1.0, nan=2, inf=1),)))

    assert found == [{"stage": "layers.0.expand", "reason": "2 NaN and 1 infinite of 10"}]


def test_a_trace_comes_back_from_its_file(encoder: Encoder, tmp_path: Path) -> None:
    found = trace(encoder, BATCH, name="mine")
    (tmp_path / "trace.json").write_text(json.dumps({"trace": found.as_json()}))

    assert trace_from(tmp_path / "trace.json") == found


def test_a_file_without_a_trace_is_refused(tmp_path: Path) -> None:
    (tmp_path / "scores.json").write_text("{}")

    with pytest.raises(ArtifactError, match=r"is no activation trace \(KeyError: 'trace'\). Name a checkpoint folder"):
        trace_from(tmp_path / "scores.json")


def test_a_checkpoint_is_traced_on_validation_rows_of_its_dataset(toy: Toy, unbroken: tuple[Any, Any, Any]) -> None:
    subject = Subject.open(unbroken[0].out, toy.dataset)

    found = trace_of(subject, rows=10)

    assert found.tokens["first"].count == 10
    assert found.tokens["all"].count == found.tokens["first"].count + found.tokens["rest"].count


def test_a_dataset_without_validation_rows_is_refused(toy: Toy, unbroken: tuple[Any, Any, Any], tmp_path: Path) -> None:
    bare = Path(shutil.copytree(toy.dataset, tmp_path / "dataset"))
    shutil.copyfile(bare / "test.arrow", bare / "validation.arrow")  # the toy has no test rows

    with pytest.raises(CorpusError, match="has no validation rows to trace"):
        trace_of(Subject.open(unbroken[0].out, bare))
