"""The structure of a .safetensors file, checked by hand: needs numpy alone, so that a base install can judge weights.

Format: 8 bytes little-endian header length, a JSON header of name → dtype, shape, data_offsets, then the data, which
the tensors must cover without gap or overlap. Source: the safetensors README, "Format".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mw_pipeline.digest import JSON, json_value

_LENGTH_BYTES = 8
_MAX_HEADER_BYTES = 100_000_000  # the reference reader's own limit
_ITEM_BYTES = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2"), 1),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 2),
    **dict.fromkeys(("U32", "I32", "F32"), 4),
    **dict.fromkeys(("U64", "I64", "F64"), 8),
}
_FLOATS = {"F16": np.float16, "F32": np.float32, "F64": np.float64}
_NUMBERS_AT_A_TIME = 1 << 24


@dataclass(frozen=True)
class TensorFile:
    """What was found in a file: how many tensors and numbers, and everything that is wrong with it."""

    tensors: int
    numbers: int
    findings: tuple[str, ...]


def read_tensor_file(path: Path) -> TensorFile:
    """Checks header, bounds, shapes, coverage and that every number is finite (M40). Never raises for a broken file."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(_LENGTH_BYTES), "little")
        if size < _LENGTH_BYTES or length > min(size - _LENGTH_BYTES, _MAX_HEADER_BYTES):
            return _broken(f"has {size:,} bytes, too few for the header of {length:,} bytes that it claims")
        text = stream.read(length)
    try:
        header = json_value(text)
        entries = sorted(
            (_Entry.of(name, value) for name, value in header.items() if name != "__metadata__"), key=lambda e: e.begin
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        return _broken(f"its header is not one of safetensors ({error!r})")
    data_bytes = size - _LENGTH_BYTES - length
    findings = _layout_findings(entries, data_bytes)
    if not findings:
        offset = _LENGTH_BYTES + length
        findings = [
            f"{entry.name}: holds NaN or infinite numbers" for entry in entries if not _finite(path, offset, entry)
        ]
    return TensorFile(len(entries), sum(math.prod(entry.shape) for entry in entries), tuple(findings))


@dataclass(frozen=True)
class _Entry:
    """One tensor of a header; `begin` and `end` count bytes of the data part."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int

    @classmethod
    def of(cls, name: str, value: JSON) -> _Entry:
        begin, end = (int(offset) for offset in value["data_offsets"])
        return cls(name, str(value["dtype"]), tuple(int(axis) for axis in value["shape"]), begin, end)


def _broken(finding: str) -> TensorFile:
    return TensorFile(0, 0, (finding,))


def _layout_findings(entries: list[_Entry], data_bytes: int) -> list[str]:
    findings = []
    covered = 0
    for entry in entries:
        item = _ITEM_BYTES.get(entry.dtype)
        if item is None:
            findings.append(f"{entry.name}: dtype {entry.dtype!r} is not one of safetensors")
        elif entry.end - entry.begin != item * math.prod(entry.shape) or min(entry.shape, default=0) < 0:
            findings.append(f"{entry.name}: shape {entry.shape} of {entry.dtype} does not fill its byte range")
        if entry.begin != covered:
            findings.append(f"{entry.name}: begins at byte {entry.begin:,} of the data, expected {covered:,}")
        covered = entry.end
    if covered != data_bytes:
        findings.append(f"holds {data_bytes:,} bytes of data, its header describes {covered:,}")
    return findings


def _finite(path: Path, offset: int, entry: _Entry) -> bool:
    """Whether all numbers of a tensor are finite; integers are."""
    count = math.prod(entry.shape)
    if count == 0 or entry.dtype not in (*_FLOATS, "BF16"):
        return True
    dtype = _FLOATS.get(entry.dtype, np.uint16)
    numbers = np.memmap(path, dtype=dtype, mode="r", offset=offset + entry.begin, shape=(count,))
    parts = (numbers[first : first + _NUMBERS_AT_A_TIME] for first in range(0, count, _NUMBERS_AT_A_TIME))
    return all(_bf16_finite(part) if entry.dtype == "BF16" else bool(np.isfinite(part).all()) for part in parts)


def _bf16_finite(bits: NDArray[np.uint16]) -> bool:
    """bfloat16 is the upper half of a float32: NaN and infinity have all eight exponent bits set."""
    return not bool(((bits & 0x7F80) == 0x7F80).any())
