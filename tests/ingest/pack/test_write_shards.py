"""Packing hand-made parts: bytes, order, side tables, markers, and shards that everybody reads."""

import dataclasses
import hashlib
import importlib
import io
import json
import random
import subprocess
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tagmill.ingest.dedup.group_selection import SELECTION, STAMP
from tagmill.ingest.layout import PACKING_PIN, heldout_file, packed_file, selection_file
from tagmill.ingest.pack import write_shards as packing
from tagmill.ingest.pack.shard_plan import GroupPlan
from tagmill.ingest.pack.write_shards import (
    PackedGroup,
    PackTask,
    pack,
    pack_all,
    pack_group,
    packed_before,
    plan_groups,
)
from tagmill.ingest.parts import row_groups
from tagmill.ingest.parts.row_groups import StoredTable
from tagmill.ingest.parts.table import PART, record_of
from tagmill.shards.errors import CorpusError, TagmillError
from tagmill.shards.formats.shard_index import sample_bytes
from tagmill.shards.lint import lint_shard
from tagmill.shards.manifest import Corpus, CorpusFile, commit, put_manifest
from tagmill.shards.progress.protocol import Progress, Silent
from tagmill.shards.storage.store import Store
from tests.shards.countedstore import counted_store
from tests.shards.faults import faulty
from tests.shards.objectstore import ObjectStore

NUM_PARTS, PARTS_PER_GROUP = 5, 2
SELECTED = "a selection"  # its stamp
MAGIC = 4  # bytes at the begin of a Parquet file, which nobody reads
EXTRA = pa.schema([("score", pa.float64())])
WITH_EXTRA = pa.schema([*list(PART)[:7], *EXTRA, *list(PART)[7:]])


def made_rows(part: int, dice: random.Random, num_rows: int | None, largest: int) -> list[dict[str, Any]]:
    """Rows of a part: pictures (random bytes, which is all that packing looks at), duplicates of them, and rejects."""
    rows = []
    for place in range(dice.randrange(0, 12) if num_rows is None else num_rows):
        row: dict[str, Any] = dict.fromkeys(WITH_EXTRA.names)
        row |= {"row_id": part * 1000 + place, "part": part, "place": place, "url": f"http://h/{part}/{place}"}
        row |= {"tags": [f"#tag{place}", "ünï"], "score": place / 3, "host": "h"}
        row |= {"fetched_at": datetime(2026, 1, 1, tzinfo=UTC), "seconds": 0.25, "http_status": 200}
        if dice.random() < 0.3:
            row |= {"reason": "not_found", "detail": "404", "http_status": 404}
        else:
            jpeg = dice.randbytes(dice.randrange(1, largest))
            sha256 = hashlib.sha256(jpeg).hexdigest()
            row |= {"sha256": sha256, "key": sha256[:32], "jpeg": jpeg, "jpeg_size": len(jpeg), "pdq_quality": 9}
            row |= {f"pdq{i}": dice.randrange(-(1 << 63), 1 << 63) for i in range(4)}
            row |= {"width": 4, "height": 5, "original_width": 40, "original_height": 50, "holdout_order": 1}
            row["sample_bytes"] = sample_bytes(len(jpeg), len(record_of(row).json()))
        rows.append(row)
    return rows


def fate_of(row: dict[str, Any], dice: random.Random) -> dict[str, Any]:
    fate = {name: row.get(name) for name in SELECTION.names} | {"split": None, "yields_to": None}
    if row["reason"] is None:
        kind = dice.choice(["train", "train", "holdout", "duplicate"])
        fate |= {"reason": kind, "yields_to": "f" * 32} if kind == "duplicate" else {"split": kind}
    return fate


class Counted(Silent):
    """Progress that adds up its calls."""

    def __init__(self, seen: Counter[str]) -> None:
        self.seen = seen

    def advance(self, n: int, **counts: int) -> None:
        assert n == sum(counts.values())
        self.seen.update(counts)


class Made:
    """A store with parts and a selection, and what should come of them."""

    def __init__(
        self, folder: Path, seed: int, *, num_rows: int | None = None, largest: int = 3000, row_group: int = 3
    ) -> None:
        """Parts of `num_rows` rows (None: a few) with pictures of less than `largest` bytes."""
        dice = random.Random(seed)
        self.store, self.spool = Store(str(folder / "corpus")), folder / "spool"
        self.rows = {part: made_rows(part, dice, num_rows, largest) for part in range(NUM_PARTS)}
        self.fates = {part: [fate_of(row, dice) for row in rows] for part, rows in self.rows.items()}
        for part, rows in self.rows.items():
            pq.write_table(pa.Table.from_pylist(rows, WITH_EXTRA), folder / "file", row_group_size=row_group)
            self.store.put(f"parts/{part:06d}/try{part}.parquet", folder / "file")
        for group in range(-(-NUM_PARTS // PARTS_PER_GROUP)):
            parts = range(group * PARTS_PER_GROUP, min(NUM_PARTS, (group + 1) * PARTS_PER_GROUP))
            fates = [fate for part in parts for fate in self.fates[part]]
            table = pa.Table.from_pylist(fates, SELECTION.with_metadata({STAMP: SELECTED}))
            pq.write_table(table, folder / "file")
            self.store.put(selection_file(group), folder / "file")

    def tasks(self, max_samples: int = 4, max_bytes: int = 20_480, stamp: str = "one plan") -> list[PackTask]:
        limits: dict[str, Any] = {"max_samples": max_samples, "max_bytes": max_bytes, "selected": SELECTED}
        groups = plan_groups(self.store, num_parts=NUM_PARTS, parts_per_group=PARTS_PER_GROUP, **limits)
        names = [f"parts/{part:06d}/try{part}.parquet" for part in range(NUM_PARTS)]
        files = [StoredTable(name, self.store.size(name)) for name in names]
        self.store.put(PACKING_PIN, stamp.encode())
        of_run = (PARTS_PER_GROUP, EXTRA, stamp, SELECTED)
        return [
            PackTask(self.store, str(self.spool), group, {part: files[part] for part in group.parts}, *of_run)
            for group in groups
        ]

    def packed(self, tasks: list[PackTask] | None = None, progress: Progress | None = None) -> list[PackedGroup]:
        """Packs in this process."""
        tasks = self.tasks() if tasks is None else tasks
        return pack_all(tasks, progress or Silent(), lambda some, _: [pack_group(task) for task in some])

    def expected(self, split: str) -> list[dict[str, Any]]:
        return [
            row
            for part, rows in self.rows.items()
            for row, fate in zip(rows, self.fates[part], strict=True)
            if fate["split"] == split
        ]

    def bytes(self) -> dict[str, bytes]:
        folders = ("shards", "rejects", "ledger", "parts/packed")
        return {name: self.store.read(name) for folder in folders for name in self.store.names(folder)}

    def corpus(self, packed: list[PackedGroup]) -> Corpus:
        manifest = put_manifest(self.store, [entry for group in packed for entry in group.entries])
        commit(self.store, CorpusFile("c", manifest, {}))
        return Corpus.open(self.store.url)


@pytest.mark.parametrize("seed", range(6))
def test_every_row_becomes_a_sample_or_a_reject_in_order(tmp_path: Path, seed: int) -> None:
    made = Made(tmp_path, seed)
    packed = made.packed()
    corpus = made.corpus(packed)
    for entry in corpus.entries:
        lint_shard(corpus, entry)
        assert entry.samples <= 4 and (entry.samples == 1 or entry.bytes <= 20_480)
    for split in ("train", "holdout"):
        names = [entry.name for entry in corpus.entries if entry.split == split]
        tables = [pq.read_table(io.BytesIO(made.store.read(f"shards/{name}.parquet"))) for name in names]
        found = [row for table in tables for row in table.to_pylist()]
        wanted = made.expected(split)
        for name in ("key", "url", "tags", "score", "pdq0", "width", "original_height"):
            assert [row[name] for row in found] == [row[name] for row in wanted]
        assert [row["size"] for row in found] == [len(row["jpeg"]) for row in wanted]
    rows = sum(map(len, made.rows.values()))
    assert sum(sum(group.outcomes().values()) for group in packed) == rows
    assert not made.spool.exists() or not list(made.spool.iterdir())


@pytest.mark.parametrize("seed", range(3))
def test_side_tables_tell_every_row(tmp_path: Path, seed: int) -> None:
    made = Made(tmp_path, seed)
    packed = made.packed()
    fates = [(row, fate) for part in made.rows for row, fate in zip(made.rows[part], made.fates[part], strict=True)]
    rejects = [row for name in made.store.names("rejects") for row in read(made, name)]
    assert [(row["row_id"], row["reason"], row["detail"], row["tags"], row["yields_to"]) for row in rejects] == [
        (row["row_id"], fate["reason"], row["detail"], row["tags"] if fate["yields_to"] else None, fate["yields_to"])
        for row, fate in fates
        if fate["reason"]
    ]
    for number, group in enumerate(packed):
        if group.rejects_sha256:
            assert sum(group.rejects.values()) == len(read(made, f"rejects/{number:06d}.parquet"))
    ledger = [row for name in made.store.names("ledger") for row in read(made, name)]
    assert [(row["row_id"], row["status"], row["http_status"]) for row in ledger] == [
        (row["row_id"], fate["reason"] or "ok", row["http_status"]) for row, fate in fates
    ]


def test_side_tables_are_written_piece_by_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row groups are of one size, wherever the parts end: neither memory nor bytes depend on how rows come."""
    made = Made(tmp_path, 5)
    monkeypatch.setattr(packing, "SIDE_ROWS", 4)
    made.packed()
    for name in made.store.names("ledger"):
        file = pq.ParquetFile(io.BytesIO(made.store.read(name)))
        groups = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
        assert groups[:-1] == [4] * (len(groups) - 1) and 1 <= groups[-1] <= 4
    assert sum(len(read(made, name)) for name in made.store.names("ledger")) == sum(map(len, made.rows.values()))


def read(made: Made, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(io.BytesIO(made.store.read(name))).to_pylist()
    return found


def test_processes_do_not_change_a_byte(tmp_path: Path) -> None:
    made = [Made(tmp_path / str(processes), 5) for processes in (0, 2) if (tmp_path / str(processes)).mkdir() is None]
    made[0].packed()
    seen: Counter[str] = Counter()
    found = pack_all(made[1].tasks(), Counted(seen), lambda some, progress: pack(some, 2, progress))
    assert made[0].bytes() == made[1].bytes()
    assert [entry.name for group in found for entry in group.entries if entry.split == "train"] == sorted(
        name[7:-4] for name in made[0].bytes() if name.endswith(".tar") and "holdout" not in name
    )
    total: Counter[str] = Counter()
    for group in found:
        total.update(group.outcomes())
    assert seen == total and total.total() == sum(map(len, made[1].rows.values()))


def test_a_packed_group_is_not_packed_again(tmp_path: Path) -> None:
    made = Made(tmp_path, 1)
    task = made.tasks()[0]
    packed = pack_group(task)
    made.store.delete_below("shards")
    seen: Counter[str] = Counter()
    assert pack_group(task, lambda outcome, num_rows: seen.update({outcome: num_rows})) == packed
    assert seen == packed.outcomes()
    assert made.store.names("shards") == []


@pytest.mark.parametrize("seed", range(3))
def test_the_held_out_group_is_packed_from_what_the_others_put_aside(tmp_path: Path, seed: int) -> None:
    """It reads no part: they are gone by then. The markers say how many rows were put aside."""
    made = Made(tmp_path, seed)
    tasks = made.tasks()

    def pack_some(some: list[PackTask], _: Progress) -> list[PackedGroup]:
        if some[0].group.split == "holdout":
            assert not some[0].attempts
            for part in range(NUM_PARTS):
                made.store.delete(f"parts/{part:06d}/try{part}.parquet")
        return [pack_group(task) for task in some]

    packed = pack_all(tasks, Silent(), pack_some)
    aside = {task.group.label: group.heldout for task, group in zip(tasks, packed, strict=True)}
    assert sum(aside.values()) == len(made.expected("holdout")) > 0 and aside["holdout"] == 0
    for label, count in aside.items():
        assert made.store.exists(heldout_file(label)) == bool(count)
        if count:
            table = pq.read_table(io.BytesIO(made.store.read(heldout_file(label))))
            assert len(table) == count and table.schema.equals(WITH_EXTRA)
    corpus = made.corpus(packed)
    names = [entry.name for entry in corpus.entries if entry.split == "holdout"]
    tables = [pq.read_table(io.BytesIO(made.store.read(f"shards/{name}.parquet"))) for name in names]
    assert [key for table in tables for key in table["key"].to_pylist()] == [
        row["key"] for row in made.expected("holdout")
    ]


class Killed(BaseException):
    """As if the process were gone."""


def test_killed_between_any_two_puts_it_ends_with_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a held-out file is there and its marker is not, and where the held-out group alone is left."""
    (tmp_path / "undisturbed").mkdir()
    undisturbed = Made(tmp_path / "undisturbed", 5)
    undisturbed.packed()
    put, kills, order = Store.put, 0, list[str]()

    def dying(store: Store, name: str, *of: Any, **how: Any) -> None:
        if name != PACKING_PIN:
            order.append(name)
            if len(order) > kills:
                raise Killed
        put(store, name, *of, **how)

    while True:
        (folder := tmp_path / str(kills)).mkdir()
        made = Made(folder, 5)
        order.clear()
        with monkeypatch.context() as patch:
            patch.setattr(Store, "put", dying)
            try:
                made.packed()
                break
            except Killed:
                pass
        for _ in range(2):  # the second time all is there
            made.packed()
            assert made.bytes() == undisturbed.bytes()
        kills += 1
    assert kills == len(order) > 20
    places = {name: at for at, name in enumerate(order)}
    for label in ("000000", "000001"):
        assert places[heldout_file(label)] + 1 == places[packed_file(label)] < places["shards/holdout-000000.tar"]


def test_held_out_rows_that_are_gone_are_named(tmp_path: Path) -> None:
    made = Made(tmp_path, 5)
    made.packed()
    made.store.delete(packed_file("holdout"))
    made.store.delete(heldout_file("000001"))
    with pytest.raises(CorpusError, match=r"held-out rows of a pack group are gone.*remove it and start over"):
        made.packed()


@pytest.mark.usefixtures("never_late")
def test_each_picture_is_requested_once(s3_service: ObjectStore, s3_bucket: str, tmp_path: Path) -> None:
    """Held out or not: a pack requests as many bytes of the parts, and of what it puts aside, as there are."""
    made, store = Made(tmp_path, 5, num_rows=120, largest=120_000, row_group=30), Store(s3_bucket)
    for name in made.store.names("parts"):
        store.put(name, made.store.read(name))
    here, made.store = made.store, store
    tasks = made.tasks(max_samples=200, max_bytes=1 << 26)
    with faulty(s3_service.endpoint) as proxy, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        packed = made.packed(tasks)
    read = [each for each in proxy.requests if each.method in ("GET", "HEAD") and each.status < 300]
    for task in tasks[:-1]:
        for name, size in task.attempts.values():
            of_part = [each for each in read if name in each.path]
            assert size > row_groups.WHOLE_READ and size - MAGIC <= sum(each.size for each in of_part) <= 1.05 * size
            assert len(of_part) <= 1 + 120 // 30
    aside = [each for each in read if ".holdout.parquet" in each.path]
    sizes = sorted(store.size(heldout_file(task.group.label)) for task in tasks[:-1])
    least = sum(sizes) - MAGIC * len(sizes)
    assert len(aside) >= len(sizes) and least <= sum(each.size for each in aside) <= 1.05 * sum(sizes)
    assert sorted(group.heldout_size for group in packed[:-1]) == sizes
    made.store = here
    assert made.packed(made.tasks(max_samples=200, max_bytes=1 << 26)) == packed
    assert all(store.read(name) == here.read(name) for name in here.names("shards"))


def test_a_worker_that_outlives_its_run_publishes_nothing(tmp_path: Path) -> None:
    """The next run packs by another plan meanwhile."""
    made = Made(tmp_path, 1)
    task = made.tasks()[0]
    before = made.packed(made.tasks(max_samples=2, stamp="another plan"))
    there = made.bytes()
    with pytest.raises(CorpusError, match="another run packs here"):
        pack_group(task)
    made.store.delete(PACKING_PIN)  # the first thing that the next run does
    with pytest.raises(CorpusError, match="another run packs here"):
        pack_group(task)
    assert made.bytes() == there and before[0].stamp == "another plan"


def test_a_group_of_another_selection_is_refused(tmp_path: Path) -> None:
    made = Made(tmp_path, 1)
    task = dataclasses.replace(made.tasks()[0], selected="another selection")
    with pytest.raises(CorpusError, match="another run selects here"):
        pack_group(task)


def test_what_a_killed_run_left_in_the_spool_does_no_harm(tmp_path: Path) -> None:
    made = Made(tmp_path, 1)
    left = made.spool / "pack-000000"
    left.mkdir(parents=True)
    (left / "000000.tar").write_bytes(b"half a shard")
    packed = made.packed()
    corpus = made.corpus(packed)
    lint_shard(corpus, corpus.entries[0])


def test_a_part_that_is_not_the_selected_one_is_refused(tmp_path: Path) -> None:
    made = Made(tmp_path, 1)
    task = made.tasks()[0]
    name = next(f"parts/{part:06d}/try{part}.parquet" for part in (0, 1) if made.rows[part])
    pq.write_table(WITH_EXTRA.empty_table(), tmp_path / "file")
    made.store.put(name, tmp_path / "file")
    with pytest.raises(CorpusError, match="remove it and start over"):
        pack_group(task)
    assert made.store.names("parts/packed") == []


def test_an_error_in_a_worker_reaches_the_caller(tmp_path: Path) -> None:
    made = Made(tmp_path, 1)
    tasks = made.tasks()[:-1]
    made.store.delete_below("shards")
    (tmp_path / "corpus" / "shards").write_text("a file where a folder should be")
    with pytest.raises(TagmillError, match="cannot write here"):
        pack(tasks, 1, Silent())


def test_a_dead_worker_is_named_with_its_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = "import os\nfrom tagmill.shards.storage.store import Store\n\nclass DeadlyStore(Store):\n"
    (tmp_path / "deadly_store.py").write_text(module + "    def read(self, name):\n        os._exit(9)\n")
    monkeypatch.syspath_prepend(str(tmp_path))  # a spawned worker takes the path over
    deadly = importlib.import_module("deadly_store").DeadlyStore(str(tmp_path / "corpus"))
    tasks = [dataclasses.replace(task, store=deadly) for task in Made(tmp_path, 1).tasks()[:-1]]
    with pytest.raises(TagmillError, match=r"a worker process died .*at pack group 000000") as raised:
        pack(tasks, 1, Silent())
    assert "run it again" in raised.value.remedy


def test_gnu_tar_lists_a_shard(tmp_path: Path) -> None:
    made = Made(tmp_path, 5)
    entry = pack_group(made.tasks()[0]).entries[0]
    listed = subprocess.run(
        ["tar", "tf", str(tmp_path / "corpus" / "shards" / f"{entry.name}.tar")],
        capture_output=True,
        text=True,
        check=True,
    )
    keys = [row["key"] for row in made.expected("train")][: entry.samples]
    assert listed.stdout.split() == [f"{key}.{kind}" for key in keys for kind in ("jpg", "json")]


def test_a_marker_holds_what_was_packed(tmp_path: Path) -> None:
    made = Made(tmp_path, 2)
    packed = pack_group(made.tasks()[0])
    assert PackedGroup.parse(made.store.read("parts/packed/000000.json")) == packed
    assert json.loads(made.store.read("parts/packed/000000.json"))["rejects"] == packed.rejects


def test_groups_that_are_packed_already_are_found_by_one_request_each(monkeypatch: pytest.MonkeyPatch) -> None:
    driver, store = counted_store(monkeypatch), Store("s3://corpus")
    groups = [GroupPlan(f"{number:06d}", "train", (number,), ()) for number in range(3000)]
    tasks = [PackTask(store, "", group, {}, 1, EXTRA, "now", SELECTED) for group in groups]
    assert packed_before(tasks, Silent()) == {} == packed_before([], Silent())
    made = {number: PackedGroup([], {"timeout": number}, "", "now") for number in range(3000)}
    for number, group in made.items():
        driver.objects[packed_file(f"{number:06d}")] = json.dumps(dataclasses.asdict(group)).encode()
    del driver.objects[packed_file("000009")]
    driver.objects[packed_file("000005")] = json.dumps({**dataclasses.asdict(made[5]), "stamp": "before"}).encode()
    driver.counts, driver.together, driver.gated = Counter(), 32, "packed/"
    seen = Counter[str]()
    found = packed_before(tasks, Counted(seen))
    assert found == {number: group for number, group in made.items() if number not in (5, 9)}
    assert driver.counts == {"page": 3, "read": 2999} and +seen == {"timeout": sum(found)}


def test_selections_are_read_together_when_groups_are_planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Made(tmp_path, 3)
    limits: dict[str, Any] = {"max_samples": 4, "max_bytes": 20_480, "selected": SELECTED}
    sizes: dict[str, Any] = {"num_parts": NUM_PARTS, "parts_per_group": PARTS_PER_GROUP}
    here = plan_groups(made.store, **sizes, **limits)
    driver = counted_store(monkeypatch)
    driver.objects = {name: made.store.read(name) for name in made.store.names("parts/selection")}
    driver.together, driver.gated = len(driver.objects), "selection/"
    assert len(driver.objects) == 3 and plan_groups(Store("s3://corpus"), **sizes, **limits) == here
