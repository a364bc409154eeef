"""A store whose network fails now and then: what is tried again, what is not, and what is said in the end."""

import errno
from collections.abc import Callable, Iterator
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from tagmill.shards import drivers
from tagmill.shards.errors import IntegrityError, StoreError
from tagmill.shards.store import Retries, Store

Trouble = Exception | Callable[[bytes], bytes]


class FlakyFileSystem(MemoryFileSystem):  # type: ignore[misc]
    """fsspec's memory, with troubles planned for the next calls: errors before or after they do their work."""

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
        if self.inside:  # fsspec's own calls of itself meet no trouble
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


class MarkingFileSystem(FlakyFileSystem):
    """One that speaks as S3 drivers do: metadata, and a 412 whose reason Ceph does not give."""

    protocol = "marking"
    marks: dict[str, str]

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(super()._strip_protocol(path.removeprefix("marking://")))

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **options: Any) -> None:
        if mode == "create" and path in self.store:
            raise OSError(errno.EINVAL, None) from ClientError("PreconditionFailed")
        self.marks[path] = options.get("Metadata", {}).get(drivers.PUT_MARK, "")
        super().pipe_file(path, value)

    def getxattr(self, path: str, name: str) -> str | None:
        assert name == drivers.PUT_MARK
        return self.marks.get(path)


class ClientError(Exception):
    """Looks like botocore's."""

    def __init__(self, code: str) -> None:
        self.response = {"Error": {"Code": code, "Message": None}}


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
def test_a_flaky_answer_is_asked_for_again(store: Store, flaky: type[FlakyFileSystem], error: Exception) -> None:
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
def test_a_store_that_keeps_failing_is_one_line(store: Store, flaky: type[FlakyFileSystem], error: Exception) -> None:
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
        (ZeroDivisionError("a mistake of ours"), ZeroDivisionError),
        (KeyError("a mistake of ours"), KeyError),
    ],
)
def test_what_another_try_cannot_heal_is_not_tried_again(
    store: Store, flaky: type[FlakyFileSystem], error: Exception, raised: type[Exception]
) -> None:
    flaky.before = [error]
    with pytest.raises(raised) as caught:
        store.read("a")
    assert type(caught.value) is raised and flaky.calls == ["cat"]


def test_a_short_answer_inside_the_object_is_flaky(store: Store, flaky: type[FlakyFileSystem]) -> None:
    store.put("a", b"0123456789")
    flaky.after, flaky.calls = [lambda data: data[:3]], []
    assert store.read_range("a", 2, 9) == b"2345678"
    assert flaky.calls.count("cat") == 2


def test_a_short_answer_at_the_end_is_a_cut_object(store: Store, flaky: type[FlakyFileSystem]) -> None:
    store.put("a", b"0123456789")
    with pytest.raises(IntegrityError, match="bytes 2-11 end after 8"):
        store.read_range("a", 2, 11)
    flaky.before, flaky.calls = [OSError(errno.EINVAL, "InvalidRange")], []  # what S3 says behind the end
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


@pytest.fixture
def marking(flaky: type[FlakyFileSystem], monkeypatch: pytest.MonkeyPatch) -> Store:
    fsspec.register_implementation("marking", MarkingFileSystem, clobber=True)
    MarkingFileSystem.reset()
    MarkingFileSystem.marks = {}
    monkeypatch.setattr(drivers, "_is_s3", lambda fs: isinstance(fs, MarkingFileSystem))
    return Store("marking://bucket/corpus", Retries(tries=3, first=0.0001))


def test_on_s3_a_mark_tells_who_won(marking: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    assert marking.put_new("a", b"x") is True
    assert marking.put_new("a", b"x") is False, "equal bytes are not enough: drivers try again behind our back"
    MarkingFileSystem.after = [RESET]
    assert marking.put_new("b", b"x") is True


def test_a_lost_answer_that_the_driver_itself_asked_for_again(marking: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = MarkingFileSystem.pipe_file

    def twice(self: MarkingFileSystem, *place: Any, **options: Any) -> None:
        whole(self, *place, **options)
        whole(self, *place, **options)

    monkeypatch.setattr(MarkingFileSystem, "pipe_file", twice)
    assert marking.put_new("a", b"x") is True
    assert marking.put_new("a", b"x") is False


def test_an_object_too_long_for_one_request_is_refused(marking: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drivers, "SINGLE_PUT", 10)
    with pytest.raises(StoreError, match="at most 9 bytes"):
        marking.put_new("a", b"x" * 10)
    assert not marking.exists("a")


def test_errors_without_words_are_told_by_their_code() -> None:
    error = OSError(errno.EINVAL, None)
    error.__cause__ = ClientError("SlowDown")
    assert drivers.told(error) == "SlowDown [Errno 22]"
    assert drivers.told(TimeoutError()) == "TimeoutError"
    assert drivers.told(BUSY) == "[Errno 16] reduce your request rate"


def test_waits_grow_to_their_limit() -> None:
    waits = list(Retries(tries=8, first=1.0, most=10.0).waits())
    assert len(waits) == 7
    for wait, longest in zip(waits, [1, 2, 4, 8, 10, 10, 10], strict=True):
        assert longest / 2 <= wait <= longest
