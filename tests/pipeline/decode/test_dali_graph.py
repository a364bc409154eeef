"""Tests DALI's graph on the CPU, built by the same code as for a GPU: batches come out in order, in memory that stays
valid."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmill.pipeline.augment.draws import Crops, train_crops
from tagmill.pipeline.decoding import MOST_DEPTH, Decoding
from tests.pipeline.corpora import picture

pytest.importorskip("nvidia.dali")
dali = pytest.importorskip("tagmill.pipeline.decode.dali_graph")

WIDTH, HEIGHT, SIZE = 96, 80, 24
PICTURES = [picture(i, WIDTH, HEIGHT) for i in range(12)]


def crops(count: int, seed: int = 3) -> Crops:
    sides = np.full(count, WIDTH, np.int32), np.full(count, HEIGHT, np.int32)
    return train_crops(seed, 0, np.arange(count), *sides)


def nobody(count: int) -> Any:
    return np.zeros(count, np.bool_)


@pytest.mark.parametrize("window", ["region", "full"])
@pytest.mark.parametrize("depth", range(1, MOST_DEPTH + 1))
def test_batches_come_out_in_the_order_of_their_start_and_stay(window: Any, depth: int) -> None:
    decoding = Decoding(window=window, depth=depth)
    graph = dali.Graph(3, 2, None, decoding)
    batches = [graph.inputs(PICTURES[i : i + 3], crops(3, i), SIZE, nobody(3)) for i in range(9)]
    alone = []
    for batch in batches:
        graph.start(batch)
        alone.append(graph.collect().clone())
    found = []
    for number, batch in enumerate(batches):
        graph.start(batch)
        if number >= depth - 1:
            found.append(graph.collect())
    found += [graph.collect() for _ in range(depth - 1)]
    assert len({int(pixels.sum()) for pixels in alone}) == 9  # they are not all equal
    assert all(torch.equal(mine, wanted) for mine, wanted in zip(found, alone, strict=True))


def test_a_window_of_a_full_decode_equals_a_region() -> None:
    made = {}
    for window in ("region", "full"):
        graph = dali.Graph(12, 2, None, Decoding(window=window))
        graph.start(graph.inputs(PICTURES, crops(12), SIZE, nobody(12)))
        made[window] = graph.collect().to(torch.int16)
    apart = (made["region"] - made["full"]).abs()
    assert int(apart[:, 2:-2, 2:-2].max()) <= 2 and int(apart.max()) <= 24  # the limits of test_backend.py


@settings(max_examples=15)
@given(st.lists(st.booleans(), min_size=1, max_size=6), st.sampled_from(["region", "full"]))
def test_rows_that_are_left_out_are_black_and_change_no_other(left_out: list[bool], window: Any) -> None:
    graph = dali.Graph(6, 1, None, Decoding(window=window))
    count, out = len(left_out), np.array(left_out)
    jpegs = [None if gone else PICTURES[row] for row, gone in enumerate(left_out)]
    graph.start(graph.inputs(jpegs, crops(count), SIZE, out))
    graph.start(graph.inputs(PICTURES[:count], crops(count), SIZE, nobody(count)))
    some, every = graph.collect(), graph.collect()
    assert not some[torch.from_numpy(out)].any()
    assert torch.equal(some[torch.from_numpy(~out)], every[torch.from_numpy(~out)])


@pytest.mark.parametrize("share", [True, False])
def test_bytes_are_read_without_a_copy_or_copied(share: bool) -> None:
    graph = dali.Graph(2, 1, None, Decoding(share_bytes=share))
    inputs = graph.inputs(PICTURES[:2], crops(2), SIZE, nobody(2))
    for fed, jpeg in zip(inputs["jpegs"], PICTURES[:2], strict=True):
        assert fed.data_ptr() == np.frombuffer(jpeg, np.uint8).ctypes.data  # not a copy
    graph.start(inputs)
    pixels = graph.collect()
    graph.start(graph.inputs([PICTURES[5], PICTURES[6]], crops(2), SIZE, nobody(2)))
    assert not torch.equal(pixels, graph.collect())


def test_a_missing_gpu_raises_an_error() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(RuntimeError):
        dali.Graph(1, 1, 0, Decoding())
