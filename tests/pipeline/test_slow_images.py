"""Tests which images count as slow, and which of them are named."""

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tagmill.pipeline.slow_images import FACTOR, KNOWN, LEAST_SECONDS, NAMED, SlowImages


def added(times: list[float], batch: int = 50) -> SlowImages:
    slow = SlowImages()
    for start in range(0, len(times), batch):
        part = np.array(times[start : start + batch])
        keys = np.zeros((len(part), 16), np.uint8)
        keys[:, 15] = np.arange(start, start + len(part)) % 256
        slow.add(part, keys, [b"x" * (start + row) if part[row] else None for row in range(len(part))])
    return slow


def test_images_of_an_even_corpus_are_not_slow() -> None:
    slow = added([0.001, 0.003, 0.002] * 200)
    assert slow.summary() == "" and slow.as_dict()["slow_images"] == 0


def test_slow_images_are_counted_and_the_slowest_named() -> None:
    times = [0.001] * 1000
    times[400], times[612], times[700], times[810] = 0.2, 0.5, 0.09, 0.3
    slow = added(times)
    found = json.loads(json.dumps(slow.as_dict()))
    assert found["slow_images"] == 4
    assert [one["seconds"] for one in found["slowest_images"]] == [0.5, 0.3, 0.2] and NAMED == 3
    assert found["slowest_images"][0] == {"seconds": 0.5, "key": f"{612 % 256:032x}", "num_bytes": 612}
    mean = 1000 * sum(times) / 1000
    assert slow.summary().startswith(f"4 images took over {FACTOR} times the mean of {mean:.2f} ms, the slowest: ")
    assert f"{612 % 256:032x} (500 ms, 612 bytes)" in slow.summary()


def test_no_image_is_slow_before_the_mean_is_known_nor_within_what_a_suspended_thread_takes() -> None:
    assert added([0.001] * (KNOWN - 2) + [9.0])._count == 0
    assert added([1e-6] * 5000 + [LEAST_SECONDS * 0.99])._count == 0
    assert added([1e-6] * 5000 + [LEAST_SECONDS])._count == 1


def test_images_that_were_not_decoded_do_not_lower_the_mean() -> None:
    assert added([0.001, *[0.0] * 99] * 300 + [FACTOR * 0.002]).as_dict()["image_seconds"] > 0.001
    assert added([0.0] * 1000).summary() == ""


@given(times=st.lists(st.floats(1e-4, 10), min_size=KNOWN, max_size=400))
def test_the_slowest_are_the_largest_times_from_the_limit_on(times: list[float]) -> None:
    slow = added(times, batch=len(times))
    limit = max(LEAST_SECONDS, FACTOR * (sum(times) / len(times)))
    found = [one.seconds for one in slow._slowest]
    clear = [seconds for seconds in times if abs(seconds - limit) > 1e-9 * limit]
    if len(clear) == len(times):
        assert slow._count == sum(seconds >= limit for seconds in times)
        assert found == sorted((seconds for seconds in times if seconds >= limit), reverse=True)[:NAMED]
