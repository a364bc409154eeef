"""All dealt parts of a run, made in worker processes of this machine, or by whoever else is given."""

from collections.abc import Callable

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.filters.pinned import read_rules
from tagmill.ingest.layout import PARTITION_MARKER, done_file
from tagmill.ingest.parts.make import PartSummary, PartTask, lessons_of, run_part
from tagmill.ingest.parts.partition import PartitionManifest
from tagmill.ingest.parts.table import part_schema
from tagmill.ingest.progress.progress import Progress
from tagmill.ingest.reasons import OUTCOMES
from tagmill.ingest.workers.shared_counters import SharedCounters, worker_slot
from tagmill.shards.storage.store import Store

MakeParts = Callable[[IngestConfig, Store, list[int], Progress], list[PartSummary]]


def _run(task: PartTask) -> PartSummary:
    """A task in a worker process."""
    mine, waits = worker_slot(), lessons_of(task.config).latency
    return mine.during(task.part, lambda tell: run_part(task, mine.noting(tell, waits)))


def run_parts(
    config: IngestConfig, store: Store, num_parts: int, progress: Progress, make: MakeParts | None = None
) -> list[PartSummary]:
    """Makes every dealt part that is not done yet, by `make` (None: worker processes), or was done under other rules of what
    must not come in; summaries in order of parts.

    Raises TagmillError where a worker dies; finished parts stay, so that the same call goes on.
    """
    there, rules = set(store.names("parts")), read_rules(store)
    summaries: dict[int, PartSummary] = {}
    for part in range(num_parts):
        if done_file(part) in there and (found := PartSummary.parse(store.read(done_file(part)))).rules == rules:
            summaries[part] = found
            progress.advance(found.rows, ok=found.ok, **found.reasons)
    todo = [part for part in range(num_parts) if part not in summaries]
    if todo:
        for summary in (make or in_processes)(config, store, todo, progress):
            summaries[summary.part] = summary
    return [summaries[part] for part in range(num_parts)]


def in_processes(config: IngestConfig, store: Store, parts: list[int], progress: Progress) -> list[PartSummary]:
    """Makes dealt parts in worker processes of this machine."""
    workers = min(config.processes, len(parts))
    schema, share = part_schema(config), max(1, config.concurrency // workers)
    rules = read_rules(store)
    tasks = (PartTask(config, store, part, schema, share, workers, rules) for part in parts)
    doing = f"{store.url}, at one of the parts"
    return list(SharedCounters(workers, OUTCOMES).each(_run, tasks, progress, doing))


def pictures_left(store: Store) -> bool:
    """Whether a run has pictures to make still, or to make again."""
    if not store.exists(PARTITION_MARKER):
        return True
    there, rules = set(store.names("parts")), read_rules(store)
    for part in range(PartitionManifest.parse(store.read(PARTITION_MARKER)).num_parts):
        if done_file(part) not in there:
            return True
        if rules.md5:  # else no part is made again
            found = PartSummary.parse(store.read(done_file(part)))
            if found.ok and found.rules.md5 != rules.md5:
                return True
    return False
