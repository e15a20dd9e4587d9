"""JSON files of artifacts as stages write them, small: for the tests of their shapes and of what shows them."""

from __future__ import annotations

from typing import Any

INTERVALS = {"core_macro_f1": [0.8, 1.0], "exact_match": [0.7, 0.9]}
MEASURED: dict[str, Any] = {"rows": 9, "core_macro_f1": 0.9, "exact_match": 0.8, "intervals": INTERVALS}
TAG = {"support": 3, "tp": 2, "fp": 1, "fn": 1, "precision": 0.5, "recall": 0.5, "f1": 0.5, "interval": [0.25, 0.75]}
ON_GOLD_SET: dict[str, Any] = {
    **MEASURED,
    "families": 4,
    "micro_f1": 0.7,
    "intervals": {**INTERVALS, "micro_f1": [0.6, 0.8]},
    "ceiling": {"core_macro_f1": 1.0, "per_tag": {"street": 1.0}},
    "tags": ["street"],
    "per_tag": {"street": TAG},
}
SCORES: dict[str, Any] = {**ON_GOLD_SET, "hashes": {"gold": "a"}, "policy": "normalised"}
GOLDEN_SETS: dict[str, Any] = {"scores": {"real": ON_GOLD_SET}, "skipped": ["absent is not scored"]}
FINDING = {"rule": "empty", "value": "x", "file": "us.jsonl", "line": 3, "remedy": "Write it."}
GOLD: dict[str, Any] = {
    "counts": {"tag": {"street": 3}},
    "ceilings": {"normalised": {"per_tag": {"street": 1.0}}},
    "regions": {"US": {"rows": {"Vermont": 2}, "missing": ["Ohio"], "elsewhere": 1}},
    "findings": [FINDING],
    "sets": {"real": {}},
}
SIDES = {"fn": 2, "fp": 1}
DIAGNOSIS: dict[str, Any] = {
    "order": ["empty_pred"],
    "meanings": {"empty_pred": "nothing was read"},
    "totals": SIDES,
    "buckets": {"empty_pred": SIDES},
    "failure_modes": [{}],
}
CARD: dict[str, Any] = {
    "name": "weights-en-us",
    "version": "1.0.0",
    "files": {"model.onnx": {"bytes": 7}},
    "metrics": {"golden": {**MEASURED, "ceiling": {"core_macro_f1": 1.0}}},
}
FIRED = {"rule": "swinging", "step": 4, "reason": "it fell"}
VERDICT: dict[str, Any] = {
    "outcome": "fail",
    "rule": "rebound",
    "step": 7,
    "reason": "a rule fired",
    "exposure_ratio": 0.5,
    "evidence": {"near_peak_window": [2, 9], "last_step": 9, "loss_floor": 0.3, "recent_f1_fall": 0.1},
    "findings": [FIRED],
    "warnings": [FIRED],
    "not_checked": ["precision"],
}
MATRIX: dict[str, Any] = {
    "locale": "en-us",
    "seed": 0,
    "min_cell": 0.5,
    "rows": 1,
    "left_out": 0,
    "measured_on": "a",
    "compared": "b",
    "not_asked": {"cell": "why"},
    "policy": "strict",
    "places_share": 0.1,
    "places_held_out": 0.1,
    "matrix": [
        {
            "family": "cedex",
            "values": ["a"],
            "rows": 2,
            "right": 1,
            "miss": {"raw": "x", "expected": {"unit": "a"}, "read": {"unit": "b"}},
        }
    ],
}
INDEX: dict[str, Any] = {
    "recipe": {"name": "demo", "digest": "a"},
    "rows": 2,
    "pieces": 9,
    "window": [2.0, 9.0, 9.0],
    "checkpoints": {"best": 40},
    "sources": {"ban": {"rows": 3, "indexed": 2, "draws": 4.5}},
}
RATIOS = {"raw": 1.0, "weighted": 0.5, "per_token": 2.0, "cosine": -0.1}
GRADIENTS: dict[str, Any] = {
    "probe": "gradients",
    "checkpoint": {"step": 40},
    "loss": {"kind": "ce+crf", "crf_reduction": "per_sequence"},
    "terms": {
        "first": "ce",
        "second": "crf",
        "weight": 0.1,
        "unit_pieces": 9.0,
        "band": "balanced",
        "median": RATIOS,
        "per_batch": [RATIOS],
    },
    "sources": {"ban": {"mean_norm": 1.0, "variance": 0.1, "share": 1.0, "z": 0.5, "outlier": False}},
}
STATS = {"n": 9, "mean": 0.1, "std": 1.0, "min": -1.0, "max": 2.0, "nan": 0, "inf": 0, "zero": 1}
ACTIVATIONS: dict[str, Any] = {
    "probe": "activations",
    "tokens": "all",
    "trace": {"stages": [{"name": "embedding", "stats": {"all": STATS, "first": STATS, "rest": STATS}}]},
    "comparison": {
        "reference": {"name": "the smoke", "precision": "fp32"},
        "origin": "embedding",
        "cascade": ["head"],
        "agrees": 0,
        "stages": [{"stage": "embedding", "reference_std": 0.1, "ratio": 10.0, "status": "diverged"}],
    },
    "outliers": [{"stage": "embedding", "reason": "std 1 where the others have 0.1"}],
}
SEPARATION: dict[str, Any] = {
    "probe": "separation",
    "split": "test",
    "rows": 4,
    "pieces": 9,
    "probability": "softmax",
    "labels": {
        "street": {
            "base_rate": 0.3,
            "mean_inside": 0.9,
            "mean_outside": 0.1,
            "separation": 0.8,
            "interval": [0.7, 0.9],
            "auroc": 0.95,
            "collapsed": False,
        }
    },
    "thresholds": {"labels": {"street": {"threshold": 0.5, "f1": 0.9, "all_positive_f1": 0.4}}},
}
