"""Dealing: every row exactly once, in the part and order that its URL's hash says, whatever the sizes."""

import hashlib
import json
import shutil
import tempfile
import threading
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.http.urls import normalise
from tagmill.ingest.layout import INPUTS_FILE, PARTITION_MARKER, ROWS_PATTERN, rows_file
from tagmill.ingest.parts import partition as partitions
from tagmill.ingest.parts.partition import PartitionManifest, partition
from tagmill.ingest.sources import rows
from tagmill.shards.errors import ConfigError, InputError
from tagmill.shards.input_table import InputTotals
from tagmill.shards.storage.store import Store

Row = dict[str, Any]


def lists(folder: Path, urls: list[str | None], files: int = 1) -> None:
    """The URLs over some files, in order."""
    share = -(-len(urls) // files)
    for i in range(files):
        mine = urls[i * share : (i + 1) * share]
        table = pa.table({"url": pa.array(mine, pa.string()), "tags": [[str(n)] for n in range(len(mine))]})
        pq.write_table(table, folder / f"{i:03d}.parquet")


def partitioned(folder: Path, **settings: Any) -> tuple[PartitionManifest, list[list[Row]]]:
    """Deals the lists of `folder/lists` and reads the parts."""
    config = IngestConfig(input=(str(folder / "lists"),), output=str(folder / "corpus"), **settings)
    store = Store(config.output)
    made = partition(config, store, folder / "spool")
    assert not list((folder / "spool").iterdir())
    names = [name for name in store.names("parts") if name.endswith("rows.parquet")]
    assert names == [rows_file(part) for part in range(made.num_parts)]
    return made, [pq.read_table(folder / "corpus" / name).to_pylist() for name in names]


def brute_force(urls: list[str | None], files: int, num_parts: int, seed: int) -> list[list[tuple[Any, ...]]]:
    share = -(-len(urls) // files)
    parts: list[list[tuple[Any, ...]]] = [[] for _ in range(num_parts)]
    for i, url in enumerate(urls):
        text = seed.to_bytes(8, "little", signed=True) + normalise(url or "").encode()
        digest = hashlib.sha256(text).digest()
        part = int.from_bytes(digest, "big") * num_parts >> 256
        parts[part].append((digest, i // share << 40 | i % share, url, [str(i % share)]))
    return [sorted(part, key=lambda row: row[:2]) for part in parts]


@given(
    st.lists(st.none() | st.sampled_from(["", "http://A/", "http://a", "x"]) | st.text(max_size=6), min_size=1),
    st.integers(1, 9),
    st.integers(1, 3),
    st.integers(1, 8),
    st.integers(-3, 1 << 40),
)
@settings(max_examples=60, deadline=None)
def test_every_row_exactly_once(urls: list[str | None], rows_per_part: int, files: int, batch: int, seed: int) -> None:
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        folder = Path(name)
        (folder / "lists").mkdir()
        lists(folder / "lists", urls, files)
        patch.setattr(rows, "BATCH_ROWS", batch)
        made, parts = partitioned(folder, rows_per_part=rows_per_part, seed=seed)
        least = -(-len(urls) // rows_per_part)
        assert made.rows == len(urls) and made.num_parts == 1 << (least - 1).bit_length()
        found = [[(row["url_hash"], row["row_id"], row["url"], row["tags"]) for row in part] for part in parts]
        assert found == brute_force(urls, files, made.num_parts, seed)


@pytest.mark.parametrize(("count", "rows_per_part", "held"), [(300, 1, 64), (300, 1, 1), (90, 100, 64), (600, 3, 64)])
def test_both_levels_of_buckets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, rows_per_part: int, held: int
) -> None:
    """From one part to 512, with buckets that are split again on disk and without."""
    monkeypatch.setattr(partitions, "HELD_PARTS", held)
    (tmp_path / "lists").mkdir()
    urls: list[str | None] = [f"http://host/{i % (count - 7)}" for i in range(count)]
    lists(tmp_path / "lists", urls, 3)
    made, parts = partitioned(tmp_path, rows_per_part=rows_per_part)
    found = [[(row["url_hash"], row["row_id"], row["url"], row["tags"]) for row in part] for part in parts]
    assert found == brute_force(urls, 3, made.num_parts, 0)


def test_the_seed_decides_the_order(tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    lists(tmp_path / "lists", [f"http://host/{i}" for i in range(40)])
    orders = []
    for seed in (0, 0, 1):
        shutil.rmtree(tmp_path / "corpus", ignore_errors=True)
        orders.append([row["row_id"] for part in partitioned(tmp_path, seed=seed, rows_per_part=10)[1] for row in part])
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0]) == sorted(orders[2])


def test_a_resumed_run_skips_the_stage_and_another_config_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    lists(tmp_path / "lists", ["http://a/", "http://b/"], 2)
    made, parts = partitioned(tmp_path)
    marker = json.loads((tmp_path / "corpus" / PARTITION_MARKER).read_text())
    listed = pq.read_table(tmp_path / "corpus" / INPUTS_FILE).to_pylist()
    content = (tmp_path / "lists/000.parquet").read_bytes()
    assert [file["rows"] for file in listed] == [1, 1]
    assert listed[0]["sha256"] == hashlib.sha256(content).hexdigest() and listed[0]["bytes"] == len(content)
    totals = {"files": 2, "rows": 2, "bytes": sum(file["bytes"] for file in listed), "skipped": 0}
    assert marker["inputs"] == totals and made.inputs == InputTotals(**totals)
    shutil.rmtree(tmp_path / "lists")
    assert partitioned(tmp_path, processes=3) == (made, parts)  # the list is not even read
    with pytest.raises(ConfigError, match="seed 0 then and 7 now"):
        partitioned(tmp_path, seed=7)


def test_a_run_that_dies_in_the_stage_starts_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lists").mkdir()
    lists(tmp_path / "lists", [f"http://host/{i}" for i in range(40)])
    wanted = partitioned(tmp_path, rows_per_part=5)
    shutil.rmtree(tmp_path / "corpus")
    put, puts = Store.put, iter(range(5))

    def dies(store: Store, name: str, source: bytes | Path, **how: Any) -> None:
        next(puts)
        put(store, name, source, **how)

    monkeypatch.setattr(Store, "put", dies)
    with pytest.raises(StopIteration):
        partitioned(tmp_path, rows_per_part=5)
    assert not (tmp_path / "corpus" / PARTITION_MARKER).exists()
    monkeypatch.undo()
    assert partitioned(tmp_path, rows_per_part=5) == wanted


@pytest.mark.parametrize("keep_order", [False, True])
def test_some_parts_go_into_the_store_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep_order: bool
) -> None:
    """As many as AT_ONCE, so that one waits for the disk or the network while others do; and no more lie in the spool."""
    (tmp_path / "lists").mkdir()
    lists(tmp_path / "lists", [f"http://host/{i}" for i in range(64)])
    put, lock, together = Store.put, threading.Lock(), [0, 0, 0]  # now, at most, in the spool at most
    all_at_once = threading.Barrier(partitions.PUTS_AT_ONCE)

    def slow(store: Store, name: str, source: bytes | Path, **how: Any) -> None:
        of_part = ROWS_PATTERN.fullmatch(name) is not None and isinstance(source, Path)
        if of_part and isinstance(source, Path):
            with lock:
                together[0] += 1
                together[1] = max(together[1], together[0])
                together[2] = max(together[2], len(list(source.parent.glob("rows-*"))))
            all_at_once.wait(60)
        put(store, name, source, **how)
        with lock:
            together[0] -= of_part

    monkeypatch.setattr(Store, "put", slow)
    made, parts = partitioned(tmp_path, rows_per_part=4, keep_order=keep_order)
    assert made.num_parts == 16 and sum(map(len, parts)) == 64
    assert together[0] == 0 and together[1] == partitions.PUTS_AT_ONCE and together[2] <= partitions.PUTS_AT_ONCE + 1


def test_an_empty_list_is_refused_and_leaves_no_marker(tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    lists(tmp_path / "lists", [])
    with pytest.raises(InputError, match="the list is empty"):
        partitioned(tmp_path)
    assert not (tmp_path / "corpus" / PARTITION_MARKER).exists()


def test_an_error_does_not_wait_for_puts_into_a_store_that_is_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C, say: what is under way is left after a moment, what waits is never begun."""
    begun, never = threading.Semaphore(0), threading.Event()

    def silent(store: Store, name: str, source: object, *, give: bool = False) -> None:
        begun.release()
        never.wait()

    monkeypatch.setattr(Store, "put", silent)
    try:
        with pytest.raises(KeyboardInterrupt), partitions._Puts(Store(str(tmp_path / "store")), tmp_path) as puts:
            for part in range(partitions.PUTS_AT_ONCE):
                puts.put(pa.table({"x": [part]}), part)
            assert begun.acquire(timeout=60)
            raise KeyboardInterrupt
    finally:
        never.set()


def test_a_limit_deals_the_first_rows_and_names_the_files_that_they_are_from(tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    urls: list[str | None] = [f"http://a/{number}" for number in range(30)]
    lists(tmp_path / "lists", urls, 3)
    made, parts = partitioned(tmp_path, limit=14, rows_per_part=4)
    assert sorted(row["url"] for part in parts for row in part) == sorted(map(str, urls[:14]))
    assert (made.rows, made.inputs.files, made.inputs.rows) == (14, 2, 14)
    files = pq.read_table(tmp_path / "corpus" / INPUTS_FILE).to_pylist()
    assert [each["rows"] for each in files] == [10, 4]
    assert [each["sha256"] is None for each in files] == [False, True]  # what was read of it does not identify it
    assert files[1]["bytes"] == (tmp_path / "lists" / "001.parquet").stat().st_size
    with pytest.raises(ConfigError, match="limit 14 then and 15 now"):
        partitioned(tmp_path, limit=15, rows_per_part=4)
