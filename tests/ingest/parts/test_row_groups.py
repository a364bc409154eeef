"""Row groups of an object: the same from every store, each byte requested once, one request for each."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tagmill.ingest.parts import row_groups
from tagmill.ingest.parts.row_groups import IMAGE, StoredTable, open_row_groups
from tagmill.ingest.parts.table import pictures_writer
from tagmill.shards.errors import IntegrityError
from tagmill.shards.storage.store import Store
from tests.shards.countedstore import CountedDriver, counted_store

SCHEMA = pa.schema([("n", pa.int64()), ("tags", pa.list_(pa.string())), (IMAGE, pa.binary())])


def table_bytes(path: Path, groups: list[int], picture: int) -> bytes:
    """A Parquet file with so many rows in each row group; every third row has no picture."""
    dice, first = np.random.default_rng(len(groups)), 0
    with pictures_writer(path, SCHEMA) as writer:
        for rows in groups:
            numbers = range(first, first + rows)
            images = [None if n % 3 == 0 else dice.bytes(dice.integers(1, picture)) for n in numbers]
            tags = [[f"t{n}"] * (n % 4) for n in numbers]
            writer.write_table(pa.table([pa.array(numbers), pa.array(tags), pa.array(images)], schema=SCHEMA))
            first += rows
    return path.read_bytes()


def read_all(store: Store, size: int, wanted: list[bool]) -> list[pa.Table]:
    with open_row_groups(store, StoredTable("t", size)) as groups:
        return list(groups.read(wanted))


@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    groups=st.lists(st.integers(1, 40), min_size=1, max_size=6),
    wanted=st.lists(st.booleans(), min_size=6, max_size=6),
    picture=st.sampled_from([2, 400, 5000]),
    limits=st.tuples(
        st.sampled_from([0, 4000, 1 << 22]), st.sampled_from([8, 900, 9000]), st.sampled_from([0, 1 << 24])
    ),
)
def test_they_are_the_same_from_every_store(
    tmp_path: Path, groups: list[int], wanted: list[bool], picture: int, limits: tuple[int, int, int]
) -> None:
    data, wanted = table_bytes(tmp_path / "file", groups, picture), wanted[: len(groups)]
    here = Store(str(tmp_path / "here"))
    here.put("t", data)
    with pytest.MonkeyPatch.context() as patch:
        names = ("WHOLE_READ", "FOOTER_READ", "READ_AHEAD_MOST")
        for name, limit in zip(names, limits, strict=True):
            patch.setattr(row_groups, name, limit)
        driver = counted_store(patch)
        driver.objects["t"] = data
        there = read_all(Store("s3://there"), len(data), wanted)
    plain = [name for name in SCHEMA.names if name != IMAGE]
    file = pq.ParquetFile(io.BytesIO(data))
    for number, images in enumerate(wanted):
        assert there[number].equals(file.read_row_group(number, SCHEMA.names if images else plain))
    assert [table.to_pylist() for table in read_all(here, len(data), wanted)] == [t.to_pylist() for t in there]
    assert len(there) == len(groups)


def asked_for(driver: CountedDriver) -> list[tuple[int, int]]:
    return sorted((start, stop) for _, start, stop in driver.ranges)


def test_each_byte_is_requested_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The end, where the footer is, and each row group; of one without wanted pictures only what is before them."""
    end = 70_000  # Arrow reads 64 kB there
    monkeypatch.setattr(row_groups, "WHOLE_READ", end)
    monkeypatch.setattr(row_groups, "FOOTER_READ", end)
    data = table_bytes(tmp_path / "file", [10] * 5, 90_000)
    driver = counted_store(monkeypatch)
    driver.objects["t"] = data
    read_all(Store("s3://there"), len(data), [True] * 5)
    asked, reached = asked_for(driver), 4  # the magic number
    assert dict(driver.counts) == {"range": 6} and asked[-1] == (len(data) - end, len(data))
    for start, stop in asked:
        assert start == reached
        reached = stop
    driver.ranges.clear()
    read_all(Store("s3://there"), len(data), [False, True, False, False, False])
    lengths = [stop - start for start, stop in asked_for(driver)]
    assert lengths[1] > 100_000 and max(lengths[0], *lengths[2:-1]) < 1_000


def test_a_short_object_is_one_request_and_another_length_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = table_bytes(tmp_path / "file", [10, 10], 5_000)
    driver = counted_store(monkeypatch)
    driver.objects["t"] = data
    read_all(Store("s3://there"), len(data), [True, False])
    assert dict(driver.counts) == {"range": 1}
    with pytest.raises(IntegrityError):
        read_all(Store("s3://there"), len(data) - 1, [True, True])
    with pytest.raises(FileNotFoundError), open_row_groups(Store("s3://there"), StoredTable("other", 9)):
        pass
