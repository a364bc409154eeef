"""Makes all parts of a run, in worker processes of this machine or on another executor."""

from collections.abc import Callable

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.filters.pinned import read_rules
from tagmill.ingest.layout import PARTITION_MARKER, done_file
from tagmill.ingest.parts.make import PartSummary, PartTask, fetch_state_of, run_part
from tagmill.ingest.parts.partition import PartitionManifest
from tagmill.ingest.parts.table import part_schema
from tagmill.ingest.progress.progress import Progress
from tagmill.ingest.workers.pool import WorkerPool
from tagmill.ingest.workers.worker import WorkerReport
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
    names, rules = set(store.names("parts")), read_rules(store)
    summaries: dict[int, PartSummary] = {}
    for part in range(num_parts):
        if done_file(part) in names and (found := PartSummary.parse(store.read(done_file(part)))).rules == rules:
            summaries[part] = found
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
    names, rules = set(store.names("parts")), read_rules(store)
    for part in range(PartitionManifest.parse(store.read(PARTITION_MARKER)).num_parts):
        if done_file(part) not in names:
            return True
        if rules.md5:  # blocklists by md5 are the only reason to make a part again
            found = PartSummary.parse(store.read(done_file(part)))
            if found.ok and found.rules.md5 != rules.md5:
                return True
    return False
