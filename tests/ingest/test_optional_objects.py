"""Tests reads of objects that may be missing: one request, whether or not the object is there."""

from pathlib import Path

import pytest

from tagmill.ingest.optional_objects import read_if_there
from tagmill.shards import Store
from tests.shards.faults import faulty
from tests.shards.objectstore import ObjectStore


def test_a_missing_object_is_none_and_an_empty_one_is_not(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "corpus"))
    assert read_if_there(store, "parts/pin.json") is None
    store.put("parts/pin.json", b"")
    assert read_if_there(store, "parts/pin.json") == b""


@pytest.mark.usefixtures("never_late")
def test_it_is_one_request(s3_service: ObjectStore, s3_bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Store(s3_bucket).put("there", b"content")
    with faulty(s3_service.endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        assert read_if_there(Store(s3_bucket), "there") == b"content"
        assert read_if_there(Store(s3_bucket), "not-there") is None
        assert [(request.method, request.status) for request in proxy.requests] == [("GET", 200), ("GET", 404)]
