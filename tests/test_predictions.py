from __future__ import annotations

import json
from dataclasses import dataclass

import pytest
from gold_rows import golden_of

from mw_pipeline.errors import CorpusError
from mw_pipeline.evaluate.predictions import Prediction, predictions_of, read_predictions

GOLDEN = golden_of(
    [
        {"raw": "Paris, France", "components": {"locality": "Paris", "country": "France"}},
        {"raw": "Lyon", "components": {"locality": "Lyon"}},
    ],
    name="g",
)


def write(tmp_path, *rows):
    path = tmp_path / "predictions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_predictions_are_put_in_the_order_of_the_gold(tmp_path):
    path = write(
        tmp_path,
        {"raw": "Lyon", "components": {"region": "Lyon", "locality": None}},
        {"raw": "elsewhere", "components": {}},
        {"raw": "Paris, France", "components": {"locality": "Paris"}},
    )

    assert [dict(p.components) for p in read_predictions(path, GOLDEN)] == [{"locality": "Paris"}, {"region": "Lyon"}]


def test_the_confidence_of_a_value_is_that_of_its_most_confident_span(tmp_path):
    spans = [
        {"tag": "locality", "value": "Paris", "confidence": 0.6},
        {"tag": "locality", "value": "Paris", "confidence": 0.7},
        {"tag": "locality", "value": "France", "confidence": 0.9},
        {"tag": "country", "value": "France"},
    ]
    rows = [
        {"raw": "Paris, France", "components": {"locality": "Paris"}, "spans": spans},
        {"raw": "Lyon", "components": {}},
    ]

    assert read_predictions(write(tmp_path, *rows), GOLDEN)[0].confidences == {"locality": 0.7}


def test_a_written_prediction_reads_back_equal(tmp_path):
    predictions = [Prediction({"locality": "Paris"}, {"locality": 0.5}), Prediction({})]
    path = write(tmp_path, *(p.as_json(raw) for p, raw in zip(predictions, GOLDEN.raws, strict=True)))

    assert read_predictions(path, GOLDEN) == predictions


def test_a_gold_row_without_prediction_is_an_error_and_not_an_empty_answer(tmp_path):
    path = write(tmp_path, {"raw": "Lyon", "components": {}})

    with pytest.raises(CorpusError, match="no prediction for 1 of 2 gold rows, first g:1 'Paris, France'"):
        read_predictions(path, GOLDEN)


def test_two_answers_for_one_text_are_an_error_and_the_same_answer_twice_is_not(tmp_path):
    first, lyon = {"raw": "Paris, France", "components": {"locality": "Paris"}}, {"raw": "Lyon", "components": {}}

    assert len(read_predictions(write(tmp_path, first, lyon, first), GOLDEN)) == 2
    with pytest.raises(CorpusError, match=r"predictions\.jsonl:3: predicts .* something else. Keep one line per text"):
        read_predictions(write(tmp_path, first, lyon, {**first, "components": {}}), GOLDEN)


@pytest.mark.parametrize("spans", [7, ["x"], [{"tag": "locality", "confidence": 1}], [{"confidence": "high"}]])
def test_spans_that_are_not_spans_are_refused_by_line(tmp_path, spans):
    path = write(tmp_path, {"raw": "Lyon", "components": {}, "spans": spans})

    with pytest.raises(CorpusError, match=r"predictions\.jsonl:1: spans is .* expected tag, value and confidence"):
        read_predictions(path, GOLDEN)


@dataclass(frozen=True)
class Span:
    tag: str
    value: str
    confidence: float


@dataclass(frozen=True)
class Parsed:
    components: dict[str, str]
    spans: tuple[Span, ...]


class CityParser:
    def parse_many(self, texts):
        return [Parsed({"locality": t.split(",")[0]}, (Span("locality", t.split(",")[0], 0.8),)) for t in texts]


def test_anything_that_parses_many_texts_can_be_scored():
    assert predictions_of(CityParser(), GOLDEN) == [
        Prediction({"locality": "Paris"}, {"locality": 0.8}),
        Prediction({"locality": "Lyon"}, {"locality": 0.8}),
    ]
