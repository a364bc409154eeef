"""Rows that a group puts aside come back as they were, in their order, and only under their stamp."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tagmill.ingest.layout import heldout_file
from tagmill.ingest.pack import heldout
from tagmill.ingest.pack.heldout import HeldOutFile, heldout_rows
from tagmill.shards.errors import CorpusError
from tagmill.shards.storage.store import Store

SCHEMA = pa.schema([("row_id", pa.int64()), ("jpeg", pa.binary())])


def rows(first: int, count: int) -> pa.Table:
    return pa.table([range(first, first + count), [b"%d" % n for n in range(first, first + count)]], schema=SCHEMA)


def put(store: Store, folder: Path, pieces: list[int], stamp: str = "a stamp") -> tuple[HeldOutFile, int]:
    with HeldOutFile(folder / "file", stamp) as file:
        for number, count in enumerate(pieces):
            file.add(rows(sum(pieces[:number]), count))
    return file, file.put(store, "000003")


@pytest.mark.parametrize("pieces", [[1], [3, 0, 2, 9, 1], [4, 4], [25]])
def test_rows_come_back_in_bounded_row_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pieces: list[int]
) -> None:
    monkeypatch.setattr(heldout, "ROW_GROUP", 4)
    store = Store(str(tmp_path / "corpus"))
    file, size = put(store, tmp_path, pieces)
    assert file.rows == sum(pieces) and size == store.size(heldout_file("000003"))
    found = list(heldout_rows(store, "000003", size, "a stamp"))
    assert pa.concat_tables(found).equals(rows(0, sum(pieces)))
    lengths = [len(table) for table in found]
    assert lengths[:-1] == [4] * (len(lengths) - 1) and 1 <= lengths[-1] <= 4
    metadata = pq.read_metadata(tmp_path / "corpus" / heldout_file("000003"))
    assert metadata.row_group(0).column(1).compression == "UNCOMPRESSED"  # JPEGs


def test_a_group_without_held_out_rows_puts_nothing(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "corpus"))
    assert put(store, tmp_path, [0, 0])[1] == put(store, tmp_path, [])[1] == 0
    assert not store.names("parts") and not (tmp_path / "file").exists()


def test_rows_of_another_stamp_or_none_are_refused(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "corpus"))
    _, size = put(store, tmp_path, [3], "another stamp")
    with pytest.raises(CorpusError, match="another run packs here"):
        list(heldout_rows(store, "000003", size, "a stamp"))
    with pytest.raises(CorpusError, match="are gone"):
        list(heldout_rows(store, "000004", size, "a stamp"))


def test_what_is_written_when_packing_fails_is_closed_and_not_put(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), HeldOutFile(tmp_path / "file", "a stamp") as file:
        file.add(rows(0, 3))
        raise RuntimeError("elsewhere")
    assert not (tmp_path / "file").exists()
