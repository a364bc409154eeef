"""Tests the benchmark of head-room: what it compares, that a slow store is felt, and that a tiny run has both figures."""

import time
from pathlib import Path

import pytest

from tagmill.bench import headroom
from tagmill.bench.headroom import LoopCase, Round, SlowDisk, bytes_of_an_image, figures, rounds_of
from tagmill.bench.train import Case
from tagmill.pipeline import HeadroomReport
from tagmill.shards import Store
from tests.pipeline.corpora import make_corpus


def report(speedup: float, low: float | None, high: float | None) -> HeadroomReport:
    return HeadroomReport(10, 2.0, 2.0 * (1 - 1 / speedup), 3, speedup, low, high, ())


def test_a_ratio_is_the_median_over_rounds_and_the_interval_is_looked_up() -> None:
    rounds = [
        Round(report(2, 1.5, 2.5), 0.4, 0.2),  # measured 2: as predicted
        Round(report(2, 1.5, 2.5), 0.9, 0.3),  # measured 3: outside
        Round(report(4, None, None), 0.5, 0.25),  # measured 2, without an interval
    ]
    found, ratio = figures(rounds)
    assert ratio == 1 and found["median"] == 2 and found["measured"] == 2
    assert found["inside"] == pytest.approx(1 / 3) and found["waited"] == 0.5
    assert found["runs"][1] == [2, 1.5, 2.5, pytest.approx(3)] and found["memory_ms"] == 250


def test_reads_of_tars_wait_their_turn_for_as_long_as_their_bytes_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, slept = Store(str(tmp_path)), list[float]()
    for name in ("a.tar", "a.npy"):
        store.put(name, bytes(1000))
    monkeypatch.setattr(time, "monotonic", lambda: 50.0)
    monkeypatch.setattr(time, "sleep", slept.append)
    disk = SlowDisk()
    with disk.used():
        assert store.read_range("a.tar", 0, 10) == bytes(10) and not slept
        disk.limit(100.0)
        for _ in range(2):
            assert store.read_ranges("a.tar", [(0, 20), (40, 70)]) == [bytes(20), bytes(30)]
        store.read_range("a.npy", 0, 500)
    store.read_range("a.tar", 0, 500)
    assert slept == pytest.approx([0.5, 1.0])


def test_a_run_predicts_and_measures_and_a_slow_store_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(headroom, "SAMPLES", 160)
    monkeypatch.setattr(headroom, "BATCH", 4)
    monkeypatch.setattr(headroom, "SETTLE", 2)
    made, limits, waits = make_corpus(tmp_path / "corpus", [80, 80]), list[float | None](), list[int]()

    class Watched(SlowDisk):
        def limit(self, rate: float | None) -> None:
            limits.append(rate)  # and none is set: the test does not go by the clock

        def wait(self, count: int) -> None:
            waits.append(count)

    monkeypatch.setattr(headroom, "SlowDisk", Watched)
    case, size = LoopCase("slow", Case("test_resnet", 32, 7, 1, 3), 3.0), bytes_of_an_image(Path(made.url))
    assert size == pytest.approx(sum(path.stat().st_size for path in Path(made.url, "shards").glob("*.tar")) / 160)
    rounds = rounds_of(case, Path(made.url), 2, 3, size)
    assert len(rounds) == 2 and all(each.said.steps == 3 for each in rounds), "each report is of its own steps"
    assert all(each.said.speedup >= 1 and each.loader > 0 and each.memory > 0 for each in rounds)
    assert limits[-1] is None and len(limits) == 2 and limits[0] and limits[0] > 0 and waits
