"""Tensors as the bytes of a safetensors file and back, without pickle. Every number of a file that is read is checked."""

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from tagmill.shards import IntegrityError

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
CODES = {dtype: code for code, dtype in DTYPES.items()}
MOST_HEADER = 100_000_000  # bytes, as in the safetensors library
MOST_DIMENSIONS = 64  # torch has no more
_LENGTH = struct.Struct("<Q")


@dataclass(frozen=True)
class Place:
    """Where a tensor is in a file: its bytes [start, stop)."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    start: int
    stop: int


def pack(tensors: Mapping[str, torch.Tensor]) -> bytes:
    """Returns the bytes of a safetensors file. Raises TypeError for a dtype that the format does not have."""
    # Wide types first, so that every tensor begins at a multiple of its item's size.
    order = sorted(tensors.items(), key=lambda item: (-item[1].dtype.itemsize, item[0]))
    header, at = dict[str, Any](), 0
    for name, tensor in order:
        if tensor.dtype not in CODES:
            raise TypeError(f"{name} has {tensor.dtype}, which a checkpoint cannot hold")
        size = tensor.numel() * tensor.dtype.itemsize
        header[name] = {"dtype": CODES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    # One copy, during which other threads run (bytes.join, from 1 MiB on), and the training goes on.
    return b"".join([_LENGTH.pack(len(text)), text, *(_bytes_of(tensor) for _, tensor in order)])


def places(data: bytes | memoryview, where: str) -> dict[str, Place]:
    """Reads the header of a safetensors file. Raises IntegrityError for a header that is not valid, or whose tensors are
    not exactly the rest of the file."""
    if len(data) < _LENGTH.size:
        raise _damaged(f"{len(data)} bytes", where)
    (length,) = _LENGTH.unpack_from(data)
    start = _LENGTH.size + length
    if length > MOST_HEADER or start > len(data):
        raise _damaged(f"a header of {length} bytes", where)
    try:
        header = json.loads(bytes(data[_LENGTH.size : start]))
        found = {name: _place(entry, start) for name, entry in header.items() if name != "__metadata__"}
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise _damaged(f"header: {type(error).__name__}", where) from error
    at = start
    for place in sorted(found.values(), key=lambda place: (place.start, place.stop)):
        if place.start != at:
            raise _damaged(f"tensors that overlap or leave gaps at byte {at}", where)
        at = place.stop
    if at != len(data):
        raise _damaged(f"tensors end at byte {at} of {len(data)}", where)
    return found


def unpack(data: bytes, place: Place) -> torch.Tensor:
    """Returns a copy of one tensor of a file."""
    tensor = torch.empty(place.stop - place.start, dtype=torch.uint8)
    np.copyto(tensor.numpy(), np.frombuffer(data, np.uint8, place.stop - place.start, place.start))
    return tensor.view(place.dtype).reshape(place.shape)


def _bytes_of(tensor: torch.Tensor) -> memoryview:
    flat = tensor.detach().contiguous().reshape(-1).view(torch.uint8)
    return flat.numpy().data


def _place(entry: Mapping[str, Any], start: int) -> Place:
    dtype, shape, (first, last) = DTYPES[entry["dtype"]], entry["shape"], entry["data_offsets"]
    numbers = [*shape, first, last]
    if len(shape) > MOST_DIMENSIONS or any(type(number) is not int or number < 0 for number in numbers):
        raise ValueError("sizes are not whole numbers")
    if last - first != math.prod(shape) * dtype.itemsize:
        raise ValueError("a size that does not fit its shape")
    return Place(dtype, tuple(shape), start + first, start + last)


def _damaged(what: str, where: str) -> IntegrityError:
    return IntegrityError(
        f"not a file of tensors: {what}", where, "resume from another step: it was truncated or altered"
    )
