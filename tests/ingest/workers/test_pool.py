"""Passes over shards in processes: order, errors, and a worker that dies."""

import os
import signal
import threading

import pytest

from tagmill.ingest.workers.pool import Workers
from tagmill.shards.errors import ConfigError, TagmillError


def double(number: int) -> int:
    return 2 * number


def process(number: int) -> int:
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


@pytest.mark.parametrize("processes", [1, 3])
def test_results_come_in_the_order_of_the_tasks(processes: int) -> None:
    with Workers(processes, "counting") as workers:
        assert list(workers.each(double, range(40))) == list(range(0, 80, 2))
        assert list(workers.each(double, [])) == []
        first, second = (set(workers.each(process, range(30))) for _ in range(2))
        assert (
            first | second <= ({os.getpid()} if processes == 1 else first | second) and len(first | second) <= processes
        )


@pytest.mark.parametrize("processes", [1, 2])
def test_what_a_task_raises_is_raised(processes: int) -> None:
    with Workers(processes, "counting") as workers, pytest.raises(ConfigError, match="five"):
        list(workers.each(fail, range(9)))


def test_workers_that_wait_for_ever_do_not_hold_up_who_leaves() -> None:
    with pytest.raises(KeyboardInterrupt), Workers(2, "waiting") as workers:
        assert next(iter(workers.each(wait_for_ever, [0, 1, 1, 1]))) == 0
        raise KeyboardInterrupt


def test_a_worker_that_dies_is_said() -> None:
    with Workers(2, "counting") as workers, pytest.raises(TagmillError, match=r"a worker process died \(counting\)"):
        list(workers.each(die, range(9)))
