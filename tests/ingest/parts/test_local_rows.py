"""Tests rows of a partition on the local disk: those of a remote store come by one request, and leave nothing behind."""

from pathlib import Path

import pytest

from tagmill.ingest.layout import rows_file
from tagmill.ingest.parts.local_rows import local_rows
from tagmill.shards import Store
from tests.shards.faults import faulty
from tests.shards.objectstore import ObjectStore


def test_a_local_store_is_read_where_it_is(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "corpus"))
    store.put(rows_file(3), b"rows")
    with local_rows(store, 3, str(tmp_path / "spool")) as rows:
        assert rows is store
    assert not (tmp_path / "spool").exists()


@pytest.mark.usefixtures("never_late")
def test_a_remote_store_is_copied_by_one_request(
    s3_service: ObjectStore, s3_bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(f"{s3_bucket}/corpus")
    store.put(rows_file(3), b"rows" * 1000)
    with faulty(s3_service.endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        with local_rows(store, 3, str(tmp_path)) as rows:
            for _ in range(2):
                with rows.open(rows_file(3)) as file:
                    assert file.read() == b"rows" * 1000
        assert [request.method for request in proxy.requests] == ["GET"]
        with pytest.raises(FileNotFoundError), local_rows(store, 4, str(tmp_path)):
            pass
    assert list(tmp_path.iterdir()) == []
