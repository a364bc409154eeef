"""The contract of every store. A store is tested by a subclass with a fixture `store`."""

import io
import pickle
import random
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import tagmill.shards.storage.remote.remote_store as store_module
from tagmill.shards.errors import IntegrityError, StoreError
from tagmill.shards.storage.remote import bucket_driver
from tagmill.shards.storage.remote.opening import driver_of
from tagmill.shards.storage.store import Store

CONTENT = bytes(range(256)) * 5
ESCAPES = ["../x", "a/../../x", "/etc/passwd", "a/..", "a\0b", ".."]
CALLS: dict[str, Callable[[Store, str], object]] = {
    "size": lambda store, name: store.size(name),
    "exists": lambda store, name: store.exists(name),
    "read": lambda store, name: store.read(name),
    "read_range": lambda store, name: store.read_range(name, 0, 1),
    "read_ranges": lambda store, name: store.read_ranges(name, [(0, 1)]),
    "open": lambda store, name: store.open(name).__enter__(),
    "names": lambda store, name: store.names(name),
    "put": lambda store, name: store.put(name, b"x"),
    "put_new": lambda store, name: store.put_new(name, b"x"),
    "exchange": lambda store, name: store.exchange(name, b"x", b"y"),
    "delete": lambda store, name: store.delete(name),
    "delete_below": lambda store, name: store.delete_below(name),
    "within": lambda store, name: store.within(name),
}


class StoreContract:
    def test_what_was_put_is_read(self, store: Store) -> None:
        for name, content in [("a", CONTENT), ("deep/er/b.bin", b"b"), ("empty", b"")]:
            store.put(name, content)
            assert store.read(name) == content
            assert store.size(name) == len(content)
            assert store.exists(name)

    def test_a_put_replaces(self, store: Store) -> None:
        store.put("a", CONTENT)
        assert store.names("") == ["a"]  # a listing that must not be cached
        store.put("a", b"short")
        assert (store.read("a"), store.size("a"), store.read_range("a", 1, 3)) == (b"short", 5, b"ho")
        store.put("a", CONTENT * 3)
        assert (store.size("a"), store.read("a")) == (len(CONTENT) * 3, CONTENT * 3)

    @pytest.mark.parametrize("limit", [1 << 20, 10], ids=["in one request", "as a file"])
    def test_files_are_put(self, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
        monkeypatch.setattr(store_module, "SMALL_PUT", limit)
        source = tmp_path / "source"
        source.write_bytes(CONTENT)
        store.put("x/a", source)
        assert store.read("x/a") == CONTENT
        assert store.put_new("x/b", source) and not store.put_new("x/b", source)
        assert store.read("x/b") == CONTENT
        assert source.read_bytes() == CONTENT

    @pytest.mark.parametrize("call", ["size", "read", "read_range", "read_ranges", "open"])
    def test_missing_objects_raise_file_not_found(self, store: Store, call: str) -> None:
        store.put("a/b", b"x")
        for name in ("c", "a/c", "a/b/c"):
            assert not store.exists(name)
            with pytest.raises(FileNotFoundError):
                CALLS[call](store, name)

    @pytest.mark.parametrize(("start", "stop"), [(0, 1), (0, 1280), (1279, 1280), (17, 900), (5, 5), (9, 3)])
    def test_ranges(self, store: Store, start: int, stop: int) -> None:
        store.put("a", CONTENT)
        assert store.read_range("a", start, stop) == CONTENT[start:stop]

    @pytest.mark.parametrize(
        ("start", "stop"), [(0, 1281), (1279, 1400), (1280, 1281), (5000, 5010), (-3, 4), (1, 1 << 70)]
    )
    def test_a_range_after_the_end_raises_integrity_error(self, store: Store, start: int, stop: int) -> None:
        store.put("a", CONTENT)
        with pytest.raises(IntegrityError, match=r"bytes .*a\)"):
            store.read_range("a", start, stop)

    @pytest.mark.parametrize(
        "places",
        [[(0, 1280)], [(0, 9), (9, 20), (20, 20), (700, 1280)], [(3, 3)], [(5, 5), (900, 901)], [(7, 8), (1000, 1000)]],
    )
    def test_several_ranges_of_an_object(self, store: Store, places: list[tuple[int, int]]) -> None:
        store.put("a", CONTENT)
        wanted = [CONTENT[start:stop] for start, stop in places]
        assert store.read_ranges("a", places) == store.read_ranges("a", places, len(CONTENT), "0" * 64) == wanted

    def test_several_ranges_after_the_end_raise_integrity_error(self, store: Store) -> None:
        store.put("a", CONTENT)
        with pytest.raises(IntegrityError, match=r"bytes .*a\)"):
            store.read_ranges("a", [(0, 5), (1270, 1281)])
        with pytest.raises(IntegrityError, match="1281 expected"):
            store.read_ranges("a", [(0, 5), (10, 20)], 1281, "0" * 64)

    def test_a_range_of_an_empty_object(self, store: Store) -> None:
        store.put("a", b"")
        with pytest.raises(IntegrityError):
            store.read_range("a", 0, 4)

    def test_an_open_file_reads_and_seeks(self, store: Store) -> None:
        draw = random.Random(3)
        content = draw.randbytes(3_000_000)
        store.put("a", content)
        with store.open("a") as file:
            assert file.seekable() and file.readable()
            assert file.read(10) == content[:10]
            assert file.seek(-5, io.SEEK_END) == len(content) - 5
            assert file.read() == content[-5:]
            assert file.read(1) == b""
            for _ in range(20):
                start, size = draw.randrange(len(content)), draw.randrange(200_000)
                assert file.seek(start) == file.tell() == start
                assert file.read(size) == content[start : start + size]

    def test_an_open_file_serves_table_readers(self, store: Store) -> None:
        table = pa.table({"a": list(range(1000)), "b": [f"text {i}" for i in range(1000)]})
        sink = io.BytesIO()
        pq.write_table(table, sink)
        store.put("t.parquet", sink.getvalue())
        with store.open("t.parquet") as file:
            assert pq.read_table(file, columns=["b"])["b"].to_pylist() == table["b"].to_pylist()

    def test_names_are_those_below_the_folder(self, store: Store) -> None:
        names = ["a/1", "a/2", "a/b/3", "a.tar", "ab/4", "c"]
        assert store.names("") == [] and store.names("a") == []
        for name in reversed(names):
            store.put(name, b"x")
        assert store.names("") == sorted(names)
        assert store.names("a") == store.names("a/") == ["a/1", "a/2", "a/b/3"]
        assert store.names("a/b") == ["a/b/3"]
        assert store.names("c") == store.names("d") == store.names("a/1") == []
        store.delete("a/1")
        assert store.names("a") == ["a/2", "a/b/3"]

    @pytest.mark.parametrize("seed", range(3))
    def test_a_listing_that_changes_has_what_remains_once(
        self, store: Store, monkeypatch: pytest.MonkeyPatch, seed: int
    ) -> None:
        """Objects come and go between pages and within them."""
        monkeypatch.setattr(bucket_driver, "PAGE", 4)
        draw = random.Random(seed)
        names = [f"a/{i:02}" for i in range(24)]
        draw.shuffle(names)
        there, goes, comes = names[:12], names[12:18], names[18:]
        for name in (*there, *goes, "ab/other"):
            store.put(name, b"x" * int(name[-2:]) if name in there else b"x")
        seen = []
        for name, size in store.listing("a"):
            seen.append(name)
            assert name not in there or size == int(name[-2:])
            if goes and draw.random() < 0.6:
                store.delete(goes.pop())
            if comes and draw.random() < 0.6:
                store.put(comes.pop(), b"x")
        assert len(seen) == len(set(seen)) and set(there) <= set(seen) <= set(names)
        assert len(goes) < 6 and len(comes) < 6, "nothing has changed"

    def test_deleting(self, store: Store) -> None:
        for name in ("a/1", "a/b/2", "ab", "c"):
            store.put(name, b"x")
        store.delete("c")
        store.delete("c")
        store.delete("ab/none")
        store.delete_below("a")
        store.delete_below("none")
        assert store.names("") == ["ab"]
        store.put("a/1", b"again")
        assert store.read("a/1") == b"again"

    def test_deleting_many(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        """In several requests, where a request deletes several; missing objects are no error."""
        for service in bucket_driver.BULK:
            monkeypatch.setitem(bucket_driver.BULK, service, 7)
        names = [f"a/{i}" for i in range(20)]
        for name in [*names, "a/stays", "stays"]:
            store.put(name, b"x")
        store.delete("a/3")
        store.delete_many(["none", *names, "a/none"])
        store.delete_many([])
        store.delete_many(names)
        assert store.names("") == ["a/stays", "stays"]

    def test_deleting_one_after_all_others(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        """At whatever point the deletion is stopped, the last object exists as long as any other."""
        names = ["a/0", "a/b/1", "a/last", "a/z"]
        for name in names:
            store.put(name, b"x")
        driver, left = driver_of(store.url)[0] if store.root is None else Store, []

        def watched(call: Callable[..., None]) -> Callable[..., None]:
            def noted(self: object, what: object) -> None:
                left.append(store.names("a"))
                call(self, what)

            return noted

        kind = driver if isinstance(driver, type) else type(driver)
        for name in ("delete", "delete_many") if store.root is None else ("delete",):
            monkeypatch.setattr(kind, name, watched(getattr(kind, name)))
        if store.root is None:
            monkeypatch.setattr(kind, "bulk", 1)
        store.delete_below("a", last="a/last")
        assert len(left) >= 3 and all("a/last" in each for each in left)
        assert store.names("") == []
        store.delete_below("a", last="a/last")

    def test_a_store_within_a_store(self, store: Store) -> None:
        inner = store.within("deep/er")
        inner.put("a", b"x")
        assert store.read("deep/er/a") == b"x"
        assert inner.names("") == ["a"]
        assert Store(store.url + "/", store.retries).read("deep/er/a") == b"x"

    @pytest.mark.parametrize("name", ESCAPES)
    @pytest.mark.parametrize("call", CALLS)
    def test_names_that_would_escape_are_refused(self, store: Store, call: str, name: str) -> None:
        inner = store.within("inner")
        inner.put("a", b"x")
        with pytest.raises(StoreError, match="leave the store") as caught:
            CALLS[call](inner, name)
        assert "\n" not in str(caught.value)
        assert store.names("") == ["inner/a"]

    @pytest.mark.parametrize("limit", [1 << 20, 10], ids=["in one request", "as a file"])
    def test_a_given_file_is_consumed(
        self, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
    ) -> None:
        monkeypatch.setattr(store_module, "SMALL_PUT", limit)
        source = tmp_path / "source"
        for content in (CONTENT, CONTENT * 2):  # the second over the first
            source.write_bytes(content)
            store.put("x/a", source, give=True)
            assert not source.exists() and store.read("x/a") == content
        source.write_bytes(b"other")
        store.put("x/a", source)
        assert source.read_bytes() == store.read("x/a") == b"other"
        store.put("x/a", CONTENT, give=True)
        assert store.read("x/a") == CONTENT

    def test_put_new_wins_once(self, store: Store) -> None:
        assert store.put_new("x/a", b"first") is True
        assert store.put_new("x/a", b"second") is False
        assert store.put_new("x/a", b"first") is False, "the same bytes, but another's"
        assert store.read("x/a") == b"first"
        store.delete("x/a")
        assert store.put_new("x/a", b"second") is True

    def test_an_exchange_replaces_the_expected_content(self, store: Store) -> None:
        with pytest.raises(FileNotFoundError):
            store.exchange("a/b", b"", b"first")
        store.put("a/b", b"first")
        assert store.exchange("a/b", b"first", b"second") is True
        assert store.exchange("a/b", b"first", b"third") is False
        assert store.read("a/b") == b"second" and store.names("") == ["a/b"]

    def test_a_store_travels_between_processes(self, store: Store) -> None:
        store.put("a", b"x")
        assert pickle.loads(pickle.dumps(store)).read("a") == b"x"  # noqa: S301 (our own bytes)
