"""Hash files, spill partitions, sorted keys; and a full spool."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.ingest.similarity import hash_files
from tagmill.ingest.similarity.hash_files import (
    HashFile,
    PackedHashes,
    SpillPartitions,
    is_existing,
    mixed_bits,
    near_pairs,
    partition_by_key,
    quality_of,
)
from tagmill.shards.errors import TagmillError
from tests.ingest.pictures_apart import all_distances, random_hashes, records


def batch(count: int, existing: int = 0) -> pa.RecordBatch:
    columns = {
        "row_id": np.arange(count) + (existing << 50),
        "existing": np.full(count, existing, np.int32),
        "pixels": np.arange(count) + 60_000 * 60_000,
        **{f"pdq{word}": np.arange(count) - word for word in range(4)},
        "pdq_quality": np.arange(count, dtype=np.int32) % 101,
    }
    return pa.RecordBatch.from_pydict({name: pa.array(column) for name, column in columns.items()})


def test_records_round_trip(tmp_path: Path) -> None:
    file = HashFile(tmp_path / "hashes")
    file.write([batch(70), batch(3, existing=1)])
    (found,) = file.blocks()
    assert file.rows == 73 and file.bytes == file.path.stat().st_size
    assert found["pdq"].view(np.int64)[5].tolist() == [5, 4, 3, 2]
    assert quality_of(found)[:70].tolist() == list(range(70)) and not is_existing(found[:70]).any()
    assert is_existing(found[70:]).all()
    assert found["weight"][70:].min() > found["weight"][:70].max()  # existing ones outrank all
    assert (np.diff(found["weight"][:70]) > 0).all()


def test_an_empty_file_is_a_file(tmp_path: Path) -> None:
    file = HashFile(tmp_path / "hashes")
    file.write([])
    assert list(file.blocks()) == [] and len(file.read()) == 0 and file.path.exists()


@pytest.mark.parametrize("partitions", [1, 2, 16])
def test_partitions_hold_every_record_once_and_equal_keys_meet(tmp_path: Path, partitions: int) -> None:
    draw = np.random.default_rng(partitions)
    rows = records(np.repeat(random_hashes(draw, 500), 2, axis=0))
    mask = random_hashes(draw, 1)[0]
    dealt = SpillPartitions(tmp_path, "some", partitions)
    assert dealt.write([rows[:300], rows[300:]], partition_by_key(mask, partitions)) == rows.nbytes
    assert sum(pile.rows for pile in dealt.files) == 1000
    found = [pile.read() for pile in dealt]
    assert sorted(np.concatenate(found)["row_id"].tolist()) == list(range(1000))
    keys = [set(mixed_bits(pile["pdq"], mask).tolist()) for pile in found]
    assert sum(map(len, keys)) == len(set().union(*keys))
    assert not list(tmp_path.iterdir())


@given(st.lists(st.integers(0, (1 << 64) - 1), max_size=40), st.integers(0, 3))
def test_packed_keys_keep_equal_ones_together(keys: list[int], lag: int) -> None:
    packed = PackedHashes(np.array(keys * 2, np.uint64))
    assert sorted(packed.positions.tolist()) == list(range(2 * len(keys)))
    assert (np.diff(packed.prefix.astype(object)) >= 0).all()
    for place in packed.repeated(lag + 1):
        assert packed.prefix[place] == packed.prefix[place + lag + 1]
    if keys:
        assert len(packed.repeated()) >= len(keys)


@given(st.integers(0, 1 << 30), st.integers(0, 256))
def test_near_pairs_are_those_within_the_threshold(seed: int, threshold: int) -> None:
    draw = np.random.default_rng(seed)
    left, right = random_hashes(draw, 20), random_hashes(draw, 20)
    right[:5] = left[:5]
    apart = np.diag(all_distances(left, right))
    near, distances = near_pairs(left, right, threshold)
    assert near.tolist() == np.flatnonzero(apart <= threshold).tolist() and distances.tolist() == apart[near].tolist()


def test_keys_follow_the_masked_bits_alone() -> None:
    draw = np.random.default_rng(0)
    pdq, mask = random_hashes(draw, 1000), random_hashes(draw, 1)[0]
    other = pdq ^ (random_hashes(draw, 1000) & ~mask)
    assert (mixed_bits(pdq, mask) == mixed_bits(other, mask)).all()
    assert len(np.unique(mixed_bits(pdq, mask))) == 1000


def test_a_full_spool_is_an_error_with_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """/dev/full has no space."""
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    (tmp_path / "some-0000.hashes").symlink_to("/dev/full")
    (tmp_path / "some-0001.hashes").symlink_to("/dev/full")
    monkeypatch.setattr(hash_files, "BLOCK", 10)
    rows = records(random_hashes(np.random.default_rng(1), 5000))
    with pytest.raises(TagmillError, match="larger disk") as raised:
        SpillPartitions(tmp_path, "some", 2).write(
            [rows], partition_by_key(random_hashes(np.random.default_rng(1), 1)[0], 2)
        )
    assert "\n" not in str(raised.value)
    file = HashFile(tmp_path / "whole")
    file.path.symlink_to("/dev/full")
    with pytest.raises(TagmillError, match="ran out of space"):
        file.append(rows)
