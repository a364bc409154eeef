"""Reads variables of a MATLAB 5 file with scipy, within bounds."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.io import loadmat, whosmat
from scipy.io.matlab import MatReadError

from tagmill.shards.errors import InputError
from tagmill.shards.terminal.safe_text import safe_text
from tagmill.transfer.sets.matlab.mat_elements import MatError, check_matrix

_HEAD = 128  # bytes before the first variable
_MATRIX, _COMPRESSED = 14, 15
_MOST_VARIABLES = 64
_MOST_MATRICES = 1_000_000  # in cells and structures of a variable
_ORDERS = {b"IM": "<", b"MI": ">"}
_REMEDY = "bring the file again, or save it with MATLAB's -v7"
Variables = dict[str, npt.NDArray[Any]]


def mat_variables(data: bytes, names: tuple[str, ...], most: int, where: str) -> Variables:
    """Returns these variables of a MATLAB 5 file, in which every text is one value, as scipy gives them: arrays of numbers,
    cells as arrays of objects, structures as records. `most`: bytes of all variables when they are unpacked.

    Nothing is read before the declared sizes were found to be those of the bytes. Raises InputError for a file of another
    version or that was cut, for more bytes, for objects, functions, sparse and complex arrays, and for a variable that is
    not there.
    """
    try:
        plain = _unpacked(data, most)
        there = [name for name, _, _ in whosmat(io.BytesIO(plain))]
        if missing := [name for name in names if there.count(name) != 1]:
            has = safe_text(", ".join(there), 80)
            raise InputError(f"not one variable {missing[0]!r}; it has {has}", where, _REMEDY)
        return dict(loadmat(io.BytesIO(plain), variable_names=names, chars_as_strings=True))
    except MatError as error:
        raise InputError(f"no MATLAB file that is read: {error}", where, _REMEDY) from error
    except (MatReadError, ValueError, TypeError, KeyError, OSError, OverflowError, NotImplementedError) as error:
        raise InputError(f"no MATLAB file: {safe_text(str(error), 120)}", where, _REMEDY) from error


def whole_numbers(found: npt.NDArray[Any], what: str, where: str) -> npt.NDArray[np.int64]:
    """Returns a vector of whole numbers, whatever their type. Raises InputError for other numbers or shapes."""
    if found.dtype.kind not in "uif" or found.size != max(found.shape, default=1):
        raise InputError(f"{what} of type {found.dtype} and shape {found.shape}", where, _REMEDY)
    flat = found.ravel()
    if not (np.isfinite(flat).all() and (flat == np.floor(flat)).all() and (np.abs(flat) < 1 << 40).all()):
        raise InputError(f"{what} that are not whole numbers", where, _REMEDY)
    return flat.astype(np.int64)


def texts(found: npt.NDArray[Any], what: str, where: str) -> list[str]:
    """Returns the texts of a cell, or of a field of records. Raises InputError for a value that is no text of one line."""
    rows = list[str]()
    for place, value in enumerate(_values(found, what, where), 1):
        if not isinstance(value, np.ndarray) or value.dtype.kind != "U" or value.size != 1:
            raise InputError(f"a value that is no text as {what}", f"{where}, row {place}", _REMEDY)
        rows.append(str(value.ravel()[0]))
    return rows


def numbers(found: npt.NDArray[Any], what: str, where: str) -> list[int]:
    """Returns the whole numbers of a field of records, one in each. Raises InputError for another value."""
    rows = list[int]()
    for place, value in enumerate(_values(found, what, where), 1):
        if not isinstance(value, np.ndarray) or value.size != 1:
            raise InputError(f"a value that is no number as {what}", f"{where}, row {place}", _REMEDY)
        rows.extend(whole_numbers(value, what, f"{where}, row {place}").tolist())
    return rows


def field_of(found: npt.NDArray[Any], name: str, where: str) -> npt.NDArray[Any]:
    """Returns a field of records. Raises InputError where there is none."""
    if found.dtype.names is None or name not in found.dtype.names:
        raise InputError(f"no structure with the field {name!r}", where, _REMEDY)
    return found[name]


def _values(found: npt.NDArray[Any], what: str, where: str) -> list[object]:
    if found.dtype != object:
        raise InputError(f"{what} of type {found.dtype}", where, _REMEDY)
    values: list[object] = found.ravel(order="F").tolist()
    return values


def _unpacked(data: bytes, most: int) -> bytes:
    """Returns the file with its variables as they are, without compression, each checked. Raises MatError."""
    if data[:_HEAD].startswith(b"MATLAB 7.3") or data.startswith(b"\x89HDF"):
        raise MatError("version 7.3, which is HDF5")
    order = _ORDERS.get(data[126:_HEAD])
    if order is None or struct.unpack_from(f"{order}H", data, 124)[0] != 0x100:
        raise MatError("no MATLAB 5 header")
    parts, at, total = [data[:116] + bytes(8) + data[124:_HEAD]], _HEAD, 0  # without the place of a subsystem
    while at < len(data):
        if at + 8 > len(data) or len(parts) > _MOST_VARIABLES:
            raise MatError("a file that was cut" if at + 8 > len(data) else "more variables than are read")
        kind, size = struct.unpack_from(f"{order}II", data, at)
        if size > len(data) - at - 8:
            raise MatError("a file that was cut")
        whole = memoryview(data)[at : at + 8 + size]
        if kind not in (_MATRIX, _COMPRESSED):
            raise MatError(f"an element of type {kind}")
        part = bytes(whole) if kind == _MATRIX else _inflated(whole[8:], most - total)
        total += len(part)
        if total > most:
            raise MatError(f"more than {most:,} bytes when unpacked")
        if check_matrix(memoryview(part), order, _MOST_MATRICES) != len(part):
            raise MatError("bytes after a matrix")
        parts.append(part)
        at += 8 + size
    return b"".join(parts)


def _inflated(data: memoryview, most: int) -> bytes:
    packed = zlib.decompressobj()
    try:
        found = packed.decompress(data, max(1, most) + 1)
    except zlib.error as error:
        raise MatError(str(error)) from error
    if not packed.eof and len(found) <= most:
        raise MatError("a file that was cut")
    return found
