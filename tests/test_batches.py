"""Batches as functions of their number, with the mix as drawn and hardly any padding."""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from aligned_rows import address, aligned_row, shard, small_tokenizer
from toy_run import toy_recipe
from waiting import wait_until
from yardstick import in_yardsticks

from mw_pipeline.dataset.batches import BatchStream, fixed_batches, stratified_order
from mw_pipeline.dataset.build import build_dataset
from mw_pipeline.dataset.sampling import training_sampler
from mw_pipeline.dataset.tokenized import TokenizedDataset
from mw_pipeline.errors import RecipeError
from mw_pipeline.labels import STAGE2
from mw_pipeline.mix.sampler import MixSampler
from mw_pipeline.recipe import Recipe
from mw_pipeline.tokenizer import Tokenizer
from mw_pipeline.train.plan import RunPlan


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("dataset")
    tokenizer = small_tokenizer(path)
    ban = [address(n) for n in range(900)] + [address(n, split="validation") for n in range(900, 1000)]
    tiger = [address(n, source="tiger") for n in range(300)]
    tiger += [
        aligned_row(f"v{n}", [("street", "x" * (1 + n % 9))], source="tiger", split="validation") for n in range(50)
    ]
    files = {
        "ban": [shard(path / "ban.parquet", ban)],
        "tiger": [shard(path / "tiger.parquet", tiger)],
    }
    build_dataset(files, tokenizer, STAGE2, 64, path)
    return path


@pytest.fixture(scope="module")
def train(folder):
    return TokenizedDataset(folder, "train")


class CountedDataset(TokenizedDataset):
    """Keeps how many rows were read at a time."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.read = []

    def rows(self, indices):
        self.read.append(len(indices))
        return super().rows(indices)


def stream_of(train, *, weights=None, seed=0, **options):
    sampler = MixSampler(train.rows_per_source, weights or {"ban": 1, "tiger": 1}, seed=seed)
    return BatchStream(train, sampler, batch_size=options.pop("batch_size", 32), seed=seed, **options)


def as_lists(batch):
    return [getattr(batch, name).tolist() for name in ("input_ids", "labels", "attention_mask", "rows", "passes")]


def test_a_batch_holds_its_rows_and_nothing_else(train):
    batch = stream_of(train).batch(0)

    assert batch.input_ids.shape == batch.labels.shape == batch.attention_mask.shape
    assert (batch.input_ids.dtype, batch.labels.dtype, batch.attention_mask.dtype) == (np.int64, np.int64, np.bool_)
    assert len(batch) == 32
    for k, row in enumerate(batch.rows):
        stored = train.rows(np.array([row]))
        length = len(stored.ids)
        assert batch.attention_mask[k].tolist() == [True] * length + [False] * (batch.input_ids.shape[1] - length)
        assert batch.input_ids[k].tolist()[:length] == stored.ids.tolist()
        assert batch.labels[k].tolist()[:length] == stored.labels.tolist()
        assert not batch.input_ids[k, length:].any()
        assert not batch.labels[k, length:].any()
    assert batch.attention_mask[:, 0].all()
    assert batch.attention_mask[:, -1].any(), "no column is all padding"


def test_a_batch_depends_on_its_number_alone(train):
    """M36: a resumed run asks for the batches after its checkpoint, and gets what it would have got."""
    one, other = stream_of(train), stream_of(train)
    forward = [as_lists(one.batch(i)) for i in range(130)]

    assert [as_lists(other.batch(i)) for i in reversed(range(130))] == forward[::-1]


@pytest.mark.parametrize("ranks", [2, 4])
def test_each_process_reads_the_rows_of_its_own_batches_alone_and_all_have_what_one_has(folder, train, ranks):
    recipe = toy_recipe(train={"accumulation": 4, "batch_size": 32})
    course = RunPlan("full", recipe, dataset_path=Path(), tokenizer_path=Path(), out=Path()).course
    alone, together = stream_of(train), {}
    for rank in range(ranks):
        counted = CountedDataset(folder, "train")
        own = stream_of(counted, own=partial(course.is_of_rank, rank=rank, ranks=ranks))
        indices = [index for step in range(1, 33) for index in course.micro_batches(step, rank=rank, ranks=ranks)]
        together |= {index: as_lists(own.batch(index)) for index in indices}
        assert counted.read[0] == 128 * 32 // ranks
    assert together == {index: as_lists(alone.batch(index)) for index in range(128)}
    with pytest.raises(KeyError):
        own.batch(0)


def test_every_process_has_its_next_pool_made_ahead(folder):
    """Of two that take turns, one has no batch in the very middle of a pool."""
    for rank in range(2):
        counted = CountedDataset(folder, "train")
        own = stream_of(counted, own=lambda indices, rank=rank: indices % 2 == rank)
        for index in range(rank, 64, 2):
            own.batch(index)
        assert len(counted.read) == 1
        own.batch(64 + rank)
        wait_until(lambda counted=counted: len(counted.read) == 2)


def capped_recipe(cap: int) -> Recipe:
    return toy_recipe(
        mix={"weights": {"ban": 1.0, "tiger": 1.0}, "max_repetitions_per_place": cap},
        train={"steps": 60, "batch_size": 32, "warmup_steps": 10},
    )


def test_no_place_comes_more_often_than_the_cap_and_a_batch_still_depends_on_its_number_alone(folder, tmp_path):
    """Two thirds of a source lie in one town; its rows are all of training, and any batch can be asked for first."""
    rows = [{**address(n), "place": f"FR::{'noumea' if n % 3 else n}"} for n in range(900)]
    rows += [{**address(n, split="validation"), "place": "FR::noumea"} for n in range(900, 950)]
    files = {
        "ban": [shard(tmp_path / "ban.parquet", rows)],
        "tiger": [shard(tmp_path / "tiger.parquet", [address(n, source="tiger") for n in range(300)])],
    }
    build_dataset(files, Tokenizer(folder / "tokenizer.model"), STAGE2, 64, tmp_path)
    train, recipe = TokenizedDataset(tmp_path, "train"), capped_recipe(200)

    def stream() -> BatchStream:
        return BatchStream(train, training_sampler(train, recipe), batch_size=32, seed=0)

    forward, other = [as_lists(stream().batch(i)) for i in (0, 7)], stream()
    assert [as_lists(other.batch(i)) for i in (7, 0)] == forward[::-1]
    drawn = Counter(
        rows[row]["place"] for row in np.concatenate([other.batch(i).rows for i in range(60)]).tolist() if row < 900
    )
    assert drawn.total() == pytest.approx(960, abs=40)
    assert drawn["FR::noumea"] <= 200
    plain = BatchStream(
        train, training_sampler(train, toy_recipe(mix={"weights": recipe.mix.weights})), batch_size=32, seed=0
    )
    uncapped = [row for i in range(60) for row in plain.batch(i).rows.tolist() if row < 900 and row % 3]
    assert len(uncapped) > 500


def test_another_seed_gives_other_batches(train):
    assert stream_of(train, seed=1).batch(0).rows.tolist() != stream_of(train, seed=2).batch(0).rows.tolist()


def test_a_pool_holds_exactly_what_the_sampler_drew(train):
    stream = stream_of(train, weights={"ban": 3, "tiger": 1}, pool_batches=16)
    sampler = MixSampler(train.rows_per_source, {"ban": 3, "tiger": 1}, seed=0)
    starts = np.array([train.source_ranges[name][0] for name in sampler.sources])

    for pool in (0, 3):
        draw = sampler.draw(pool * 512, 512)
        expected = Counter(zip((starts[draw.source] + draw.row).tolist(), draw.passes.tolist(), strict=True))
        batches = [stream.batch(pool * 16 + i) for i in range(16)]
        rows = [pair for b in batches for pair in zip(b.rows.tolist(), b.passes.tolist(), strict=True)]
        assert Counter(rows) == expected


def test_the_first_pass_over_a_source_sees_each_of_its_rows_once(train):
    stream = stream_of(train, weights={"tiger": 1}, batch_size=30, pool_batches=10)

    rows = [row for i in range(10) for row in stream.batch(i).rows.tolist()]
    begin, end = train.source_ranges["tiger"]
    assert sorted(rows) == list(range(begin, end))


def test_sorted_pools_leave_little_padding(train):
    batches = [stream_of(train).batch(i) for i in range(64)]

    padding_share = 1 - np.mean(np.concatenate([batch.attention_mask.ravel() for batch in batches]))
    assert padding_share < 0.05
    lengths = train.lengths_of(np.arange(320)).reshape(10, 32)
    assert padding_share < 1 - lengths.sum() / (lengths.max(axis=1) * 32).sum()


def test_batches_of_short_and_long_rows_come_mixed(train):
    widths = [stream_of(train).batch(i).input_ids.shape[1] for i in range(64)]

    assert widths != sorted(widths)
    assert len(set(widths)) > 1


@pytest.mark.parametrize("count", [1, 5, 8, 64, 128, 130])
def test_batches_are_dealt_each_once(count):
    assert sorted(stratified_order(count, np.random.default_rng(count)).tolist()) == list(range(count))


def test_every_quarter_of_a_pool_has_a_quarter_of_its_short_and_of_its_long_batches():
    """Were they merely shuffled, a source of long rows would come in bursts: other windows, another mix."""
    order = stratified_order(128, np.random.default_rng(3))

    for quarter in order.reshape(4, 32):
        assert np.bincount(quarter // 16, minlength=8).tolist() == [4] * 8
    assert stratified_order(128, np.random.default_rng(4)).tolist() != order.tolist()


def test_validation_batches_are_the_stored_rows(folder):
    """M23: nothing is augmented, re-weighted or repeated."""
    validation = TokenizedDataset(folder, "validation")
    batches = fixed_batches(validation, 10_000, batch_size=32)

    rows = np.concatenate([batch.rows for batch in batches])
    assert sorted(rows.tolist()) == list(range(150))
    assert [len(batch) for batch in batches] == [32, 32, 32, 32, 22]
    assert (
        sum(batch.attention_mask.sum() for batch in batches) == validation.lengths_of(np.arange(len(validation))).sum()
    )
    assert all(not batch.passes.any() for batch in batches)
    again = fixed_batches(TokenizedDataset(folder, "validation"), 10_000, batch_size=32)
    assert [as_lists(batch) for batch in batches] == [as_lists(batch) for batch in again]


def test_a_capped_validation_reaches_every_source_in_proportion(folder):
    validation = TokenizedDataset(folder, "validation")
    rows = np.concatenate([batch.rows for batch in fixed_batches(validation, 30)])

    begin, end = validation.source_ranges["tiger"]
    assert len(rows) == len(set(rows.tolist())) == 30
    assert ((rows >= begin) & (rows < end)).sum() == 10


def test_validation_rows_never_appear_in_training(folder, train):
    """M24: after two passes over every source, no validation row has been trained on."""
    stream = stream_of(train, batch_size=64, pool_batches=8)
    batches = [stream.batch(i) for i in range(40)]
    trained = {row_id for b in batches for row_id in train.row_ids(b.rows)}
    validation = TokenizedDataset(folder, "validation")

    assert max(batch.passes.max() for batch in batches) >= 2
    assert not trained & set(validation.row_ids(np.arange(len(validation))))


def test_a_sampler_of_other_sources_is_refused(train):
    sampler = MixSampler({"ban": 900, "nad": 5}, {"ban": 1, "nad": 1}, seed=0)

    with pytest.raises(RecipeError, match=r"the sampler has sources \['nad'\] that have no rows in .*train\.arrow"):
        BatchStream(train, sampler, batch_size=8, seed=0)


def test_a_sampler_of_other_row_counts_is_refused(train):
    sampler = MixSampler({"ban": 2000, "tiger": 300}, {"ban": 1, "tiger": 1}, seed=0)
    stream = BatchStream(train, sampler, batch_size=32, seed=0)

    with pytest.raises(RecipeError, match=r"the sampler draws row \d+ for source 'ban', whose rows .* end before 900"):
        stream.batch(0)


@pytest.mark.slow
def test_batches_come_faster_than_any_trainer_takes_them(train):
    stream = stream_of(train, batch_size=300)

    assert in_yardsticks(lambda: [stream.batch(i) for i in range(192)]) < 8  # a third of that when written


def test_a_batch_says_how_many_words_its_longest_row_has(train, folder):
    joints = Tokenizer(folder / "tokenizer.model").joints

    for index in range(8):
        batch = stream_of(train).batch(index)
        stored = train.rows(batch.rows)
        begins = joints.begins(stored.ids, stored.offsets)
        assert batch.words == np.add.reduceat(begins.astype(int), stored.offsets[:-1]).max()


def test_lengths_that_are_rounded_up_hold_the_same_rows_and_are_few(train):
    plain, wide = stream_of(train), stream_of(train, multiple=8)

    for index in range(64):
        batch, rounded = plain.batch(index), wide.batch(index)
        width = batch.input_ids.shape[1]
        assert rounded.input_ids.shape[1] == rounded.labels.shape[1] == -(-width // 8) * 8
        assert rounded.words == -(-batch.words // 8) * 8
        for name in ("input_ids", "labels", "kinds", "attention_mask"):
            assert (getattr(rounded, name)[:, :width] == getattr(batch, name)).all()
            assert not getattr(rounded, name)[:, width:].any()
        assert (rounded.rows == batch.rows).all()
