"""Tests that any part of a tensor can be read, however the tensor was divided when it was written."""

import json
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributed.checkpoint.metadata import ChunkStorageMetadata, MetadataIndex
from torch.distributed.checkpoint.planner import LoadPlan
from torch.distributed.checkpoint.planner_helpers import create_read_items_for_chunk_list

from tagmill.shards import IntegrityError, Store
from tagmill.training.checkpoints.layout import Done, sized
from tagmill.training.checkpoints.reader import CheckpointReader
from tagmill.training.checkpoints.tensor_file import pack
from tests.training.checkpoints.tilings import Box, tilings

RECORD = Done(step=1, images=0, steps=9, serial=1, score=None, world=1, identity={}, loader={}, objects={})


class Targets:
    """Takes the place of torch's planner: gives the memory into which the parts of a tensor are read."""

    def __init__(self, boxes: list[Box]) -> None:
        self.parts = {torch.Size(first): torch.full(sizes, -1.0) for first, sizes in boxes}

    def resolve_tensor(self, item: Any) -> torch.Tensor:
        """Returns the memory of one item."""
        part = self.parts[item.dest_index.offset]
        for dimension, (offset, length) in enumerate(zip(item.dest_offsets, item.lengths, strict=True)):
            part = part.narrow(dimension, offset, length)
        return part

    def commit_tensor(self, item: Any, tensor: torch.Tensor) -> None:
        """Nothing is to be done."""


def written(store: Store, whole: torch.Tensor, boxes: list[Box]) -> Done:
    """Writes a tensor in parts, as many ranks do, and returns the record."""
    parts, objects = [], {}
    for number, (first, sizes) in enumerate(boxes):
        file, part = f"{number:05}-0000.safetensors", whole
        for dimension, (offset, length) in enumerate(zip(first, sizes, strict=True)):
            part = part.narrow(dimension, offset, length)
        parts.append([first, sizes, file, "part"])
        objects[file] = pack({"part": part})
    metadata = {"tensors": {"w": {"dtype": "F32", "shape": list(whole.shape), "parts": parts}}}
    objects["metadata.json"] = json.dumps(metadata).encode()
    for name, data in objects.items():
        store.put(f"checkpoints/1/{name}", data)
    return Done(**{**vars(RECORD), "objects": {name: sized(data) for name, data in objects.items()}})


def read(reader: CheckpointReader, boxes: list[Box]) -> Targets:
    """Reads the parts that another number of ranks would."""
    chunks = [ChunkStorageMetadata(torch.Size(first), torch.Size(sizes)) for first, sizes in boxes]
    items = create_read_items_for_chunk_list("w", reader.metadata.state_dict_metadata["w"], chunks)
    targets = Targets(boxes)
    reader.read_data(LoadPlan(items), targets).wait()  # type: ignore[arg-type]
    return targets


@given(st.data())
def test_parts_are_read_from_parts_of_another_division(data: st.DataObject) -> None:
    shape, boxes = data.draw(tilings())
    _, wanted = data.draw(tilings(shape))
    whole = torch.arange(float(torch.Size(shape).numel())).reshape(shape)
    store = Store("memory://divided")
    found = read(CheckpointReader(store, written(store, whole, boxes)), wanted)
    for first, part in found.parts.items():
        expected = whole
        for dimension, (offset, length) in enumerate(zip(first, part.shape, strict=True)):
            expected = expected.narrow(dimension, offset, length)
        assert torch.equal(part, expected)


def test_a_part_is_checked_before_it_is_used() -> None:
    store, whole = Store("memory://damaged"), torch.ones(4)
    reader = CheckpointReader(store, done := written(store, whole, [([0], [2]), ([2], [2])]))
    assert reader.metadata.storage_data[MetadataIndex("w", [2])].file in done.objects
    store.put("checkpoints/1/00001-0000.safetensors", pack({"part": torch.zeros(2)}))
    assert torch.equal(read(reader, [([0], [2])]).parts[torch.Size([0])], torch.ones(2))  # does not need it
    with pytest.raises(IntegrityError, match="altered"):
        read(reader, [([0], [4])])
