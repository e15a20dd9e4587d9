"""Broken .safetensors files, each made by hand from a sound one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from mw_pipeline.package.tensors import read_tensor_file

SOUND = {
    "a": torch.arange(6, dtype=torch.float32).reshape(2, 3),
    "b": torch.ones(5, dtype=torch.bfloat16),
    "c": torch.tensor([1, 2], dtype=torch.int64),
    "empty": torch.zeros(0, 4),
}


@pytest.fixture
def file(tmp_path) -> Path:
    save_file(SOUND, tmp_path / "m.safetensors", metadata={"format": "pt"})
    return tmp_path / "m.safetensors"


def rewrite_header(path: Path, change) -> None:
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])


def test_a_sound_file_has_no_findings(file):
    found = read_tensor_file(file)

    assert (found.tensors, found.numbers, found.findings) == (4, 13, ())


@pytest.mark.parametrize("kept", [0, 7, 8, 40])
def test_a_fragment_too_short_for_its_header_is_found(file, kept):
    file.write_bytes(file.read_bytes()[:kept])

    assert "too few for the header" in read_tensor_file(file).findings[0]


def test_a_fragment_that_lost_its_data_is_found(file):
    data = file.read_bytes()
    file.write_bytes(data[:-10])

    assert "its header describes" in read_tensor_file(file).findings[0]


def test_bytes_after_the_last_tensor_are_found(file):
    file.write_bytes(file.read_bytes() + b"\x00")

    assert "its header describes" in read_tensor_file(file).findings[0]


def test_a_shape_that_does_not_fill_its_bytes_is_found(file):
    rewrite_header(file, lambda header: header["a"].update(shape=[2, 4]))

    assert read_tensor_file(file).findings == ("a: shape (2, 4) of F32 does not fill its byte range",)


def test_tensors_that_overlap_are_found(file):
    def overlap(header):
        size = header["a"]["data_offsets"][1] - header["a"]["data_offsets"][0]
        header["a"]["data_offsets"] = [0, size]

    rewrite_header(file, overlap)

    assert any("of the data, expected" in finding for finding in read_tensor_file(file).findings)


def test_an_unknown_dtype_is_found(file):
    rewrite_header(file, lambda header: header["a"].update(dtype="F99"))

    assert "a: dtype 'F99' is not one of safetensors" in read_tensor_file(file).findings


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_number_that_is_not_finite_is_found_in_every_float_type(tmp_path, dtype, value):
    save_file({"x": torch.tensor([1.0, value], dtype=dtype), "y": torch.ones(3, dtype=dtype)}, tmp_path / "m")

    assert read_tensor_file(tmp_path / "m").findings == ("x: holds NaN or infinite numbers",)


@given(st.binary(max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_random_bytes_are_a_finding_and_never_an_error(tmp_path, data):
    (tmp_path / "m").write_bytes(data)

    assert read_tensor_file(tmp_path / "m").findings or data[:10] == (2).to_bytes(8, "little") + b"{}"


@given(st.integers(8, 400), st.integers(1, 255))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_flipped_byte_of_the_header_is_never_an_error(tmp_path, position, flip):
    save_file(SOUND, tmp_path / "m")
    data = bytearray((tmp_path / "m").read_bytes())
    data[min(position, len(data) - 1)] ^= flip
    (tmp_path / "m").write_bytes(data)

    assert isinstance(read_tensor_file(tmp_path / "m").findings, tuple)


def test_a_large_tensor_is_read_in_parts(tmp_path, monkeypatch):
    monkeypatch.setattr("mw_pipeline.package.tensors._NUMBERS_AT_A_TIME", 10)
    numbers = np.ones(95, dtype=np.float32)
    numbers[94] = np.nan
    save_file({"x": torch.from_numpy(numbers)}, tmp_path / "m")

    assert read_tensor_file(tmp_path / "m").findings == ("x: holds NaN or infinite numbers",)
