"""Tests head-room: what is predicted is what the same loop reaches with batches that cost no time."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from tagmill.pipeline import Headroom, Loader, LoaderConfig
from tagmill.pipeline.headroom.headroom import FIRST_STEPS, MOST_PENDING
from tests.pipeline.corpora import make_corpus
from tests.warm.python import warm_python

STEPS = st.lists(st.tuples(st.integers(0, 50), st.integers(1, 50)), min_size=1, max_size=60)  # (batch made in, step)
FIRST = [(0, 1)] * FIRST_STEPS


class Simulation:
    """A loop and a loader that works ahead of it, and perhaps a GPU; time is in whole ticks."""

    def __init__(self, ahead: int) -> None:
        self.now = self.busy_until = self.idle = 0.0
        self.answers = True  # whether the GPU says how far it is
        self._ahead = ahead
        self.headroom = Headroom(clock=lambda: self.now, waits_of_device=lambda: None)

    def batches(self, steps: list[tuple[int, int]]) -> Iterator[int]:
        ready, taken = 0.0, [0.0] * (self._ahead + 1)
        for number, (made_in, _) in enumerate(steps):
            ready = max(ready, taken[number]) + made_in  # begun when a slot of the loader's queue is free
            self.now = max(self.now, ready)
            taken.append(self.now)
            yield number

    def run(self, steps: list[tuple[int, int]]) -> float:
        """Runs a loop on the CPU; returns the ticks of its steps after the first ones."""
        begun = 0.0
        for number in self.headroom.over(self.batches(steps)):
            self.now += steps[number][1]
            begun = self.now if number == FIRST_STEPS - 1 else begun
        return self.now - begun

    def run_on_device(self, steps: list[tuple[int, int]], queue: int) -> None:
        """Runs a loop that queues its work on a GPU, and waits when the GPU is `queue` ticks behind."""
        self.headroom = Headroom(clock=lambda: self.now, waits_of_device=lambda: DeviceWait(self))
        for number in self.headroom.over(self.batches(steps)):
            self.idle += max(0.0, self.now - self.busy_until)
            self.busy_until = max(self.busy_until, self.now) + steps[number][1]
            self.now = max(self.now, self.busy_until - queue)


class DeviceWait:
    """A wait as the GPU of a simulation sees it."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation, self._ended = simulation, 0.0
        self._begun = max(simulation.now, simulation.busy_until)

    def end(self) -> None:
        self._ended = max(self._simulation.now, self._begun)

    def idle_seconds(self) -> float | None:
        return self._ended - self._begun if self._simulation.answers else None


@given(STEPS, st.integers(0, 4))
def test_the_speedup_is_reached_with_resident_batches(steps: list[tuple[int, int]], ahead: int) -> None:
    real, resident = Simulation(ahead), Simulation(ahead)
    took = real.run(FIRST + steps)
    fastest = resident.run(FIRST + [(0, step) for _, step in steps])
    found = real.headroom.report()
    assert found.speedup == pytest.approx(took / fastest)
    assert found.steps == len(steps) and found.seconds == pytest.approx(took)
    assert resident.headroom.report().speedup == 1


@given(STEPS, st.integers(0, 4), st.integers(0, 80))
def test_on_a_gpu_the_waits_count_in_which_it_was_idle(steps: list[tuple[int, int]], ahead: int, queue: int) -> None:
    simulation = Simulation(ahead)
    simulation.run_on_device(FIRST + steps, queue)
    found = simulation.headroom.report()
    assert found.waited == pytest.approx(simulation.idle) and found.steps == len(steps)
    assert found.waited <= found.seconds


def test_a_gpu_that_does_not_answer_fills_no_memory() -> None:
    simulation = Simulation(0)
    simulation.answers = False
    simulation.run_on_device([(3, 1)] * (MOST_PENDING + FIRST_STEPS + 10), 1)
    assert len(simulation.headroom._pending) == MOST_PENDING
    assert simulation.headroom.report().waited == pytest.approx(10 * 3), "by the clock of the host"
    simulation.answers = True
    assert simulation.headroom.report().steps == MOST_PENDING + 10


def test_any_iterable_is_timed() -> None:
    headroom = Headroom()
    loader = DataLoader(torch.arange(24), batch_size=2)  # type: ignore[arg-type]
    assert [len(batch) for batch in headroom.over(loader)] == [2] * 12
    assert headroom.report().steps == 12 - FIRST_STEPS
    assert list(headroom.over([])) == []


def test_time_between_two_iterations_does_not_count() -> None:
    now = 0.0
    headroom = Headroom(clock=lambda: now)
    for fresh in (True, False):
        headroom.begin(fresh=fresh)
        for _ in range(10):
            headroom.wait(lambda: None)
            now += 1
        headroom.wait(lambda: None)
        now += 1000
    found = headroom.report()
    assert (found.steps, found.seconds) == (20 - FIRST_STEPS, 20 - FIRST_STEPS)


def test_a_loader_reports_its_loop(tmp_path: Path) -> None:
    made = make_corpus(tmp_path, [40])
    config = LoaderConfig(batch_size=4, streams=2, chunk=4, size=8, threads=1)
    with Loader(made.url, config) as loader:
        assert str(loader.headroom()) == "no steps were measured yet"
        for _ in range(2):
            assert len(list(loader)) == 10
        found = loader.headroom(ranks=True, reset=True)
        # The last batch of an epoch has no step after it.
        assert found.steps == 2 * 9 - FIRST_STEPS
        assert 0 <= found.waited <= found.seconds and found.speedup >= 1
        assert loader.headroom().steps == 0


TWO_RANKS = """
import sys
import torch.distributed as dist
from tagmill.pipeline import Headroom
rank = int(sys.argv[1])
dist.init_process_group("gloo", init_method="file://" + sys.argv[2], rank=rank, world_size=2)
now = 0.0
headroom = Headroom(clock=lambda: now)
def take():
    global now
    now += (0.01, 0.5)[rank]
for _ in range(40):
    headroom.wait(take)
    now += 1.0
print(headroom.report(ranks=True))
print([one.rank for one in headroom.report().ranks])
dist.destroy_process_group()
"""


def test_all_ranks_name_the_slow_one(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen(
            [warm_python(), "-c", TWO_RANKS, str(rank), str(tmp_path / "meeting")], stdout=subprocess.PIPE, text=True
        )
        for rank in range(2)
    ]
    said = [process.communicate(timeout=120)[0].splitlines() for process in processes]
    assert said[0][0] == said[1][0] and "1.50 times as fast" in said[0][0]
    assert "rank 1 on" in said[0][0] and "waits 33.3% of the time and the other ranks 1.0%" in said[0][0]
    assert [lines[1] for lines in said] == ["[0]", "[1]"]
