"""Tests the arithmetic of tar, the keys, and DALI's index."""

import io
import tarfile

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tagmill.shards.formats.shard_index import INDEX, TAR_BLOCK, dali_index, key_bytes, key_hex, padded, sample_bytes

SIZES = st.one_of(st.integers(0, 1 << 20), st.integers(0, 4).flatmap(lambda n: st.integers(n * 512 - 1, n * 512 + 1)))


@given(SIZES.filter(lambda size: size >= 0))
def test_padded_is_the_next_whole_block(size: int) -> None:
    assert padded(size) % TAR_BLOCK == 0
    assert 0 <= padded(size) - size < TAR_BLOCK


@given(st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 2000)), min_size=1, max_size=4))
def test_sample_bytes_equals_the_size_in_a_tar(sizes: list[tuple[int, int]]) -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for number, pair in enumerate(sizes):
            before = tar.offset
            for extension, size in zip(("jpg", "json"), pair, strict=True):
                member = tarfile.TarInfo(f"{number:032x}.{extension}")
                member.size = size
                tar.addfile(member, io.BytesIO(bytes(size)))
            assert tar.offset - before == sample_bytes(*pair)


@given(st.binary(min_size=16, max_size=16))
def test_keys_survive_the_index(key: bytes) -> None:
    record = np.zeros((), INDEX)
    record["key"] = key_bytes(key.hex())
    assert key_hex(record) == key.hex()


def test_a_record_takes_36_bytes_without_gaps() -> None:
    assert INDEX.itemsize == 36
    fields = INDEX.fields
    assert fields is not None
    assert [fields[name][1] for name in INDEX.names or ()] == [0, 8, 12, 14, 16, 20]


def test_dali_index_is_version_1_2() -> None:
    members = [(("jpg", 512, 7, "a.jpg"), ("json", 1536, 9, "a.json")), (("jpg", 2560, 1, "b.jpg"),)]
    expected = b"v1.2 2\njpg 512 7 a.jpg json 1536 9 a.json\njpg 2560 1 b.jpg\n"
    assert dali_index(iter(members), 2) == expected
    assert dali_index([], 0) == b"v1.2 0\n"
