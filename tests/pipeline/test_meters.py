"""Tests meters: they name the bottleneck."""

import json
import threading

import pytest

from tagmill.pipeline.meters import DECODE, INPUT, OUTPUT, READ, TRAINER, Meters
from tagmill.shards.storage.counters import STORE_COUNTERS


@pytest.mark.parametrize(
    ("seconds", "bottleneck"),
    [
        ({INPUT: 8, DECODE: 2, TRAINER: 7}, "reading"),
        ({INPUT: 1, DECODE: 9, TRAINER: 7}, "decoding"),
        ({INPUT: 0.1, DECODE: 3, OUTPUT: 6, TRAINER: 0.1}, "the trainer"),
        ({INPUT: 4, DECODE: 2, OUTPUT: 6, TRAINER: 0.01}, "the trainer"),
    ],
)
def test_bottleneck(seconds: dict[str, float], bottleneck: str) -> None:
    meters = Meters()
    for stage, value in seconds.items():
        meters.add_seconds(stage, value)
    meters.add_batch(10, {})
    assert meters.bottleneck() == bottleneck
    assert meters.report().endswith(f"the bottleneck is {bottleneck}")


def test_report_counts_images_bytes_and_holes() -> None:
    meters = Meters()
    assert meters.report() == "nothing was loaded yet"
    meters.add_bytes(2_500_000)
    meters.add_seconds(DECODE, 2.0)
    meters.add_batch(1500, {"altered": 2})
    meters.add_batch(500, {"undecodable": 3, "cut": 1})
    text = meters.report()
    assert "2,000 images in 2 batches, 1,000 images/s, 2.5 MB read, 6 holes" in text
    assert meters.top_reasons() == "3 undecodable, 2 altered, 1 cut"
    assert meters.num_holes == 6
    assert "\n" not in text


def test_a_sample_taken_down_is_a_hole_but_not_lost() -> None:
    meters = Meters()
    meters.add_batch(50, {"taken_down": 9, "cut": 2, "altered": 1})
    assert (meters.num_holes, meters.num_lost) == (12, 3)
    assert meters.top_reasons() == "9 taken_down, 2 cut, 1 altered"
    assert meters.top_reasons(lost=True) == "2 cut, 1 altered"


def test_plain_values_for_a_log() -> None:
    meters = Meters()
    meters.add_batch(3, {"cut": 1})
    seen = json.loads(json.dumps(meters.as_dict()))
    assert (seen["images"], seen["batches"], seen["holes"]) == (3, 1, {"cut": 1})
    assert set(seen["seconds"]) == {READ, INPUT, DECODE, OUTPUT, TRAINER}


def test_counters_of_the_store_and_the_cache() -> None:
    STORE_COUNTERS.add(retries=100, cache_bytes=5)
    meters = Meters()
    meters.add_batch(3, {})
    assert meters.as_dict()["store"] == {}, "what came before is not of this loader"
    assert "cache" not in meters.report() and "retries" not in meters.report()
    STORE_COUNTERS.add(retries=1200, hedges=4, cache_bytes=300, cache_missed_bytes=100)
    assert meters.as_dict()["store"] == {
        "retries": 1200, "hedges": 4, "cache_bytes": 300, "cache_missed_bytes": 100,
    }  # fmt: skip
    assert "no holes, 75% from the node's cache, 1,200 retries, 4 second requests; the trainer" in meters.report()


def test_time_counts_if_a_stage_fails() -> None:
    meters = Meters()
    with pytest.raises(ZeroDivisionError), meters.timed(READ):
        _ = 1 / 0
    assert meters.as_dict()["seconds"][READ] > 0


def test_threads_lose_no_counts() -> None:
    meters = Meters()

    def count() -> None:
        for _ in range(2000):
            meters.add_batch(1, {"cut": 1})
            meters.add_bytes(2)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (meters.images, meters.num_holes, meters.as_dict()["bytes"]) == (8000, 8000, 16000)
