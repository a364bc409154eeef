"""MATLAB 5 files for tests: those that scipy writes, and elements by hand."""

import io
import struct
import zlib
from typing import Any

import numpy as np
from scipy.io import savemat

HEAD = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"
DOUBLE, CHAR, CELL, STRUCT = 6, 4, 1, 2


def mat(packed: bool = False, **variables: Any) -> bytes:
    """Returns a file of variables, as scipy writes it."""
    file = io.BytesIO()
    savemat(file, variables, do_compression=packed)
    return file.getvalue()


def records(**columns: list[Any]) -> Any:
    """Returns rows of a structure, such as the annotations of Stanford Cars."""
    rows = np.empty(len(next(iter(columns.values()))), [(name, object) for name in columns])
    for name, values in columns.items():
        for place, value in enumerate(values):
            rows[name][place] = value
    return rows


def cells(*values: Any) -> Any:
    """Returns a cell of values."""
    found = np.empty(len(values), object)
    found[:] = values
    return found


def element(kind: int, data: bytes, size: int | None = None) -> bytes:
    """Returns an element, which declares `size` bytes."""
    return struct.pack("<II", kind, len(data) if size is None else size) + data + bytes(-len(data) % 8)


def matrix(kind: int, dims: tuple[int, ...], content: bytes, *, name: bytes = b"x", flags: int = 0) -> bytes:
    """Returns a matrix of a class with any dimensions and content."""
    head = element(6, struct.pack("<II", kind | flags, 0)) + element(5, struct.pack(f"<{len(dims)}i", *dims))
    return element(14, head + element(1, name) + content)


def packed(data: bytes) -> bytes:
    """Returns a compressed element."""
    return struct.pack("<II", 15, len(zlib.compress(data))) + zlib.compress(data)
