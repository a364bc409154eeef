"""Failures that end a session are one-line errors with a remedy."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator

import pyarrow as pa
import pytest

from tests.ingest.java import needs_spark

pytestmark = [needs_spark, pytest.mark.timeout(900)]

# Masters that Spark does not know, then a disk for the spill that is too small, and then a Java that is killed. In a process
# of their own, as a context that failed to start leaves Java behind.
MASTERS = ["nonsense://somewhere", "local[many]"]
LOSES = """
import os, signal, pathlib, sys
import pyarrow as pa
from pyspark import SparkContext
from tagmill.ingest.engines.spark_errors import explained
from tagmill.ingest.engines.spark_session import Cluster
from tagmill.shards.errors import ConfigError, TagmillError
from tests.ingest.engines.test_spark_session import MASTERS, rows
from tests.ingest.engines.test_spark_start import start
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
