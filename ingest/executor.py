"""Runs the heavy work of an ingest: in processes of this machine with DuckDB, or on a Spark cluster."""

from functools import partial
from pathlib import Path
from typing import Protocol

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.engines.engine import Engine
from tagmill.ingest.engines.open import Settings, open_duckdb, open_spark, start_cluster
from tagmill.ingest.hosts.robots import AskHosts
from tagmill.ingest.pack.write_shards import PackedGroup, PackTask, pack
from tagmill.ingest.parts.make import PartSummary
from tagmill.ingest.parts.partition_tasks import RowTasks
from tagmill.ingest.parts.run import in_processes
from tagmill.ingest.workers.pool import warm
from tagmill.shards.progress.protocol import Progress
from tagmill.shards.storage.store import Store


class Executor(Protocol):
    """Does set work, parts and packing; results do not depend on the executor."""

    def engine(self, memory: int | None = None) -> Engine:
        """Opens an SQL engine, to be closed before the next is opened. Raises ConfigError where it is not installed.

        `memory` is its share of the memory limit in bytes, where other work on this machine needs the rest.
        """

    def row_tasks(self) -> RowTasks | None:
        """Returns what partitions rows in tasks; None where this machine does it."""

    def ask_tasks(self) -> AskHosts | None:
        """Returns what asks hosts for robots.txt in tasks; None where processes of this machine do it."""

    def parts(self, config: IngestConfig, store: Store, parts: list[int], progress: Progress) -> list[PartSummary]:
        """Makes parts, in any order. See `parts.run.run_parts`."""

    def pack(self, tasks: list[PackTask], progress: Progress) -> list[PackedGroup]:
        """Packs groups; returns results in the order of the tasks."""

    def close(self) -> None:
        """Stops what was started and deletes the scratch space."""


class LocalExecutor:
    """Works on this machine."""

    def __init__(self, settings: Settings, scratch: Path) -> None:
        self._settings, self._scratch = settings, scratch
        warm()

    def engine(self, memory: int | None = None) -> Engine:
        return open_duckdb(self._settings, self._scratch, memory)

    def row_tasks(self) -> RowTasks | None:
        return None

    def ask_tasks(self) -> AskHosts | None:
        return None

    def parts(self, config: IngestConfig, store: Store, parts: list[int], progress: Progress) -> list[PartSummary]:
        return in_processes(config, store, parts, progress)

    def pack(self, tasks: list[PackTask], progress: Progress) -> list[PackedGroup]:
        return pack(tasks, self._settings.processes, progress)

    def close(self) -> None:
        """Does nothing: processes and scratch space end with the work that needed them."""


class SparkExecutor:
    """Works on a Spark cluster, or on Spark with a local master."""

    def __init__(self, settings: Settings, scratch: Path) -> None:
        self._cluster = start_cluster(settings, scratch, images=True)

    def engine(self, memory: int | None = None) -> Engine:
        del memory  # a cluster has the memory that it was started with
        return open_spark(self._cluster)

    def row_tasks(self) -> RowTasks | None:
        from tagmill.ingest.spark_tasks import SparkRows

        return SparkRows(self._cluster)

    def ask_tasks(self) -> AskHosts | None:
        from tagmill.ingest.spark_tasks import ask_on_spark

        return partial(ask_on_spark, self._cluster)

    def parts(self, config: IngestConfig, store: Store, parts: list[int], progress: Progress) -> list[PartSummary]:
        from tagmill.ingest.spark_tasks import parts_on_spark

        return parts_on_spark(self._cluster, config, store, parts, progress)

    def pack(self, tasks: list[PackTask], progress: Progress) -> list[PackedGroup]:
        from tagmill.ingest.spark_tasks import pack_on_spark

        return pack_on_spark(self._cluster, tasks, progress)

    def close(self) -> None:
        self._cluster.close()


def open_executor(settings: Settings, scratch: Path) -> Executor:
    """Opens the executor of a config; `scratch` is a folder on a local disk, which it creates and empties.

    Raises ConfigError where Spark is configured and cannot be started.
    """
    return SparkExecutor(settings, scratch) if settings.engine == "spark" else LocalExecutor(settings, scratch)
