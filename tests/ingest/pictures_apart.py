"""PDQ hashes for tests: random ones, ones so many bits away, and all distances by brute force."""

from typing import Any

import numpy as np
import numpy.typing as npt

from tagmill.ingest.similarity.hash_files import RECORD

Words = npt.NDArray[np.uint64]


def random_hashes(draw: np.random.Generator, count: int) -> Words:
    return draw.integers(0, 1 << 64, (count, 4), np.uint64)


def away(draw: np.random.Generator, pdq: Words, bits: int) -> Words:
    """A hash [4] that differs in exactly so many bits."""
    flags = np.zeros(256, np.uint8)
    flags[draw.permutation(256)[:bits]] = 1
    return pdq ^ np.packbits(flags).view(">u8").astype(np.uint64)


def all_distances(left: Words, right: Words) -> npt.NDArray[np.int64]:
    """[left, right]."""
    return np.bitwise_count(left[:, None] ^ right[None]).sum(axis=2, dtype=np.int64)


def records(pdq: Words, row_ids: Any = None, weights: Any = None, quality: int = 90) -> npt.NDArray[np.void]:
    made = np.zeros(len(pdq), RECORD)
    made["pdq"] = pdq
    made["row_id"] = np.arange(len(pdq)) if row_ids is None else row_ids
    made["weight"] = (np.ones(len(pdq), np.int64) if weights is None else np.asarray(weights)) << 7 | quality
    return made
