"""Makes parts and pack groups as Spark tasks: each task commits one to the store itself, and returns its summary as a row.

Images never pass through Java. A task may be killed, retried, or run twice at once: parts commit by put-if-absent, and a pack
group puts the same bytes under the same names. Limits per host are for the whole run, so each task takes its share.
"""

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import pyarrow as pa

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.engines.engine import GeneratedTable, Work
from tagmill.ingest.engines.spark_session import Cluster, scratch
from tagmill.ingest.filters.pinned import read_rules
from tagmill.ingest.hosts.robots import Asked, AskTask, ask
from tagmill.ingest.pack.write_shards import PackedGroup, PackTask, pack_group
from tagmill.ingest.parts.make import PartSummary, PartTask, run_part
from tagmill.ingest.parts.partition_tasks import DIVISION
from tagmill.ingest.parts.table import part_schema
from tagmill.ingest.progress.host_times import FetchStats
from tagmill.ingest.workers.worker import no_report
from tagmill.shards.progress.protocol import Progress
from tagmill.shards.storage.store import Store

T = TypeVar("T")


@dataclass(frozen=True)
class SparkRows:
    """Partitions rows in tasks of Spark. See `RowTasks`."""

    cluster: Cluster

    def each(
        self, work: Callable[[T], Work], tasks: Sequence[T], report: Callable[[dict[str, int]], None], what: str
    ) -> list[bytes]:
        return self.cluster.each(work, tasks, report, what)

    def put_divided(
        self,
        table: GeneratedTable,
        order: Sequence[str],
        divisions: int,
        put: Callable[[int, Iterator[pa.RecordBatch], Path], Sequence[int]],
        what: str,
    ) -> list[int]:
        frame = self.cluster.frame(table.schema, table.items, table.make)
        moved = frame.repartition(divisions, DIVISION).sortWithinPartitions(*order)
        return self.cluster.written(moved, put, what)


def parts_on_spark(
    cluster: Cluster, config: IngestConfig, store: Store, parts: list[int], progress: Progress
) -> list[PartSummary]:
    """Makes parts and returns their summaries. Raises TagmillError where a task failed too often."""
    workers = min(cluster.slots(), len(parts))
    schema, share = part_schema(config), max(1, config.concurrency // workers)
    rules = read_rules(store)
    tasks = [PartTask(config, store, part, schema, share, workers, rules) for part in parts]
    made = cluster.each(make_part, tasks, lambda counts: _advance(progress, counts), f"the parts of {store.url}")
    summaries = [PartSummary.parse(data) for data in made]
    progress.fetched(FetchStats.sum(summary.traffic for summary in summaries))
    return summaries


def ask_on_spark(
    cluster: Cluster, config: IngestConfig, store: Store, todo: list[int], progress: Progress
) -> list[Asked]:
    """Asks the hosts of tasks for robots.txt. Raises TagmillError where a task failed too often.

    A host is in one task, which has the whole of its limits; hosts that redirects lead to are shared by all.
    """
    workers = min(cluster.slots(), len(todo))
    share = max(1, config.concurrency // workers)
    tasks = [AskTask(config, store, task, share, workers, owned=True) for task in todo]
    what = f"the hosts of {store.url}"
    return [Asked.parse(data) for data in cluster.each(ask_in_task, tasks, partial(_advance, progress), what)]


def pack_on_spark(cluster: Cluster, tasks: list[PackTask], progress: Progress) -> list[PackedGroup]:
    """Packs groups; returns results in the order of the tasks. Raises TagmillError where a task failed too often."""
    made = cluster.each(_pack_group, tasks, lambda counts: _advance(progress, counts), "the pack groups")
    return [PackedGroup.parse(data) for data in made]


def _advance(progress: Progress, counts: Mapping[str, int]) -> None:
    progress.advance(sum(counts.values()), **counts)


def make_part(task: PartTask) -> tuple[bytes, Mapping[str, int]]:
    """Runs in a Python worker of Spark, on a machine without the folders of the driver."""
    summary = run_part(replace(task, config=replace(task.config, spool=scratch())))
    return summary.json(), {"ok": summary.ok, **summary.reasons}


def ask_in_task(task: AskTask) -> tuple[bytes, Mapping[str, int]]:
    """Runs in a Python worker of Spark."""
    asked = ask(task, no_report)
    return json.dumps(asdict(asked)).encode(), asked.outcomes


def _pack_group(task: PackTask) -> tuple[bytes, Mapping[str, int]]:
    """Runs in a Python worker of Spark, in a folder of its own: two runs of one group may overlap."""
    with tempfile.TemporaryDirectory(prefix="pack-", dir=scratch(), ignore_cleanup_errors=True) as folder:
        packed = pack_group(replace(task, spool=str(Path(folder))))
    return json.dumps(asdict(packed)).encode(), packed.outcomes()
