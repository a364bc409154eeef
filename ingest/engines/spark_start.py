"""Starts a Spark session: its settings and its log, and checks that fail before Spark itself would wait or say less."""

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

from pyspark import SparkContext
from pyspark.sql import SparkSession

from tagmill.ingest.config.memory import bytes_of
from tagmill.ingest.engines.spark_errors import first_line
from tagmill.shards.errors import ConfigError

JAVA = 17  # the oldest Java that Spark 4 supports
MIN_MEMORY = 512 << 20  # bytes; Spark refuses to start below about 450 MiB
TRIES = 4  # tries of a task: the default of clusters, which local masters lack
MASTER_SECONDS = 5.0  # seconds in which a standalone master must accept a connection
# Names of environment variables with settings and keys of stores begin with these.
STORE_VARIABLES = ("AWS_", "GOOGLE_", "AZURE_", "HF_", "STORAGE_EMULATOR_HOST")
SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",  # an overflow is an error, as in DuckDB
    "spark.sql.adaptive.enabled": "true",
    "spark.sql.optimizer.canChangeCachedPlanOutputPartitioning": "true",  # small kept tables get few partitions
    # Spark cannot know the size of a generated table: it decides about broadcasts by what was shuffled.
    "spark.sql.autoBroadcastJoinThreshold": "-1",
    "spark.sql.adaptive.autoBroadcastJoinThreshold": "10MB",
    "spark.sql.execution.arrow.maxRecordsPerBatch": str(1 << 16),
    "spark.sql.execution.arrow.maxBytesPerBatch": str(1 << 26),
    "spark.sql.execution.arrow.localRelationThreshold": "0",  # each batch of a table of items is a partition
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
# What these log about a failed task also comes as an exception, if retries did not help.
_SILENT = ("executor.Executor", "scheduler.TaskSetManager", "util.Utils", "sql.execution.datasources.v2")
for _name in _SILENT:
    _LOGGING += f"logger.{_name.rpartition('.')[2]}.name = org.apache.spark.{_name}\n"
    _LOGGING += f"logger.{_name.rpartition('.')[2]}.level = off\n"


def session_settings(master: str | None, memory_limit: str, scratch: Path) -> dict[str, str]:
    """Returns the settings of a session that is started here."""
    log = scratch / "log4j2.properties"
    log.write_text(_LOGGING)
    given = {
        "spark.app.name": "tagmill",
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
            "spark.driver.host": "127.0.0.1",  # no other machine connects to it
            "spark.driver.bindAddress": "127.0.0.1",
        }
        if not _is_configured("spark.ui.enabled"):
            given["spark.ui.enabled"] = "false"
    return given if master is None else {**given, "spark.master": master}


def _is_configured(name: str) -> bool:
    """Returns whether Spark's configuration, of files or of arguments, has a setting."""
    home, folder = os.environ.get("SPARK_HOME"), os.environ.get("SPARK_CONF_DIR")
    file = Path(folder or Path(home or "", "conf"), "spark-defaults.conf")
    there = (folder or home) and file.is_file()
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines() if there else []
    named = re.compile(rf"\s*{re.escape(name)}[\s=:]")
    return f"{name}=" in os.environ.get("PYSPARK_SUBMIT_ARGS", "") or any(map(named.match, lines))


def start(given: dict[str, str], master: str | None, *, check_java: bool) -> SparkSession:
    if int(given["spark.driver.memory"][:-1]) < MIN_MEMORY >> 20:
        remedy = "give --memory-limit 512MiB or more, or use --engine duckdb"
        raise ConfigError("too little memory for Spark", f"memory_limit {given['spark.driver.memory']}", remedy)
    if check_java and SparkContext._gateway is None:
        _check_java()
    if master is not None and master.startswith("spark://"):
        _check_master(master)
    if master is not None:  # workers get the packages of this process, on other machines if they are at the same path
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    try:
        builder = SparkSession.builder
        for name, value in given.items():
            builder = builder.config(name, value)
        return builder.getOrCreate()
    except Exception as error:
        remedy = "check --spark-master and the cluster, or use --engine duckdb"
        raise ConfigError(
            f"Spark does not start: {first_line(str(error))}", master or "spark-submit", remedy
        ) from error


def share_store_variables(of_workers: dict[str, str]) -> None:
    """Gives local Python workers this process's settings and keys of stores: by default they have those of the moment
    when Java was started."""
    for name in [name for name in of_workers if name.startswith(STORE_VARIABLES)]:
        del of_workers[name]
    of_workers.update({name: value for name, value in os.environ.items() if name.startswith(STORE_VARIABLES)})


def _check_java() -> None:
    home = os.environ.get("JAVA_HOME")
    java = shutil.which(str(Path(home, "bin", "java")) if home else "java")
    where = f"JAVA_HOME {home}" if home else "engine spark"
    remedy = f"install a Java {JAVA} runtime (Debian: openjdk-17-jre-headless), or use --engine duckdb"
    if java is None:
        raise ConfigError("no Java here, which Spark runs on", where, remedy)
    reported = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(?:1\.)?([0-9]+)', reported)
    if found is None or int(found[1]) < JAVA:
        raise ConfigError(f"Java {found[1] if found else 'of an unknown version'} is too old for Spark", java, remedy)


def _check_master(master: str) -> None:
    """Fails early: Spark itself waits for a missing master for a minute, and then reports something else."""
    for address in master.removeprefix("spark://").split(","):
        host, _, port = address.rpartition(":")
        try:
            with socket.create_connection((host, int(port)), MASTER_SECONDS):
                return
        except (OSError, ValueError):
            continue
    remedy = "start the cluster or correct --spark-master, or use --engine duckdb"
    raise ConfigError("no Spark master answers", master, remedy)
