"""Tasks in worker processes: order, counts, errors, workers that die, and workers that do not end."""

import importlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tagmill.ingest.progress.host_times import FetchStats, HostLatency
from tagmill.ingest.workers.pool import PRELOADED, TASKS_AHEAD, WorkerPool
from tagmill.ingest.workers.worker import WorkerReport
from tagmill.shards.errors import ConfigError, TagmillError
from tagmill.shards.progress.protocol import Silent


class Seen(Silent):
    def __init__(self) -> None:
        self.calls: list[tuple[int, dict[str, int]]] = []
        self.traffic = FetchStats()

    def advance(self, n: int, **counts: int) -> None:
        self.calls.append((n, counts))

    def fetched(self, traffic: FetchStats) -> None:
        self.traffic = traffic


def called(task: int) -> str:
    return f"at number {task}"


def double(number: int) -> int:
    return 2 * number


def process(number: int) -> int:
    time.sleep(0.01)
    return os.getpid()


def fail(number: int) -> int:
    if number == 5:
        raise ConfigError("five", "here")
    return number


def wait_for_ever(number: int) -> int:
    if number:
        threading.Event().wait()
    return number


def die(number: int) -> int:
    if number == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def sleep_if_first(number: int) -> int:
    time.sleep(0 if number else 0.5)
    return number


@pytest.mark.parametrize("processes", [1, 3])
def test_results_come_in_the_order_of_the_tasks(processes: int) -> None:
    with WorkerPool(processes, "counting") as pool:
        assert list(pool.map(double, range(40))) == list(range(0, 80, 2))
        assert list(pool.map(double, [])) == []
        first, second = (set(pool.map(process, range(30))) for _ in range(2))
        assert len(first | second) <= processes and (first == {os.getpid()}) == (processes == 1)


def test_tasks_are_not_drawn_far_ahead_of_the_oldest_result() -> None:
    drawn: list[int] = []

    def tasks() -> Iterator[int]:
        for number in range(100):
            drawn.append(number)
            yield number

    with WorkerPool(2, "counting") as pool:
        results = pool.map(sleep_if_first, tasks())
        assert next(results) == 0
        assert len(drawn) <= TASKS_AHEAD * 2 + 2
        assert list(results) == list(range(1, 100))


@pytest.mark.parametrize("processes", [1, 2])
def test_what_a_task_raises_is_raised(processes: int) -> None:
    with WorkerPool(processes, "counting") as pool, pytest.raises(ConfigError, match="five"):
        list(pool.map(fail, range(9)))


def test_a_failed_or_abandoned_pass_leaves_the_pool_usable() -> None:
    with WorkerPool(2, "counting") as pool:
        with pytest.raises(ConfigError, match="five"):
            list(pool.map(fail, range(9)))
        results = pool.map(double, range(100))
        assert next(results) == 0
        results.close()  # type: ignore[attr-defined]
        assert list(pool.map(double, range(9))) == list(range(0, 18, 2))


def test_workers_that_wait_for_ever_do_not_delay_an_interrupt() -> None:
    with pytest.raises(KeyboardInterrupt), WorkerPool(2, "waiting") as pool:
        assert next(iter(pool.map(wait_for_ever, [0, 1, 1, 1]))) == 0
        raise KeyboardInterrupt


def test_a_dead_worker_of_an_ordered_pass_is_an_error() -> None:
    with WorkerPool(2, "counting") as pool, pytest.raises(TagmillError, match=r"a worker process died \(counting\)"):
        list(pool.map(die, range(9)))


def double_and_report(number: int, report: WorkerReport) -> int:
    latency = HostLatency()
    latency.note("host", 1.0, number)
    report.with_fetched(latency)("ok", number)
    if number == 5:
        report("bad", 1)
    return double(number)


def die_reporting(number: int, report: WorkerReport) -> int:
    report("ok", number)
    report.send()
    return die(number)


def test_results_come_as_they_are_with_all_counts() -> None:
    seen = Seen()
    with WorkerPool(2, "doubling") as pool:
        assert sorted(pool.each(double_and_report, range(1, 8), seen, called)) == [2, 4, 6, 8, 10, 12, 14]
    assert sum(counts.get("ok", 0) for _, counts in seen.calls) == 28
    assert sum(counts.get("bad", 0) for _, counts in seen.calls) == 1
    assert sum(n for n, _ in seen.calls) == 29
    assert 0 < seen.traffic.seconds <= 2.0  # the last status of each worker


def test_a_dead_worker_is_named_with_its_task_and_its_counts_are_kept() -> None:
    seen = Seen()
    died = pytest.raises(TagmillError, match=r"a worker process died \(doubling, at number 5\)")
    with died as caught, WorkerPool(1, "doubling") as pool:
        list(pool.each(die_reporting, range(1, 8), seen, called))
    assert "run it again, what is finished stays" in caught.value.remedy
    assert sum(counts["ok"] for _, counts in seen.calls) == 1 + 2 + 3 + 4 + 5


def stuck(number: int, report: WorkerReport) -> int:
    """As a worker is that waits for a store which has stopped answering."""
    if number == 1:
        return os.getpid()
    threading.Event().wait()
    return 0


@pytest.mark.parametrize("kind", [KeyboardInterrupt, TagmillError, GeneratorExit])
def test_workers_that_do_not_end_by_themselves_are_killed(kind: type[BaseException]) -> None:
    coming = WorkerPool(1, "waiting").each(stuck, range(1, 4), Silent(), called)
    worker = next(coming)
    with pytest.raises(kind):
        coming.throw(kind("stopped"))  # type: ignore[attr-defined]
    assert ends(worker)


def report_for_ever(number: int, report: WorkerReport) -> int:
    while True:
        report("ok", 1)
        time.sleep(0.001)


def test_an_error_in_the_progress_stops_workers_at_their_next_report() -> None:
    class Full(Silent):
        def advance(self, n: int, **counts: int) -> None:
            raise TagmillError("too many failures")

    with pytest.raises(TagmillError, match="too many failures"), WorkerPool(2, "counting") as pool:
        list(pool.each(report_for_ever, range(2), Full(), called))


def loaded(name: str) -> bool:
    return name in sys.modules


def of_environment(name: str) -> str | None:
    return os.environ.get(name)


def importable(name: str) -> bool:
    return importlib.import_module(name) is not None


def scheduling(_: int) -> int:
    return os.sched_getscheduler(0)


BEGUN = """
from tagmill.ingest.workers.pool import PRELOADED, WorkerPool, warm
from tests.ingest.workers.test_pool import loaded
if __name__ == "__main__":
    warm()
    with WorkerPool(2, "") as pool:
        print(list(pool.map(loaded, PRELOADED)))
"""


def test_workers_begin_with_their_imports(tmp_path: Path) -> None:
    """Those of a process that no other test has begun workers in."""
    script = tmp_path / "begun.py"
    script.write_text(BEGUN)
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, env=with_this_path())
    assert done.stdout == f"{[True] * len(PRELOADED)}\n", done.stderr


def with_this_path() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, str(Path(__file__).parents[3])])}


def test_workers_have_the_present_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with WorkerPool(2, "") as pool:
        assert list(pool.map(of_environment, ["TAGMILL_PRESENT"])) == [None]
    monkeypatch.setenv("TAGMILL_PRESENT", "here")
    with WorkerPool(2, "") as pool:
        assert list(pool.map(of_environment, ["TAGMILL_PRESENT"])) == ["here"]


@pytest.mark.skipif(not hasattr(os, "SCHED_BATCH"), reason="this system has no such scheduling")
def test_workers_run_under_batch_scheduling() -> None:
    before = os.sched_getscheduler(0)
    with WorkerPool(2, "") as pool:
        (found,) = pool.map(scheduling, [0])
    assert found == (os.SCHED_BATCH if before == os.SCHED_OTHER else before)
    assert os.sched_getscheduler(0) == before


def test_workers_have_no_pandas() -> None:
    with WorkerPool(2, "") as pool:
        assert list(pool.map(importable, ["numpy"])) == [True]
        with pytest.raises(ModuleNotFoundError, match="pandas is left out"):
            list(pool.map(importable, ["pandas"]))


PARENT = """
import os, sys, time
from tagmill.ingest.workers.pool import WorkerPool
from tests.ingest.workers.test_pool import stuck, called
from tagmill.shards.progress.protocol import Silent
if __name__ == "__main__":
    for worker in WorkerPool(1, "waiting").each(stuck, [1, 2], Silent(), called):
        print(worker, flush=True)
"""


def test_workers_leave_with_a_killed_parent(tmp_path: Path) -> None:
    """One is in the middle of a task that does not report."""
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    environment = with_this_path()
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        time.sleep(0.2)  # it has its next task
        os.kill(parent.pid, signal.SIGKILL)
    assert ends(worker)


def ends(process: int) -> bool:
    """Whether a process ends soon: it is gone, or a zombie."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state in "ZX":
            return True
        time.sleep(0.05)
    return False
