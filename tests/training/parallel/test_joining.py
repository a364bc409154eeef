"""Tests that the processes of an attempt find each other among what earlier attempts have left."""

import threading
from itertools import count

import pytest
import torch.distributed as dist
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmill.shards import TagmillError
from tagmill.training.parallel.joining import name_of_attempt


def attempt(store: dist.HashStore, order: list[int], size: int) -> list[str]:
    """Lets ranks join in an order, each in a thread that begins when the one before has written its text."""
    found, threads = [""] * size, []

    def join(rank: int, written: threading.Event) -> None:
        def pause(seconds: float) -> None:
            written.set()
            threading.Event().wait(0.001)

        found[rank] = name_of_attempt(store, rank, size, 1e9, pause)
        written.set()

    for rank in order:
        written = threading.Event()
        threads.append(threading.Thread(target=join, args=(rank, written), daemon=True))
        threads[-1].start()
        written.wait()
    for thread in threads:
        thread.join()
    return found


@given(st.integers(1, 5).flatmap(lambda size: st.lists(st.permutations(range(size)), min_size=1, max_size=4)))
@settings(deadline=None, max_examples=30)
def test_each_attempt_has_one_name_of_its_own_in_any_order(orders: list[list[int]]) -> None:
    store, size = dist.HashStore(), len(orders[0])
    names = [attempt(store, order, size) for order in orders]
    assert all(len(set(each)) == 1 for each in names)
    assert len({each[0] for each in names}) == len(orders)


def test_an_attempt_that_some_never_joined_does_not_mislead_the_next() -> None:
    store = dist.HashStore()
    for rank in (0, 1):  # of 3: rank 2 died before it joined
        with pytest.raises(TagmillError):
            name_of_attempt(store, rank, 3, 5, lambda _: None, count().__next__)
    assert len(set(attempt(store, [1, 2, 0], 3))) == 1


def test_rank_0_names_those_that_are_missing() -> None:
    store = dist.HashStore()
    with pytest.raises(TagmillError, match="2 of 3 processes did not join within 60 s: ranks 1, 2"):
        name_of_attempt(store, 0, 3, 60, lambda _: None, count(0, 10).__next__)
    with pytest.raises(TagmillError, match="rank 2 of 3 waited 60 s for rank 0"):
        name_of_attempt(store, 2, 3, 60, lambda _: None, count(0, 10).__next__)
