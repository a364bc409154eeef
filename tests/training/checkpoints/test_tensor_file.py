"""Tests that tensors are read as they were written, by us and by the safetensors library, and that nothing else is read."""

import struct
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st

from tagmill.shards import IntegrityError
from tagmill.training.checkpoints.tensor_file import CODES, pack, places, unpack


@st.composite
def tensors(draw: st.DrawFn) -> dict[str, torch.Tensor]:
    found = {}
    for name in draw(
        st.lists(st.text(min_size=1, max_size=12).filter(lambda name: name != "__metadata__"), unique=True)
    ):
        dtype = draw(st.sampled_from(sorted(CODES, key=str)))
        shape = draw(st.lists(st.integers(0, 4), max_size=4))
        value = torch.randint(0, 2 if dtype == torch.bool else 100, shape).to(dtype)
        found[name] = value.transpose(0, -1) if len(shape) > 1 else value
    return found


def read(data: bytes) -> dict[str, torch.Tensor]:
    return {name: unpack(data, place) for name, place in places(data, "here").items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(
        value.dtype == other[name].dtype and torch.equal(value, other[name]) for name, value in one.items()
    )


@given(tensors())
def test_tensors_are_read_as_they_were_written(wanted: dict[str, torch.Tensor]) -> None:
    assert same(read(pack(wanted)), wanted)


@given(tensors())
def test_the_library_reads_ours_and_we_read_its(wanted: dict[str, torch.Tensor]) -> None:
    wanted = {name.encode(errors="ignore").decode(): value.contiguous() for name, value in wanted.items()}
    assert same(safetensors.torch.load(pack(wanted)), wanted)
    assert same(read(safetensors.torch.save(wanted, {"format": "pt"})), wanted)


@given(tensors(), st.data())
def test_altered_bytes_are_refused_or_give_tensors(wanted: dict[str, torch.Tensor], data: st.DataObject) -> None:
    whole = bytearray(pack(wanted))
    if data.draw(st.booleans()):
        changed = bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    else:
        for _ in range(data.draw(st.integers(1, 4))):
            whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
        changed = bytes(whole)
    try:
        found = read(changed)
    except IntegrityError:
        return
    assert sum(value.nbytes for value in found.values()) <= len(changed)


HEADERS: list[Any] = [
    b"",
    b"[]",
    b"{",
    b'{"a": 1}',
    b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 8]}}',
    b'{"a": {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]}}',
    b'{"a": {"dtype": "F32", "shape": [-1, -2], "data_offsets": [0, 8]}}',
    b'{"a": {"dtype": "F32", "shape": [2.0], "data_offsets": [0, 8]}}',
    b'{"a": {"dtype": "F32", "shape": [true, 2], "data_offsets": [0, 8]}}',
    b'{"a": {"dtype": "C64", "shape": [1], "data_offsets": [0, 8]}}',
    b'{"a": {"dtype": "U8", "shape": [8], "data_offsets": [0, 8]}, "b": {"dtype": "U8", "shape": [8], "data_offsets": [0, 8]}}',
    b'{"a": {"dtype": "U8", "shape": [1099511627776], "data_offsets": [0, 1099511627776]}}',
    b"[" * 100_000,
]


@pytest.mark.parametrize("header", HEADERS, ids=range(len(HEADERS)))
def test_a_header_that_does_not_fit_its_file_is_refused(header: bytes) -> None:
    with pytest.raises(IntegrityError, match="not a file of tensors"):
        read(struct.pack("<Q", len(header)) + header + bytes(8))


@pytest.mark.parametrize("data", [b"", b"1234567", struct.pack("<Q", 1 << 62) + b"{}", struct.pack("<Q", 200_000_000)])
def test_a_file_without_a_header_is_refused(data: bytes) -> None:
    with pytest.raises(IntegrityError, match="not a file of tensors"):
        read(data)


def test_a_type_that_the_format_lacks_is_an_error() -> None:
    with pytest.raises(TypeError, match=r"a has torch\.complex64"):
        pack({"a": torch.zeros(2, dtype=torch.complex64)})
