"""Tests that the checksum of images is zlib's."""

import zlib

from hypothesis import given
from hypothesis import strategies as st

from tagmill.shards.checksum import crc32


@given(st.binary(max_size=300), st.integers(0, 12_000))
def test_it_equals_zlibs(data: bytes, repeated: int) -> None:
    whole = (data * (repeated // max(1, len(data)) + 1))[:repeated] + data
    assert crc32(whole) == crc32(memoryview(whole)) == crc32(bytearray(whole)) == zlib.crc32(whole)
