"""Failures to start Spark, and failures that end it, are one-line errors with a remedy."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from tagmill.shards.errors import ConfigError, TagmillError
from tests.ingest.java import needs_spark

pytestmark = [needs_spark, pytest.mark.timeout(900)]


def start(scratch: Path, master: str = "local[1]", memory_limit: str = "1GB") -> None:
    from tagmill.ingest.engines.spark_session import Cluster

    Cluster(master, threads=1, memory_limit=memory_limit, scratch=scratch).close()


@pytest.fixture(autouse=True)
def _no_java_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests of this process may have begun one, and a session, which are taken whatever is asked for."""
    from tagmill.ingest.engines.spark_session import SparkContext, SparkSession

    monkeypatch.setattr(SparkSession, "getActiveSession", lambda: None)
    monkeypatch.setattr(SparkContext, "_gateway", None)


def fake_java(folder: Path, told: str) -> Path:
    (folder / "bin").mkdir()
    java = folder / "bin" / "java"
    java.write_text(f"#!/bin/sh\necho '{told}' >&2\n")
    java.chmod(0o755)
    return folder


def test_without_java_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match=r"no Java here.*install a Java 17 runtime.*or use --engine duckdb"):
        start(tmp_path / "scratch")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "nothing"))
    with pytest.raises(ConfigError, match=r"no Java here.*\(JAVA_HOME .*nothing\)"):
        start(tmp_path / "scratch")


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ('openjdk version "11.0.2" 2019-01-15', "Java 11 is"),
        ('java version "1.8.0_392"', "Java 8 is"),
        ("ouch", "unknown"),
    ],
)
def test_an_old_java_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str, found: str) -> None:
    monkeypatch.setenv("JAVA_HOME", str(fake_java(tmp_path, told)))
    with pytest.raises(ConfigError, match=rf"{found}.*too old for Spark.*install a Java 17"):
        start(tmp_path / "scratch")


def test_too_little_memory_is_refused_before_java_is_asked(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"too little memory for Spark \(memory_limit 190m\).*512MiB"):
        start(tmp_path / "scratch", memory_limit="200MB")


def test_a_master_that_is_not_there_is_found_at_once(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # no process listens
        master = f"spark://127.0.0.1:{taken.getsockname()[1]},nonsense"
        with pytest.raises(ConfigError, match=r"no Spark master answers \(spark://127.0.0.1:\d+,nonsense\): start"):
            start(tmp_path / "scratch", master=master)


# Masters that Spark does not know, then a disk for the spill that is too small, and then a Java that is killed. In a process
# of their own, as a context that failed to start leaves Java behind.
MASTERS = ["nonsense://somewhere", "local[many]"]
LOSES = """
import os, signal, pathlib, sys
import pyarrow as pa
from tagmill.ingest.engines.spark_session import Cluster, SparkContext, explained
from tagmill.shards.errors import ConfigError, TagmillError
from tests.ingest.engines.test_spark_session import MASTERS, rows, start
for master in MASTERS:
    try:
        start(pathlib.Path(sys.argv[1]), master, "600MB")
    except ConfigError as error:
        print("said:", error)
cluster = Cluster("local[1]", threads=1, memory_limit="600MB", scratch=pathlib.Path(sys.argv[1]))
schema = pa.schema([("k", pa.int64())])
try:
    with explained("statement full"):
        if sys.argv[2] == "small":
            cluster.kept(cluster.frame(schema, [600_000], rows).repartition(4))
except TagmillError as error:
    print("said:", error)
frame = cluster.frame(schema, [3], rows)
java = SparkContext._gateway.proc
os.killpg(java.pid, signal.SIGKILL) if os.getpgid(java.pid) != os.getpgid(0) else java.kill()
java.wait()
try:
    cluster.batches(frame, "statement any").read_all()
except TagmillError as error:
    print("said:", error)
"""


def rows(number: int):  # type: ignore[no-untyped-def]
    """Numbers that do not compress."""
    import numpy as np

    for seed in range(0, number, 1 << 16):
        yield pa.record_batch({"k": np.random.default_rng(seed).integers(-(1 << 63), 1 << 63, 1 << 16, endpoint=False)})


@pytest.fixture(scope="module")
def losses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[bool, "subprocess.CompletedProcess[str]"]]:
    """Whether a small disk could be mounted (that takes root), and what one process said when it lost disk and Java."""
    disk = tmp_path_factory.mktemp("disk")
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)]
    small = os.geteuid() == 0 and subprocess.run(mount, check=False, capture_output=True).returncode == 0
    command = [sys.executable, "-c", LOSES, str(disk / "scratch"), "small" if small else "large"]
    try:
        yield small, subprocess.run(command, capture_output=True, text=True, check=False)
    finally:
        if small:
            subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.slow
def test_masters_that_spark_does_not_know(losses: tuple[bool, "subprocess.CompletedProcess[str]"]) -> None:
    _, done = losses
    said = [line for line in done.stdout.splitlines() if line.startswith("said: Spark does not start:")]
    assert len(said) == 2 and all(master in line for master, line in zip(MASTERS, said)), done.stderr[-2000:]


@pytest.mark.slow
def test_a_killed_java_is_an_error_with_a_remedy(losses: tuple[bool, "subprocess.CompletedProcess[str]"]) -> None:
    _, done = losses
    assert "said: the Java process of Spark died (statement any): run it again" in done.stdout, done.stderr[-2000:]


@pytest.mark.slow
def test_a_full_spill_disk_is_an_error_with_a_remedy(
    losses: tuple[bool, "subprocess.CompletedProcess[str]"],
) -> None:
    small, done = losses
    if not small:
        pytest.skip("no right to mount a disk here")
    # Spark may first try to do without the spill and run out of memory over it.
    said = r"said: set operations ran out of space: (No space|OutOfMemory).*\(statement full\).*larger disk"
    assert re.search(said, done.stdout), done.stderr[-3000:]


def test_sparks_errors_are_classified_by_remedy() -> None:
    from pyspark.errors import AnalysisException, PySparkRuntimeError

    from tagmill.ingest.engines.spark_session import explained

    def told(text: str) -> str:
        with pytest.raises(TagmillError) as raised, explained("statement x"):
            raise PySparkRuntimeError(text)
        return str(raised.value)

    assert "raise --memory-limit" in told("Job aborted.\n java.lang.OutOfMemoryError: Java heap space")
    assert "a worker process of Spark died" in told("x\nPython worker exited unexpectedly (crashed)")
    assert (
        told("\n\n boom\n at x")
        == "Spark failed: boom (statement x): look into Spark's log, then run it again: what is finished stays"
    )
    with pytest.raises(AnalysisException), explained("statement x"):
        raise AnalysisException("our mistake")
