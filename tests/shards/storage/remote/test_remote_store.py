"""Requests of a remote store: how many are in flight, and how objects are deleted in bulk."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tagmill.shards.errors import StoreError
from tagmill.shards.storage.remote import remote_store
from tagmill.shards.storage.remote.remote_store import DELETIONS
from tagmill.shards.storage.store import Retries, Store
from tests.shards.countedstore import CountedDriver, counted_store
from tests.shards.gcs_server import GcsServer
from tests.shards.objectstore import ObjectStore

NAMES = [f"parts/{number:05d}/done.json" for number in range(2550)]


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> CountedDriver:
    found = counted_store(monkeypatch)
    found.objects = dict.fromkeys(NAMES, b"x")
    return found


def test_requests_in_flight_are_bounded(driver: CountedDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_store, "_in_flight", threading.BoundedSemaphore(5))
    driver.together = 5
    store = Store("s3://counted")
    with ThreadPoolExecutor(20) as pool:
        assert list(pool.map(store.read, NAMES[:200])) == [b"x"] * 200
    assert driver.most_in_flight == 5


def test_a_folder_is_deleted_by_bulk_requests_several_at_a_time(driver: CountedDriver) -> None:
    driver.objects["parts/marker"] = b"m"
    driver.together, driver.gated = DELETIONS, "done.json"
    Store("s3://counted").delete_below("parts", last="parts/marker")
    assert driver.counts["delete_many"] == 26 and driver.counts["delete"] == 1 and not driver.objects
    assert driver.counts["page"] == 3 and driver.most_in_flight <= DELETIONS + 1


def test_the_last_object_stays_where_another_cannot_be_deleted(driver: CountedDriver) -> None:
    driver.objects["parts/marker"] = b"m"
    driver.fail = {NAMES[700]}
    with pytest.raises(StoreError, match="refuses"):
        Store("s3://counted").delete_below("parts", last="parts/marker")
    assert "parts/marker" in driver.objects and driver.counts["delete"] == 0


def test_names_are_taken_as_they_are_needed(driver: CountedDriver) -> None:
    taken = 0

    def names() -> Iterator[str]:
        nonlocal taken
        for name in NAMES:
            taken += 1
            yield name

    driver.fail = {NAMES[0]}
    with pytest.raises(StoreError):
        Store("s3://counted").delete_many(names())
    assert taken <= (2 * DELETIONS + 1) * driver.bulk
    with pytest.raises(StoreError, match="leave the store"):
        Store("s3://counted").delete_many(["../x"])
    Store("s3://counted").delete_many([])


def deletes_all(url: str) -> None:
    """Also names with characters that XML escapes, some of which do not exist."""
    store = Store(url, Retries(tries=3, first=0.01))
    names = [f"x/{number:04d} <&> é" for number in range(300)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda name: store.put(name, b"x"), names))
    store.put("y", b"x")
    store.delete_many(f"x/{number:04d} <&> é" for number in range(100, 500))
    assert store.names("x") == names[:100]
    store.delete_below("")
    assert store.names("") == []


def test_many_objects_of_s3(s3_service: ObjectStore, s3_bucket: str) -> None:
    deletes_all(f"{s3_bucket}/deep")


def test_many_objects_of_gcs(gcs: GcsServer) -> None:
    deletes_all("gs://bucket/deep")


def test_many_objects_of_azure(azure_container: str) -> None:
    deletes_all(f"{azure_container}/deep")
