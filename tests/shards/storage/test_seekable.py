"""Tests a remote object as a file: it reads like one in memory, and requests each range once."""

import io
import os

from hypothesis import given
from hypothesis import strategies as st

from tagmill.shards.storage.seekable import Seekable

CONTENT = bytes(range(250)) * 5
PLACES = st.integers(0, len(CONTENT) + 20)
MOVES = st.one_of(
    st.tuples(st.just("read"), st.integers(0, 400)),
    st.tuples(st.just("set"), PLACES),
    st.tuples(st.just("end"), PLACES.map(lambda place: -min(place, len(CONTENT)))),
    st.tuples(st.just("on"), st.integers(0, 50)),
)


@given(st.lists(MOVES, max_size=12), st.sampled_from([0, 64]))
def test_it_reads_like_a_file_in_memory(moves: list[tuple[str, int]], buffered: int) -> None:
    asked: list[tuple[int, int]] = []

    def read(start: int, stop: int) -> bytes:
        asked.append((start, stop))
        return CONTENT[start:stop]

    raw, like = Seekable(read, len(CONTENT)), io.BytesIO(CONTENT)
    file = io.BufferedReader(raw, buffered) if buffered else raw
    for what, number in moves:
        if what == "read":
            assert file.read(number) == like.read(number)
        else:
            whence = {"set": os.SEEK_SET, "end": os.SEEK_END, "on": os.SEEK_CUR}[what]
            assert file.seek(number, whence) == like.seek(number, whence)
    assert file.readable() and file.seekable() and not file.writable()
    assert all(0 <= start < stop <= len(CONTENT) for start, stop in asked)
