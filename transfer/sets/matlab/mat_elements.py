"""Data elements of MATLAB 5 files: what one declares must be what it has, before anything is made of it."""

import math
import struct
from typing import NamedTuple

MOST_DEPTH = 4  # of a matrix in cells and structures
MOST_FIELDS = 64  # of a structure
_MATRIX, _INT8, _INT32, _UINT32 = 14, 1, 5, 6
_SIZES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8}  # bytes of a number by its type
_TEXT = {1: 1, 2: 1, 4: 2, 16: 1, 17: 2, 18: 4}  # bytes of a character, at least, by the type of a text
_CELL, _STRUCT, _CHAR = 1, 2, 4
_NUMBERS = range(6, 16)  # classes of arrays of numbers: double to uint64
_OTHERS = {3: "an object", 5: "a sparse array", 16: "a function", 17: "an opaque object"}
_COMPLEX = 0x800


class MatError(ValueError):
    """What is not as a MATLAB 5 file must be, or is of a kind that is not read."""


class _Element(NamedTuple):
    """An element: its type, and the places of its bytes."""

    type: int
    start: int
    end: int
    after: int  # where the next one begins


def check_matrix(data: memoryview, order: str, most: int) -> int:
    """Checks the matrix with which `data` begins, and all that are in it, and returns where it ends. `order`: `<` or `>`;
    `most`: matrices in cells and structures.

    Each declared size is that of the bytes, so that a reader makes nothing larger than a few times the data. Raises
    MatError for other data, for objects, functions and sparse or complex arrays, and for more or deeper matrices.
    """
    return _Walk(data, order, most).matrix(0, len(data), MOST_DEPTH)


class _Walk:
    """A walk through the elements of a matrix."""

    def __init__(self, data: memoryview, order: str, most: int) -> None:
        self._data, self._order, self._left = data, order, most

    def matrix(self, at: int, end: int, depth: int) -> int:
        """Checks a matrix; returns the place after it."""
        self._left -= 1
        if self._left < 0 or not depth:
            raise MatError("more matrices in one than are read" if depth else "matrices in matrices")
        found = self._element(at, end)
        if found.type != _MATRIX:
            raise MatError(f"an element of type {found.type} instead of a matrix")
        if found.end > found.start:  # an empty one has no bytes
            self._content(found, depth)
        return found.after

    def _content(self, matrix: _Element, depth: int) -> None:
        flags = self._of_type(matrix.start, matrix.end, _UINT32, 8)
        bits = self._number(flags.start, "I")
        kind = bits & 0xFF
        dims = self._of_type(flags.after, matrix.end, _INT32)
        count = self._count(dims)
        name = self._of_type(dims.after, matrix.end, _INT8)
        if kind in _NUMBERS and not bits & _COMPLEX:
            after = self._values(name.after, matrix.end, count)
        elif kind == _CHAR:
            after = self._text(name.after, matrix.end, count)
        elif kind in (_CELL, _STRUCT):
            fields = 1
            after = name.after
            if kind == _STRUCT:
                fields, after = self._fields(after, matrix.end)
            after = self._matrices(after, matrix.end, count * fields, depth - 1)
        else:
            raise MatError(_OTHERS.get(kind, "complex numbers" if kind in _NUMBERS else f"an array of class {kind}"))
        if not matrix.end - 8 < after <= matrix.end:
            raise MatError("bytes after the content of a matrix")

    def _element(self, at: int, end: int) -> _Element:
        """Returns the element at a place; the last one may end without its padding."""
        if at + 8 > end:
            raise MatError("a file that was cut")
        first = self._number(at, "I")
        if first >> 16:  # a small element: its bytes are in its tag
            kind, size, start = first & 0xFFFF, first >> 16, at + 4
            after = at + 8
            if size > 4:
                raise MatError("a small element of more than 4 bytes")
        else:
            kind, size, start = first, self._number(at + 4, "I"), at + 8
            after = start + size if kind == _MATRIX else start + -(-size // 8) * 8
        if start + size > end:
            raise MatError("a file that was cut")
        return _Element(kind, start, start + size, min(after, end))

    def _of_type(self, at: int, end: int, kind: int, size: int | None = None) -> _Element:
        found = self._element(at, end)
        if found.type != kind or (size is not None and found.end - found.start != size):
            raise MatError(f"an element of type {found.type} instead of {kind}")
        return found

    def _number(self, at: int, form: str) -> int:
        (found,) = struct.unpack_from(self._order + form, self._data, at)
        return int(found)

    def _count(self, dims: _Element) -> int:
        sizes = [self._number(at, "i") for at in range(dims.start, dims.end - 3, 4)]
        if not 2 <= len(sizes) <= 32 or (dims.end - dims.start) % 4 or min(sizes) < 0:
            raise MatError(f"a matrix of the dimensions {sizes[:32]}")
        return math.prod(sizes)

    def _values(self, at: int, end: int, count: int) -> int:
        found = self._element(at, end)
        if count * _SIZES.get(found.type, 0) != found.end - found.start or found.type not in _SIZES:
            raise MatError(f"{found.end - found.start:,} bytes of type {found.type} for {count:,} numbers")
        return found.after

    def _text(self, at: int, end: int, count: int) -> int:
        found = self._element(at, end)
        size, width = found.end - found.start, _TEXT.get(found.type, 0)
        fits = size >= count if found.type == 16 else size == count * width
        if not width or not fits:
            raise MatError(f"{size:,} bytes of type {found.type} for {count:,} characters")
        return found.after

    def _fields(self, at: int, end: int) -> tuple[int, int]:
        """Returns the number of fields of a structure, and the place after their names."""
        length = self._of_type(at, end, _INT32, 4)
        each = self._number(length.start, "i")
        names = self._of_type(length.after, end, _INT8)
        size = names.end - names.start
        if each < 1 or size % each or size // each > MOST_FIELDS:
            raise MatError(f"names of fields of {each} of {size:,} bytes")
        return size // each, names.after

    def _matrices(self, at: int, end: int, count: int, depth: int) -> int:
        if count > min(self._left, (end - at) // 8):
            raise MatError(f"{count:,} matrices in {end - at:,} bytes, of at most {self._left:,} that are read")
        for _ in range(count):
            at = self.matrix(at, end, depth)
        return at
