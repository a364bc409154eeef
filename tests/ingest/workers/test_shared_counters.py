"""The board: counts come through, workers stop when told, and leave when their parent is killed."""

import importlib.util
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tagmill.ingest.progress.host_times import FetchStats, HostLatency, HostTime
from tagmill.ingest.progress.progress import Silent
from tagmill.ingest.workers.shared_counters import (
    PRELOADED,
    STATUS_BYTES,
    SharedCounters,
    StoppedError,
    WorkerSlot,
    warm,
    worker_slot,
)
from tagmill.shards.errors import TagmillError


class Seen(Silent):
    def __init__(self) -> None:
        self.calls: list[tuple[int, dict[str, int]]] = []

    def advance(self, n: int, **counts: int) -> None:
        self.calls.append((n, counts))

    def fetched(self, traffic: FetchStats) -> None:
        self.traffic = traffic


def lines_of(board: SharedCounters, workers: int, outcomes: tuple[str, ...]) -> list[WorkerSlot]:
    return [WorkerSlot(board._lines, number, outcomes) for number in range(workers)]


def test_only_what_is_new_is_told() -> None:
    board, seen = SharedCounters(2, ("ok", "bad")), Seen()
    first, second = lines_of(board, 2, ("ok", "bad"))

    def work(tell: Any) -> str:
        tell("ok", 3)
        board.tell(seen)
        tell("bad", 2)
        assert board.items() == "000007"
        return "done"

    assert first.during(7, work) == "done"
    second.during(1, lambda tell: tell("ok", 1))
    board.tell(seen)
    board.tell(seen)
    assert seen.calls == [(3, {"ok": 3}), (3, {"ok": 1, "bad": 2})]
    assert board.items() == ""


def test_a_stopped_board_stops_its_workers() -> None:
    board = SharedCounters(1, ("ok",))
    board.stop()
    with pytest.raises(StoppedError):
        lines_of(board, 1, ("ok",))[0].during(0, lambda tell: tell("ok", 1))
    assert board.items() == "000000"  # still named as the one at work


def double(number: int) -> int:
    return worker_slot().during(number, lambda tell: tell("ok", number) or 2 * number)


def test_workers_write_on_the_board(tmp_path: Path) -> None:
    board, seen = SharedCounters(2, ("bad", "ok")), Seen()
    with board.pool() as pool:
        assert list(pool.map(double, range(1, 6))) == [2, 4, 6, 8, 10]
    board.tell(seen)
    assert seen.calls == [(15, {"ok": 15})]


def loaded(name: str) -> bool:
    return name in sys.modules


def of_environment(name: str) -> str | None:
    return os.environ.get(name)


def importable(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def test_workers_begin_with_their_imports_and_the_environment_of_now(monkeypatch: pytest.MonkeyPatch) -> None:
    warm()
    with SharedCounters(1, ()).pool() as pool:
        assert all(pool.map(loaded, PRELOADED))
        assert pool.submit(of_environment, "TAGMILL_OF_NOW").result() is None
    monkeypatch.setenv("TAGMILL_OF_NOW", "here")
    with SharedCounters(1, ()).pool() as pool:
        assert pool.submit(of_environment, "TAGMILL_OF_NOW").result() == "here"


def scheduling(_: int) -> int:
    return os.sched_getscheduler(0)


@pytest.mark.skipif(not hasattr(os, "SCHED_BATCH"), reason="this system has no such turns")
def test_workers_wait_for_their_turn() -> None:
    before = os.sched_getscheduler(0)
    with SharedCounters(1, ()).pool() as pool:
        found = pool.submit(scheduling, 0).result()
    assert found == (os.SCHED_BATCH if before == os.SCHED_OTHER else before)
    assert os.sched_getscheduler(0) == before


def test_workers_have_no_pandas() -> None:
    with SharedCounters(1, ()).pool() as pool:
        with pytest.raises(ModuleNotFoundError, match="pandas is left out"):
            pool.submit(importable, "pandas").result()
        assert pool.submit(importable, "numpy").result()


def test_what_workers_fetched_is_told_when_it_is_whole() -> None:
    board, seen = SharedCounters(2, ("ok",)), Seen()
    lines = [WorkerSlot(board._lines, number, ("ok",), board._notes) for number in range(2)]
    waits = [HostLatency(), HostLatency()]

    def work(number: int, seconds: float) -> None:
        def fetch(tell: Any) -> None:
            tell = lines[number].noting(tell, waits[number])
            waits[number].note("a", seconds, 10)
            tell("ok", 1)
            waits[number].note("b", 5 * seconds, 10)  # within the second: told at the end
            tell("ok", 1)

        lines[number].during(0, fetch)

    work(0, 1.0)
    board.tell(seen)
    assert seen.traffic == waits[0].traffic() == FetchStats(20, 6.0, (HostTime("b", 5.0, 1), HostTime("a", 1.0, 1)))
    work(1, 2.0)
    board._notes[STATUS_BYTES + 20] ^= 1  # as if it were being written
    board.tell(seen)
    assert seen.traffic == waits[0].traffic()
    board._notes[STATUS_BYTES + 20] ^= 1
    board.tell(seen)
    assert seen.traffic == FetchStats(40, 18.0, (HostTime("b", 15.0, 2), HostTime("a", 3.0, 2)))


def fail(number: int) -> int:
    if number == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return double(number)


def test_each_gives_what_comes_and_says_who_died() -> None:
    seen = Seen()
    assert sorted(SharedCounters(2, ("ok",)).each(double, range(1, 8), seen, "doubling")) == [2, 4, 6, 8, 10, 12, 14]
    assert sum(n for n, _ in seen.calls) == 28
    with pytest.raises(TagmillError, match=r"a worker process died \(doubling"):
        list(SharedCounters(2, ("ok",)).each(fail, range(1, 8), Seen(), "doubling"))


def stuck(number: int) -> int:
    """As a worker is that waits for a store which has stopped answering."""
    if number == 1:
        return os.getpid()
    threading.Event().wait()
    return 0


@pytest.mark.parametrize("kind", [KeyboardInterrupt, TagmillError])
def test_workers_that_do_not_end_by_themselves_are_killed(kind: type[BaseException]) -> None:
    coming = SharedCounters(1, ("ok",)).each(stuck, range(1, 4), Seen(), "waiting")
    worker = next(coming)
    with pytest.raises(kind):
        coming.throw(kind("stopped"))
    deadline = time.monotonic() + 30
    while alive(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(worker)


PARENT = """
import os, sys, time
from tagmill.ingest.workers.shared_counters import SharedCounters
if __name__ == "__main__":
    with Board(1, ("ok",)).pool() as pool:
        print(pool.submit(os.getpid).result(), flush=True)
        time.sleep(60)
"""


def test_workers_leave_with_a_killed_parent(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        os.kill(parent.pid, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while alive(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(worker)


def alive(process: int) -> bool:
    """Neither gone nor a zombie that nobody has buried yet."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
