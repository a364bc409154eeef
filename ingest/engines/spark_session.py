"""A Spark session: started with our settings or somebody's own, its data in Arrow, its failures as ours. The door to pyspark.

Everything that crosses between Spark and us is Arrow: tables are made by functions that Spark's Python workers call, results
come back as Arrow batches in one cell of a row, a partition at a time. So executors need our package, but neither Spark's
drivers for a store nor a folder that they share with this machine.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import pyarrow as pa
from py4j.protocol import Py4JError
from pyspark import SparkContext, StorageLevel
from pyspark.accumulators import AccumulatorParam
from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_schema

from tagmill.ingest.config.memory import bytes_of
from tagmill.ingest.engines.engine import plain_schema
from tagmill.shards import errors
from tagmill.shards.errors import ConfigError, TagmillError

T = TypeVar("T")

JAVA = 17  # the oldest that Spark 4 runs on
LEAST_MEMORY = 512 << 20  # bytes; below about 450 MiB Spark refuses to start
TRIES = 4  # of a task; what clusters have by default, and a local master has not
MASTER_SECONDS = 5.0  # in which a standalone master must accept a connection
SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",  # an overflow is an error, as on the embedded engine
    "spark.sql.adaptive.enabled": "true",
    "spark.sql.optimizer.canChangeCachedPlanOutputPartitioning": "true",  # small kept tables are in few pieces
    # Spark cannot know how large a table is that a function makes: it decides about broadcasts by what was shuffled.
    "spark.sql.autoBroadcastJoinThreshold": "-1",
    "spark.sql.adaptive.autoBroadcastJoinThreshold": "10MB",
    "spark.sql.execution.arrow.maxRecordsPerBatch": str(1 << 16),
    "spark.sql.execution.arrow.maxBytesPerBatch": str(1 << 26),
    "spark.sql.execution.topKSortFallbackThreshold": str(1 << 16),  # rows of a LIMIT that are held in memory
}
_LOGGING = """rootLogger.level = error
rootLogger.appenderRef.stderr.ref = stderr
appender.stderr.type = Console
appender.stderr.name = stderr
appender.stderr.target = SYSTEM_ERR
appender.stderr.layout.type = PatternLayout
appender.stderr.layout.pattern = spark: %p %c{1}: %m%n%ex{none}
"""
# What these say about a task that failed comes as an exception, if trying again did not help.
_SILENT = ("executor.Executor", "scheduler.TaskSetManager", "util.Utils", "sql.execution.datasources.v2")
for _name in _SILENT:
    _LOGGING += f"logger.{_name.rpartition('.')[2]}.name = org.apache.spark.{_name}\n"
    _LOGGING += f"logger.{_name.rpartition('.')[2]}.level = off\n"


class Cluster:
    """Some Spark, with a session of our own on it. What is wrong with it is a TagmillError that says the way out."""

    def __init__(self, master: str | None, *, threads: int, memory_limit: str, scratch: Path) -> None:
        """`master` as Spark writes it; None is the session of this process or of spark-submit, or else `threads` tasks here.

        `memory_limit` is of the Java process that is started here: with a local master of all that SQL needs, else of
        the driver. `scratch` is a folder on a local disk; `close` empties it. Raises ConfigError where Spark cannot be started.
        """
        self._scratch = scratch
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        submitted = "PYSPARK_GATEWAY_PORT" in os.environ
        self._own: SparkSession | None = None
        base = SparkSession.getActiveSession()
        if base is None:
            master = master or (None if submitted else f"local[{threads}]")
            base = self._own = _start(_given(master, memory_limit, scratch), master, check_java=not submitted)
        with explained("the session"):
            self.session = base.newSession()
            self._context = self.session.sparkContext
            self.local = str(self._context.master).startswith("local")
            for name, value in SETTINGS.items():
                self.session.conf.set(name, value)

    def slots(self) -> int:
        """Tasks that run at once, at most; where the cluster grows, as many as its configuration allows."""
        with explained("the size of the cluster"):
            if not self.local:
                self._context.range(1).count()  # executors register with the first job
            conf = dict(self._context.getConf().getAll())
            found = [int(self._context.defaultParallelism), int(conf.get("spark.cores.max", 0))]
            growing = conf.get("spark.dynamicAllocation.enabled") == "true"
            executors = conf.get("spark.dynamicAllocation.maxExecutors" if growing else "spark.executor.instances", "0")
            if executors.isdigit():
                found.append(int(executors) * int(conf.get("spark.executor.cores", 1)))
            return max(1, max(found) // int(conf.get("spark.task.cpus", 1)))

    def frame(self, schema: pa.Schema, items: Sequence[T], make: Callable[[T], Iterator[pa.RecordBatch]]) -> DataFrame:
        """The table whose rows `make` gives item by item, a task an item, on whichever machine the task runs."""
        spark_schema = from_arrow_schema(plain_schema(schema))
        target = to_arrow_schema(spark_schema, timezone="UTC")

        def read(numbers: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for batch in numbers:
                for number in batch["id"].to_pylist():
                    for made in make(items[number]):
                        yield made.cast(target)

        with explained("a table"):
            return self.session.range(0, len(items), 1, max(1, len(items))).mapInArrow(read, spark_schema)

    def kept(self, frame: DataFrame) -> DataFrame:
        """The frame with its rows computed now and kept on the executors' disks; what a lost one held is computed again."""
        kept = frame.persist(StorageLevel.DISK_ONLY)
        kept.count()
        return kept

    def batches(self, frame: DataFrame, what: str) -> pa.RecordBatchReader:
        """The rows of a result in its order; this process and the driver hold one of its partitions at a time."""
        with explained(what):
            schema = plain_schema(to_arrow_schema(frame.schema, timezone="UTC"))

        def read() -> Iterator[pa.RecordBatch]:
            with explained(what):
                for row in frame.mapInArrow(_in_cells, "cell binary").toLocalIterator():
                    with pa.ipc.open_stream(bytes(row.cell)) as stream:
                        for batch in stream:
                            yield batch.cast(schema)

        return pa.RecordBatchReader.from_batches(schema, read())

    def each(
        self,
        work: Callable[[T], tuple[bytes, Mapping[str, int]]],
        tasks: Sequence[T],
        tell: Callable[[dict[str, int]], None],
        what: str,
    ) -> list[bytes]:
        """What `work` makes of each task, in their order: a Spark task each, retried and speculated upon as Spark does.

        So `work` may run several times for a task, even at the same time, and must bear it. `tell` gets the counts that
        `work` gives beside its result, once a task, as tasks end; if it raises, what still runs is cancelled.
        """
        counts = self._context.accumulator({}, _Sums())

        def run(numbers: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for batch in numbers:
                for number in batch["id"].to_pylist():
                    result, told = work(tasks[number])
                    counts.add(dict(told))
                    yield pa.record_batch({"task": [number], "result": pa.array([result], pa.binary())})

        frame = self.session.range(0, len(tasks), 1, max(1, len(tasks))).mapInArrow(run, "task bigint, result binary")
        tag, told = f"tagmill-{time.time_ns()}", Counter[str]()

        def collect() -> dict[int, bytes]:
            self._context.addJobTag(tag)
            self._context.setInterruptOnCancel(True)
            return {row.task: bytes(row.result) for row in frame.collect()}

        with ThreadPoolExecutor(1, thread_name_prefix="spark-job") as thread, explained(what):
            job = thread.submit(collect)
            try:
                while not _ended(job.result, 0.2):
                    new = Counter(counts.value) - told
                    told += new
                    if new:
                        tell(dict(new))
                found = job.result()
            except BaseException:
                self._context.cancelJobsWithTag(tag)
                raise
        if new := Counter(counts.value) - told:
            tell(dict(new))
        return [found[number] for number in range(len(tasks))]

    def close(self) -> None:
        """Stops what was started here, and leaves alone what was not."""
        if self._own is not None:
            self._own.stop()
        shutil.rmtree(self._scratch, ignore_errors=True)


def scratch() -> str | None:
    """Inside a task: a folder on a local disk that Spark empties when the application ends; None: the system's."""
    return os.environ.get("SPARK_LOCAL_DIRS", "").split(",")[0] or None


class _Sums(AccumulatorParam[dict[str, int]]):  # type: ignore[misc]  # pyspark is not looked into
    """Adds counts by name."""

    def zero(self, value: dict[str, int]) -> dict[str, int]:
        del value
        return {}

    def addInPlace(self, value1: dict[str, int], value2: dict[str, int]) -> dict[str, int]:  # noqa: N802
        return {name: value1.get(name, 0) + value2.get(name, 0) for name in {*value1, *value2}}


def _in_cells(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Each batch as one row with one cell, in Arrow's stream format."""
    for batch in batches:
        file = pa.BufferOutputStream()
        with pa.ipc.new_stream(file, batch.schema) as stream:
            stream.write_batch(batch)
        yield pa.record_batch({"cell": pa.array([file.getvalue().to_pybytes()], pa.binary())})


def _ended(result: Callable[[float], object], seconds: float) -> bool:
    try:
        result(seconds)
    except NotYet:
        return False
    return True


def _given(master: str | None, memory_limit: str, scratch: Path) -> dict[str, str]:
    """The settings of a session that is started here."""
    log = scratch / "log4j2.properties"
    log.write_text(_LOGGING)
    given = {
        "spark.app.name": "tagmill",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "ERROR",
        "spark.driver.memory": f"{bytes_of(memory_limit) >> 20}m",
        "spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile={log}",
    }
    if master is not None and master.startswith("local"):
        if master.endswith("]") and "," not in master:
            master = f"{master[:-1]},{TRIES}]"
        given |= {
            "spark.local.dir": str(scratch / "spill"),
            "spark.driver.host": "127.0.0.1",  # nobody else has to reach it
            "spark.driver.bindAddress": "127.0.0.1",
        }
    return given if master is None else {**given, "spark.master": master}


def _start(given: dict[str, str], master: str | None, *, check_java: bool) -> SparkSession:
    if int(given["spark.driver.memory"][:-1]) < LEAST_MEMORY >> 20:
        remedy = "give --memory-limit 512MiB or more, or use --engine duckdb"
        raise ConfigError("too little memory for Spark", f"memory_limit {given['spark.driver.memory']}", remedy)
    if check_java and SparkContext._gateway is None:
        _check_java()
    if master is not None and master.startswith("spark://"):
        _check_master(master)
    if master is not None and master.startswith("local"):
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # workers have what this process has
    try:
        builder = SparkSession.builder
        for name, value in given.items():
            builder = builder.config(name, value)
        return builder.getOrCreate()
    except Exception as error:
        remedy = "check --spark-master and the cluster, or use --engine duckdb"
        raise ConfigError(
            f"Spark does not start: {_first_line(str(error))}", master or "spark-submit", remedy
        ) from error


def _check_java() -> None:
    home = os.environ.get("JAVA_HOME")
    java = shutil.which(str(Path(home, "bin", "java")) if home else "java")
    where = f"JAVA_HOME {home}" if home else "engine spark"
    remedy = f"install a Java {JAVA} runtime (Debian: openjdk-17-jre-headless), or use --engine duckdb"
    if java is None:
        raise ConfigError("no Java here, which Spark runs on", where, remedy)
    told = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(?:1\.)?([0-9]+)', told)
    if found is None or int(found[1]) < JAVA:
        raise ConfigError(f"Java {found[1] if found else 'of an unknown version'} is too old for Spark", java, remedy)


def _check_master(master: str) -> None:
    """Spark itself asks a master that is not there for a minute, and then says something else."""
    for address in master.removeprefix("spark://").split(","):
        host, _, port = address.rpartition(":")
        try:
            with socket.create_connection((host, int(port)), MASTER_SECONDS):
                return
        except (OSError, ValueError):
            continue
    remedy = "start the cluster or correct --spark-master, or use --engine duckdb"
    raise ConfigError("no Spark master answers", master, remedy)


_ROOM = re.compile(r"No space left on device|OutOfMemoryError|UNABLE_TO_ACQUIRE_MEMORY|GC overhead|maxResultSize")
_GONE = re.compile(r"Errno 111|Connection refused|Answer from Java side is empty")
_OURS = re.compile(r"^tagmill\.shards\.errors\.(\w+): (.+)$", re.MULTILINE)


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turns what Spark, a cluster or a task lacks into a promise with a way out; a mistake in our SQL stays Spark's error."""
    try:
        yield
    except AnalysisException:
        raise
    except (PySparkException, Py4JError, ConnectionError) as error:
        _raise(error, what)


def _raise(error: Exception, what: str) -> NoReturn:
    text = str(error)
    if ours := _OURS.search(text):
        kind: Any = getattr(errors, ours[1], TagmillError)
        raise kind(ours[2], f"on Spark, {what}", "") from error
    if room := _ROOM.search(text):
        remedy = "raise --memory-limit (on a cluster: the executors'), or give a --spool on a larger disk"
        raise TagmillError(f"set work ran out of room: {room[0]}", what, remedy) from error
    if "Python worker exited unexpectedly" in text:
        remedy = "run it again, what is finished stays; if it dies again give executors more memory or fewer cores"
        raise TagmillError("a worker process of Spark died", what, remedy) from error
    no_answer = not isinstance(error, PySparkException) and not hasattr(error, "java_exception")
    if no_answer or _GONE.search(_first_line(text)):
        remedy = "run it again, what is finished stays; if it dies again raise --memory-limit"
        raise TagmillError("the Java process of Spark died", what, remedy) from error
    remedy = "look into Spark's log, then run it again: what is finished stays"
    raise TagmillError(f"Spark failed: {_first_line(text)}", what, remedy) from error


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "it does not say why")[:300]
