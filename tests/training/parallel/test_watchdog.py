"""Tests the end of a run of which a process hangs: who is named, that all end, and that torchrun goes on."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch.distributed as dist

from tagmill.training.parallel.progress import Progress
from tagmill.training.parallel.watchdog import SILENT, STATUS, Watchdog, watched
from tests.pipeline.corpora import make_corpus
from tests.training.runs import VIT, command, lines, torchrun_environment
from tests.warm.python import warm_python


class World:
    """Watchdogs of several processes in one, whose clock and turns are the test's."""

    def __init__(self, size: int, limit: float = 100.0, command: str = "tagmill train") -> None:
        self.now = 0.0
        store = dist.HashStore()
        self.progress = [Progress(self.clock) for _ in range(size)]
        self.ended: list[tuple[int, int]] = []
        self.watchdogs = [
            Watchdog(store, rank, size, self.progress[rank], limit, self.clock, self.end(rank), command)
            for rank in range(size)
        ]
        for watchdog in self.watchdogs:
            watchdog._stop.set()  # no thread of theirs runs, and none waits for others before it ends
        self.interval = self.watchdogs[0].interval

    def clock(self) -> float:
        return self.now

    def end(self, rank: int) -> Callable[[int], None]:
        return lambda status: self.ended.append((rank, status))

    def pass_time(self, seconds: float, running: tuple[int, ...]) -> None:
        """Lets the running ones have their turns, until they have ended or the time is over."""
        until = self.now + seconds
        while self.now < until:
            self.now += self.interval
            for rank in running:
                if rank not in dict(self.ended):
                    self.watchdogs[rank].turn()


def stepping(world: World, steps: int, ranks: tuple[int, ...]) -> None:
    for step in range(steps):
        for rank in ranks:
            world.progress[rank].at("loading", step)
            world.progress[rank].at("backward", step)


@pytest.mark.parametrize("hung", [0, 1, 2])
def test_the_process_that_loads_for_too_long_is_named_by_one_and_all_end(
    hung: int, capsys: pytest.CaptureFixture[str]
) -> None:
    world, all_ranks = World(3), (0, 1, 2)
    stepping(world, 4, all_ranks)
    for rank in all_ranks:
        world.progress[rank].at("loading", 4)
        if rank != hung:
            world.progress[rank].at("backward", 4)
    world.pass_time(90, all_ranks)
    assert not world.ended
    world.pass_time(60, all_ranks)
    assert sorted(world.ended) == [(rank, STATUS) for rank in all_ranks]
    said = capsys.readouterr().err
    assert said.count("has been in loading of step 5") == 1
    assert f"tagmill train: rank {hung} (host {socket.gethostname()}, local rank 0, process {os.getpid()})" in said
    assert said.count("where it hangs") == said.count(f"rank {hung}, where it hangs") == 1


@pytest.mark.parametrize("stopped", [0, 1])
def test_a_process_that_says_nothing_is_named(stopped: int, capsys: pytest.CaptureFixture[str]) -> None:
    world = World(2)
    stepping(world, 4, (0, 1))
    world.pass_time(2 * world.interval, (0, 1))
    world.pass_time(200, (1 - stopped,))
    assert world.ended == [(1 - stopped, STATUS)]
    said = capsys.readouterr().err
    assert f"rank {stopped} (host" in said and "has said nothing for" in said and "last in backward of step 4" in said


def test_nothing_ends_while_a_slow_process_makes_progress(capsys: pytest.CaptureFixture[str]) -> None:
    """An evaluation of ten limits, of which the other process waits for the end."""
    world = World(2)
    stepping(world, 3, (0, 1))
    world.progress[0].at("evaluation", 3, 20)
    for batch in range(20):
        world.progress[1].at("evaluation", 3, batch)
        world.pass_time(50, (0, 1))
    assert not world.ended and not capsys.readouterr().err


def test_a_whole_run_that_was_stopped_for_a_night_goes_on() -> None:
    world = World(2)
    stepping(world, 3, (0, 1))
    world.pass_time(2 * world.interval, (0, 1))
    world.now += 30_000
    world.pass_time(80, (0, 1))
    assert not world.ended
    world.pass_time(60, (0, 1))
    assert world.ended


def test_a_stop_that_is_short_is_no_reason_to_begin_again() -> None:
    world = World(2)
    stepping(world, 3, (0, 1))
    for _ in range(6):
        world.now += (SILENT - 2) * world.interval
        world.pass_time(2 * world.interval, (0, 1))
    world.pass_time(100, (0, 1))
    assert len(world.ended) == 2


def test_a_process_that_has_not_begun_is_waited_for() -> None:
    world = World(2)
    world.pass_time(1000, (0,))
    assert not world.ended


def test_the_line_begins_with_the_command_that_hangs(capsys: pytest.CaptureFixture[str]) -> None:
    world = World(2, command="tagmill transfer")
    stepping(world, 3, (0, 1))
    world.progress[0].at("loading", 3)
    world.pass_time(150, (0, 1))
    assert capsys.readouterr().err.startswith("tagmill transfer: rank ")


def test_one_process_is_not_watched() -> None:
    from contextlib import ExitStack

    with ExitStack() as stack:
        watched(1.0, stack)
        assert stack.pop_all()._exit_callbacks == type(stack._exit_callbacks)()  # type: ignore[attr-defined]


# -------------------------------------------------------------------------------------------------------- Real processes
LOCAL = {"GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
LOOP = """
import sys
from contextlib import ExitStack
import torch, torch.distributed as dist
from tagmill.training.parallel.watchdog import watched

dist.init_process_group("gloo")
with ExitStack() as stack:
    progress = watched(3.0, stack)
    for step in range(1 << 30):
        progress.at("backward", step)
        dist.all_reduce(torch.zeros(1))
        if step == 5:
            print("running", flush=True)
"""


@pytest.mark.slow
def test_a_stopped_process_is_named_by_the_other_which_ends(tmp_path: Path) -> None:
    """Without torchrun, which would end the stopped one after half a minute. Rank 0 has the store, so 1 is stopped."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}
    shared |= LOCAL
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    both = [
        subprocess.Popen(
            [sys.executable, "-c", LOOP], env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)}, **pipes
        )  # type: ignore[call-overload]
        for rank in (0, 1)
    ]
    try:
        for process in both:
            assert process.stdout.readline() == "running\n"
        both[1].send_signal(signal.SIGSTOP)
        _, said = both[0].communicate(timeout=200)
    finally:
        for process in both:
            process.kill()
            process.communicate()
    assert both[0].returncode == STATUS
    assert f"rank 1 (host {socket.gethostname()}, local rank 1, process {both[1].pid}) has said nothing for" in said


HANGING = """
import os, sys, time
import tagmill.train
from tagmill.pipeline import Loader

def stuck_in_a_mount():
    time.sleep(1 << 30)

def iterate(loader, usual=Loader.__iter__):
    for number, batch in enumerate(usual(loader)):
        if number == 1 and (os.environ["RANK"], os.environ["TORCHELASTIC_RESTART_COUNT"]) == ("1", "0"):
            stuck_in_a_mount()
        yield batch

Loader.__iter__ = iterate
tagmill.train.main(sys.argv[1:])
"""


@pytest.mark.slow
def test_a_run_that_hangs_says_where_and_torchrun_continues_it(tmp_path: Path) -> None:
    made = make_corpus(tmp_path / "corpus", [40, 30, 20])
    script = tmp_path / "hanging.py"
    script.write_text(HANGING)
    config = replace(VIT, corpus=made.url, output=str(tmp_path / "model"), steps=4, checkpoint_every=1)
    words = command(replace(config, collective_timeout=6.0), 2, ("--max-restarts", "1"))
    place = words.index("tagmill.train")
    words[place - 1 : place + 1] = [str(script)]
    words[0] = warm_python()
    ended = subprocess.run(words, capture_output=True, text=True, timeout=300, env=torchrun_environment())
    assert ended.returncode == 0, ended.stderr
    assert "tagmill train: rank 1 (host" in ended.stderr and "has been in loading of step 2 for" in ended.stderr
    assert "in stuck_in_a_mount" in ended.stderr and "resumed    from step 1" in ended.stdout
    assert [line["step"] for line in lines(config.output)] == [1, 2, 3, 4]
