"""Packs parts into shards: each pack group streams its parts, row group by row group, into tars and side tables.

A train group puts its held-out rows aside in the same pass, and the held-out group is packed from these.
"""

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tagmill.ingest.dedup.group_selection import read_group
from tagmill.ingest.layout import PACKED_FOLDER, PACKING_PIN, packed_file
from tagmill.ingest.optional_objects import read_if_there
from tagmill.ingest.pack.heldout import HeldOutFile, heldout_rows
from tagmill.ingest.pack.kept_pictures import KeptPictures
from tagmill.ingest.pack.shard_plan import NOTHING_BEFORE, Before, GroupPlan, GroupSizes, ShardPlan, plan, tar_bytes
from tagmill.ingest.parts.row_groups import IMAGE, StoredTable, open_row_groups
from tagmill.ingest.parts.table import record_of
from tagmill.ingest.reasons import Reason
from tagmill.ingest.workers.pool import WorkerPool
from tagmill.ingest.workers.worker import ReportRows, WorkerReport, no_report
from tagmill.shards.errors import CorpusError
from tagmill.shards.formats.record import sha256_hex
from tagmill.shards.manifest import SPLITS, ShardEntry
from tagmill.shards.many_requests import in_order, read_many, requests_at_once
from tagmill.shards.progress.protocol import Progress
from tagmill.shards.side_tables import LEDGER, REJECTS, SIDE_ROWS
from tagmill.shards.storage.store import Store
from tagmill.shards.writer import ShardWriter, publish

GROUPS_AT_ONCE = 16  # selections of groups, of about 100,000 rows each, that are read at a time from a remote store
DECISIONS = ["part", "place", "split", "reason", "yields_to"]


@dataclass(frozen=True)
class PackTask:
    """All that a worker needs to pack one group."""

    store: Store
    spool: str  # a local folder; the group makes a folder of its own in it
    group: GroupPlan
    attempts: Mapping[int, StoredTable]  # the committed pictures of each of the group's parts
    parts_per_group: int
    extra: pa.Schema  # the source's own columns
    stamp: str  # of the pack stage; PACKING_PIN has the same while the group is packed
    selected: str  # stamp of the selection
    limits: Mapping[str, int] = field(default_factory=dict)  # of keys, by reason of the rows whose images are kept
    extends: bool = False  # whether a corpus is extended, whose shards must not be overwritten
    aside: tuple[
        tuple[str, int], ...
    ] = ()  # of the held-out group: (label of a train group, bytes) of its held-out rows


@dataclass(frozen=True)
class PackedGroup:
    """What came of a group; also the content of its marker, `packed_file`, so that a resumed run does not pack it again."""

    entries: list[ShardEntry]
    rejects: dict[str, int]  # by reason
    rejects_sha256: str = ""  # of the file; empty for the held-out group, which has none
    stamp: str = ""
    heldout: int = 0  # rows that a train group put aside
    heldout_size: int = 0  # bytes of their file
    pictures: str = ""  # label of the group, if it kept small images of rejected rows

    def outcomes(self) -> dict[str, int]:
        """Returns the number of rows by outcome: 'ok', or the reason of a reject."""
        return {"ok": sum(entry.samples for entry in self.entries), **self.rejects}

    @classmethod
    def parse(cls, data: bytes) -> Self:
        fields = json.loads(data)
        return cls([ShardEntry(**entry) for entry in fields.pop("entries")], **fields)


def plan_groups(
    store: Store,
    *,
    num_parts: int,
    parts_per_group: int,
    max_samples: int,
    max_bytes: int,
    selected: str,
    before: Before = NOTHING_BEFORE,
) -> list[GroupPlan]:
    """Plans all new shards from the selection in the store; memory holds a bounded number of groups at a time."""

    def sizes(first: int) -> GroupSizes:
        group = read_group(store, first // parts_per_group, ["split", "sample_bytes"], selected)
        sample_bytes, split = group["sample_bytes"].to_numpy(), np.array(group["split"].to_pylist(), object)
        heldout = split == "holdout"
        return GroupSizes(
            parts=tuple(range(first, min(first + parts_per_group, num_parts))),
            train=sample_bytes[split == "train"].astype(np.int64),
            heldout=sample_bytes[heldout].astype(np.int64),
        )

    firsts = range(0, num_parts, parts_per_group)
    groups = in_order(sizes, firsts, min(GROUPS_AT_ONCE, requests_at_once(store)))
    return plan(groups, max_samples=max_samples, max_bytes=max_bytes, before=before)


def packed_before(tasks: list[PackTask], progress: Progress) -> dict[int, PackedGroup]:
    """Returns what came of the groups that are packed already, by number of the task, and shows it in `progress`: one
    listing, then a request a group, many at a time."""
    if not tasks:
        return {}
    store, names = tasks[0].store, {packed_file(task.group.label): number for number, task in enumerate(tasks)}
    there = [name for name, _ in store.listing(PACKED_FOLDER) if name in names]
    found = {}
    for name, marker in zip(there, read_many(store, there), strict=True):
        group = PackedGroup.parse(marker)
        if group.stamp == tasks[names[name]].stamp:
            found[names[name]] = group
            for outcome, num_rows in group.outcomes().items():
                progress.advance(num_rows, **{outcome: num_rows})
    return found


def pack_all(
    tasks: list[PackTask], progress: Progress, pack_some: Callable[[list[PackTask], Progress], list[PackedGroup]]
) -> list[PackedGroup]:
    """Packs all groups with `pack_some`, which takes them in any order: first the train groups, then the held-out group,
    from what they put aside. Groups that are packed already are kept. Returns the results in the order of the tasks.
    """
    found = packed_before(tasks, progress)
    for split in SPLITS:
        left = [number for number, task in enumerate(tasks) if number not in found and task.group.split == split]
        if left:
            aside = tuple((tasks[n].group.label, found[n].heldout_size) for n in sorted(found) if found[n].heldout)
            some = [replace(tasks[n], aside=aside) if split == "holdout" else tasks[n] for n in left]
            found.update(zip(left, pack_some(some, progress), strict=True))
    return [found[number] for number in range(len(tasks))]


def pack(tasks: list[PackTask], processes: int, progress: Progress) -> list[PackedGroup]:
    """Packs groups in worker processes, in any order; returns the results in the order of the tasks.

    Raises TagmillError where a worker process dies. Groups that are packed stay packed, whatever is raised.
    """
    with WorkerPool(max(1, min(processes, len(tasks))), tasks[0].store.url if tasks else "") as pool:
        found = dict(pool.each(_pack_in_worker, enumerate(tasks), progress, _name))
    return [found[number] for number in range(len(tasks))]


def _pack_in_worker(task: tuple[int, PackTask], report: WorkerReport) -> tuple[int, PackedGroup]:
    return task[0], pack_group(task[1], report)


def _name(task: tuple[int, PackTask]) -> str:
    return f"at pack group {task[1].group.label}"


def totals_of(packed: Iterable[PackedGroup]) -> dict[str, int]:
    """Returns the totals of a run for `corpus.json`: rows = samples + rejects."""
    groups = list(packed)
    entries = [entry for group in groups for entry in group.entries]
    samples = {split: sum(e.samples for e in entries if e.split == split) for split in SPLITS}
    rejects, kept = sum(sum(group.rejects.values()) for group in groups), sum(samples.values())
    counts = {"rows": kept + rejects, "samples": kept, **samples, "rejects": rejects}
    return {**counts, "shards": len(entries), "bytes": sum(entry.bytes for entry in entries)}


def pack_group(task: PackTask, report: ReportRows = no_report) -> PackedGroup:
    """Writes a group's shards, and for a train group also its rejects, ledger and held-out rows, in order of (part,
    place).

    A group that is packed already is kept. Calls `report` with outcomes and numbers of rows as they come. Raises CorpusError
    where another run has started to pack meanwhile.
    """
    label = task.group.label
    if (found := _packed(task)) is not None:
        for outcome, num_rows in found.outcomes().items():
            report(outcome, num_rows)
        return found
    spool = Path(task.spool) / f"pack-{label}"
    shutil.rmtree(spool, ignore_errors=True)  # what a killed run left
    spool.mkdir(parents=True)
    packed = (_pack_heldout if task.group.split == "holdout" else _pack_train)(task, spool, report)
    task.store.put(packed_file(label), json.dumps(asdict(packed)).encode())
    shutil.rmtree(spool)
    return packed


def _packed(task: PackTask) -> PackedGroup | None:
    marker = read_if_there(task.store, packed_file(task.group.label))
    found = None if marker is None else PackedGroup.parse(marker)
    return found if found is not None and found.stamp == task.stamp else None


def _pack_train(task: PackTask, spool: Path, report: ReportRows) -> PackedGroup:
    label, rejects, pictures = task.group.label, Counter[str](), KeptPictures(task.limits)
    with (
        _Shards(task, spool) as shards,
        _SideTable(spool / "rejects.parquet", REJECTS) as rejects_table,
        _SideTable(spool / "ledger.parquet", LEDGER) as ledger_table,
        HeldOutFile(spool / "holdout.parquet", task.stamp) as heldout,
    ):
        for rows in _rows(task, pictures):
            shards.add(rows.facts, rows.kept, rows.jpegs)
            heldout.add(rows.heldout)
            report("ok", len(rows.kept))
            rejected = rows.rejects()
            rejects_table.add(rejected)
            ledger_table.add(rows.ledger())
            reasons = Counter(rejected["reason"].to_pylist())
            rejects += reasons
            for reason, num_rows in reasons.items():
                report(reason, num_rows)
    _check_pin(task)
    digest = rejects_table.put(task.store, f"rejects/{label}.parquet")
    ledger_table.put(task.store, f"ledger/{label}.parquet")
    size = heldout.put(task.store, label)
    kept = label if pictures.put(task.store, label) else ""
    return PackedGroup(shards.entries, dict(sorted(rejects.items())), digest, task.stamp, heldout.rows, size, kept)


def _pack_heldout(task: PackTask, spool: Path, report: ReportRows) -> PackedGroup:
    with _Shards(task, spool) as shards:
        for label, size in task.aside:
            for rows in heldout_rows(task.store, label, size, task.stamp):
                shards.add(rows.drop_columns([IMAGE]), list(range(len(rows))), rows[IMAGE].to_pylist())
                report("ok", len(rows))
    _check_pin(task)
    return PackedGroup(shards.entries, {}, stamp=task.stamp)


def _check_pin(task: PackTask) -> None:
    """Raises CorpusError where another run packs, before anything becomes visible: a worker may outlive its run."""
    if read_if_there(task.store, PACKING_PIN) != task.stamp.encode():
        where, remedy = task.store.url, "one run at a time makes a corpus: end the other, and run the command again"
        raise CorpusError("another run packs here", where, remedy)


@dataclass(frozen=True)
class _Rows:
    """Consecutive rows of a part, with what the selection decided."""

    facts: pa.Table  # all columns of the part except `jpeg`
    decisions: pa.Table  # DECISIONS
    kept: list[int]  # positions in these tables of the rows that become samples of this group
    jpegs: list[bytes]  # of these rows
    heldout: pa.Table  # the rows to put aside, with `jpeg`

    def rejects(self) -> pa.Table:
        reason, duplicate_of = self.decisions["reason"], self.decisions["yields_to"]
        duplicate = duplicate_of.is_valid().to_pylist()
        tags = [tags if dup else None for tags, dup in zip(self.facts["tags"].to_pylist(), duplicate, strict=True)]
        columns = {
            "row_id": self.facts["row_id"],
            "url": self._urls(),
            "reason": reason,
            "detail": self.facts["detail"],
            "tags": pa.array(tags, pa.list_(pa.string())),
            "yields_to": duplicate_of,
        }
        return pa.table(columns).filter(reason.is_valid()).cast(REJECTS)

    def _urls(self) -> pa.ChunkedArray:
        """Returns the URLs without those of rows taken down or blocked: a corpus must not pass them on, and row_id
        identifies the row."""
        forbidden = pc.is_in(self.decisions["reason"], pa.array([Reason.TAKEN_DOWN.value, Reason.BLOCKED.value]))
        return pc.if_else(forbidden, pa.scalar(None, pa.string()), self.facts["url"])

    def ledger(self) -> pa.Table:
        plain = {name: self.facts[name] for name in LEDGER.names if name != "status"} | {"url": self._urls()}
        return pa.table({**plain, "status": self.decisions["reason"].fill_null("ok")}).select(LEDGER.names).cast(LEDGER)


def _rows(task: PackTask, pictures: KeptPictures) -> Iterator[_Rows]:
    """Yields the rows of a train group in order; row groups that give no sample are read without JPEGs. Rejected rows are
    shown to `pictures`."""
    parts = task.group.parts
    decisions = read_group(task.store, parts[0] // task.parts_per_group, DECISIONS, task.selected)
    of_part = decisions["part"].to_numpy()
    for part in parts:
        start, stop = np.searchsorted(of_part, [part, part + 1])
        yield from _rows_of_part(task, task.attempts[part], decisions.slice(start, stop - start), pictures)


def _rows_of_part(task: PackTask, attempt: StoredTable, decisions: pa.Table, pictures: KeptPictures) -> Iterator[_Rows]:
    with open_row_groups(task.store, attempt) as groups:
        if sum(groups.rows) != len(decisions):
            what, where = f"{sum(groups.rows)} rows, the selection has {len(decisions)}", attempt.name
            remedy = "the folder parts/ was modified: remove it and start over"
            raise CorpusError(what, f"{task.store.url}/{where}", remedy)
        starts = np.cumsum([0, *groups.rows]).tolist()
        here = [decisions.slice(start, rows) for start, rows in zip(starts, groups.rows, strict=False)]
        splits = [np.array(each["split"].to_pylist(), object) for each in here]
        wanted = [bool(np.isin(split, SPLITS).any()) for split in splits]
        for decided, split, images, rows in zip(here, splits, wanted, groups.read(wanted), strict=True):
            pictures.add(rows, decided)
            kept = np.flatnonzero(split == "train").tolist()
            jpegs = rows[IMAGE].take(kept).to_pylist() if kept else []
            heldout = rows.take(np.flatnonzero(split == "holdout"))
            yield _Rows(rows.drop_columns([IMAGE]) if images else rows, decided, kept, jpegs, heldout)


class _Shards:
    """Writes the planned shards of a group one after the other, and publishes each when it is full."""

    def __init__(self, task: PackTask, spool: Path) -> None:
        self._task, self._spool = task, spool
        self._planned: Iterator[ShardPlan] = iter(task.group.shards)
        self._plan: ShardPlan | None = None
        self._writer: ShardWriter | None = None
        self.entries: list[ShardEntry] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.discard()
        assert kind is not None or next(self._planned, None) is None, "there are fewer samples than the plan has"

    def add(self, facts: pa.Table, kept: list[int], jpegs: list[bytes]) -> None:
        """Adds the rows `kept` of a table with all columns of a part except JPEGs, and their JPEGs."""
        for row, jpeg in zip(facts.take(pa.array(kept, pa.int64())).to_pylist(), jpegs, strict=True):
            if self._writer is None or self._plan is None:
                self._plan = next(self._planned)
                self._writer = ShardWriter(self._plan.name, self._task.group.split, self._spool, self._task.extra)
            self._writer.add(record_of(row), jpeg)
            if self._writer.num_samples == self._plan.samples:
                entry = self._writer.finish()
                assert entry.bytes == tar_bytes(self._plan.sample_bytes), (entry, self._plan)
                _check_pin(self._task)
                publish(self._task.store, self._spool, entry.name, over=not self._task.extends)
                self.entries.append(entry)
                self._writer = self._plan = None


class _SideTable:
    """Writes a side table (rejects or ledger). Its row groups, and so its bytes, depend only on its rows."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._path = path
        self._writer = pq.ParquetWriter(path, schema, compression="zstd", store_schema=False)
        self._held = schema.empty_table()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and len(self._held):
            self._writer.write_table(self._held)
        self._writer.close()

    def add(self, rows: pa.Table) -> None:
        self._held = pa.concat_tables([self._held, rows])
        while len(self._held) >= SIDE_ROWS:
            self._writer.write_table(self._held.slice(0, SIDE_ROWS))
            self._held = self._held.slice(SIDE_ROWS)

    def put(self, store: Store, name: str) -> str:
        """Puts the closed file and returns its sha256."""
        data = self._path.read_bytes()
        store.put(name, self._path, give=True)
        return sha256_hex(data)
