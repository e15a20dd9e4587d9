"""Which rows taught a reading: gradients by hand, rows drawn by source, shapes counted one by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from aligned_rows import aligned_row
from toy_run import Toy, toy_recipe

from mw_pipeline.dataset.batches import batches_of
from mw_pipeline.dataset.summary import read_dataset_json
from mw_pipeline.dataset.tokenized import TokenizedDataset
from mw_pipeline.errors import ArtifactError, CorpusError
from mw_pipeline.evaluate.checkpoint_parser import checkpoint_parser
from mw_pipeline.model.checkpoint import Checkpoint, load_checkpoint
from mw_pipeline.model.encoder import tensors_of
from mw_pipeline.model.losses import TaggingLoss
from mw_pipeline.parse import Parser
from mw_pipeline.report.teaching import render_why
from mw_pipeline.teaching import influence
from mw_pipeline.teaching.answer import answer
from mw_pipeline.teaching.index import TeachingIndex, draw_rows, write_index
from mw_pipeline.teaching.influence import evidence_of, pull_by_source
from mw_pipeline.teaching.listed_rows import RowList
from mw_pipeline.teaching.reading import Reading, read_address
from mw_pipeline.teaching.shapes import Shape, counts_of, shape_sentence, write_shapes

ADDRESS = "12 Oak Ave 75001 Lyon"
DRAWS = {"alpha": 900.0, "beta": 60.0}


@pytest.fixture(scope="module")
def dataset(toy: Toy) -> TokenizedDataset:
    return TokenizedDataset(toy.dataset, "train")


@pytest.fixture(scope="module")
def checkpoints(unbroken: Any) -> dict[str, Checkpoint]:
    """The best checkpoint of a run, and an earlier one in the place of its last, which is the same here."""
    best = load_checkpoint(unbroken[0].out / "best")
    other = load_checkpoint(unbroken[0].out / "last")
    with torch.no_grad():
        other.tagger.encoder.head.weight.mul_(0.5)
    return {"best": best, "last": other}


@pytest.fixture(scope="module")
def loss(toy: Toy, checkpoints: dict[str, Checkpoint]) -> TaggingLoss:
    counts = read_dataset_json(toy.dataset)["label_counts"]
    return TaggingLoss(toy_recipe().loss, checkpoints["best"].labels, label_counts=counts)


@pytest.fixture(scope="module")
def parser(toy: Toy, unbroken: Any) -> Parser:
    return checkpoint_parser(unbroken[0].out, toy.tokenizer)


def rows_of(toy: Toy, row_ids: Sequence[str]) -> pa.Table:
    """The toy's rows with the columns that it leaves out."""
    stored = {
        row["row_id"]: row
        for source in ("alpha", "beta")
        for row in pq.read_table(toy.dataset.parent / f"{source}.parquet").to_pylist()
    }
    shared = {"source_id": "file.csv:1", "base_id": "x", "license": "CC0-1.0", "shard": "abc/part-0.parquet"}
    return pa.Table.from_pylist(
        [{**stored[name], **shared, "method": "case" if stored[name]["raw"] < "5" else None} for name in row_ids]
    )


@pytest.fixture(scope="module")
def index(
    toy: Toy,
    dataset: TokenizedDataset,
    checkpoints: dict[str, Checkpoint],
    loss: TaggingLoss,
    tmp_path_factory: pytest.TempPathFactory,
) -> TeachingIndex:
    out = tmp_path_factory.mktemp("index")
    write_index(
        out,
        dataset,
        draw_rows(dataset, rows=60, seed=3),
        checkpoints,
        loss,
        texts_of=lambda row_ids: rows_of(toy, row_ids),
        draws=DRAWS,
        recipe={"name": "toy", "digest": "0" * 64},
    )
    return TeachingIndex.read(out)


@pytest.fixture(scope="module")
def reading(parser: Parser, checkpoints: dict[str, Checkpoint], loss: TaggingLoss, index: TeachingIndex) -> Reading:
    return read_address(parser, ADDRESS, checkpoints, loss, index.window)


def gradient(checkpoint: Checkpoint, loss: TaggingLoss, index: TeachingIndex, batch: Any) -> torch.Tensor:
    """Of a batch's loss by weight and bias of the last layer, as autograd has it, in one vector."""
    tagger = checkpoint.tagger
    ids, tags, mask = tensors_of(batch, torch.device("cpu"))
    total = loss.share(tagger.encoder(ids, mask), tags, mask, tagger.crf, window=index.window).total
    parts = torch.autograd.grad(total, [tagger.encoder.head.weight, tagger.encoder.head.bias])
    return torch.cat([part.flatten() for part in parts]).double()


def test_the_pull_of_a_row_on_a_whole_reading_is_the_dot_product_of_two_gradients(
    toy: Toy,
    dataset: TokenizedDataset,
    checkpoints: dict[str, Checkpoint],
    loss: TaggingLoss,
    index: TeachingIndex,
    reading: Reading,
) -> None:
    asked = np.arange(len(reading.layers["best"].hidden))
    mine = {
        name: np.concatenate([(layer.errors.T @ layer.hidden).ravel(), layer.errors.sum(axis=0)])
        for name, layer in reading.layers.items()
    }

    (evidence,) = evidence_of(index, reading.layers, [asked])

    numbers = {name: number for number, name in enumerate(dataset.row_ids(np.arange(len(dataset))))}
    for place in (0, 17, 59):
        number = numbers[index.rows["row_id"][place].as_py()]
        (batch,) = batches_of(dataset, np.array([number]))
        theirs = {name: gradient(found, loss, index, batch).numpy() for name, found in checkpoints.items()}
        pull = sum(float(mine[name] @ theirs[name]) for name in checkpoints)
        lengths = [np.sqrt(sum(float(g @ g) for g in side.values())) for side in (mine, theirs)]
        assert evidence.pull[place] == pytest.approx(pull, rel=2e-3)  # hidden states are kept in half precision
        assert evidence.alignment[place] == pytest.approx(pull / (lengths[0] * lengths[1]), rel=2e-3)


def test_a_reading_is_pulled_towards_its_own_labels(
    checkpoints: dict[str, Checkpoint], reading: Reading, parser: Parser
) -> None:
    """A step down the loss of the reading makes it likelier: the sign of a pull is that of its help."""
    head, layer = checkpoints["best"].tagger.encoder.head, reading.layers["best"]
    stretch = next(found for found in reading.stretches if found.tag == "postcode")
    begin = 2 * parser.labels.tags.index("postcode") + 1
    logits = head(torch.from_numpy(layer.hidden[stretch.pieces])).detach().double()
    step = torch.from_numpy(layer.errors[stretch.pieces])

    def given(scores: torch.Tensor) -> float:
        return float(scores.softmax(dim=1)[:, begin : begin + 2].sum())

    assert given(logits - step) > given(logits)


def test_chunks_of_the_index_change_no_answer(
    index: TeachingIndex, reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    spans = [stretch.pieces for stretch in reading.stretches]
    whole = evidence_of(index, reading.layers, spans)
    monkeypatch.setattr(influence, "CHUNK_PIECES", 40)

    for one, other in zip(whole, evidence_of(index, reading.layers, spans), strict=True):
        for name in ("pull", "alignment", "similarity"):
            mine, theirs = getattr(one, name), getattr(other, name)
            np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-5 * np.abs(mine).max())
        assert (one.pulling == other.pulling).mean() > 0.95  # of two that pull alike, rounding may choose either


def test_sources_are_compared_by_draws_over_the_rows_that_are_likest(index: TeachingIndex, reading: Reading) -> None:
    (evidence,) = evidence_of(index, reading.layers, [reading.stretches[0].pieces])
    sources = index.rows["source"].to_pylist()
    counted = Counter(sources)
    draws = np.array([DRAWS[s] / counted[s] for s in sources])
    likest = sorted(range(len(sources)), key=lambda row: -evidence.similarity[row])[: influence.LIKEST_ROWS]
    shares = {row: evidence.alignment[row] * draws[row] for row in likest}
    whole = sum(map(abs, shares.values()))
    of_alpha = np.array([s == "alpha" for s in sources])

    found = pull_by_source(index, evidence)

    assert sum(one["towards"] + one["against"] for one in found) == pytest.approx(1.0)
    alpha = next(one for one in found if one["source"] == "alpha")
    assert alpha["likest"] == sum(of_alpha[row] for row in likest) < len(likest)
    assert alpha["net"] == pytest.approx(sum(share for row, share in shares.items() if of_alpha[row]) / whole)
    pulled = evidence.pull * draws
    assert alpha["everywhere"] == pytest.approx(pulled[of_alpha].sum() / np.abs(pulled).sum())
    assert [one["net"] for one in found] == sorted((one["net"] for one in found), reverse=True)
    for one in found:
        assert sum(part["net"] for part in one["methods"]) == pytest.approx(one["net"])
        assert sum(part["rows"] for part in one["methods"]) == one["rows"]


class FewOfOne:
    """A split of a hundred thousand rows of one source, and thirty of another."""

    source_ranges = {"big": (0, 100_000), "rare": (100_000, 100_030)}  # noqa: RUF012  as the real one has it
    rows_per_source = {"big": 100_000, "rare": 30}  # noqa: RUF012


def test_a_rare_source_is_not_lost_and_the_draw_is_that_of_its_seed() -> None:
    split: Any = FewOfOne()

    drawn = draw_rows(split, rows=1000, seed=1)

    assert len(drawn) == len(set(drawn.tolist())) == 1000
    assert (drawn >= 100_000).sum() >= 15  # in proportion it would be none
    assert (np.diff(drawn) > 0).all()
    np.testing.assert_array_equal(drawn, draw_rows(split, rows=1000, seed=1))
    assert (drawn != draw_rows(split, rows=1000, seed=2)).any()


def test_rows_that_the_corpus_does_not_have_are_no_index(
    toy: Toy, dataset: TokenizedDataset, checkpoints: dict[str, Checkpoint], loss: TaggingLoss, tmp_path: Path
) -> None:
    with pytest.raises(ArtifactError, match=r"60 of its rows were sought in the corpus and 59 found\. Build the data"):
        write_index(
            tmp_path,
            dataset,
            draw_rows(dataset, rows=60, seed=3),
            checkpoints,
            loss,
            texts_of=lambda row_ids: rows_of(toy, row_ids[1:]),
            draws=DRAWS,
            recipe={},
        )


def test_every_listed_row_says_what_its_labels_say_there(
    index: TeachingIndex, reading: Reading, parser: Parser
) -> None:
    lineage = {name: {"adapter": "hand-made", "raw_files": None, "raw_sha256": []} for name in DRAWS}
    listed = RowList(index, parser.labels, lineage)
    for stretch, evidence in zip(
        reading.stretches, evidence_of(index, reading.layers, [s.pieces for s in reading.stretches]), strict=True
    ):
        found = listed.of(evidence, stretch.tag, rows=4)

        rows = {row["row_id"]: row for row in index.rows.to_pylist()}
        for row in (row for part in found.values() for row in part):
            spans = zip(*(rows[row["row_id"]][f"span_{part}"] for part in ("tags", "starts", "ends")), strict=True)
            assert row["says"] is None or (row["says"], row["start"], row["end"]) in list(spans)
            assert row["adapter"] == "hand-made"
        assert all(row["alignment"] > 0 for row in found["towards"])
        assert all(row["alignment"] < 0 for row in found["against"])
        assert all((row["says"] or "") != stretch.tag for row in found["otherwise"])
        likeness = [row["similarity"] for row in found["alike"]]
        assert likeness == sorted(likeness, reverse=True)


def test_words_that_are_read_as_nothing_are_asked_about_too(
    parser: Parser, checkpoints: dict[str, Checkpoint], loss: TaggingLoss, index: TeachingIndex
) -> None:
    found = read_address(parser, "%% 12 Oak Ave 75001 Lyon, zzz", checkpoints, loss, index.window)

    pieces = np.concatenate([stretch.pieces for stretch in found.stretches])
    assert len(pieces) == len(set(pieces.tolist()))
    for stretch in found.stretches:
        assert found.raw[stretch.start : stretch.end] == stretch.value
        assert any(map(str.isalnum, stretch.value))


@pytest.mark.parametrize("text", ["", " ", ", -"])
def test_a_text_that_holds_nothing_to_read_is_refused(
    parser: Parser, checkpoints: dict[str, Checkpoint], loss: TaggingLoss, index: TeachingIndex, text: str
) -> None:
    with pytest.raises(CorpusError, match=r"has no letter or digit\. Ask about a text that has"):
        read_address(parser, text, checkpoints, loss, index.window)


def test_a_text_that_is_broken_is_refused_and_one_that_is_not_read_to_its_end_says_so(
    parser: Parser, checkpoints: dict[str, Checkpoint], loss: TaggingLoss, index: TeachingIndex, reading: Reading
) -> None:
    with pytest.raises(CorpusError, match=r"which is no text in UTF-8\. Write it anew"):
        read_address(parser, "12 Oak\udcff Ave", checkpoints, loss, index.window)

    assert read_address(parser, f"{ADDRESS} " * 40, checkpoints, loss, index.window).truncated
    assert not reading.truncated


def test_the_page_shows_every_span_with_its_rows_below_the_address(
    index: TeachingIndex, reading: Reading, parser: Parser, toy: Toy, tmp_path: Path
) -> None:
    lineage = {name: {"adapter": "hand-made", "raw_files": "x.csv", "raw_sha256": []} for name in DRAWS}
    pq.write_table(pa.table({"row_id": pa.array([], pa.string())}), tmp_path / "excluded.parquet")
    full = rows_of(toy, [f"alpha-{number}" for number in range(300)])
    pq.write_table(full, tmp_path / "rows.parquet")
    write_shapes([tmp_path / "rows.parquet"], tmp_path / "shapes.parquet", excluded=tmp_path / "excluded.parquet")

    found = answer(reading, RowList(index, parser.labels, lineage), tmp_path / "shapes.parquet", rows=2)
    page = render_why(tmp_path / "why.html", found).read_text(encoding="utf-8")

    assert [(span["tag"], span["value"]) for span in found["spans"]] == [
        (stretch.tag or None, stretch.value) for stretch in reading.stretches
    ]
    for span in found["spans"]:
        assert f"[{span['value']}]" in page
        for row in (row for rows in span["rows"].values() for row in rows):
            assert row["record"] in page
    assert ADDRESS in page
    assert "http" not in page


def written(tmp_path: Path, rows: list[dict[str, Any]], excluded: Sequence[str] = ()) -> Path:
    """The shapes of some rows."""
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    pq.write_table(pa.table({"row_id": pa.array(excluded, pa.string())}), tmp_path / "excluded.parquet")
    write_shapes([tmp_path / "rows.parquet"], tmp_path / "shapes.parquet", excluded=tmp_path / "excluded.parquet")
    return tmp_path / "shapes.parquet"


def row(number: int, *parts: tuple[str, str], **values: Any) -> dict[str, Any]:
    """An aligned row of these values in this order, with a blank between them."""
    spaced = [part for one in parts for part in (("", " "), one)][1:]
    return {**aligned_row(f"row-{number}", spaced, source="made"), "method": None, **values}


def test_shapes_are_counted_by_tag_source_and_method_in_training_rows_alone(tmp_path: Path) -> None:
    numbers = [row(n, ("house_number", f"5855{n}"), ("street", "Larkspur Dr"), method="order") for n in range(4)]
    codes = [row(9, ("postcode", "75001"), ("street", "rue de l'Église"))]
    left_out = [
        row(10, ("house_number", "11111"), ("street", "Oak St"), split="test"),
        row(11, ("house_number", "22222"), ("street", "Oak St")),
        row(12, ("house_number", "333"), ("street", "Oak St")),
        row(13, ("house_number", "44444"), ("locality", "Rome")),
    ]

    path = written(tmp_path, [*numbers, *codes, *left_out], excluded=["row-11"])
    shape = Shape.of("58554", "", "street")
    counts = counts_of(path, shape)

    assert [(found["tag"], found["rows"]) for found in counts] == [("house_number", 4), ("postcode", 1)]
    assert counts[0]["groups"] == [{"source": "made", "method": "order", "rows": 4}]
    assert counts[0]["example"] == "58550 Larkspur Dr"
    assert shape_sentence("58554", "house_number", shape, counts) == (
        "`58554` is read as a house number: 4 rows begin with five digits and a street and call it so, all of them of "
        "made (method order); 1 has a postcode there."
    )


@pytest.mark.parametrize(
    ("value", "form"),
    [
        ("58554", "99999"),
        ("12 bis", "99 w"),
        ("221b", "999w"),
        ("Main", "w"),
        ("rue de l'Église", "w+"),
        ("12th Street", "99w+"),
        ("東京都", "w"),
        ("w9", "w9"),
    ],
)
def test_the_form_of_a_value_is_its_runs_of_letters_and_its_digits(value: str, form: str) -> None:
    assert Shape.of(value, "", "").form == form


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        (Shape("99999", "", "street"), "begin with five digits and a street"),
        (Shape("9", "street", ""), "end with a street and one digit"),
        (Shape("w+", "", ""), "are words alone"),
        (Shape("w", "unit", "region"), "have one word between a unit and a region"),
        (Shape("99 w", "", "intersection_a"), "begin with a value like `99 w` and an intersection a"),
    ],
)
def test_a_shape_is_said_in_words(shape: Shape, words: str) -> None:
    assert str(shape) == words


def test_a_shape_that_no_row_has_is_said_so() -> None:
    shape = Shape("99999", "", "street")

    assert shape_sentence("58554", "postcode", shape, []) == (
        "`58554` is read as a postcode: no rows begin with five digits and a street and call it so; none say otherwise."
    )
