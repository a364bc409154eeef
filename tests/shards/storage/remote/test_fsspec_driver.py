"""Tests the driver over fsspec with a filesystem that fails now and then: what is retried, what is not, and the error."""

import errno
from collections.abc import Callable, Iterator
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from tagmill.shards.errors import IntegrityError, StoreError
from tagmill.shards.storage.store import Retries, Store, retrying_filesystem

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
