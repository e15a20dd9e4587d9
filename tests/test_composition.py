"""From records to labelled rows with every method at once: what must hold for any text that Unicode allows."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mw_pipeline.corpus.augment import METHODS
from mw_pipeline.corpus.conventions import LINE_TAGS
from mw_pipeline.corpus.rows import Composed, compose_rows
from mw_pipeline.dataset.labelling import NO_TAG, Spans, Texts, labels_of, rows_are_legal, spans_survive
from mw_pipeline.labels import STAGE2, STAGE2_TAGS, STAGE3, LabelSet
from mw_pipeline.records.tables import RECORD_SCHEMA
from mw_pipeline.tokenizer import Pieces

Record = dict[str, str | None]

# Right-to-left, joined and combined letters, astral letters and signs, line ends, and what the methods look for.
AWKWARD = (
    "שדרות",
    "شارع",
    "👩\u200d👩\u200d👧",
    "e\u0301\u0323",
    "𝔐ain",
    "𠮷野",
    "a\nb",
    "\r\n",
    "क्षि",
    "\ufeff",
    "\u202eabc",
    "Ǆ ﬁ ß ŉ İ",
)
FAMILIAR = (
    *(
        "Main St",
        "N Main Street",
        "avenue de Saint-Ouen",
        "Paris",
        "75007",
        "80521",
        "CO",
        "улица Мира",
        "東京都",
        "서울",
    ),
    *("12 bis", "Apt 4", "PO Box 7", "CEDEX 07", "Île-de-France", "Haut-Rhin", "U.S.A.", "Αθήνα", "New York", "RENO"),
)
ANY = st.text(st.characters(exclude_categories=("Cs", "Cn")), min_size=1, max_size=8)
PIECES = st.lists(st.one_of(st.sampled_from(AWKWARD + FAMILIAR), ANY), min_size=1, max_size=3).map(" ".join)
TEXT = st.one_of(st.none(), st.sampled_from(FAMILIAR), PIECES.filter(lambda text: any(map(str.isalnum, text))))
RECORDS = st.lists(st.fixed_dictionaries(dict.fromkeys(LINE_TAGS, TEXT)), min_size=1, max_size=5)
DOSES = st.fixed_dictionaries(dict.fromkeys(METHODS, st.sampled_from([0.0, 0.5, 1.0])))


def composed(records: list[Record], doses: dict[str, float], country: str = "US", seed: int = 0) -> Composed:
    """The augmented rows of some records, which carry nothing but their components."""
    columns = {
        field.name: pa.array([""] * len(records), field.type)
        for field in RECORD_SCHEMA
        if not field.nullable and field.type == pa.string()
    }
    columns |= {tag: pa.array([record.get(tag) for record in records], pa.string()) for tag in LINE_TAGS}
    columns |= {"country_code": pa.array([country] * len(records)), "split": pa.array(["train"] * len(records))}
    given_columns = {
        name: columns.get(name, pa.nulls(len(records), pa.string())) for name in RECORD_SCHEMA.names if name != "line"
    }
    table = pa.table({**given_columns, "split": columns["split"]})
    return compose_rows(table, source="any", variant=1, doses=doses, rng=np.random.default_rng(seed))


def labelled(rows: pa.Table, label_set: LabelSet) -> tuple[Texts, Pieces, np.ndarray, Spans]:
    """The labels of every code point, and the spans that the label set knows."""
    raws = rows["raw"].to_pylist()
    lengths = [len(raw) for raw in raws]
    starts = np.array([at for length in lengths for at in range(length)], np.int32)
    offsets = np.cumsum([0, *lengths]).astype(np.int64)
    pieces = Pieces(ids=np.full(len(starts), 2, np.int32), offsets=offsets, starts=starts, ends=starts + 1)
    flat = [
        (row, label_set.tags.index(tag) if tag in label_set.tags else NO_TAG, start, end)
        for row, columns in enumerate(rows.select(["span_tags", "span_starts", "span_ends"]).to_pylist())
        for tag, start, end in zip(*columns.values(), strict=True)
    ]
    spans = Spans(*np.array(flat, np.int64).reshape(-1, 4).T)
    texts = Texts(raws)
    return texts, pieces, labels_of(texts, pieces, spans), spans


@settings(max_examples=60, deadline=None)
@given(RECORDS, DOSES, st.sampled_from(["US", "FR", "JP", "RU"]), st.integers(0, 10**6))
@example([{"street": "улица\u0301 Мира", "locality": "👩\u200d👩\u200d👧 Омск"}], dict.fromkeys(METHODS, 1.0), "RU", 0)
def test_every_row_of_every_method_is_cut_by_its_own_spans(records, doses, country, seed):
    made = composed(records, doses, country, seed)

    assert made.unfit == ()
    assert len(made.rows) == len(records)
    for row in made.rows.to_pylist():
        spans = list(zip(row["span_starts"], row["span_ends"], strict=True))
        assert [row["raw"][start:end] for start, end in spans] == [text for _, text in row["components"]]
        assert [tag for tag, _ in row["components"]] == row["span_tags"]
        assert len(set(row["span_tags"])) == len(row["span_tags"])
        assert all(0 <= start < end <= len(row["raw"]) for start, end in spans)
        assert all(before[1] <= after[0] for before, after in pairwise(spans))


@settings(max_examples=30, deadline=None)
@given(RECORDS, DOSES, st.sampled_from(["US", "FR"]), st.integers(0, 10**6))
def test_every_row_has_legal_labels_that_give_its_spans_back(records, doses, country, seed):
    rows = composed(records, doses, country, seed).rows

    for label_set in (STAGE2, STAGE3):
        texts, pieces, labels, spans = labelled(rows, label_set)
        assert rows_are_legal(labels, pieces.offsets, label_set).all()
        assert spans_survive(texts, pieces, labels, spans)[spans.tag != NO_TAG].all()


def test_without_augmentation_a_row_is_its_record_in_native_order():
    records: list[Record] = [{"house_number": "12", "street": "Main St", "unit": "Apt 4", "locality": "Reno"}]

    assert composed(records, {}).rows["raw"].to_pylist() == ["12 Main St Apt 4, Reno"]


def names_over(rows: pa.Table, label_set: LabelSet, word: str) -> set[str]:
    """The labels of the code points of a word in the first row, where each piece is one code point."""
    labels = labelled(rows.slice(0, 1), label_set)[2]
    start = rows["raw"][0].as_py().index(word)
    return {label_set.labels[label] for label in labels[start : start + len(word)]}


def test_crossings_units_and_boxes_have_labels_in_stage_3_alone():
    town = {"locality": "Reno", "region": "NV"}
    streets: list[Record] = [town | {"street": street} for street in ("Main St", "Oak Ave")]
    crossing = composed(streets, {"intersection": 1.0}).rows
    other = composed([town | {"house_number": "1", "street": "Elm St", "unit": "Apt 4", "po_box": "PO Box 7"}], {}).rows

    assert [tag for tag in crossing["span_tags"][0].as_py() if tag in STAGE2_TAGS] == ["locality", "region"]
    assert names_over(crossing, STAGE2, "Main St") == names_over(crossing, STAGE2, "Oak Ave") == {"O"}
    assert names_over(crossing, STAGE3, "Main St") == {"B-intersection_a", "I-intersection_a"}
    assert names_over(crossing, STAGE3, "Oak Ave") == {"B-intersection_b", "I-intersection_b"}
    assert names_over(other, STAGE2, "Apt 4") == names_over(other, STAGE2, "PO Box 7") == {"O"}
    assert names_over(other, STAGE3, "Apt 4") == {"B-unit", "I-unit"}
    assert names_over(other, STAGE3, "PO Box 7") == {"B-po_box", "I-po_box"}
