"""The metadata of a sharded checkpoint as JSON: which tensors there are, and in which object each of their parts is.

torch's distributed checkpoint keeps them as a pickle. Here its `Metadata` is made again from plain, checked numbers.
"""

import json
import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch.distributed.checkpoint.metadata import (
    ChunkStorageMetadata,
    Metadata,
    MetadataIndex,
    TensorProperties,
    TensorStorageMetadata,
)

from tagmill.shards import IntegrityError
from tagmill.training.checkpoints.layout import ANOTHER
from tagmill.training.checkpoints.tensor_file import CODES, DTYPES, MOST_DIMENSIONS

MOST_COMPARED = 1_000_000  # pairs of parts of one tensor


class Stored(NamedTuple):
    """Where a part of a tensor is: the object of the checkpoint, and the name in it."""

    file: str
    name: str


def metadata_json(metadata: Metadata, stored: Iterable[tuple[MetadataIndex, Stored]]) -> bytes:
    """Returns the bytes of `metadata.json`. Empty parts, which nothing was written for, are left out."""
    places = dict(stored)
    tensors = dict[str, Any]()
    for name, entry in metadata.state_dict_metadata.items():
        assert isinstance(entry, TensorStorageMetadata)
        parts = [
            [list(part.offsets), list(part.sizes), *places[MetadataIndex(name, part.offsets)]]
            for part in entry.chunks
            if math.prod(part.sizes) or entry.size.numel() == 0
        ]
        tensors[name] = {"dtype": CODES[entry.properties.dtype], "shape": list(entry.size), "parts": parts}
    return json.dumps({"tensors": tensors}, separators=(",", ":")).encode()


def parse_metadata(data: bytes, where: str) -> Metadata:
    """Parses the bytes of `metadata_json`. Raises IntegrityError for anything else; parts that overlap, leave gaps or
    are outside of their tensor are refused."""
    try:
        content = json.loads(data)
        entries, places = dict[str, Any](), dict[MetadataIndex, Stored]()
        for name, entry in content["tensors"].items():
            shape = _sizes(entry["shape"])
            parts = list[ChunkStorageMetadata]()
            for offsets, sizes, file, key in entry["parts"]:
                part = ChunkStorageMetadata(_sizes(offsets), _sizes(sizes))
                if not isinstance(file, str) or not isinstance(key, str):
                    raise TypeError(f"the part of {name}")
                parts.append(part)
                places[MetadataIndex(name, part.offsets)] = Stored(file, key)
            _check_parts(name, shape, parts)
            entries[name] = TensorStorageMetadata(TensorProperties(DTYPES[entry["dtype"]]), shape, parts)
        return Metadata(entries, storage_data=places)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError, OverflowError) as error:
        raise IntegrityError(f"not the metadata of a checkpoint: {error}", where, ANOTHER) from error


def _sizes(numbers: Any) -> torch.Size:
    plain = isinstance(numbers, list) and len(numbers) <= MOST_DIMENSIONS
    if not plain or any(type(number) is not int or not 0 <= number < 1 << 62 for number in numbers):
        raise ValueError("a shape that is not a list of whole numbers")
    return torch.Size(numbers)


def _check_parts(name: str, shape: torch.Size, parts: list[ChunkStorageMetadata]) -> None:
    """Raises ValueError unless the parts are a tensor exactly: each inside it, none over another, none missing."""
    boxes = [(tuple(part.offsets), tuple(part.sizes)) for part in parts]
    for offsets, sizes in boxes:
        if len(offsets) != len(shape) or len(sizes) != len(shape):
            raise ValueError(f"{name} has a part of other dimensions")
        if any(first + size > whole for first, size, whole in zip(offsets, sizes, shape, strict=True)):
            raise ValueError(f"{name} has a part outside of it")
    if sum(math.prod(sizes) for _, sizes in boxes) != math.prod(shape):
        raise ValueError(f"the parts of {name} are not the whole of it")
    if len(boxes) > 1 and any(not math.prod(sizes) for _, sizes in boxes):
        raise ValueError(f"{name} has an empty part")
    if len(boxes) < 2:
        return
    # Sorted along the dimension that is divided most, only parts that begin before this one ends can overlap it.
    along = max(range(len(shape)), key=lambda dimension: len({offsets[dimension] for offsets, _ in boxes}))
    boxes.sort(key=lambda box: box[0][along])
    compared = 0
    for number, (offsets, sizes) in enumerate(boxes):
        for other, extent in boxes[number + 1 :]:
            if other[along] >= offsets[along] + sizes[along]:
                break
            compared += 1
            if compared > MOST_COMPARED:
                raise ValueError(f"{name} has too many parts")
            pairs = zip(offsets, sizes, other, extent, strict=True)
            if all(first < begin + long and begin < first + size for first, size, begin, long in pairs):
                raise ValueError(f"{name} has parts that overlap")
