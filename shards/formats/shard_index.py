"""The two indexes of a shard: tagmill's, which gives any range of samples in one small read, and DALI's."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

# One record for each sample. `offset` and `size` are those of the JPEG's bytes inside the tar.
INDEX = np.dtype(
    [
        ("offset", "<u8"),
        ("size", "<u4"),
        ("width", "<u2"),
        ("height", "<u2"),
        ("crc32", "<u4"),
        ("key", "u1", (16,)),
    ]
)

TAR_BLOCK = 512  # tar's unit: a header is one block, data is padded to whole blocks


def padded(size: int) -> int:
    """Returns the bytes that `size` bytes of data take in a tar."""
    return -(-size // TAR_BLOCK) * TAR_BLOCK


def sample_bytes(jpeg: int, facts: int) -> int:
    """Returns the bytes of a sample in its tar (two members, each with a header), so that shards are planned before
    they are packed."""
    return 2 * TAR_BLOCK + padded(jpeg) + padded(facts)


def key_bytes(key: str) -> npt.NDArray[np.uint8]:
    """Returns a key's 32 hex digits as in the index, uint8 [16]."""
    return np.frombuffer(bytes.fromhex(key), np.uint8)


def key_hex(record: npt.NDArray[Any]) -> str:
    """Returns the key of an INDEX record as 32 hex digits."""
    return bytes(record["key"]).hex()


def dali_index(members: Iterable[tuple[tuple[str, int, int, str], ...]], num_samples: int) -> bytes:
    """Returns DALI's webdataset index v1.2: a line with the count, then a line for each sample with `extension offset
    size name` of each member.

    Offsets are those of the data, multiples of 512 (NVIDIA DALI, tools/wds2idx.py and webdataset_loader.cc).
    """
    lines = [f"v1.2 {num_samples}"]
    lines += [" ".join(f"{ext} {offset} {size} {name}" for ext, offset, size, name in sample) for sample in members]
    return ("\n".join(lines) + "\n").encode("ascii")
