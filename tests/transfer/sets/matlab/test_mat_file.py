"""Variables of MATLAB files, and files that are not read."""

import io
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmill.shards import InputError
from tagmill.transfer.sets.matlab.mat_file import field_of, mat_variables, numbers, texts, whole_numbers
from tests.transfer.sets.matlab.made_mat import (
    CELL,
    DOUBLE,
    HEAD,
    cells,
    element,
    mat,
    matrix,
    packed,
    records,
)

MOST = 1 << 20
CARS = {"annotations": records(**{"class": [3, 1], "fname": ["1.jpg", "2.jpg"]}), "other": cells("a", "bc")}
ZEROS = matrix(DOUBLE, (1, 1 << 20), element(2, bytes(1 << 20)))


@pytest.mark.parametrize("compressed", [False, True])
def test_variables_are_those_of_scipy(compressed: bool) -> None:
    data = mat(compressed, x=np.arange(24, dtype=np.uint8).reshape(2, 3, 4), **CARS)
    found, theirs = mat_variables(data, ("x", "annotations", "other"), MOST, "w"), scipy.io.loadmat(io.BytesIO(data))
    for name in ("x", "annotations", "other"):
        assert found[name].dtype == theirs[name].dtype and repr(found[name]) == repr(theirs[name])


def test_files_that_scipy_ships_as_matlab_wrote_them() -> None:
    folder = Path(scipy.io.matlab.__file__).parent / "tests" / "data"
    read = 0
    for path in sorted(folder.glob("test*.mat")):
        try:
            names = [name for name, _, _ in scipy.io.whosmat(path)]
            found = mat_variables(path.read_bytes(), tuple(names), MOST, str(path))
        except (InputError, ValueError, TypeError, NotImplementedError):
            assert not path.name.startswith(("testdouble_7", "testcell_7", "teststructarr_7", "testunicode_7"))
            continue
        theirs = scipy.io.loadmat(path)
        assert all(repr(found[name]) == repr(theirs[name]) for name in names)
        read += 1
    assert read > 20


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no MATLAB 5 header"),
        (b"MATLAB 7.3 MAT-file".ljust(200), "version 7.3, which is HDF5"),
        (b"\x89HDF\r\n\x1a\n".ljust(200), "version 7.3, which is HDF5"),
        (HEAD[:-4] + b"\x00\x02IM", "no MATLAB 5 header"),
        (HEAD + b"\x0e\0\0\0", "cut"),
        (HEAD + element(14, bytes(8), 999), "cut"),
        (HEAD + element(1, bytes(8)), "an element of type 1"),
        (HEAD + struct.pack("<II", 15, 4) + b"zlib", "incorrect header check"),
        (HEAD + struct.pack("<II", 15, 40) + packed(ZEROS)[8:48], "cut"),
        (HEAD + packed(ZEROS + ZEROS), "more than 1,048,576 bytes"),
        (HEAD + ZEROS, "more than 1,048,576 bytes"),
        (HEAD + packed(matrix(DOUBLE, (1, 1), element(2, b"\1")) + bytes(8)), "bytes after a matrix"),
        (HEAD + matrix(DOUBLE, (0, 0), element(9, b"")) * 65, "more variables"),
        (HEAD + matrix(DOUBLE, (0, 0), element(9, b"")) * 2, "not one variable 'x'; it has x, x"),
        (HEAD, "not one variable 'x'; it has"),
        (HEAD + matrix(16, (1, 1), b""), "a function"),
        (HEAD + matrix(CELL, (1, 1), matrix(17, (1, 1), b"")), "an opaque object"),
    ],
)
def test_other_files_are_errors(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        mat_variables(data, ("x",), MOST, "w")


@pytest.mark.parametrize(
    "bomb",
    [
        packed(element(14, bytes(1 << 26))),
        packed(matrix(DOUBLE, (1, 1 << 26), element(2, bytes(1 << 26)))),
        packed(matrix(CELL, (1, 1), matrix(DOUBLE, (1, 1), element(2, bytes(1 << 26))))),
        packed(matrix(CELL, (1 << 15, 1 << 15), b"")),
        packed(matrix(CELL, (1, 1), matrix(CELL, (1 << 15, 1 << 15), b""))),
    ],
)
def test_a_small_file_that_becomes_large_costs_no_memory(bomb: bytes) -> None:
    tracemalloc.start()
    with pytest.raises(InputError):
        mat_variables(HEAD + bomb, ("x",), MOST, "w")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * MOST


WHOLE = mat(x=np.arange(6.0), **CARS)


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(124, len(WHOLE) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_altered_bytes_give_arrays_or_an_error(changes: list[tuple[int, int]]) -> None:
    data = bytearray(WHOLE)
    for place, value in changes:
        data[place] = value
    try:
        found = mat_variables(bytes(data), ("x", "annotations", "other"), MOST, "w")
    except InputError:
        return
    assert all(isinstance(found[name], np.ndarray) for name in ("x", "annotations", "other"))


def test_whole_numbers_of_any_type() -> None:
    for kind in (np.uint8, np.int32, np.float64):
        assert whole_numbers(np.array([[3, 1]], kind), "labels", "w").tolist() == [3, 1]
    assert whole_numbers(np.zeros((0, 0)), "labels", "w").tolist() == []
    for other in ([[1.5]], [[float("nan")]], [[1e300]], [["a"]], [[1, 2], [3, 4]], [[True]]):
        with pytest.raises(InputError, match=r"labels .*\(w\)"):
            whole_numbers(np.array(other), "labels", "w")


def test_texts_and_numbers_of_cells_and_records() -> None:
    found = mat_variables(mat(**CARS, two=cells("a", cells("b"))), ("annotations", "other", "two"), MOST, "w")
    assert texts(found["other"], "names", "w") == ["a", "bc"]
    assert texts(field_of(found["annotations"], "fname", "w"), "fname", "w") == ["1.jpg", "2.jpg"]
    assert numbers(field_of(found["annotations"], "class", "w"), "class", "w") == [3, 1]
    with pytest.raises(InputError, match=r"a value that is no text as names \(w, row 2\)"):
        texts(found["two"], "names", "w")
    with pytest.raises(InputError, match=r"class of type <U1.* \(w, row 1\)"):
        numbers(found["other"][:, :1], "class", "w")
    with pytest.raises(InputError, match=r"a value that is no number as x \(w, row 1\)"):
        numbers(cells(np.array([1, 2])), "x", "w")
    with pytest.raises(InputError, match="names of type float64"):
        texts(np.array([1.0]), "names", "w")
    for other in (found["annotations"], found["other"]):
        with pytest.raises(InputError, match="no structure with the field 'bbox'"):
            field_of(other, "bbox", "w")
