"""Where the heavy work of a run is done: in processes of this machine with DuckDB, or on a Spark cluster."""

from pathlib import Path
from typing import Literal, Protocol

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.engines.engine import Engine
from tagmill.ingest.pack.write_shards import Packed, PackTask, pack
from tagmill.ingest.parts.make import PartSummary
from tagmill.ingest.parts.run import in_processes
from tagmill.ingest.progress.progress import Progress
from tagmill.ingest.workers.shared_counters import warm
from tagmill.shards.errors import ConfigError
from tagmill.shards.storage.store import Store


class Settings(Protocol):
    """What a config says about where it runs."""

    @property
    def engine(self) -> Literal["duckdb", "spark"]: ...
    @property
    def spark_master(self) -> str | None: ...
    @property
    def processes(self) -> int: ...
    @property
    def memory_limit(self) -> str: ...


class Workplace(Protocol):
    """Set work, parts and packing; nothing that they leave depends on where it was done."""

    def engine(self, memory: int | None = None) -> Engine:
        """An SQL engine, to be closed before the next is asked for. Raises ConfigError where it cannot be had.

        `memory` is its share of the memory limit in bytes, where something else works beside it on this machine.
        """

    def parts(self, config: IngestConfig, store: Store, parts: list[int], progress: Progress) -> list[PartSummary]:
        """Makes dealt parts, in any order. See `parts.run_parts`."""

    def pack(self, tasks: list[PackTask], progress: Progress) -> list[Packed]:
        """Packs groups; results in order of the tasks."""

    def close(self) -> None:
        """Ends what was started and gives the scratch space back."""


class Here:
    """This machine."""

    def __init__(self, settings: Settings, scratch: Path) -> None:
        self._settings, self._scratch = settings, scratch
        warm()

    def engine(self, memory: int | None = None) -> Engine:
        from tagmill.ingest.engines.duckdb import DuckDB

        limit = self._settings.memory_limit if memory is None else f"{memory}B"
        return DuckDB(self._scratch, memory_limit=limit, threads=self._settings.processes)

    def parts(self, config: IngestConfig, store: Store, parts: list[int], progress: Progress) -> list[PartSummary]:
        return in_processes(config, store, parts, progress)

    def pack(self, tasks: list[PackTask], progress: Progress) -> list[Packed]:
        return pack(tasks, self._settings.processes, progress)

    def close(self) -> None:
        """Processes and scratch space go with the work that needed them."""


class OnSpark:
    """A Spark cluster, or Spark with a local master."""

    def __init__(self, settings: Settings, scratch: Path) -> None:
        try:
            from tagmill.ingest.engines.spark_session import Cluster
        except ImportError as error:
            remedy = "pip install 'tagmill[spark]', or use --engine duckdb"
            raise ConfigError(f"Spark is not installed: {error}", "engine spark", remedy) from error
        self._cluster = Cluster(
            settings.spark_master, threads=settings.processes, memory_limit=settings.memory_limit, scratch=scratch
        )

    def engine(self, memory: int | None = None) -> Engine:
        del memory  # a cluster has what it was begun with
        from tagmill.ingest.engines.spark import Spark

        return Spark(self._cluster)

    def parts(self, config: IngestConfig, store: Store, parts: list[int], progress: Progress) -> list[PartSummary]:
        from tagmill.ingest.spark_tasks import parts_on_spark

        return parts_on_spark(self._cluster, config, store, parts, progress)

    def pack(self, tasks: list[PackTask], progress: Progress) -> list[Packed]:
        from tagmill.ingest.spark_tasks import pack_on_spark

        return pack_on_spark(self._cluster, tasks, progress)

    def close(self) -> None:
        self._cluster.close()


def workplace(settings: Settings, scratch: Path) -> Workplace:
    """The workplace that a config asks for; `scratch` is a folder on a local disk that it may make and empty.

    Raises ConfigError where Spark is asked for and cannot be had.
    """
    return OnSpark(settings, scratch) if settings.engine == "spark" else Here(settings, scratch)
