"""Tests one iteration: how far it works ahead, when errors are raised, and how it ends."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from tagmill.pipeline import iteration, waits
from tagmill.pipeline.augment.draws import Crops
from tagmill.pipeline.batch import normalise
from tagmill.pipeline.config import LoaderConfig, World
from tagmill.pipeline.decode.cpu import Jpegs
from tagmill.pipeline.iteration import AHEAD, Run
from tagmill.pipeline.meters import Meters
from tagmill.pipeline.order.epoch_space import EpochSpace
from tagmill.pipeline.order.schedule import Schedule
from tagmill.pipeline.read.prefetch import SampleReader
from tagmill.pipeline.waits import DECODING, DELIVERY
from tagmill.shards.errors import TagmillError
from tagmill.shards.manifest import Corpus
from tests.pipeline.corpora import make_corpus

CONFIG = LoaderConfig(view=None, batch_size=5, streams=2, window=1, chunk=4, size=8, threads=1, epochs=1, readers=2)


class CountingBackend:
    """Decodes nothing, counts its calls, and fails in the n-th."""

    def __init__(self, fails_at: int = -1) -> None:
        self.calls, self._fails_at, self.hold = 0, fails_at, threading.Event()
        self.hold.set()
        self.times: npt.NDArray[np.float64] | None = None

    def decode(
        self, jpegs: Jpegs, crops: Crops, size: int, how: object = None, coming: object = None
    ) -> tuple[torch.Tensor, npt.NDArray[np.bool_]]:
        self.hold.wait(20)
        self.calls += 1
        if self.calls == self._fails_at:
            raise ZeroDivisionError("a bug")
        pixels = torch.zeros((len(jpegs), 3, size, size), dtype=torch.uint8)
        return pixels, np.zeros(len(jpegs), np.bool_)

    normalise = staticmethod(normalise)

    def wake(self) -> None:
        pass

    def seconds(self) -> npt.NDArray[np.float64] | None:
        return self.times

    def share(self, rows: npt.NDArray[np.bool_], work: Any) -> None:
        work(rows)

    def close(self) -> None:
        pass


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_corpus(tmp_path_factory.mktemp("run"), [23, 20]).url


@pytest.fixture
def runs(url: str) -> Iterator[Any]:
    """Returns a factory of runs that are closed when the test ends."""
    corpus = Corpus.open(url)
    space = EpochSpace.of(corpus, None, "train")
    schedule = Schedule(space, corpus.digest, None, 0, 2, 1, 4, 5, False, 1, World())
    opened: list[Run] = []

    def run(backend: CountingBackend, ahead: int = 1) -> Run:
        reader = SampleReader(corpus, None, space)
        opened.append(Run(CONFIG, schedule, reader, backend, Meters(), slots=5, epoch=0, turn=0, ahead=ahead))
        return opened[-1]

    yield run
    for one in opened:
        one.close()


def wait_for(condition: Any) -> None:
    """Waits until another thread has made a condition true; returns after a while, so that the test's own assertion
    fails."""
    limit = time.monotonic() + 20
    while not condition() and time.monotonic() < limit:
        time.sleep(0.005)


def test_batches_wait_for_the_trainer_but_not_too_many(runs: Any) -> None:
    backend = CountingBackend()
    run = runs(backend)
    wait_for(lambda: backend.calls == AHEAD + 1)
    time.sleep(0.05)  # no further batch arrives
    assert backend.calls == AHEAD + 1
    run.next_batch()
    wait_for(lambda: backend.calls == AHEAD + 2)
    time.sleep(0.05)
    assert backend.calls == AHEAD + 2


def test_an_error_is_raised_when_its_batch_is_due(runs: Any) -> None:
    run = runs(CountingBackend(fails_at=4))
    assert [run.next_batch().batch.count for _ in range(3)] == [5, 5, 5]
    with pytest.raises(ZeroDivisionError):
        run.next_batch()


def test_a_batch_without_an_end_is_named_in_the_error(runs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says which image is being decoded, by its key, and for how long."""
    monkeypatch.setattr(iteration, "BATCH_TIMEOUT_SECONDS", 0.01)
    monkeypatch.setattr(waits, "LATE_SECONDS", 0.0)
    backend = CountingBackend()
    backend.hold.clear()
    backend.times = np.array([0.1, 0, -31.25, 0.2, -2])
    run = runs(backend)
    wait_for(lambda: DECODING in run._meters.waits._waits)
    with pytest.raises(
        TagmillError, match=r"no batch for .*been decoded for .*: sample ([0-9a-f]{32}) \([\d,]+ bytes\), 31\.2 s"
    ):
        run.next_batch()
    backend.hold.set()


def test_times_of_images_are_added_up_and_a_waiting_batch_is_named(runs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = CountingBackend()
    backend.times = np.full(5, 0.25)
    run = runs(backend)
    run.next_batch()
    wait_for(lambda: DELIVERY in run._meters.waits._waits and backend.calls == AHEAD + 2)
    assert run._meters.as_dict()["image_seconds"] == 0.25
    monkeypatch.setattr(waits, "LATE_SECONDS", 0.0)
    assert run._meters.waits.late().endswith("for the trainer")
    run.close()
    assert run._meters.waits.late() == ""


@pytest.mark.parametrize("ahead", [1, 3])
def test_as_many_batches_are_known_to_the_decoder_as_may_be_begun(runs: Any, ahead: int) -> None:
    """Two more than `ahead`, while the trainer waits for the first, and no further one."""
    backend = CountingBackend()
    backend.hold.clear()
    run = runs(backend, ahead=ahead)
    wait_for(lambda: run._upcoming(ahead) is not None)
    known = [number for number in range(12) if run._upcoming(number) is not None]
    assert known == list(range(AHEAD + ahead - 1))
    backend.hold.set()
    counts = []
    while (ready := run.next_batch()) is not None:
        counts.append(ready.batch.count)
    assert counts == [*[5] * 8, 3]


def test_the_end_is_none(runs: Any) -> None:
    run = runs(CountingBackend())
    counts = []
    while (ready := run.next_batch()) is not None:
        counts.append((ready.batch.count, ready.after))
    assert counts == [*((5, (0, turn)) for turn in range(5, 43, 5)), (3, (1, 0))]


def test_an_ended_run_raises_an_error(runs: Any) -> None:
    run = runs(CountingBackend())
    run.next_batch()
    run.close()
    with pytest.raises(TagmillError, match="iterate again"):
        run.next_batch()
    run.close()


def test_close_from_another_thread_wakes_the_trainer(runs: Any) -> None:
    before = set(threading.enumerate())
    backend = CountingBackend()
    backend.hold.clear()
    run = runs(backend)
    closer = threading.Timer(0.05, lambda: (backend.hold.set(), run.close()))
    closer.start()
    with pytest.raises(TagmillError, match="iterate again"):
        while True:
            run.next_batch()
            wait_for(lambda: not closer.is_alive())
    closer.join()
    assert not set(threading.enumerate()) - before
