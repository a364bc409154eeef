"""Tests that metadata come back as they were, and that parts which are not their tensor are refused."""

import json
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributed.checkpoint.metadata import (
    ChunkStorageMetadata,
    Metadata,
    MetadataIndex,
    TensorProperties,
    TensorStorageMetadata,
)

from tagmill.shards import IntegrityError
from tagmill.training.checkpoints.metadata import Stored, metadata_json, parse_metadata
from tests.training.checkpoints.tilings import Box, tilings


def content(shape: list[int], boxes: list[Box]) -> dict[str, Any]:
    parts = [[*box, f"{number:05}-0000.safetensors", "w"] for number, box in enumerate(boxes)]
    return {"tensors": {"w": {"dtype": "F32", "shape": shape, "parts": parts}}}


def parsed(found: Any) -> Metadata:
    return parse_metadata(json.dumps(found).encode(), "here")


@given(tilings())
def test_metadata_come_back(tiling: tuple[list[int], list[Box]]) -> None:
    shape, boxes = tiling
    chunks = [ChunkStorageMetadata(torch.Size(first), torch.Size(size)) for first, size in boxes]
    entry = TensorStorageMetadata(TensorProperties(torch.bfloat16), torch.Size(shape), chunks)
    places = {MetadataIndex("w", chunk.offsets): Stored("a.safetensors", str(chunk.offsets)) for chunk in chunks}
    found = parse_metadata(metadata_json(Metadata({"w": entry}), places.items()), "here")
    assert found.storage_data == places
    again = found.state_dict_metadata["w"]
    assert isinstance(again, TensorStorageMetadata)
    assert (again.size, again.chunks, again.properties.dtype) == (entry.size, chunks, torch.bfloat16)


@given(tilings(), st.data())
def test_a_part_that_is_missing_doubled_or_moved_is_refused(
    tiling: tuple[list[int], list[Box]], data: st.DataObject
) -> None:
    shape, boxes = tiling
    number = data.draw(st.integers(0, len(boxes) - 1))
    kind = data.draw(st.sampled_from(["missing", "doubled", "moved"] if shape else ["missing"]))
    changed = [(list(first), list(size)) for first, size in boxes]
    if kind == "missing":
        del changed[number]
    elif kind == "doubled":
        changed.append(changed[number])
    else:
        changed[number][0][data.draw(st.integers(0, len(shape) - 1))] += 1
    with pytest.raises(IntegrityError, match="not the metadata of a checkpoint"):
        parsed(content(shape, changed))


def test_parts_of_one_volume_that_overlap_are_refused() -> None:
    with pytest.raises(IntegrityError, match="overlap"):
        parsed(content([4, 4], [([0, 0], [2, 4]), ([1, 0], [2, 4])]))
    with pytest.raises(IntegrityError, match="empty part"):
        parsed(content([4], [([0], [4]), ([4], [0])]))


@pytest.mark.parametrize(
    "found", [[], {}, {"tensors": []}, {"tensors": {"w": {}}}, content([1 << 62], []), content([True], [])]
)
def test_other_content_is_refused(found: Any) -> None:
    with pytest.raises(IntegrityError, match="not the metadata of a checkpoint"):
        parsed(found)


def test_names_of_objects_are_text_and_types_are_known() -> None:
    for change in ({"dtype": "C64"}, {"parts": [[[0], [2], 5, "w"]]}, {"parts": [[[0], [2], "a"]]}):
        found = content([2], [([0], [2])])
        found["tensors"]["w"] |= change
        with pytest.raises(IntegrityError):
            parsed(found)
    with pytest.raises(IntegrityError):
        parse_metadata(b"[" * 100_000, "here")
