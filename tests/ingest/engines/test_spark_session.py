"""What keeps Spark from starting, or ends it, is said in one line with the way out."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from tagmill.shards.errors import ConfigError, TagmillError
from tests.ingest.java import needs_spark

pytestmark = needs_spark


def start(scratch: Path, master: str = "local[1]", memory_limit: str = "1GB") -> None:
    from tagmill.ingest.engines.spark_session import Cluster

    Cluster(master, threads=1, memory_limit=memory_limit, scratch=scratch).close()


@pytest.fixture(autouse=True)
def _no_java_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests of this process may have begun one, which a session takes whatever is asked for."""
    from tagmill.ingest.engines.spark_session import SparkContext

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
        taken.bind(("127.0.0.1", 0))  # nobody listens
        master = f"spark://127.0.0.1:{taken.getsockname()[1]},nonsense"
        with pytest.raises(ConfigError, match=r"no Spark master answers \(spark://127.0.0.1:\d+,nonsense\): start"):
            start(tmp_path / "scratch", master=master)


@pytest.mark.slow
@pytest.mark.parametrize("master", ["nonsense://somewhere", "local[many]"])
def test_a_master_that_spark_does_not_know(tmp_path: Path, master: str) -> None:
    """In a process of its own, as a context that failed to start leaves Java behind."""
    code = "import sys, pathlib, tests.ingest.engines.test_spark_session as t; t.start(pathlib.Path(sys.argv[1]), sys.argv[2])"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "s"), master], capture_output=True, text=True, check=False
    )
    assert "ConfigError: Spark does not start:" in done.stderr and master in done.stderr, done.stderr[-2000:]


DIES = """
import os, signal, pathlib, sys
import pyarrow as pa
from tagmill.ingest.engines.spark_session import Cluster, SparkContext
from tagmill.shards.errors import TagmillError
from tests.ingest.engines.test_spark_session import rows
cluster = Cluster("local[1]", threads=1, memory_limit="600MB", scratch=pathlib.Path(sys.argv[1]))
frame = cluster.frame(pa.schema([("k", pa.int64())]), [3], rows)
java = SparkContext._gateway.proc
os.killpg(java.pid, signal.SIGKILL) if os.getpgid(java.pid) != os.getpgid(0) else java.kill()
java.wait()
try:
    cluster.batches(frame, "statement any").read_all()
except TagmillError as error:
    print("said:", error)
"""
FULL = """
import pathlib, sys
import pyarrow as pa
from tagmill.ingest.engines.spark_session import Cluster, explained
from tagmill.shards.errors import TagmillError
from tests.ingest.engines.test_spark_session import rows
cluster = Cluster("local[1]", threads=1, memory_limit="600MB", scratch=pathlib.Path(sys.argv[1]))
try:
    with explained("statement any"):
        cluster.kept(cluster.frame(pa.schema([("k", pa.int64())]), [600_000], rows).repartition(4))
    print("kept")
except TagmillError as error:
    print("said:", error)
"""


def rows(number: int):  # type: ignore[no-untyped-def]
    """Numbers that do not compress."""
    import numpy as np

    for seed in range(0, number, 1 << 16):
        yield pa.record_batch({"k": np.random.default_rng(seed).integers(-(1 << 63), 1 << 63, 1 << 16, endpoint=False)})


@pytest.mark.slow
def test_java_that_is_killed_is_said_in_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", DIES, str(tmp_path / "scratch")], capture_output=True, text=True, check=False
    )
    assert "said: the Java process of Spark died (statement any): run it again" in done.stdout, done.stderr[-2000:]


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="a small disk of its own has to be mounted")
def test_a_spill_disk_that_is_full_is_said_in_one_line(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("no right to mount a disk here")
    try:
        done = subprocess.run(
            [sys.executable, "-c", FULL, str(disk / "scratch")], capture_output=True, text=True, check=False
        )
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
    # Spark may first try to do without the spill and run out of memory over it.
    assert re.search(r"said: set operations ran out of space: (No space|OutOfMemory).*larger disk", done.stdout), (
        done.stderr[-3000:]
    )


def test_what_spark_says_is_sorted_by_the_way_out() -> None:
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
