"""Opens the SQL engine that a config asks for."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from tagmill.ingest.engines.engine import Engine
from tagmill.shards.errors import ConfigError

if TYPE_CHECKING:
    from tagmill.ingest.engines.spark_session import Cluster


class Settings(Protocol):
    """The fields of a config that concern the engine."""

    @property
    def engine(self) -> Literal["duckdb", "spark"]: ...
    @property
    def spark_master(self) -> str | None: ...
    @property
    def processes(self) -> int: ...
    @property
    def memory_limit(self) -> str: ...


def open_duckdb(settings: Settings, scratch: Path, memory: int | None = None) -> Engine:
    """Opens DuckDB in this process, which spills into `scratch`. `memory` (bytes) replaces the configured limit."""
    from tagmill.ingest.engines.duckdb import DuckDB

    limit = settings.memory_limit if memory is None else f"{memory}B"
    return DuckDB(scratch, memory_limit=limit, threads=settings.processes)


def start_cluster(settings: Settings, scratch: Path, *, images: bool = False) -> "Cluster":
    """Connects to a Spark cluster, or starts Spark in local mode; with `images` executors need this process's image stack.

    Raises ConfigError where Spark is not installed, or cannot work with what is there.
    """
    try:
        from tagmill.ingest.engines.spark_session import Cluster
    except ImportError as error:
        remedy = "pip install 'tagmill[spark]', or use --engine duckdb"
        raise ConfigError(f"Spark is not installed: {error}", "engine spark", remedy) from error
    return Cluster(
        settings.spark_master,
        threads=settings.processes,
        memory_limit=settings.memory_limit,
        scratch=scratch,
        images=images,
    )


def open_spark(cluster: "Cluster") -> Engine:
    """Opens Spark SQL on a connected cluster."""
    from tagmill.ingest.engines.spark import Spark

    return Spark(cluster)


@contextmanager
def open_engine(settings: Settings, scratch: Path) -> Iterator[Engine]:
    """Opens the configured engine for the body of the context, with a cluster of its own for Spark.

    Raises ConfigError where Spark is configured and not installed.
    """
    if settings.engine == "duckdb":
        with closing(open_duckdb(settings, scratch)) as engine:
            yield engine
        return
    with closing(start_cluster(settings, scratch)) as cluster, closing(open_spark(cluster)) as engine:
        yield engine
