"""Tests pools that can be ended while their threads wait, and processes that exit meanwhile."""

import gc
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, wait
from typing import Any

import pytest

from tagmill.shards.storage.threads import DaemonPool, pause

PATIENCE = 60.0  # longer than any test needs


@pytest.fixture
def never() -> Iterator[threading.Event]:
    """Yields an event that is set at the end of the test."""
    event = threading.Event()
    yield event
    event.set()


def until(condition: Callable[[], object]) -> bool:
    deadline = time.monotonic() + PATIENCE
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)
    return bool(condition())


def test_the_number_of_threads_is_limited() -> None:
    barrier, names = threading.Barrier(3, timeout=PATIENCE), set[str]()

    def meet(number: int) -> int:
        barrier.wait()
        names.add(threading.current_thread().name)
        assert threading.current_thread().daemon
        return number

    with DaemonPool(3, "three") as pool:
        assert list(pool.map(meet, range(9))) == list(range(9))
        assert pool.submit(sorted, [2, 1], reverse=True).result() == [2, 1]
    assert names == {"three_0", "three_1", "three_2"}


def test_an_idle_thread_is_used_before_another_is_started() -> None:
    with DaemonPool(8) as pool:
        for _ in range(50):
            pool.submit(int).result(PATIENCE)
            assert until(lambda: pool._state.idle._value)  # type: ignore[attr-defined]
        assert len(pool._state.threads) == 1


def test_errors_of_the_work_are_raised_and_hold_no_references() -> None:
    class Big:
        pass

    big = Big()
    gone = weakref.ref(big)

    def fails(of: Any) -> None:
        raise ZeroDivisionError(of)

    with DaemonPool(1) as pool:
        gc.disable()
        try:
            future = pool.submit(fails, big)
            with pytest.raises(ZeroDivisionError):
                future.result(PATIENCE)
            del big, future
            assert pool.submit(int).result(PATIENCE) == 0
            assert until(lambda: gone() is None), "freed without the collector"
        finally:
            gc.enable()
        assert pool.submit(int).result(PATIENCE) == 0


def test_an_error_of_the_initializer_is_raised() -> None:
    def begin(number: int) -> None:
        raise OSError(number)

    with DaemonPool(1, "x", begin, (7,)) as pool, pytest.raises(OSError, match="7"):
        pool.submit(int).result(PATIENCE)


def test_the_end_of_the_block_waits_for_all_work(never: threading.Event) -> None:
    with DaemonPool(2) as pool:
        futures = [pool.submit(never.wait, 0.01) for _ in range(8)]
    assert all(future.done() and not future.cancelled() for future in futures)
    with pytest.raises(RuntimeError):
        pool.submit(int)
    pool.shutdown()


def test_stopping_abandons_calls_that_do_not_end(never: threading.Event) -> None:
    pool = DaemonPool(1, grace=0.01)
    begun = threading.Event()
    stuck = pool.submit(lambda: (begun.set(), never.wait()))
    waiting = [pool.submit(int) for _ in range(5)]
    assert begun.wait(PATIENCE)
    pool.stop()
    assert not wait([stuck, *waiting], PATIENCE).not_done, "who waits for them is woken"
    with pytest.raises(CancelledError):
        stuck.result()
    assert all(future.cancelled() for future in waiting)
    never.set()
    assert until(lambda: not any(thread.is_alive() for thread in pool._state.threads))
    pool.stop()


def test_stopping_gives_a_grace_period() -> None:
    pool, begun = DaemonPool(1, grace=PATIENCE), threading.Event()
    future = pool.submit(lambda: (begun.set(), pool._state.stopped.wait(PATIENCE)))
    assert begun.wait(PATIENCE)
    pool.stop()
    assert future.result(0) == (None, True) and not pool._state.threads[0].is_alive()


@pytest.mark.parametrize("leave", [KeyboardInterrupt, ValueError])
def test_an_error_in_its_block_stops_it(leave: type[BaseException], never: threading.Event) -> None:
    with pytest.raises(leave), DaemonPool(1, grace=0.01) as pool:
        stuck, waiting = pool.submit(never.wait), pool.submit(int)
        assert until(stuck.running)
        raise leave
    with pytest.raises(CancelledError):
        stuck.result(PATIENCE)
    assert waiting.cancelled()


def test_a_pause_of_nothing_keeps_the_gil(monkeypatch: pytest.MonkeyPatch) -> None:
    slept = list[float]()
    monkeypatch.setattr(time, "sleep", slept.append)
    pause()
    pause(0.25)
    assert slept == [0.25]


def test_no_retry_starts_in_a_stopped_pool() -> None:
    pause(0.001)
    tries = []

    def stubborn() -> None:
        while True:
            pause(0.0)
            tries.append(threading.current_thread().name)
            pause(1000.0)

    pool = DaemonPool(2, grace=PATIENCE)
    futures = [pool.submit(stubborn) for _ in range(2)]
    assert until(lambda: len(tries) == 2)
    pool.stop()
    for future in futures:
        with pytest.raises(CancelledError):
            future.result(0)
    assert len(tries) == 2


def test_the_threads_of_a_dropped_pool_end() -> None:
    pool = DaemonPool(3)
    list(pool.map(abs, range(6)))
    threads = pool._state.threads
    del pool
    gc.collect()
    assert until(lambda: not any(thread.is_alive() for thread in threads))


def ended(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE)


START = """
import atexit, os, signal, sys, threading, time
atexit.register(lambda: print("bye"))
from tagmill.shards.storage.threads import DaemonPool, pause

begun, never = threading.Semaphore(0), threading.Event()

def stays():
    begun.release()
    never.wait()
"""


def test_a_process_exits_while_threads_wait_for_ever() -> None:
    code = START + (
        "pool = DaemonPool(4, grace=0.01)\nfor _ in range(9): pool.submit(stays)\nfor _ in range(4): begun.acquire()"
    )
    process = ended(code)
    assert (process.returncode, process.stdout, process.stderr) == (0, "bye\n", "")


def test_threads_that_wait_for_abandoned_calls_end_too() -> None:
    code = START + (
        "one, other = DaemonPool(1), DaemonPool(1)\nstuck = one.submit(stays)\n"
        "def waits():\n    begun.release()\n    try:\n        stuck.result()\n    finally:\n        print('woken')\n"
        "other.submit(waits)\nfor _ in range(2): begun.acquire()"
    )
    assert ended(code).stdout == "woken\nbye\n"


def test_calls_within_the_grace_period_are_completed_at_exit() -> None:
    code = START + (
        "pool = DaemonPool(1, grace=60.0)\n"
        "pool.submit(lambda: (begun.release(), pool._state.stopped.wait(), print('done')))\nbegun.acquire()"
    )
    assert ended(code).stdout == "done\nbye\n"


def test_a_fork_has_none_of_its_parents_threads() -> None:
    code = START + (
        "pool = DaemonPool(1, grace=0.01)\npool.submit(stays)\nbegun.acquire()\n"
        "child = os.fork()\nif not child:\n    sys.exit(7)\nprint(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))"
    )
    assert ended(code).stdout == "bye\n7\nbye\n"


# A signal in the instant before the main thread sleeps would wake no thread.
INTERRUPTS = """
def names(frame):
    while frame is not None:
        yield frame.f_code.co_name
        frame = frame.f_back

def interrupts():
    main, state = threading.main_thread(), f"/proc/self/task/{os.getpid()}/stat"
    while not ("join" in names(sys._current_frames()[main.ident]) and open(state).read().split()[2] == "S"):
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGINT)

threading.Thread(target=interrupts).start()
with DaemonPool(1, grace=0.01) as pool:
    pool.submit(stays)
"""


def test_an_interrupt_during_shutdown_ends_it() -> None:
    process = ended(START + INTERRUPTS)
    assert process.stdout == "bye\n" and "KeyboardInterrupt" in process.stderr and process.returncode == -2
