"""Memory is lent again once nobody holds what it was lent for, and not a moment before."""

import gc

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tagmill.pipeline.decode.buffer_pool import Buffers


def address(array: object) -> int:
    assert isinstance(array, np.ndarray)
    return int(array.ctypes.data)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.uint16])
def test_an_array_is_as_asked_and_can_be_written(dtype: type) -> None:
    lent = Buffers(2).lend((3, 5, 7), dtype)
    lent[:] = 9
    assert lent.shape == (3, 5, 7) and lent.dtype == dtype and lent.flags.c_contiguous
    assert (lent == 9).all()


def test_memory_comes_back_when_the_last_tensor_is_gone() -> None:
    buffers = Buffers(2)
    lent = buffers.lend((4, 8, 8, 3), np.uint8)
    first = address(lent)
    part = torch.from_numpy(lent).permute(0, 3, 1, 2)[1:2]
    del lent
    gc.collect()
    other = buffers.lend((4, 8, 8, 3), np.uint8)
    assert address(other) != first, "a part of the first is still held"
    del part
    gc.collect()
    assert address(buffers.lend((4, 8, 8, 3), np.uint8)) == first


def test_another_shape_of_as_many_bytes_is_served_by_the_same_memory() -> None:
    buffers = Buffers(1)
    first = address(buffers.lend((4, 6), np.float32))
    assert address(buffers.lend((96,), np.uint8)) == first
    assert address(buffers.lend((97,), np.uint8)) != first


def test_no_more_is_kept_than_was_said() -> None:
    buffers = Buffers(2)
    many = [buffers.lend((1 << 16,), np.uint8) for _ in range(5)]
    del many
    gc.collect()
    assert [len(free) for free in buffers._free.values()] == [2]
    buffers.clear()
    assert [len(free) for free in buffers._free.values()] == [0]


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9)), max_size=40))
def test_what_is_held_is_never_written_over(steps: list[tuple[bool, int]]) -> None:
    buffers, held = Buffers(3), dict[int, torch.Tensor]()
    for number, (take, which) in enumerate(steps):
        if take:
            tensor = torch.from_numpy(buffers.lend((16, 16), np.uint8))
            tensor.fill_(number)
            held[number] = tensor
        elif held:
            del held[sorted(held)[which % len(held)]]
    for number, tensor in held.items():
        assert (tensor == number).all()
