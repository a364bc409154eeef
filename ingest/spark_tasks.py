"""Parts and pack groups as Spark tasks: each makes one, commits it to the store itself, and returns its summary as a row.

Pictures never pass through Java. A task may be killed, run again, or run twice at once: parts commit by put-if-absent, and a
pack group puts the same bytes under the same names. Limits per host belong to the run, so each task takes its share.
"""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.engines.spark_session import Cluster, scratch
from tagmill.ingest.filters.pinned import read_rules
from tagmill.ingest.pack.write_shards import PackedGroup, PackTask, pack_group
from tagmill.ingest.parts.make import PartSummary, PartTask, run_part
from tagmill.ingest.parts.table import part_schema
from tagmill.ingest.progress.host_times import FetchStats
from tagmill.ingest.progress.progress import Progress
from tagmill.shards.storage.store import Store


def parts_on_spark(
    cluster: Cluster, config: IngestConfig, store: Store, parts: list[int], progress: Progress
) -> list[PartSummary]:
    """Makes parts that are not done yet; their summaries. Raises TagmillError where one failed too often."""
    workers = min(cluster.slots(), len(parts))
    schema, share = part_schema(config), max(1, config.concurrency // workers)
    rules = read_rules(store)
    tasks = [PartTask(config, store, part, schema, share, workers, rules) for part in parts]
    made = cluster.each(_work, tasks, lambda counts: _tell(progress, counts), f"the parts of {store.url}")
    summaries = [PartSummary.parse(data) for data in made]
    progress.fetched(FetchStats.sum(summary.traffic for summary in summaries))
    return summaries


def pack_on_spark(cluster: Cluster, tasks: list[PackTask], progress: Progress) -> list[PackedGroup]:
    """Packs groups; the results come in the order of the tasks. Raises TagmillError where one failed too often."""
    made = cluster.each(_group, tasks, lambda counts: _tell(progress, counts), "the pack groups")
    return [PackedGroup.parse(data) for data in made]


def _tell(progress: Progress, counts: Mapping[str, int]) -> None:
    progress.advance(sum(counts.values()), **counts)


def make_part(task: PartTask) -> tuple[bytes, Mapping[str, int]]:
    """Runs in a Python worker of Spark, whose machine has not the folders of the one that deals."""
    summary = run_part(replace(task, config=replace(task.config, spool=scratch())))
    return summary.json(), {"ok": summary.ok, **summary.reasons}


_work = make_part


def _group(task: PackTask) -> tuple[bytes, Mapping[str, int]]:
    """Two runs of one group at once must not share a folder."""
    with tempfile.TemporaryDirectory(prefix="pack-", dir=scratch(), ignore_cleanup_errors=True) as folder:
        packed = pack_group(replace(task, spool=str(Path(folder))))
    return json.dumps(asdict(packed)).encode(), packed.outcomes()
