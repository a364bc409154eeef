"""Elements of MATLAB files that declare what they do not have."""

import struct

import pytest

from tagmill.transfer.sets.matlab.mat_elements import MOST_FIELDS, MatError, check_matrix
from tests.transfer.sets.matlab.made_mat import CELL, CHAR, DOUBLE, STRUCT, cells, element, mat, matrix, records

NUMBER = matrix(DOUBLE, (1, 1), element(9, struct.pack("<d", 7)), name=b"")
EMPTY = element(14, b"")
FIELDS = struct.pack("<HHI", 5, 4, 8) + element(1, b"fname\0\0\0")


def checked(data: bytes, most: int = 100) -> int:
    return check_matrix(memoryview(data), "<", most)


@pytest.mark.parametrize(
    "data",
    [
        NUMBER,
        EMPTY,
        matrix(DOUBLE, (0, 1 << 30), element(9, b"")),
        matrix(DOUBLE, (2, 2, 1), element(2, b"\1\2\3\4")),  # doubles that are stored as bytes
        matrix(DOUBLE, (1, 2), struct.pack("<HH", 2, 2) + b"\1\2\0\0"),  # a small element
        matrix(CHAR, (1, 3), element(4, "abc".encode("utf-16le"))),
        matrix(CHAR, (1, 2), element(16, "\u00e4\u20ac".encode())),
        matrix(CELL, (1, 2), NUMBER + EMPTY),
        matrix(CELL, (0, 0), b""),
        matrix(STRUCT, (1, 2), FIELDS + NUMBER + NUMBER),
        mat(a=cells("bear", "elk", 3.5))[128:],
        mat(a=records(fname=["1.jpg", "2.jpg"], bbox=[1, [2, 3]]))[128:],
    ],
)
def test_matrices_that_have_what_they_declare(data: bytes) -> None:
    assert checked(data) == len(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "cut"),
        (NUMBER[:-1], "cut"),
        (NUMBER[:60], "cut"),
        (element(9, bytes(8)), "type 9 instead of a matrix"),
        (element(14, bytes(8), 1 << 31), "cut"),
        (matrix(DOUBLE, (1, 1 << 30), element(9, bytes(8))), "8 bytes of type 9 for 1,073,741,824 numbers"),
        (matrix(DOUBLE, (1 << 16,) * 4, element(9, bytes(8))), "8 bytes of type 9 for"),
        (matrix(DOUBLE, (1, 1), element(9, bytes(16))), "16 bytes of type 9 for 1 numbers"),
        (matrix(DOUBLE, (1, 1), element(9, bytes(8), 1 << 30)), "cut"),
        (matrix(DOUBLE, (0, 0), element(99, b"")), "type 99"),
        (matrix(DOUBLE, (1, 1), element(9, bytes(8)) * 2, flags=0x800), "complex numbers"),
        (matrix(DOUBLE, (1, -1), element(9, b"")), r"dimensions \[1, -1\]"),
        (matrix(DOUBLE, (1,), element(9, bytes(8))), r"dimensions \[1\]"),
        (matrix(DOUBLE, (1,) * 33, element(9, bytes(8))), "dimensions"),
        (matrix(DOUBLE, (1, 1), element(9, bytes(8)) + bytes(8)), "bytes after the content"),
        (matrix(CHAR, (1, 9), element(4, bytes(8))), "8 bytes of type 4 for 9 characters"),
        (matrix(CHAR, (1, 9), element(16, bytes(8))), "8 bytes of type 16 for 9 characters"),
        (matrix(CHAR, (1, 1), element(9, bytes(8))), "type 9 for 1 characters"),
        (matrix(CELL, (1 << 15, 1 << 16), EMPTY), "2,147,483,648 matrices in 8 bytes"),
        (matrix(CELL, (1, 2), EMPTY), "2 matrices in 8 bytes"),
        (matrix(CELL, (1, 200), EMPTY * 200), "at most 99 that are read"),
        (matrix(CELL, (1, 1), element(9, bytes(8))), "type 9 instead of a matrix"),
        (matrix(STRUCT, (1, 1 << 28), FIELDS + NUMBER), "268,435,456 matrices"),
        (matrix(STRUCT, (1, 1), struct.pack("<HHI", 5, 4, 0) + element(1, b"a")), "names of fields of 0 of 1 bytes"),
        (matrix(STRUCT, (1, 1), struct.pack("<HHI", 5, 4, 3) + element(1, b"abcd")), "names of fields of 3 of 4 bytes"),
        (
            matrix(STRUCT, (0, 1), struct.pack("<HHI", 5, 4, 1) + element(1, b"a" * (MOST_FIELDS + 1))),
            "names of fields",
        ),
        (matrix(3, (1, 1), b""), "an object"),
        (matrix(5, (1, 1), b""), "a sparse array"),
        (matrix(16, (1, 1), b""), "a function"),
        (matrix(17, (1, 1), b""), "an opaque object"),
        (matrix(99, (1, 1), b""), "an array of class 99"),
        (matrix(CELL, (1, 1), matrix(16, (1, 1), b"")), "a function"),
    ],
)
def test_other_matrices_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(MatError, match=message):
        checked(data)


def test_matrices_in_matrices_end_at_a_depth() -> None:
    data = NUMBER
    for _ in range(3):
        data = matrix(CELL, (1, 1), data)
    assert checked(data) == len(data)
    with pytest.raises(MatError, match="matrices in matrices"):
        checked(matrix(CELL, (1, 1), data))
