"""Tests that memory is reused once nothing refers to its array, and never before."""

import gc

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tagmill.pipeline.decode.buffer_pool import Buffers, page_locked


def address(array: object) -> int:
    assert isinstance(array, np.ndarray)
    return int(array.ctypes.data)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.uint16])
def test_an_array_has_the_requested_shape_and_is_writable(dtype: type) -> None:
    lent = Buffers(2).lend((3, 5, 7), dtype)
    lent[:] = 9
    assert lent.shape == (3, 5, 7) and lent.dtype == dtype and lent.flags.c_contiguous
    assert (lent == 9).all()


def test_memory_returns_when_the_last_tensor_is_dropped() -> None:
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


def test_a_smaller_array_reuses_the_memory_and_a_larger_one_replaces_it() -> None:
    buffers = Buffers(1)
    first = address(buffers.lend((4, 6), np.float32))
    assert address(buffers.lend((3, 2), np.float32)) == first
    held = buffers.lend((24,), np.float32)
    assert address(held) == first
    larger = buffers.lend((25,), np.float32)
    del held
    assert address(larger) != first and not buffers._blocks[larger.dtype].free, "the first is too small for the next"


def test_memory_of_another_kind_is_reused_too() -> None:
    """As page-locked memory is; without a GPU an array is its stand-in."""
    made = list[int]()

    def fresh(size: int) -> np.typing.NDArray[np.uint8]:
        made.append(size)
        return np.zeros(size, np.uint8)

    buffers = Buffers(2, fresh)
    for number in range(4):
        lent = buffers.lend((3, 5), np.float32)
        lent[:] = number
        assert (torch.from_numpy(lent) == number).all()
        del lent
        gc.collect()
    assert made == [60]


def test_page_locked_memory_needs_a_gpu() -> None:
    if torch.cuda.is_available():
        assert torch.from_numpy(Buffers(1, page_locked).lend((3, 5), np.uint8)).is_pinned()
    else:
        with pytest.raises(RuntimeError):
            page_locked(8)


def test_the_number_of_free_blocks_is_limited() -> None:
    buffers = Buffers(2)
    many = [buffers.lend((1 << 16,), np.uint8) for _ in range(5)]
    del many
    gc.collect()
    assert [len(blocks.free) for blocks in buffers._blocks.values()] == [2]
    buffers.keep(4)
    many = [buffers.lend((1 << 16,), np.uint8) for _ in range(5)]
    del many
    gc.collect()
    assert [len(blocks.free) for blocks in buffers._blocks.values()] == [4]
    buffers.clear()
    assert [len(blocks.free) for blocks in buffers._blocks.values()] == [0]


@given(st.lists(st.tuples(st.integers(1, 20), st.sampled_from([np.uint8, np.float32])), max_size=40))
def test_free_memory_is_that_of_the_largest_arrays(steps: list[tuple[int, type]]) -> None:
    buffers, most = Buffers(3), dict[type, int]()
    held = list[object]()
    for size, dtype in steps:
        held = [*held[-3:], buffers.lend((size, size), dtype)]
        most[dtype] = max(most.get(dtype, 0), size**2 * np.dtype(dtype).itemsize)
    held.clear()
    for dtype, largest in most.items():
        free = buffers._blocks[np.dtype(dtype)].free
        assert 1 <= len(free) <= 3 and {len(block) for block in free} == {largest}


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9)), max_size=40))
def test_memory_in_use_is_never_overwritten(steps: list[tuple[bool, int]]) -> None:
    buffers, held = Buffers(3), dict[int, torch.Tensor]()
    for number, (take, which) in enumerate(steps):
        if take:
            tensor = torch.from_numpy(buffers.lend((7 + which, 16), np.uint8))
            tensor.fill_(number)
            held[number] = tensor
        elif held:
            del held[sorted(held)[which % len(held)]]
    for number, tensor in held.items():
        assert (tensor == number).all()
