"""The stages before fetching: asks every host for its robots.txt, once, and gives each partition the answers of its hosts.

    rows of a partition -> its origins -> each origin once (SQL) -> tasks of HOSTS origins -> answers -> those of each partition
    (SQL)

All of it is stored below `parts/robots/`, so that a run that was killed goes on where it stopped. Answers are valid for
`robots_max_age` seconds; a run that is resumed later asks again.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import groupby, islice
from typing import Any, Self

import pyarrow as pa
import pyarrow.compute as pc

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.engines.engine import Engine, Parquet, parquet_of
from tagmill.ingest.fetch.fetcher import Fetcher, FetchState
from tagmill.ingest.fetch.robots_cache import LISTED
from tagmill.ingest.fetch.robots_rules import RobotsAnswer
from tagmill.ingest.filters.pinned import read_rules
from tagmill.ingest.hosts.origins import ORIGINS, Scan, asked_host, find_origins
from tagmill.ingest.http.opt_out import agents_of
from tagmill.ingest.layout import (
    ANSWERS_FOLDER,
    HOSTS_MARKER,
    ORIGINS_FOLDER,
    ROBOTS_MARKER,
    answers_file,
    asked_file,
    hosts_file,
    long_rules_file,
    origins_file,
    rules_file,
)
from tagmill.ingest.optional_objects import read_if_there
from tagmill.ingest.reasons import Reason
from tagmill.ingest.workers.pool import WorkerPool
from tagmill.ingest.workers.worker import ReportRows, WorkerReport
from tagmill.shards.formats.parquet import read_table, table_bytes
from tagmill.shards.formats.record import sha256_hex
from tagmill.shards.many_requests import in_order, put_many, read_many, requests_at_once
from tagmill.shards.progress.protocol import Progress, Silent
from tagmill.shards.storage.store import Store

HOSTS = 512  # origins per task; one worker does a task
PARTITIONS_PER_WORKER = 16  # partitions to scan for origins that make another process worth its start
# Characters of rules that are stored in the tables, once per partition; longer rules have a file, see `long_rules_file`.
INLINE = 1024
AGAIN_AFTER = 10.0  # seconds until a host of many URLs that did not answer is asked a second time
_RETRIED = frozenset([Reason.ROBOTS, Reason.CONNECTION, Reason.TIMEOUT, Reason.HOST_DOWN])

ORIGINS_ONCE = pa.schema([ORIGINS.field("origin"), ORIGINS.field("urls")])
ANSWERS = pa.schema(
    [
        pa.field("origin", pa.string(), nullable=False),
        pa.field("http_status", pa.int32()),
        pa.field("fetched_at", pa.timestamp("ms", tz="UTC"), nullable=False),
        pa.field("seconds", pa.float64(), nullable=False),
        *[LISTED.field(name) for name in ("reason", "detail", "rules", "kept")],
    ]
)

_DIVIDED = LISTED.append(pa.field("row_id", pa.int64(), nullable=False))  # as the engine divides rows by partition


@dataclass(frozen=True)
class Asked:
    """Summary of the answers of one task or of all; also the content of the marker."""

    hosts: int
    asked_at: str  # when the first of them was asked, ISO 8601
    agents: list[str]  # user agents whose rules were read
    outcomes: dict[str, int]  # hosts that answered (`ok`) or did not (a reason)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        return cls(**json.loads(data))

    def is_valid(self, config: IngestConfig) -> bool:
        """Whether a run may still use these answers."""
        age = datetime.now(UTC) - datetime.fromisoformat(self.asked_at)
        fresh = age < timedelta(seconds=config.robots_max_age)
        return fresh and self.agents == sorted(agents_of(config.user_agent))


AskHosts = Callable[[IngestConfig, Store, list[int], Progress], Sequence[Asked]]  # asks the hosts of tasks


def find_hosts(
    config: IngestConfig,
    store: Store,
    num_parts: int,
    engine: Callable[[], Engine],
    progress: Progress | None = None,
) -> list[int]:
    """Finds the hosts of all partitions and puts them, each once, into tasks; returns the number of hosts of each task.

    `progress` counts partitions. Memory holds the origins of one partition per worker, and what the engine takes. Skipped
    where the marker is there.
    """
    if (found := found_before(store)) is not None:
        return found
    scans = scans_left(config, store, num_parts)
    progress = Silent() if progress is None else progress
    progress.advance(num_parts - len(scans))
    with WorkerPool(
        min(config.processes, -(-len(scans) // PARTITIONS_PER_WORKER)), "finding the hosts of a list"
    ) as pool:
        for _ in pool.map(find_origins, scans):
            progress.advance(1)
    with closing(engine()) as sql:
        sql.bind_once("origins", origins_of(store, num_parts))
        sizes = list(_put_hosts(sql, store))
    put_found(store, sizes)
    return sizes


def found_before(store: Store) -> list[int] | None:
    """Returns the number of hosts of each task where all hosts were found before."""
    marker = read_if_there(store, HOSTS_MARKER)
    return None if marker is None else list(json.loads(marker))


def put_found(store: Store, sizes: Sequence[int]) -> None:
    """Marks that all hosts were found: `sizes[n]` are in the `hosts_file` of task n, which is absent where it has none."""
    store.put(HOSTS_MARKER, json.dumps(list(sizes)).encode())


def scans_left(config: IngestConfig, store: Store, num_parts: int) -> "list[Scan]":
    """Returns a scan for each partition whose origins are not known."""
    rules = read_rules(store)
    there = {name for name, _ in store.listing(ORIGINS_FOLDER)}
    return [Scan(config, store, part, rules) for part in range(num_parts) if origins_file(part) not in there]


def ask_hosts(
    config: IngestConfig,
    store: Store,
    num_parts: int,
    sizes: list[int],
    engine: Callable[[], Engine],
    progress: Progress,
    ask_tasks: AskHosts | None = None,
) -> Asked:
    """Asks the hosts of all tasks and gives each partition its answers; answers that are still valid are kept.

    `sizes` is what `find_hosts` returns. `ask_tasks` does the tasks on a cluster, and the engine's tasks then put the answers
    of partitions (None: processes of this machine). Memory holds the answers of one task per worker, and what the engine
    takes. Raises TagmillError where a worker dies.
    """
    marker = read_if_there(store, ROBOTS_MARKER)
    if marker is not None and (before := Asked.parse(marker)).is_valid(config):
        progress.advance(before.hosts, **before.outcomes)
        return before
    asked = _ask_all(config, store, sizes, progress, ask_tasks or ask_in_processes)
    if any(sizes):
        answers = _table(store, ANSWERS_FOLDER, [answers_file(n) for n, size in enumerate(sizes) if size], ANSWERS)
        with closing(engine()) as sql:
            sql.bind_once("origins", origins_of(store, num_parts))
            sql.bind_once("answers", answers)
            if ask_tasks is None:
                _put_rules(sql, store)
            else:
                sql.save_divided("rules", _DIVIDED, store, rules_file, 1)
    store.put(ROBOTS_MARKER, json.dumps(asdict(asked)).encode())
    return asked


def origins_of(store: Store, num_parts: int) -> Parquet:
    """Returns the origins of all partitions as one table."""
    return _table(store, ORIGINS_FOLDER, [origins_file(part) for part in range(num_parts)], ORIGINS)


def _table(store: Store, folder: str, names: list[str], schema: pa.Schema) -> Parquet:
    """Returns objects of a folder as a table; their sizes, of one listing, save a request for each."""
    there = dict(store.listing(folder))
    return parquet_of(store, names, schema, [there[name] for name in names] if there.keys() >= set(names) else ())


def _put_hosts(sql: Engine, store: Store) -> Iterator[int]:
    """Puts the origins of all tasks; yields how many each has."""
    rows = (row for batch in sql.run("hosts") for row in batch.to_pylist())
    tasks = enumerate(iter(lambda: list(islice(rows, HOSTS)), []))

    def put(task: tuple[int, list[dict[str, Any]]]) -> int:
        number, hosts = task
        store.put(hosts_file(number), table_bytes(hosts, ORIGINS_ONCE))
        return len(hosts)

    return in_order(put, tasks, requests_at_once(store))


@dataclass(frozen=True)
class AskTask:
    """The hosts of one task, and how to ask them."""

    config: IngestConfig
    store: Store
    task: int
    share: int  # requests in flight
    workers: int  # processes that ask hosts at once
    owned: bool = False  # whether no other task has origins of the same hosts


def _ask_all(config: IngestConfig, store: Store, sizes: list[int], progress: Progress, ask_tasks: AskHosts) -> Asked:
    found: list[Asked] = []
    todo = []
    for task, before in enumerate(_asked_before(store, len(sizes))):
        if before is not None and before.hosts == sizes[task] and before.is_valid(config):
            found.append(before)
            progress.advance(before.hosts, **before.outcomes)
        elif sizes[task]:
            todo.append(task)
    if todo:
        _forget(store, todo)
        found += ask_tasks(config, store, todo, progress)
    outcomes = sum((Counter(one.outcomes) for one in found), Counter[str]())
    first = min((one.asked_at for one in found), default=datetime.now(UTC).isoformat())
    agents = sorted(agents_of(config.user_agent))
    return Asked(sum(one.hosts for one in found), first, agents, dict(sorted(outcomes.items())))


def ask_in_processes(config: IngestConfig, store: Store, todo: list[int], progress: Progress) -> list[Asked]:
    """Asks the hosts of tasks in worker processes of this machine."""
    workers = min(config.processes, len(todo))
    tasks = [AskTask(config, store, task, max(1, config.concurrency // workers), workers) for task in todo]
    if len(tasks) == 1:  # it is not worth a process
        return [ask(tasks[0], lambda outcome, hosts: progress.advance(hosts, **{outcome: hosts}))]
    with WorkerPool(workers, f"{store.url}, asking for robots.txt") as pool:
        return list(pool.each(_ask_in_worker, tasks, progress, lambda task: f"at task {task.task:06d}"))


def _forget(store: Store, tasks: list[int]) -> None:
    """Deletes answers that may not be used: those that are too old, and those of a run that was killed before it marked
    them. The first answers that a task puts then count."""
    there = {name for name, _ in store.listing(ANSWERS_FOLDER)}
    for name_of in (asked_file, answers_file):  # no marker stays without what it vouches for
        for name in filter(there.__contains__, map(name_of, tasks)):
            store.delete(name)


def _asked_before(store: Store, num_tasks: int) -> Iterator[Asked | None]:
    """Yields the marker of every task in order, None where there is none."""
    wanted = {asked_file(task) for task in range(num_tasks)}
    there = {name for name, _ in store.listing(ANSWERS_FOLDER) if name in wanted}
    names = [asked_file(task) for task in range(num_tasks)]
    found = read_many(store, (name for name in names if name in there))
    return (Asked.parse(next(found)) if name in there else None for name in names)


def _ask_in_worker(task: AskTask, report: WorkerReport) -> Asked:
    return ask(task, report.with_fetched(_fetch_state(task.config).latency))


@lru_cache(maxsize=1)
def _fetch_state(config: IngestConfig) -> FetchState:
    return FetchState(config)


def ask(task: AskTask, report: ReportRows) -> Asked:
    """Asks the hosts of a task, and puts their answers and then the marker. Where a task runs twice, the answers that are put
    first count, and a run that begins after they are there asks for nothing."""
    if (there := read_if_there(task.store, asked_file(task.task))) is not None:
        return Asked.parse(there)
    hosts = {row["origin"]: row["urls"] for row in read_table(task.store.read(hosts_file(task.task))).to_pylist()}
    rows = asyncio.run(_answers(task, hosts, report))
    if not task.store.put_new(answers_file(task.task), table_bytes(rows, ANSWERS)):
        rows = read_table(task.store.read(answers_file(task.task))).to_pylist()
    first = min(row["fetched_at"] for row in rows)
    outcomes = Counter(row["reason"] or "ok" for row in rows)
    asked = Asked(
        len(rows),
        first.isoformat(timespec="milliseconds"),
        sorted(agents_of(task.config.user_agent)),
        dict(sorted(outcomes.items())),
    )
    task.store.put(asked_file(task.task), json.dumps(asdict(asked)).encode())
    return asked


async def _answers(task: AskTask, hosts: dict[str, int], report: ReportRows) -> list[dict[str, Any]]:
    """Returns a row of ANSWERS for every origin, in order.

    A host that fails is asked again if it has at least `host_failures` URLs, because the fetch stage would not give it up after
    one failure either.
    """
    config = task.config
    rows: dict[str, dict[str, Any]] = {}
    owned = frozenset(map(asked_host, hosts)) if task.owned else frozenset[str]()
    async with Fetcher(config, task.workers, _fetch_state(config), owned=owned) as fetcher:

        async def work(todo: Iterator[str], *, last: bool) -> None:
            for origin in todo:
                row = rows[origin] = await _row(fetcher, task.store, origin)
                if last or not (row["reason"] in _RETRIED and hosts[origin] >= config.host_failures):
                    report(row["reason"] or "ok", 1)

        async def ask_all(origins: list[str], *, last: bool) -> None:
            todo = iter(origins)
            await asyncio.gather(*(work(todo, last=last) for _ in range(min(task.share, len(origins)))))

        await ask_all(list(hosts), last=False)
        failed = [
            name for name, row in rows.items() if row["reason"] in _RETRIED and hosts[name] >= config.host_failures
        ]
        if failed:
            await asyncio.sleep(AGAIN_AFTER)
            await ask_all(failed, last=True)
    return [rows[origin] for origin in hosts]


async def _row(fetcher: Fetcher, store: Store, origin: str) -> dict[str, Any]:
    found, answer = await fetcher.rules_of(origin)
    if len(answer.rules) > INLINE:
        text = answer.rules.encode()
        answer = RobotsAnswer(kept=sha256_hex(text))
        await asyncio.get_running_loop().run_in_executor(None, store.put_new, long_rules_file(answer.kept), text)
    facts = {"http_status": found.http_status, "fetched_at": found.fetched_at, "seconds": found.seconds}
    return {"origin": origin, **facts, **asdict(answer)}


def _put_rules(sql: Engine, store: Store) -> None:
    """Splits the answers of all partitions, which are sorted by partition, into one table each."""
    parts = groupby(_by_part(sql.run("rules")), lambda piece: piece[0])
    rows = ((part, [row for _, some in pieces for row in some]) for part, pieces in parts)
    put_many(store, ((rules_file(part), table_bytes(some, LISTED)) for part, some in rows))


def _by_part(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Yields (partition, rows) of a stream that is sorted by partition; a partition may come in several pieces."""
    for batch in batches:
        runs, start = pc.run_end_encode(batch["part"]), 0
        for part, stop in zip(runs.values.to_pylist(), runs.run_ends.to_pylist(), strict=True):
            yield part, batch.slice(start, stop - start).to_pylist()
            start = stop
