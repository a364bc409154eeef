"""Where the heavy work of a run is done: in processes of this machine with DuckDB, or on a Spark cluster."""

from pathlib import Path
from typing import Protocol

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.engines.engine import Engine
from tagmill.ingest.engines.open import Settings, open_duckdb, open_spark, start_cluster
from tagmill.ingest.pack.write_shards import PackedGroup, PackTask, pack
from tagmill.ingest.parts.make import PartSummary
from tagmill.ingest.parts.run import in_processes
from tagmill.ingest.progress.progress import Progress
from tagmill.ingest.workers.shared_counters import warm
from tagmill.shards.storage.store import Store


class Executor(Protocol):
    """Set work, parts and packing; nothing that they leave depends on where it was done."""

    def engine(self, memory: int | None = None) -> Engine:
        """An SQL engine, to be closed before the next is asked for. Raises ConfigError where it cannot be had.

        `memory` is its share of the memory limit in bytes, where something else works beside it on this machine.
        """

    def parts(self, config: IngestConfig, store: Store, parts: list[int], progress: Progress) -> list[PartSummary]:
        """Makes dealt parts, in any order. See `parts.run_parts`."""

    def pack(self, tasks: list[PackTask], progress: Progress) -> list[PackedGroup]:
        """Packs groups; results in order of the tasks."""

    def close(self) -> None:
        """Ends what was started and gives the scratch space back."""


class LocalExecutor:
    """This machine."""

    def __init__(self, settings: Settings, scratch: Path) -> None:
        self._settings, self._scratch = settings, scratch
        warm()

    def engine(self, memory: int | None = None) -> Engine:
        return open_duckdb(self._settings, self._scratch, memory)

    def parts(self, config: IngestConfig, store: Store, parts: list[int], progress: Progress) -> list[PartSummary]:
        return in_processes(config, store, parts, progress)

    def pack(self, tasks: list[PackTask], progress: Progress) -> list[PackedGroup]:
        return pack(tasks, self._settings.processes, progress)

    def close(self) -> None:
        """Processes and scratch space go with the work that needed them."""


class SparkExecutor:
    """A Spark cluster, or Spark with a local master."""

    def __init__(self, settings: Settings, scratch: Path) -> None:
        self._cluster = start_cluster(settings, scratch)

    def engine(self, memory: int | None = None) -> Engine:
        del memory  # a cluster has what it was begun with
        return open_spark(self._cluster)

    def parts(self, config: IngestConfig, store: Store, parts: list[int], progress: Progress) -> list[PartSummary]:
        from tagmill.ingest.spark_tasks import parts_on_spark

        return parts_on_spark(self._cluster, config, store, parts, progress)

    def pack(self, tasks: list[PackTask], progress: Progress) -> list[PackedGroup]:
        from tagmill.ingest.spark_tasks import pack_on_spark

        return pack_on_spark(self._cluster, tasks, progress)

    def close(self) -> None:
        self._cluster.close()


def open_executor(settings: Settings, scratch: Path) -> Executor:
    """The workplace that a config asks for; `scratch` is a folder on a local disk that it may make and empty.

    Raises ConfigError where Spark is asked for and cannot be had.
    """
    return SparkExecutor(settings, scratch) if settings.engine == "spark" else LocalExecutor(settings, scratch)
