"""Reads a few rows of a .npy file in any store, without reading its header first."""

import io
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from tagmill.shards.errors import IntegrityError
from tagmill.shards.storage.store import Store


def npy_bytes(array: npt.NDArray[Any]) -> bytes:
    """Returns the file for `array` (NumPy format 1.0): the same array gives the same bytes."""
    file = io.BytesIO()
    np.lib.format.write_array(file, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
    return file.getvalue()


@lru_cache(maxsize=1024)  # called for every read, and the shards of a corpus have few sizes
def header_size(dtype: np.dtype[Any], shape: tuple[int, ...]) -> int:
    """Returns the bytes before the first row. The header is a function of dtype and shape, so it need not be fetched."""
    file = io.BytesIO()
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.tell()


def check_size(store: Store, name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    """Raises IntegrityError unless the object has the length of an array of this dtype and shape."""
    expected = header_size(dtype, shape) + dtype.itemsize * int(np.prod(shape))
    try:
        found = store.size(name)
    except FileNotFoundError as error:
        raise IntegrityError("missing from the corpus", f"{store.url}/{name}", "restore it or rebuild it") from error
    if found != expected:
        what = f"{found} bytes, {expected} expected for {shape} of {dtype.itemsize} bytes"
        raise IntegrityError(
            what, f"{store.url}/{name}", "the file was truncated or belongs to another shard: restore it"
        )


def read_rows(
    store: Store,
    name: str,
    dtype: np.dtype[Any],
    shape: tuple[int, ...],
    start: int,
    stop: int,
    identity: str | None = None,
) -> npt.NDArray[Any]:
    """Reads rows [start, stop) of the array `name` of known dtype and shape, in one ranged read; the result is
    read-only.

    Raises IntegrityError if the object is missing or has another length. `identity` names the whole object for a cache
    (`node_cache.identity_of`).
    """
    if not 0 <= start <= stop <= shape[0]:
        raise IntegrityError(
            f"rows {start}-{stop} of {shape[0]}", f"{store.url}/{name}", "the tables disagree: run lint"
        )
    row = dtype.itemsize * int(np.prod(shape[1:]))
    head = header_size(dtype, shape)
    try:
        data = store.read_range(name, head + start * row, head + stop * row, head + shape[0] * row, identity)
    except FileNotFoundError as error:
        raise IntegrityError("missing from the corpus", f"{store.url}/{name}", "restore it or rebuild it") from error
    rows: npt.NDArray[Any] = np.ndarray((stop - start, *shape[1:]), dtype, data)
    return rows
