"""Whether a cluster can work: says when jobs wait for executors, and compares what executors have with this process.

Spark says the first only in its log, again and again, and the second as whatever fails first in a task.
"""

import json
import logging
import platform
import socket
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from typing import Any

from py4j.protocol import Py4JError
from pyspark import SparkContext
from pyspark.errors import PySparkException

from tagmill.ingest.config.memory import bytes_of
from tagmill.ingest.engines.spark_errors import explained
from tagmill.shards.errors import ConfigError
from tagmill.shards.terminal.safe_text import safe_text

log = logging.getLogger(__name__)

POLL_SECONDS = 2.0
PATIENCE = 15.0  # seconds in which a job has no running task before that is said
REPEAT = 300.0  # seconds until it is said again
ASKED_MOST = 64  # tasks that report what executors have
PAGE = 8080  # port of a standalone master's page
PAGE_SECONDS = 2.0
_MOST = 1 << 20  # bytes that are read of it
INSTALL = (
    "install the same there, or send this environment by spark.archives, and let PYSPARK_PYTHON name its Python"
    " (docs/how-to/spark.md)"
)


class Watch:
    """Looks at a context's jobs in a thread of its own, and says when none of their tasks run."""

    def __init__(self, context: SparkContext, say: Callable[[str], None] = log.warning) -> None:
        self._context, self._say = context, say
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="spark-watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        since, next_said = None, PATIENCE
        while not self._end.wait(POLL_SECONDS):
            try:
                waits = is_waiting(self._context)
                if not waits:
                    since, next_said = None, PATIENCE
                    continue
                since = since or time.monotonic()
                if time.monotonic() - since >= next_said:
                    next_said += REPEAT
                    self._say(waiting_line(*_asked(self._context)))
            except (
                Py4JError,
                PySparkException,
                OSError,
                AttributeError,
            ):
                return  # the session ended, or Java died: the job itself fails


def is_waiting(context: SparkContext) -> bool:
    """Returns whether there are stages with tasks to do, of which none runs."""
    tracker = context.statusTracker()
    stages = [tracker.getStageInfo(stage) for stage in tracker.getActiveStageIds()]
    there = [stage for stage in stages if stage is not None]
    return bool(there) and not any(stage.numActiveTasks for stage in there)


def _asked(context: SparkContext) -> tuple[str, str, str, list[Mapping[str, Any]]]:
    conf = context.getConf()
    memory, cores = conf.get("spark.executor.memory", "1g"), conf.get("spark.executor.cores", "")
    master = str(context.master)
    return master, str(memory), str(cores), workers_of(master)


def workers_of(master: str) -> list[Mapping[str, Any]]:
    """Returns what a standalone master's page says of its living workers; none where it has no page at its usual port."""
    host = master.removeprefix("spark://").split(",")[0].rpartition(":")[0]
    if not master.startswith("spark://"):
        return []
    try:
        with urllib.request.urlopen(f"http://{host}:{PAGE}/json/", timeout=PAGE_SECONDS) as answer:
            found = json.loads(answer.read(_MOST))["workers"]
            return [worker for worker in found if worker["state"] == "ALIVE" and int(worker["memory"]) >= 0]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def waiting_line(master: str, memory: str, cores: str, workers: list[Mapping[str, Any]]) -> str:
    """Returns the line for the user; `memory` is Spark's text, and workers have `memory` in MiB, `memoryfree` and `cores`."""
    each = f"each asks for {memory} of memory" + (f" and {cores} cores" if cores else "")
    asked = f"Spark waits for executors of {master}, {each}"
    if not workers:
        return safe_text(f"{asked}; it goes on when the cluster has room (is a worker there, and has it so much?)", 400)
    most = max(int(worker["memory"]) for worker in workers)
    free = max(int(worker.get("memoryfree", worker["memory"])) for worker in workers)
    if _mebibytes(memory) > most:
        line = f"{asked}, and no worker is that large: the largest of {len(workers)} has {most} MiB"
        return safe_text(f"{line}; stop, and lower spark.executor.memory or start larger workers", 400)
    line = f"{asked}; the most that one of {len(workers)} workers has free is {free} MiB of {most} MiB"
    return safe_text(f"{line}; it goes on when there is room", 400)


def _mebibytes(memory: str) -> int:
    text = memory.strip().lower().removesuffix("b")
    units = {"k": 10, "m": 20, "g": 30, "t": 40}
    if text and text[-1] in units:
        return int(text[:-1]) << units[text[-1]] >> 20
    return bytes_of(text) >> 20 if not text.isdigit() else int(text)


def own_environment(*, images: bool) -> dict[str, str]:
    """Returns the versions that decide whether tasks run and, with `images`, which bytes their images have."""
    found = {"Python": ".".join(platform.python_version_tuple()[:2]), "tagmill": version("tagmill")}
    if images:
        from tagmill.ingest.images.prepare import image_stack

        found |= image_stack()
    return found


def check_executors(context: SparkContext, *, images: bool) -> None:
    """Compares executors with this process. Raises ConfigError where they have other versions, or lack a package."""

    def report(numbers: Iterator[int]) -> Iterator[tuple[str, str, dict[str, str]]]:
        del numbers
        yield socket.gethostname(), sys.executable, own_environment(images=images)

    with explained("what executors have"):
        context.range(1).count()  # executors register with the first job
        tasks = min(ASKED_MOST, int(context.defaultParallelism))
        found = context.range(0, tasks, 1, tasks).mapPartitions(report).collect()
    mine = own_environment(images=images)
    for host, python, theirs in found:
        if differences := _differences(mine, theirs):
            raise ConfigError(f"an executor has {differences}", safe_text(f"{host}, {python}", 200), INSTALL)


def _differences(mine: Mapping[str, str], theirs: Mapping[str, str]) -> str:
    differ = [name for name in mine if theirs.get(name) != mine[name]]
    return safe_text("; ".join(f"{name} {theirs.get(name)} where {mine[name]} is here" for name in differ), 400)
