"""A cluster that cannot work is said in one line: no executors, or executors with other versions."""

import json
import logging
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from tagmill.shards.errors import ConfigError, TagmillError
from tests.ingest.java import needs_spark
from tests.ingest.one_spark import OneSpark
from tests.ingest.sparkcluster import standalone

pytestmark = [needs_spark, pytest.mark.timeout(300)]

WORKER = {"state": "ALIVE", "memory": 900, "memoryfree": 400}


@pytest.mark.parametrize(
    ("memory", "workers", "found"),
    [
        ("1g", [WORKER], "no worker is that large: the largest of 1 has 900 MiB; stop, and lower"),
        ("800m", [WORKER, WORKER], "the most that one of 2 workers has free is 400 MiB of 900 MiB; it goes on when"),
        ("819200k", [WORKER], "goes on when there is room"),
        ("901", [WORKER], "no worker is that large"),
        ("1g", [], "it goes on when the cluster has room"),
    ],
)
def test_the_line_says_what_is_asked_and_offered(memory: str, workers: list[dict[str, Any]], found: str) -> None:
    from tagmill.ingest.engines.spark_ready import waiting_line

    line = waiting_line("spark://head:7077", memory, "", workers)
    assert f"waits for executors of spark://head:7077, each asks for {memory} of memory" in line and found in line


@pytest.fixture
def page() -> Iterator[tuple[int, list[bytes]]]:
    """The port of a master's page, and what it answers."""
    answers: list[bytes] = []

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answers.pop())

        def log_message(self, format: str, *args: Any) -> None:
            del format, args

    with HTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1], answers
        server.shutdown()
        thread.join()


def test_workers_are_those_of_the_masters_page(page: tuple[int, list[bytes]], monkeypatch: pytest.MonkeyPatch) -> None:
    from tagmill.ingest.engines import spark_ready

    port, answers = page
    monkeypatch.setattr(spark_ready, "PAGE", port)
    for told, found in (
        ({"workers": [WORKER, {**WORKER, "state": "DEAD"}]}, [WORKER]),
        ({"workers": [{}]}, []),
        ({"workers": [{"state": "ALIVE", "memory": "much"}]}, []),
        ([], []),
    ):
        answers.append(json.dumps(told).encode())
        assert spark_ready.workers_of("spark://127.0.0.1:7077") == found
    answers.append(b"<html>")
    assert spark_ready.workers_of("spark://127.0.0.1:7077") == spark_ready.workers_of("yarn") == []


class _Stop(logging.Handler):
    """Keeps the first line, and cancels the job that waits."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        from pyspark import SparkContext

        self.lines.append(record.getMessage())
        SparkContext.getOrCreate().cancelAllJobs()


def test_a_cluster_without_room_is_said(one_spark: OneSpark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real master whose worker is smaller than an executor; without the line this waits without end."""
    from tagmill.ingest.engines import spark_ready

    monkeypatch.setattr(spark_ready, "PATIENCE", 0.5)
    monkeypatch.setattr(spark_ready, "POLL_SECONDS", 0.1)
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    one_spark.end()
    stop = _Stop()
    spark_ready.log.addHandler(stop)
    try:
        settings = {"spark.executor.memory": "5g", "spark.driver.host": "127.0.0.1"}
        with standalone(tmp_path, 1, settings) as master, pytest.raises(TagmillError, match="cancelled"):
            one_spark.cluster_of(master, tmp_path / "scratch")
    finally:
        spark_ready.log.removeHandler(stop)
    assert stop.lines and "each asks for 5g of memory" in stop.lines[0]


def test_executors_with_other_versions_are_refused(
    one_spark: OneSpark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tagmill.ingest.engines import spark_ready

    cluster = one_spark.cluster(tmp_path / "scratch")
    context = cluster.session.sparkContext
    spark_ready.check_executors(context, images=True)
    mine = spark_ready.own_environment(images=False)["tagmill"]
    monkeypatch.setattr(spark_ready, "version", lambda name: "0.0.1")  # of this process, not of the workers
    with pytest.raises(ConfigError, match=rf"an executor has tagmill {mine} where 0.0.1 is here.*spark.archives"):
        spark_ready.check_executors(context, images=False)
    cluster.close()
