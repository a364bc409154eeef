"""Tests headers that are computed instead of read, and rows read by range."""

import io
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.shards.errors import IntegrityError
from tagmill.shards.formats.npy import check_size, header_size, npy_bytes, read_rows
from tagmill.shards.formats.shard_index import INDEX
from tagmill.shards.storage.store import Store
from tagmill.shards.view import EXTRA

DTYPES = [np.dtype(code) for code in ("<i4", "<u4", "<u8", "u1", "<f8", "S32", "?")] + [INDEX, EXTRA]
SHAPES = st.one_of(
    st.tuples(st.integers(1, 10**7)),
    st.tuples(st.integers(1, 10**6), st.integers(1, 64)),
    st.tuples(st.integers(1, 99), st.integers(1, 5), st.integers(1, 5)),
)


@given(st.sampled_from(DTYPES), SHAPES)
def test_header_size_equals_that_of_numpys_own_file(dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    with tempfile.NamedTemporaryFile() as file:  # sparse: a header and no data on disk
        np.lib.format.open_memmap(file.name, "w+", dtype, shape)
        data = dtype.itemsize * int(np.prod(shape))
        assert header_size(dtype, shape) == Path(file.name).stat().st_size - data


@given(st.sampled_from(DTYPES), st.integers(0, 40), st.sampled_from([(), (3,), (2, 4)]))
def test_the_file_equals_the_one_that_numpy_saves(dtype: np.dtype[Any], rows: int, rest: tuple[int, ...]) -> None:
    array = np.zeros((rows, *rest), dtype)
    file = io.BytesIO()
    np.save(file, array)
    data = npy_bytes(array)
    assert data == file.getvalue()
    assert len(data) == header_size(dtype, array.shape) + array.nbytes


def test_a_view_of_another_array_gives_the_bytes_of_its_copy() -> None:
    whole = np.arange(24, dtype="<i4").reshape(4, 6)
    assert npy_bytes(whole[:, ::2]) == npy_bytes(whole[:, ::2].copy())
    assert npy_bytes(np.asfortranarray(whole)) == npy_bytes(whole)


@given(st.data())
def test_rows_are_those_of_the_array(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    store = Store(str(tmp_path_factory.getbasetemp() / "rows"))
    dtype, rows = data.draw(st.sampled_from(DTYPES)), data.draw(st.integers(0, 30))
    shape = (rows, *data.draw(st.sampled_from([(), (1,), (3,)])))
    content = np.random.default_rng(rows).bytes(dtype.itemsize * int(np.prod(shape)))
    array = np.ndarray(shape, dtype, content)
    store.put("a.npy", npy_bytes(array))
    start = data.draw(st.integers(0, rows))
    stop = data.draw(st.integers(start, rows))
    found = read_rows(store, "a.npy", dtype, shape, start, stop)
    assert found.shape == (stop - start, *shape[1:]) and found.dtype == dtype
    assert found.tobytes() == array[start:stop].tobytes()
    assert not found.flags.writeable


@pytest.mark.parametrize(("start", "stop"), [(-1, 2), (3, 2), (0, 6), (6, 6)])
def test_rows_outside_the_array_raise_an_error(tmp_path: Path, start: int, stop: int) -> None:
    store, array = Store(str(tmp_path)), np.arange(5, dtype="<i4")
    store.put("a.npy", npy_bytes(array))
    with pytest.raises(IntegrityError, match=r"rows .* of 5 .*a\.npy"):
        read_rows(store, "a.npy", array.dtype, array.shape, start, stop)


@pytest.mark.parametrize("change", [-1, -4, 1])
def test_a_file_of_another_length_raises_an_error(tmp_path: Path, change: int) -> None:
    store, array = Store(str(tmp_path)), np.arange(5, dtype="<i4")
    data = npy_bytes(array)
    store.put("a.npy", data)
    check_size(store, "a.npy", array.dtype, array.shape)
    store.put("a.npy", (data + b"x")[: len(data) + change])
    with pytest.raises(IntegrityError, match=r"expected for \(5,\)"):
        check_size(store, "a.npy", array.dtype, array.shape)


def test_a_missing_file_raises_an_error(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    with pytest.raises(IntegrityError, match="missing"):
        check_size(store, "a.npy", np.dtype("<i4"), (5,))
    with pytest.raises(IntegrityError, match="missing"):
        read_rows(store, "a.npy", np.dtype("<i4"), (5,), 0, 1)
