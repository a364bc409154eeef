"""Tests turns: threads that share a batch fill each of its images once, and the time of each is kept."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmill.pipeline.decode import libjpeg, pillow
from tagmill.pipeline.decode.threads.turns import Turns
from tests.pipeline.corpora import picture
from tests.pipeline.decode.test_libjpeg import COMPILED, crops_of, jpeg_of


@given(count=st.integers(0, 60), threads=st.integers(1, 6))
@settings(max_examples=30, deadline=None)
def test_threads_take_each_image_once(count: int, threads: int) -> None:
    turns = Turns(count)
    with ThreadPoolExecutor(threads) as pool:
        taken = [number for one in [pool.submit(list, turns) for _ in range(threads)] for number in one.result()]
    assert sorted(taken) == list(range(count))
    assert not turns.are_left and (turns.seconds() > 0).all()


def test_a_stopped_thread_finishes_its_image_and_another_takes_the_rest() -> None:
    turns = Turns(5)
    walk = iter(turns)
    assert [next(walk), next(walk)] == [0, 1]
    turns.stop()
    assert list(walk) == [] and list(turns) == [] and turns.are_left
    turns.resume()
    assert list(turns) == [2, 3, 4]


def test_after_the_end_none_is_left() -> None:
    turns = Turns(5)
    assert next(iter(turns)) == 0
    turns.end()
    assert not turns.are_left and list(turns) == []


def test_an_image_in_progress_has_a_negative_time_and_a_later_one_none() -> None:
    turns = Turns(3)
    walk = iter(turns)
    next(walk)
    next(walk)
    first, second, third = turns.seconds()
    assert first > 0 > second and third == 0
    begun = -int(turns.cells[3])
    assert begun <= time.monotonic_ns()
    turns.cells[3] = -(begun - 5_000_000_000)
    assert turns.seconds()[1] <= -5


def test_images_that_are_decoded_again_keep_the_second_time() -> None:
    turns = Turns(4)
    turns.cells[2:] = 10**12
    assert list(turns.again([3, 1])) == [0, 1]
    assert (turns.seconds() == 1000).tolist() == [True, False, True, False]


@COMPILED
def test_libjpeg_shares_the_images_of_a_batch_with_others() -> None:
    """Every call writes only what it takes, keeps its time, and says which of these it lost."""
    jpegs = [picture(number, 300, 260) for number in range(40)]
    jpegs[7] = jpegs[31] = b"no picture"
    jpegs[20] = jpeg_of(300, 260, 20, "CMYK")
    crops = crops_of(*[(3, 4, 200, 210)] * 40)
    wanted = np.full((40, 32, 32, 3), 9, np.uint8)
    assert libjpeg.fill_with_libjpeg(wanted, range(40), jpegs, crops, None) == [7, 31]
    for fill in (libjpeg.fill_with_libjpeg, pillow.fill_with_pillow):
        turns, found, begin = Turns(40), np.full_like(wanted, 9), threading.Barrier(3)

        def call(fill=fill, turns=turns, found=found, begin=begin) -> list[int]:  # type: ignore[no-untyped-def]
            begin.wait()
            return fill(found, range(40), jpegs, crops, None, turns)  # type: ignore[no-any-return]

        with ThreadPoolExecutor(3) as pool:
            lost = [row for one in [pool.submit(call) for _ in range(3)] for row in one.result()]
        assert sorted(lost) == [7, 31]
        assert not turns.are_left and (turns.seconds() > 0).all()
        if fill is libjpeg.fill_with_libjpeg:
            assert (found == wanted).all()


@COMPILED
def test_libjpeg_takes_nothing_of_a_batch_that_is_stopped_or_ended() -> None:
    jpegs, crops = [picture(number) for number in range(3)], crops_of(*[(0, 0, 20, 20)] * 3)
    batch, turns = np.full((3, 8, 8, 3), 9, np.uint8), Turns(3)
    turns.stop()
    assert libjpeg.fill_with_libjpeg(batch, range(3), jpegs, crops, None, turns) == []
    turns.end()
    turns.resume()
    assert libjpeg.fill_with_libjpeg(batch, range(3), jpegs, crops, None, turns) == []
    assert (batch == 9).all()


@COMPILED
def test_libjpeg_refuses_turns_of_another_batch() -> None:
    batch, crops = np.zeros((2, 8, 8, 3), np.uint8), crops_of(*[(0, 0, 20, 20)] * 2)
    with pytest.raises(ValueError, match="turns int64"):
        libjpeg.fill_with_libjpeg(batch, range(2), [picture(0)] * 2, crops, None, Turns(3))
