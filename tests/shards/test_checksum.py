"""The checksum that every picture passes: zlib's, whole or in pieces."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.shards.checksum import PIECE, crc32


@given(st.binary(max_size=300), st.integers(0, 3 * PIECE))
def test_it_is_that_of_zlib(data: bytes, repeated: int) -> None:
    whole = (data * (repeated // max(1, len(data)) + 1))[:repeated] + data
    assert crc32(whole) == crc32(memoryview(whole)) == zlib.crc32(whole)


@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 100_000])
def test_around_the_size_of_a_piece(size: int) -> None:
    data = bytes(number * 31 % 251 for number in range(size))
    assert crc32(data) == zlib.crc32(data)
