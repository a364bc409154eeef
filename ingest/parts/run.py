"""Makes all parts of a run, in worker processes of this machine or on another executor."""

from collections.abc import Callable, Iterator

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.filters.pinned import read_rules
from tagmill.ingest.layout import PARTITION_MARKER, done_file
from tagmill.ingest.parts.make import PartSummary, PartTask, fetch_state_of, run_part
from tagmill.ingest.parts.partition import PartitionManifest
from tagmill.ingest.parts.table import part_schema
from tagmill.ingest.workers.pool import WorkerPool
from tagmill.ingest.workers.worker import WorkerReport
from tagmill.shards.many_requests import read_many
from tagmill.shards.progress.protocol import Progress
from tagmill.shards.storage.store import Store

MakeParts = Callable[[IngestConfig, Store, list[int], Progress], list[PartSummary]]


def _run_in_worker(task: PartTask, report: WorkerReport) -> PartSummary:
    return run_part(task, report.with_fetched(fetch_state_of(task.config).latency))


def run_parts(
    config: IngestConfig, store: Store, num_parts: int, progress: Progress, make: MakeParts | None = None
) -> list[PartSummary]:
    """Makes every part that is not done, or was done under other takedown rules or blocklists; returns summaries in
    order.

    `make` makes parts (None: in worker processes). Raises TagmillError where a worker dies; finished parts are kept, so
    that the same call goes on.
    """
    rules = read_rules(store)
    summaries: dict[int, PartSummary] = {}
    for found in _done(store, num_parts):
        if found.rules == rules:
            summaries[found.part] = found
            progress.advance(found.rows, ok=found.ok, **found.reasons)
    todo = [part for part in range(num_parts) if part not in summaries]
    if todo:
        for summary in (make or in_processes)(config, store, todo, progress):
            summaries[summary.part] = summary
    return [summaries[part] for part in range(num_parts)]


def in_processes(config: IngestConfig, store: Store, parts: list[int], progress: Progress) -> list[PartSummary]:
    """Makes parts in worker processes of this machine; they share the concurrency of the run."""
    workers = min(config.processes, len(parts))
    schema, share = part_schema(config), max(1, config.concurrency // workers)
    rules = read_rules(store)
    tasks = (PartTask(config, store, part, schema, share, workers, rules) for part in parts)
    with WorkerPool(workers, store.url) as pool:
        return list(pool.each(_run_in_worker, tasks, progress, lambda task: f"at part {task.part:06d}"))


def images_left(store: Store) -> bool:
    """Whether a run still has images to make, or to make again."""
    if not store.exists(PARTITION_MARKER):
        return True
    num_parts = PartitionManifest.parse(store.read(PARTITION_MARKER)).num_parts
    if not all_done(store, num_parts):
        return True
    rules = read_rules(store)
    # Blocklists by md5 are the only reason to make a part again.
    return bool(rules.md5) and any(found.ok and found.rules.md5 != rules.md5 for found in _done(store, num_parts))


def all_done(store: Store, num_parts: int) -> bool:
    """Whether every part has been made, maybe under other takedown rules or blocklists."""
    return len(_markers(store, num_parts)) == num_parts


def _done(store: Store, num_parts: int) -> Iterator[PartSummary]:
    """Reads the markers of the parts that were made, in order: one listing, then one request each, many at a time."""
    return map(PartSummary.parse, read_many(store, _markers(store, num_parts)))


def _markers(store: Store, num_parts: int) -> list[str]:
    """Returns the names of the markers that are there, in order of parts."""
    wanted = {done_file(part): None for part in range(num_parts)}
    there = {name for name, _ in store.listing("parts") if name in wanted}
    return [name for name in wanted if name in there]
