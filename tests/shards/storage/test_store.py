"""Tests the contract of a store on a folder, on fsspec's memory and on a real S3 service; and properties of folders."""

import errno
import os
import subprocess
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
import pytest

import tagmill.shards.storage.remote.remote_store as store_module
from tagmill.shards.errors import StoreError, TagmillError
from tagmill.shards.storage.store import Retries, Store, handle, is_local, local_path
from tests.shards.azurite import AzureService
from tests.shards.contract import StoreContract
from tests.shards.faults import FaultyProxy, faulty
from tests.shards.gcs_server import GcsServer
from tests.shards.objectstore import ObjectStore
from tests.shards.proxied_contract import ProxiedContract
from tests.shards.racing_contract import CONTENDERS, Racers, RacingContract, one_of_many_wins, racers
from tests.shards.writers import is_whole, race, race_in_a_hurry, sealed
from tests.warm.python import warm_python

__all__ = ["racers"]  # a fixture
QUICK = Retries(tries=2, first=0.001)


class TestLocal(StoreContract, RacingContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        return Store(str(tmp_path / "store"))

    def test_one_of_many_in_a_hurry_wins(self, store: Store, racers: Racers) -> None:
        one_of_many_wins(store, racers, race_in_a_hurry, 200)


class TestMemory(StoreContract):
    @pytest.fixture
    def store(self) -> Iterator[Store]:
        store = Store(f"memory://{uuid.uuid4()}/store", QUICK)
        yield store
        fsspec.filesystem("memory").store.clear()

    def test_one_of_many_wins(self, store: Store) -> None:
        """Threads, because other processes cannot see the store."""
        with ThreadPoolExecutor(CONTENDERS) as threads:
            one_of_many_wins(store, Racers(threads, threading.Barrier), race, 15)


class TestS3(StoreContract, RacingContract):
    @pytest.fixture
    def store(self, s3_bucket: str) -> Store:
        return Store(f"{s3_bucket}/store")


class TestAzure(StoreContract, RacingContract):
    @pytest.fixture
    def store(self, azure_container: str) -> Store:
        return Store(f"{azure_container}/store")


class TestGcs(StoreContract, RacingContract):
    """By the stand-in: no test reaches the real service."""

    @pytest.fixture
    def store(self, gcs: GcsServer) -> Store:
        return Store("gs://bucket/store")

    def test_a_service_may_send_small_pages(self, store: Store, gcs: GcsServer) -> None:
        names = [f"a/{i}" for i in range(9)]
        for name in names:
            store.put(name, b"x")
        gcs.page = 2
        gcs.requests.clear()
        assert store.names("a") == names and len(gcs.requests) == 5
        gone = iter([1, 6, 8])  # deleted after a page was sent: listed already, not yet listed, listed last
        gcs.after_page = lambda: [gcs.buckets["bucket"].blobs.pop(f"store/a/{i}", None) for i in [next(gone, 0)] if i]
        assert store.names("a") == [name for name in names if name not in ("a/6", "a/8")]


# Behind a proxy

PATIENT = Retries(tries=12, first=0.001)


class TestS3BehindProxy(ProxiedContract):
    @pytest.fixture
    def proxy(self, s3_service: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
        with faulty(s3_service.endpoint) as proxy:
            monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
            yield proxy

    @pytest.fixture
    def store(self, s3_bucket: str, proxy: FaultyProxy) -> Store:
        return Store(f"{s3_bucket}/store", PATIENT)


class TestAzureBehindProxy(ProxiedContract):
    @pytest.fixture
    def proxy(self, azurite: AzureService, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
        with faulty(azurite.url) as proxy:
            monkeypatch.setenv("AZURE_STORAGE_ENDPOINT", f"{proxy.endpoint}/{azurite.account}")
            yield proxy

    @pytest.fixture
    def store(self, azure_container: str, proxy: FaultyProxy) -> Store:
        return Store(f"{azure_container}/store", PATIENT)


class TestGcsBehindProxy(ProxiedContract):
    @pytest.fixture
    def proxy(self, gcs: GcsServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
        with faulty(gcs.url) as proxy:
            for name, value in gcs.environment_at(proxy.endpoint).items():
                monkeypatch.setenv(name, value)
            yield proxy

    @pytest.fixture
    def store(self, proxy: FaultyProxy) -> Store:
        return Store("gs://bucket/store", PATIENT)


# A folder


def run_killed(url: str, rounds: int, size: int, longest: float) -> None:
    command = [warm_python(), "-m", "tests.shards.writers", url, str(rounds), str(size), str(longest)]
    root = Path(__file__).resolve().parents[3]
    subprocess.run(command, check=True, timeout=250, cwd=root)


def test_a_killed_writer_leaves_the_old_object_or_the_new_one(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    run_killed(store.url, rounds=40, size=1_000_000, longest=0.02)
    names = store.names("")
    assert len(names) > 40
    for name in names:
        assert is_whole(store.read(name)), f"{name} is a part of an object"
    assert not any(".spool" in name for name in names)
    left = [path for path in tmp_path.rglob("*") if path.name.endswith(".spool")]
    assert left, "no kill fell into a put: this test has seen nothing"
    store.put("object", b"goes on")
    assert store.read("object") == b"goes on"
    store.delete_below("")
    assert not (tmp_path / "store").exists()


def test_a_failed_put_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(str(tmp_path / "store"))
    store.put("a", b"old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    for put in (store.put, store.put_new):
        with pytest.raises(StoreError, match=r"cannot write here: No space left.*free space"):
            put("b", b"new")
    with pytest.raises(StoreError):
        store.put("a", b"new")
    assert [path.name for path in (tmp_path / "store").iterdir()] == ["a"]
    assert store.read("a") == b"old"


@pytest.mark.parametrize("call", ["put", "put_new"])
def test_an_unwritable_output_gives_a_one_line_error(tmp_path: Path, call: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder" / "sub").mkdir(parents=True)
    (tmp_path / "closed").mkdir(mode=0o500)
    places = [("file", "x"), ("file/deep", "x"), ("folder", "n" * 300)]
    places += [("folder", "sub")] if call == "put" else []
    places += [("closed", "x"), ("closed/deep", "x")] if os.geteuid() else []
    for folder, name in places:
        with pytest.raises(StoreError, match="cannot write here") as caught:
            getattr(Store(str(tmp_path / folder)), call)(name, b"x")
        assert "\n" not in str(caught.value) and str(tmp_path) in str(caught.value)
    assert [path for path in tmp_path.rglob("*") if path.name.endswith(".spool")] == []


def test_a_folder_in_the_place_of_an_object_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for call in (Store(str(tmp_path)).read, Store(str(tmp_path)).delete):
        with pytest.raises(StoreError, match="no access"):
            call("a")


def test_a_long_range_takes_several_system_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, content = Store(str(tmp_path)), sealed(1, 1000)
    store.put("a", content)
    whole = os.pread
    monkeypatch.setattr(os, "pread", lambda file, size, place: whole(file, min(size, 64), place))
    assert store.read_range("a", 3, 999) == content[3:999]


def test_reading_leaves_no_open_files(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.put("a", b"xyz")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(50):
        store.read_range("a", 0, 2)
        with store.open("a") as file:
            file.read()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_relative_store_keeps_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = Store("out/corpus")
    store.put("a", b"x")
    monkeypatch.chdir("/")
    assert store.read("a") == b"x"
    assert (tmp_path / "out/corpus/a").read_bytes() == b"x"


@pytest.mark.parametrize("url", ["file://{}", "{}/", "{}"])
def test_local_addresses(tmp_path: Path, url: str) -> None:
    store = Store(url.format(tmp_path))
    assert is_local(store.url) and store.root == tmp_path == local_path(store.url)
    store.put("deep/a", b"x")
    assert (tmp_path / "deep/a").read_bytes() == store.within("deep").read("a") == b"x"
    fs, path = handle(store.url)
    assert fs.cat_file(f"{path}/deep/a") == b"x"


@pytest.mark.parametrize(("root", "inner"), [("/", "/a/b"), ("file:///", "file:///a/b"), ("memory://", "memory://a/b")])
def test_stores_within_the_root_of_a_store(root: str, inner: str) -> None:
    assert Store(root).within("a").within("b").url == inner


def test_an_unknown_store_gives_a_one_line_error() -> None:
    with pytest.raises(StoreError, match=r"cannot connect to this store.*install") as caught:
        Store("nosuch://bucket").read("a")
    assert "\n" not in str(caught.value)


# S3


def test_s3_put_new_holds_for_objects_that_a_driver_would_send_in_parts(s3_bucket: str) -> None:
    store, large = Store(s3_bucket), bytes(101 << 20)  # above s3fs's own 2 x 50 MiB
    assert store.put_new("a", large) is True
    assert store.put_new("a", large + b"x") is False
    assert store.size("a") == len(large)


def test_s3_files_in_parts(s3_bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "SMALL_PUT", 1)
    store, content = Store(s3_bucket), sealed(1, 25 << 20)
    (tmp_path / "source").write_bytes(content)
    monkeypatch.setattr("s3fs.core.calculate_chunksize", lambda size, chunksize=None: 6 << 20)
    store.put("a", tmp_path / "source")
    assert store.read("a") == content


def test_s3_sizes_come_from_the_store_and_not_from_an_old_listing(s3_bucket: str) -> None:
    import s3fs

    store = Store(f"{s3_bucket}/store")
    store.put("a", b"old")
    assert store.names("") == ["a"]
    elsewhere = s3fs.S3FileSystem(skip_instance_cache=True)
    elsewhere.pipe_file(f"{s3_bucket}/store/a", b"longer")
    assert (store.size("a"), store.read("a")) == (6, b"longer")
    elsewhere.pipe_file(f"{s3_bucket}/store/b", b"new")
    assert store.exists("b") and store.names("") == ["a", "b"]
    elsewhere.rm_file(f"{s3_bucket}/store/a")
    assert not store.exists("a") and store.names("") == ["b"]


def test_s3_a_killed_writer_leaves_the_old_object_or_the_new_one(s3_bucket: str) -> None:
    run_killed(s3_bucket, rounds=4, size=3_000_000, longest=0.1)
    store = Store(s3_bucket)
    names = store.names("")
    assert len(names) > 4
    assert all(is_whole(store.read(name)) for name in names)


def test_s3_refusals_are_one_line(s3_service: ObjectStore, s3_bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import s3fs

    Store(s3_bucket).put("a", b"x")
    with pytest.raises(StoreError, match="no such bucket"):
        Store(f"{s3_bucket}-nowhere", QUICK).put("a", b"x")
    with pytest.raises(FileNotFoundError):
        Store(f"{s3_bucket}-nowhere", QUICK).read("a")
    assert Store(f"{s3_bucket}-nowhere", QUICK).names("") == []
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    s3fs.S3FileSystem.clear_instance_cache()
    try:
        for call in (Store(s3_bucket).read, Store(s3_bucket).size, Store(s3_bucket).delete):
            with pytest.raises(StoreError, match=r"the store refuses.*credentials") as caught:
                call("a")
            assert "\n" not in str(caught.value)
    finally:
        s3fs.S3FileSystem.clear_instance_cache()


def test_a_missing_s3_service_gives_a_one_line_error(monkeypatch: pytest.MonkeyPatch) -> None:
    s3fs = pytest.importorskip("s3fs")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    s3fs.S3FileSystem.clear_instance_cache()
    try:
        with pytest.raises(TagmillError, match=r"failed 2 times.*127\.0\.0\.1:9.*address") as caught:
            Store("s3://bucket", QUICK).read_range("a", 0, 3)
        assert type(caught.value) is StoreError and "\n" not in str(caught.value)
    finally:
        s3fs.S3FileSystem.clear_instance_cache()
