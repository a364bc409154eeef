"""Tests what a report says of a batch that is late."""

import pytest

from tagmill.pipeline.waits import CHUNK, DECODING, DELIVERY, LATE_SECONDS, READING, Waits


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_batch_that_waits_for_a_chunk_names_it_and_both_times() -> None:
    clock = Clock()
    waits = Waits(clock)
    with waits.on(READING):
        assert waits.late() == "", "not late yet"
        clock.now += 2
        with waits.on(CHUNK, lambda: "s3://photos/shards/000012.tar"):
            clock.now += 30
            assert waits.late() == "the next batch has waited 32.0 s for reading: s3://photos/shards/000012.tar, 30.0 s"
        assert waits.late() == "the next batch has waited 32.0 s for reading"
    assert waits.late() == ""


def test_a_batch_that_is_decoded_names_the_image_and_not_the_chunk_of_a_later_batch() -> None:
    clock = Clock()
    waits = Waits(clock)
    waits.begin(CHUNK, lambda: "a chunk")
    waits.begin(DECODING, lambda: "sample 00ff (9 bytes), 12.0 s")
    clock.now += 12.5
    assert waits.late() == "the next batch has been decoded for 12.5 s: sample 00ff (9 bytes), 12.0 s"
    waits.begin(DECODING)
    assert waits.late() == ""
    clock.now += LATE_SECONDS
    assert waits.late() == "the next batch has been decoded for 1.0 s"


def test_a_batch_may_wait_for_the_trainer() -> None:
    clock = Clock()
    waits = Waits(clock)
    waits.begin(DELIVERY)
    clock.now += 1234
    assert waits.late() == "a batch has waited 1,234.0 s for the trainer"
    waits.end(DELIVERY)
    waits.end(DELIVERY)
    assert waits.late() == ""


def test_a_wait_ends_with_an_error() -> None:
    waits = Waits(clock := Clock())
    with pytest.raises(ZeroDivisionError), waits.on(DECODING):
        _ = 1 / 0
    clock.now += 60
    assert waits.late() == ""
