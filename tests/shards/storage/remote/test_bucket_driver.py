"""Tests stores whose network fails now and then: what is retried, what is not, and the final error."""

import errno
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from tagmill.shards.errors import IntegrityError, StoreError
from tagmill.shards.storage import hedge
from tagmill.shards.storage import retry as retry_module
from tagmill.shards.storage.counters import STORE_COUNTERS
from tagmill.shards.storage.remote import bucket_driver, clients
from tagmill.shards.storage.remote.probe import WaitsAsked
from tagmill.shards.storage.remote.s3_credentials import aws_environment, key_ring
from tagmill.shards.storage.store import Retries, Store, retrying_filesystem
from tests.shards.faults import Faults, FaultyProxy, faulty
from tests.shards.objectstore import ObjectStore
from tests.shards.silent import SilentWeb, silent

CONTENT = bytes(range(256)) * 5
Trouble = Exception | Callable[[bytes], bytes]


class FlakyFileSystem(MemoryFileSystem):  # type: ignore[misc]
    """fsspec's memory filesystem, with planned faults of the next calls: errors before or after they do their work."""

    protocol = "flaky"
    before: list[Exception | None]
    after: list[Trouble | None]
    calls: list[str]
    inside = False

    @classmethod
    def reset(cls) -> None:
        cls.before, cls.after, cls.calls = [], [], []

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(super()._strip_protocol(path.removeprefix("flaky://")))

    def _call(self, name: str, call: Callable[[], Any]) -> Any:
        if self.inside:  # fsspec's own nested calls meet no fault
            return call()
        self.calls.append(name)
        if self.before and (error := self.before.pop(0)):
            raise error
        type(self).inside = True
        try:
            answer = call()
        finally:
            type(self).inside = False
        trouble = self.after.pop(0) if self.after else None
        if isinstance(trouble, Exception):
            raise trouble
        return trouble(answer) if trouble else answer

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **options: Any) -> bytes:
        whole = super().cat_file
        return bytes(self._call("cat", lambda: whole(path, start, end, **options)))

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **options: Any) -> None:
        whole = super().pipe_file
        self._call(f"pipe {mode}", lambda: whole(path, value, mode, **options))

    def info(self, path: str, **options: Any) -> dict[str, Any]:
        whole = super().info
        found: dict[str, Any] = self._call("info", lambda: whole(path, **options))
        return found


class DisconnectedError(Exception):
    """Looks like a botocore error, which is no OSError."""


DisconnectedError.__module__ = "botocore.exceptions"
RESET = ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
BUSY = OSError(errno.EBUSY, "reduce your request rate")


@pytest.fixture
def flaky() -> Iterator[type[FlakyFileSystem]]:
    fsspec.register_implementation("flaky", FlakyFileSystem, clobber=True)
    FlakyFileSystem.reset()
    yield FlakyFileSystem
    FlakyFileSystem.store.clear()


@pytest.fixture
def store(flaky: type[FlakyFileSystem]) -> Store:
    return Store("flaky://bucket/corpus", Retries(tries=3, first=0.0001))


@pytest.mark.parametrize("error", [RESET, BUSY, TimeoutError("slow"), DisconnectedError("no route")])
def test_a_flaky_answer_is_retried(store: Store, flaky: type[FlakyFileSystem], error: Exception) -> None:
    flaky.before = [error, error]
    store.put("a", b"content")
    flaky.before, flaky.calls = [error, error], []
    assert store.read("a") == b"content"
    assert flaky.calls == ["cat"] * 3
    flaky.before = [error]
    assert store.read_range("a", 2, 5) == b"nte"
    flaky.before = [error, error]
    assert store.exists("a")
    flaky.before = [error]
    with store.open("a") as file:
        assert file.read() == b"content"


@pytest.mark.parametrize("error", [RESET, BUSY, DisconnectedError("no route")])
def test_a_store_that_keeps_failing_gives_a_one_line_error(
    store: Store, flaky: type[FlakyFileSystem], error: Exception
) -> None:
    flaky.before = [error] * 3
    with pytest.raises(StoreError, match=r"failed 3 times, last: .*flaky://bucket/corpus/a.*run again") as caught:
        store.read("a")
    assert flaky.calls == ["cat"] * 3
    assert caught.value.__cause__ is error
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (FileNotFoundError("a"), FileNotFoundError),
        (PermissionError("no"), StoreError),
        (IsADirectoryError("a"), StoreError),
        (ZeroDivisionError("a bug"), ZeroDivisionError),
        (KeyError("a bug"), KeyError),
    ],
)
def test_permanent_errors_are_not_retried(
    store: Store, flaky: type[FlakyFileSystem], error: Exception, raised: type[Exception]
) -> None:
    flaky.before = [error]
    with pytest.raises(raised) as caught:
        store.read("a")
    assert type(caught.value) is raised and flaky.calls == ["cat"]


def test_a_short_answer_inside_the_object_is_retried(store: Store, flaky: type[FlakyFileSystem]) -> None:
    store.put("a", b"0123456789")
    flaky.after, flaky.calls = [lambda data: data[:3]], []
    assert store.read_range("a", 2, 9) == b"2345678"
    assert flaky.calls.count("cat") == 2


def test_a_length_that_answers_lack_is_requested_once(store: Store, flaky: type[FlakyFileSystem]) -> None:
    store.put("a", b"0123456789")
    for _ in range(3):
        assert store.read_range("a", 2, 4, 10) == b"23"
    assert flaky.calls.count("info") == 1
    with pytest.raises(IntegrityError, match="10 bytes, 11 expected"):
        store.read_range("a", 2, 4, 11)


def test_a_short_answer_at_the_end_is_a_truncated_object(store: Store, flaky: type[FlakyFileSystem]) -> None:
    store.put("a", b"0123456789")
    with pytest.raises(IntegrityError, match="bytes 2-11 end after 8"):
        store.read_range("a", 2, 11)
    flaky.before, flaky.calls = [OSError(errno.EINVAL, "InvalidRange")], []  # S3's answer after the end
    with pytest.raises(IntegrityError, match="bytes 10-12 end after 0"):
        store.read_range("a", 10, 12)
    assert flaky.calls == ["cat", "info"]


def test_a_put_new_whose_answer_was_lost_has_won(store: Store, flaky: type[FlakyFileSystem]) -> None:
    flaky.after = [RESET]
    assert store.put_new("a", b"mine") is True
    assert flaky.calls[:2] == ["pipe create", "pipe create"]
    assert flaky.after == []
    assert store.read("a") == b"mine"
    assert store.put_new("a", b"mine") is False


def test_a_put_new_that_failed_and_then_lost_has_lost(store: Store, flaky: type[FlakyFileSystem]) -> None:
    store.put("a", b"theirs")
    flaky.before = [RESET]
    assert store.put_new("a", b"mine") is False
    assert store.read("a") == b"theirs"


def test_a_put_new_that_lost_to_an_object_deleted_since(store: Store, flaky: type[FlakyFileSystem]) -> None:
    flaky.before = [RESET, FileExistsError("a")]
    assert store.put_new("a", b"mine") is False


def test_backoffs_grow_to_their_limit() -> None:
    backoffs = list(Retries(tries=8, first=1.0, most=10.0).backoffs())
    assert len(backoffs) == 7
    for wait, longest in zip(backoffs, [1, 2, 4, 8, 10, 10, 10], strict=True):
        assert longest / 2 <= wait <= longest


# S3, with a service that refuses


@pytest.fixture
def expiring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SilentWeb]:
    """Creates a bucket with an object `a`, and expired keys in ~/.aws/credentials."""
    for name, _ in aws_environment():
        monkeypatch.delenv(name)
    monkeypatch.setattr(hedge, "FIRST_SECONDS", 60.0)  # no answer is late, so the counts are known
    monkeypatch.setattr(hedge, "FLOOR_SECONDS", 60.0)
    monkeypatch.setattr(hedge, "_OF_PROCESS", {})
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "bucket").mkdir()
    (tmp_path / "bucket" / "a").write_bytes(CONTENT)
    write_keys("old")
    said = b"<?xml version='1.0'?><Error><Code>ExpiredToken</Code><Message>The token has expired.</Message></Error>"
    with silent(tmp_path) as web:
        web.refuse = lambda headers: (400, said) if "Credential=old/" in (headers.get("Authorization") or "") else None
        monkeypatch.setenv("AWS_ENDPOINT_URL", web.url)
        key_ring.cache_clear()
        yield web


def write_keys(name: str) -> None:
    path = Path("~/.aws/credentials").expanduser()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"[default]\naws_access_key_id={name}\naws_secret_access_key=s\naws_session_token=t\n")


def test_s3_keys_renewed_in_their_file_are_used(expiring: SilentWeb) -> None:
    """For every kind of request: an answer to HEAD has no body with the reason of the refusal."""
    store = Store("s3://bucket", Retries(tries=3, first=0.001))
    with pytest.raises(StoreError, match=r"ExpiredToken.*renew the keys"):
        store.read("a")
    assert expiring.asked == 3, "another may be about to write them"
    write_keys("new")
    assert store.size("a") == len(CONTENT)
    assert expiring.asked == 5
    assert store.read_range("a", 1, 4) == CONTENT[1:4] and store.read("a") == CONTENT
    assert expiring.asked == 7, "and the old ones are not used again"


def test_s3_keys_renewed_during_retries_are_used(expiring: SilentWeb, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry_module, "pause", lambda seconds=0.0: write_keys("new") if seconds else None)
    assert Store("s3://bucket").read("a") == CONTENT
    assert expiring.asked == 3, "once more with the old ones, which were not known to be renewed"


def test_s3_keys_of_the_environment_that_expire_are_refused_at_once(
    expiring: SilentWeb, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "old")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    with pytest.raises(StoreError, match=r"refuses: .*ExpiredToken.*renew the keys") as caught:
        Store("s3://bucket").read("a")
    assert expiring.asked == 1 and "\n" not in str(caught.value)


def test_s3_without_keys_gives_a_one_line_error(expiring: SilentWeb) -> None:
    Path("~/.aws/credentials").expanduser().unlink()
    store = Store("s3://bucket")
    for call in (store.read, store.names, lambda _: retrying_filesystem("s3://bucket/*.csv")[0].glob("bucket/*.csv")):
        with pytest.raises(StoreError, match="there are no keys for S3") as caught:
            call("a")
        assert "\n" not in str(caught.value)
    assert expiring.asked == 0


def test_listings_of_fsspec_are_retried_too(flaky: type[FlakyFileSystem]) -> None:
    MemoryFileSystem().pipe_file("/bucket/a.csv", b"x")
    fs, path = retrying_filesystem("flaky://bucket/a.csv")
    flaky.before = [RESET, RESET]
    assert fs.info(path)["size"] == 1
    flaky.before = [PermissionError("no")]
    with pytest.raises(StoreError, match=r"refuses: no .*flaky://bucket"):
        fs.info(path)
    with pytest.raises(FileNotFoundError):
        fs.info("bucket/b.csv")


# S3, with a proxy before a real service


@pytest.fixture
def proxy(s3_service: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    with faulty(s3_service.endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        yield proxy


@pytest.fixture
def s3_store(s3_bucket: str, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Sets up a bucket behind the proxy, with an object `a`. No answer is late, so the proxy's counts are known."""
    monkeypatch.setattr(hedge, "FIRST_SECONDS", 60.0)
    monkeypatch.setattr(hedge, "FLOOR_SECONDS", 60.0)
    monkeypatch.setattr(hedge, "_OF_PROCESS", {})
    monkeypatch.setattr(bucket_driver, "WAITS_ASKED", WaitsAsked(lambda url: None))  # nor is it asked how long to wait
    store = Store(s3_bucket, Retries(tries=12, first=0.001))
    store.put("a", CONTENT)
    proxy.forget()
    return store


@pytest.mark.parametrize("trouble", ["busy", "reset", "short"])
def test_s3_faults_are_retried_by_the_store_only(s3_store: Store, proxy: FaultyProxy, trouble: str) -> None:
    proxy.faults = Faults(**{trouble: 0.4}, seed=3)
    before = STORE_COUNTERS.counts()
    for start in range(20):
        assert s3_store.read_range("a", start, start + 900, len(CONTENT)) == CONTENT[start : start + 900]
        assert s3_store.read("a") == CONTENT and s3_store.size("a") == len(CONTENT)
        s3_store.put(f"b/{start}", CONTENT)
    assert len(s3_store.names("b")) == 20
    s3_store.delete("a")
    proxy.faults = Faults()
    assert not s3_store.exists("a") and s3_store.read("b/19") == CONTENT
    asked, seen = (STORE_COUNTERS.counts() - before), proxy.counts()
    assert seen[trouble] >= 10
    tried_again = asked["retries"]
    harmless = sum(
        r.fault == "short" and r.method != "GET" for r in proxy.requests
    )  # its answer had nothing to truncate
    assert seen[trouble] - harmless <= tried_again <= seen[trouble]
    assert len(proxy.requests) == 84 + tried_again


def test_s3_changed_settings_are_refused_at_once(
    s3_store: Store, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Callable[[], object]] = [
        lambda: s3_store.read("a"),
        lambda: s3_store.read_range("a", 0, 4),
        lambda: s3_store.size("a"),
        lambda: s3_store.names(""),
        lambda: s3_store.put("b", b"x"),
        lambda: s3_store.put_new("b", b"x"),
        lambda: s3_store.delete("a"),
    ]
    for name in ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"):
        with monkeypatch.context() as patch:
            patch.setenv(name, "wrong")
            for call in calls:
                proxy.forget()
                with pytest.raises(StoreError, match=r"the store refuses: .*403.*check the credentials") as caught:
                    call()
                assert len(proxy.requests) == 1, "no second try"
                assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_s3_that_stays_down_gives_a_one_line_error_after_all_tries(s3_store: Store, proxy: FaultyProxy) -> None:
    proxy.faults = Faults(busy=1.0)
    with pytest.raises(StoreError, match=r"failed 12 times, last: .*SlowDown.*run again") as caught:
        s3_store.read_range("a", 0, 4)
    assert len(proxy.requests) == 12
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_s3_stalls_end(s3_store: Store, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests without hedging have a time limit too."""
    monkeypatch.setattr(clients, "SILENCE_SECONDS", 0.2)
    clients.client.cache_clear()
    proxy.faults = Faults(stall=1.0)
    for call in (s3_store.read, s3_store.delete):
        proxy.forget()
        with pytest.raises(StoreError, match=r"failed 2 times, last: .*TimedOut"):
            getattr(Store(s3_store.url, Retries(tries=2, first=0.001)), call.__name__)("a")
        assert len(proxy.requests) == 2
    clients.client.cache_clear()


def test_s3_put_new_whose_answer_was_lost_has_won(s3_store: Store, proxy: FaultyProxy) -> None:
    class ThenFine(Faults):
        def draw(self, generator: object) -> str:
            proxy.faults = Faults()
            return "reset"

    proxy.faults = ThenFine()
    assert s3_store.put_new("new", b"mine") is True
    assert [(r.method, r.status) for r in proxy.requests[:2]] == [("PUT", 200), ("PUT", 412)]
    assert len(proxy.requests) == 3, "who made it was asked once"
    assert s3_store.put_new("new", b"mine") is False, "equal bytes are not enough: another made them"
    proxy.faults = ThenFine()
    assert s3_store.put_new("new", b"mine") is False


def test_s3_returns_the_length_with_every_range(s3_store: Store, proxy: FaultyProxy) -> None:
    assert s3_store.read_range("a", 2, 5, len(CONTENT)) == CONTENT[2:5]
    with pytest.raises(IntegrityError, match=f"{len(CONTENT)} bytes, 7 expected"):
        s3_store.read_range("a", 2, 5, 7)
    assert [r.method for r in proxy.requests] == ["GET", "GET"]


def test_s3_objects_too_long_for_one_request_are_refused(s3_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(bucket_driver.SINGLE_PUT, "s3", 10)
    with pytest.raises(StoreError, match="at most 9 bytes"):
        s3_store.put_new("long", b"x" * 10)
    assert not s3_store.exists("long")


def test_s3_in_a_forked_process_is_refused_and_does_not_hang(s3_store: Store) -> None:
    code = (
        "import os, sys\nfrom tagmill.shards import Store, StoreError\nstore = Store(sys.argv[1])\nstore.read('a')\n"
        "if os.fork():\n    sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))\n"
        "try:\n    store.read('a')\nexcept StoreError as error:\n    print(error)\n    sys.exit(7)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code, s3_store.url], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 7 and "spawn" in ended.stdout, ended.stderr
