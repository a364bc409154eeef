"""Tests a node's cache: the bytes of the store in every situation, shared, bounded, and never wrong data."""

import hashlib
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmill.shards.errors import IntegrityError
from tagmill.shards.reader import ShardReader, Unreadable
from tagmill.shards.storage import node_cache as cache_module
from tagmill.shards.storage.counters import STORE_COUNTERS
from tagmill.shards.storage.marked_folder import claim, is_marked
from tagmill.shards.storage.node_cache import BOOT, CACHE_FOLDER, DISK_BLOCK, Cache, CachedStore, identity_of
from tagmill.shards.storage.store import Store
from tests.shards.corpora import make_corpus, sample

CONTENT = random.Random(0).randbytes(50 * DISK_BLOCK + 1234)
LIMIT = 1 << 30
PLACES = st.integers(0, len(CONTENT))


class Counted:
    """An object of a store that counts the requested bytes."""

    def __init__(self, content: bytes = CONTENT) -> None:
        self.content, self.sha256, self.asked = content, hashlib.sha256(content).hexdigest(), list[tuple[int, int]]()

    def fetch(self, start: int, stop: int) -> bytes:
        self.asked.append((start, stop))
        return self.content[start:stop]

    def through(self, cache: Cache, start: int, stop: int, verify: bool = False) -> bytes:
        return cache.read(self.sha256, len(self.content), start, stop, self.fetch, verify=verify)


def used(cache: Cache) -> int:
    return sum(path.stat().st_blocks * 512 for path in cache.folder.iterdir())


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(PLACES, PLACES).map(sorted).filter(lambda p: p[0] < p[1]), max_size=12), st.booleans())
def test_any_reads_give_the_stores_bytes_and_fetch_no_block_twice(
    tmp_path_factory: pytest.TempPathFactory, reads: list[list[int]], verify: bool
) -> None:
    one, seen = Counted(), set[int]()
    cache = Cache(tmp_path_factory.mktemp("cache"), LIMIT)
    for start, stop in reads:
        one.asked.clear()
        assert one.through(cache, start, stop, verify) == CONTENT[start:stop]
        wanted = set(range(start // DISK_BLOCK, -(-stop // DISK_BLOCK)))
        fetched = [block for a, b in one.asked for block in range(a // DISK_BLOCK, -(-b // DISK_BLOCK))]
        assert set(fetched) >= wanted - seen
        assert len(fetched) <= len(wanted - seen) + cache_module.GAP_BLOCKS * max(0, len(wanted - seen) - 1)
        assert not wanted <= seen or not fetched
        seen |= wanted


def test_another_process_finds_the_blocks_that_were_read(tmp_path: Path) -> None:
    one = Counted()
    code = (
        "import pathlib, random, sys\nfrom tagmill.shards.storage.node_cache import Cache\n"
        "content = random.Random(0).randbytes(int(sys.argv[3]))\ncache = Cache(pathlib.Path(sys.argv[1]), 1 << 30)\n"
        "cache.read(sys.argv[2], len(content), 5000, 90000, lambda a, b: content[a:b], verify=False)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path), one.sha256, str(len(CONTENT))], check=True)
    before = STORE_COUNTERS.counts()
    assert one.through(Cache(tmp_path, LIMIT), 6000, 80000) == CONTENT[6000:80000]
    assert one.asked == []
    assert dict(STORE_COUNTERS.counts() - before) == {"cache_bytes": 74000}


def test_objects_without_an_identity_are_not_kept(tmp_path: Path) -> None:
    store, cache = Store(str(tmp_path / "store")), Cache(tmp_path / "cache", LIMIT)
    store.put("a", CONTENT)
    cached = CachedStore.of(store, cache)
    assert cached.read_range("a", 5, 10) == CONTENT[5:10]
    assert cached.read_range("a", 5, 10, len(CONTENT)) == CONTENT[5:10]
    assert cached.read_range("a", 5, 10, len(CONTENT), "../../etc/passwd") == CONTENT[5:10]
    assert not [path for path in cache.folder.glob("*") if path.is_file()]
    with pytest.raises(IntegrityError):
        cached.read_range("a", 5, len(CONTENT) + 1, len(CONTENT), "0" * 64)
    with pytest.raises(FileNotFoundError):
        cached.read_range("b", 5, 10, len(CONTENT), "0" * 64)


def test_the_folder_stays_within_its_limit_and_the_oldest_go_first(tmp_path: Path) -> None:
    limit, size = 100 * DISK_BLOCK, 10 * DISK_BLOCK
    cache = Cache(tmp_path, limit)
    objects = [Counted(random.Random(seed).randbytes(size)) for seed in range(40)]
    favourite = objects[0]
    for one in objects:
        assert one.through(cache, 0, size) == one.content
        assert used(cache) <= limit
        time.sleep(0.002)  # file times have a limited resolution
        favourite.through(cache, 0, size)
        time.sleep(0.002)
    kept = [one for one in objects if (cache.folder / one.sha256).exists()]
    assert favourite in kept and len(favourite.asked) == 1
    assert kept[1:] == objects[-len(kept) + 1 :] and 5 <= len(kept) <= 10
    assert objects[3].through(cache, 0, size) == objects[3].content, "deleted objects are fetched again"


def test_deleting_under_a_reader_is_harmless(tmp_path: Path) -> None:
    cache, one = Cache(tmp_path, LIMIT), Counted()

    def delete_then_fetch(start: int, stop: int) -> bytes:
        (cache.folder / one.sha256).unlink(missing_ok=True)
        return one.content[start:stop]

    for _ in range(3):
        data = cache.read(one.sha256, len(CONTENT), 10, 9000, delete_then_fetch, verify=False)
        assert data == CONTENT[10:9000]


@pytest.mark.parametrize("harm", ["full", "a file in its place", "not ours to read", "cut", "nearly full"])
def test_an_unusable_cache_is_slower_and_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, harm: str
) -> None:
    one, folder = Counted(), tmp_path / "cache"
    if harm == "a file in its place":
        folder.write_bytes(b"")
    cache = Cache(folder, LIMIT)

    def refuse(*_: Any) -> Any:
        raise OSError(28, "No space left on device")

    if harm == "full":
        monkeypatch.setattr(os, "pwrite", refuse)
    elif harm == "nearly full":
        whole = os.pwrite
        monkeypatch.setattr(os, "pwrite", lambda file, data, place: whole(file, data[: len(data) // 2], place))
    elif harm == "not ours to read":
        monkeypatch.setattr(os, "pread", refuse)
    elif harm == "cut":
        one.through(cache, 0, 9000)
        os.truncate(cache.folder / one.sha256, 5000)
    for _ in range(3):
        assert one.through(cache, 100, 9000) == CONTENT[100:9000]
    assert len(one.asked) == 3 + (harm == "cut")
    assert len([each for each in caplog.records if "cannot be used" in each.getMessage()]) == (
        harm not in ("cut", "nearly full")
    )


def test_altered_blocks_of_verified_objects_are_fetched_again(tmp_path: Path) -> None:
    cache, one = Cache(tmp_path, LIMIT), Counted()
    one.through(cache, 0, len(CONTENT))
    path = cache.folder / one.sha256
    data = bytearray(path.read_bytes())
    data[7 * DISK_BLOCK + 5] ^= 1
    path.write_bytes(bytes(data))
    one.asked.clear()
    assert one.through(cache, 0, len(CONTENT), verify=True) == CONTENT
    assert one.asked == [(7 * DISK_BLOCK, 8 * DISK_BLOCK)]
    assert one.through(cache, 0, len(CONTENT), verify=True) == CONTENT and len(one.asked) == 1


NOT_OURS = ["yours", "123e4567-e89b-12d3-a456-426614174000", "backup01-2024-2025-best-holidaypics1", "0" * 64]


def test_foreign_files_in_the_folder_are_not_touched(tmp_path: Path) -> None:
    """Whatever their names, also inside the cache's own folder: folders without a marker are foreign."""
    boot = BOOT.read_text().strip()
    places = [tmp_path / name for name in [*NOT_OURS, boot]] + [tmp_path / CACHE_FOLDER / name for name in NOT_OURS]
    for place in places:
        place.mkdir(parents=True)
        (place / "only-copy").write_bytes(b"precious")
    claim(tmp_path / "outside")
    (tmp_path / CACHE_FOLDER / "link").symlink_to(tmp_path / "outside")
    cache, one = Cache(tmp_path, 100 * DISK_BLOCK), Counted()
    one.through(cache, 0, 5000)
    for name in ("notes.txt", "mine.new", "0" * 63):
        (cache.folder / name).write_bytes(bytes(100 * DISK_BLOCK))
        os.utime(cache.folder / name, (0, 0))
    for seed in range(9):
        Counted(random.Random(seed).randbytes(10 * DISK_BLOCK)).through(cache, 0, 10 * DISK_BLOCK)
    assert all((place / "only-copy").read_bytes() == b"precious" for place in places)
    assert {path.name for path in cache.folder.iterdir()} >= {"notes.txt", "mine.new", "0" * 63}
    assert (tmp_path / CACHE_FOLDER / "link").is_symlink() and is_marked(tmp_path / "outside")


def test_a_foreign_folder_in_its_place_is_not_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache, one = Cache(tmp_path, LIMIT), Counted()
    cache.folder.mkdir(parents=True)
    (cache.folder / "only-copy").write_bytes(b"precious")
    assert one.through(cache, 0, 5000) == CONTENT[:5000]
    assert "cannot be used" in caplog.text and [path.name for path in cache.folder.iterdir()] == ["only-copy"]


def test_other_boots_are_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = Counted()
    one.through(Cache(tmp_path, LIMIT), 0, 5000)
    (tmp_path / "yours").mkdir()
    boot = tmp_path / "boot"
    boot.write_text("6ba7b810-9dad-11d1-80b4-00c04fd430c8\n")
    monkeypatch.setattr(cache_module, "BOOT", boot)
    one.asked.clear()
    assert one.through(Cache(tmp_path, LIMIT), 0, 5000) == CONTENT[:5000]
    assert len(one.asked) == 1, "a power loss may have kept what says that blocks are there, and not the blocks"
    assert {path.name for path in tmp_path.iterdir()} == {"yours", "boot", CACHE_FOLDER}
    assert {path.name for path in (tmp_path / CACHE_FOLDER).iterdir()} == {boot.read_text().strip()}


def fill(folder: Path, seed: int, told: Connection) -> None:
    content = random.Random(0).randbytes(50 * 4096 + 1234)
    sha256, size = hashlib.sha256(content).hexdigest(), len(content)
    cache, draw = Cache(folder, 1 << 30), random.Random(seed)
    told.send("ready")
    while True:
        start = draw.randrange(size - 20000)
        data = cache.read(sha256, size, start, start + 20000, lambda a, b: content[a:b], verify=draw.random() < 0.5)
        assert data == content[start : start + 20000]
        if draw.random() < 0.05:
            cache.forget(sha256, size, start, start + 20000)


def test_killed_processes_leave_no_wrong_data(tmp_path: Path) -> None:
    one, others = Counted(), multiprocessing.get_context("forkserver")
    for seed in range(4):
        told, ready = others.Pipe(duplex=False)
        fillers = [others.Process(target=fill, args=(tmp_path, 10 * seed + number, ready)) for number in range(2)]
        for process in fillers:
            process.start()
        for _ in fillers:
            assert told.poll(60) and told.recv() == "ready"
        time.sleep(0.02 * (seed + 1))
        for process in fillers:
            assert process.is_alive(), "it found other bytes"
            process.kill()
            process.join(20)
            assert process.exitcode == -signal.SIGKILL, "it found other bytes"
        for verify in (False, True):
            assert one.through(Cache(tmp_path, LIMIT), 0, len(CONTENT), verify) == CONTENT
    assert len(one.asked) < 8, "and something had been kept"


def test_threads_that_read_and_forget_see_the_stores_bytes(tmp_path: Path) -> None:
    cache, wrong = Cache(tmp_path, 40 * DISK_BLOCK), list[int]()

    def read(seed: int) -> None:
        draw, one = random.Random(seed), Counted()
        for _ in range(150):
            start = draw.randrange(len(CONTENT) - 9000)
            if one.through(cache, start, start + 9000) != CONTENT[start : start + 9000]:
                wrong.append(start)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong and used(cache) <= 40 * DISK_BLOCK


def altered(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 0x20
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("where", ["cache", "store", "both"])
def test_an_image_altered_only_in_the_cache_is_no_hole(tmp_path: Path, where: str) -> None:
    corpus = make_corpus(str(tmp_path / "corpus"), tmp_path / "spool")
    cache = Cache(tmp_path / "cache", LIMIT)
    plain = ShardReader.of(corpus, corpus.entries[1])
    reader = replace(plain, store=CachedStore.of(plain.store, cache))
    records = reader.index(0, 7)
    place = int(records[3]["offset"])
    kept = cache.folder / identity_of(reader.manifest_digest, "000001.tar")
    harm: list[Callable[[], None]] = [lambda: altered(kept, place)]
    if where != "cache":
        harm.insert(0, lambda: altered(tmp_path / "corpus/shards/000001.tar", place))
    assert [type(each) for each in reader.pictures(records)] == [bytes] * 7
    for each in harm if where != "store" else harm[:1]:
        each()
    if where == "store":
        assert reader.pictures(records)[3] == sample(8).jpeg, "the node's copy is whole"
        return
    found = reader.pictures(records)
    expected = sample(8).jpeg if where == "cache" else Unreadable(sample(8).record.key, "altered")
    assert found[3] == expected and found[4] == sample(9).jpeg
    before = STORE_COUNTERS.counts()
    assert reader.pictures(records)[3] == expected
    assert ("cache_missed_bytes" in STORE_COUNTERS.counts() - before) == (where == "both"), (
        "mended for all who come after"
    )
