"""A keyed permutation of 0..n-1 that is computed and never stored, so that an epoch of billions needs no table."""

import hashlib
import struct
from typing import Final

import numpy as np

from tagmill.shards.arrays import Int64s, UInt64s

PLAN_VERSION: Final = 1  # of the order and of the crops: a new number invalidates the saved states of the old one
NO_VIEW: Final = bytes(32)  # in place of the view's digest if there is no view

# Purposes of keys.
CHUNKS: Final = 0
WINDOW: Final = 1
TAIL: Final = 2

FEISTEL_ROUNDS: Final = 8
# Odd constants of the round function: the fractional parts of the golden ratio and of the square root of 3.
GOLDEN: Final = 0x9E3779B97F4A7C15
ROOT_3: Final = 0xBB67AE8584CAA73B
WORD: Final = (1 << 64) - 1
ROUND_CONSTANTS: Final = tuple((GOLDEN * (2 * number + 1)) & WORD for number in range(FEISTEL_ROUNDS))


class Keys:
    """Derives the keys of one epoch's order: first 8 bytes of sha256 over (plan version, manifest digest, view digest,
    seed, epoch, purpose, block, stream), numbers as little-endian int64s and digests raw."""

    def __init__(self, manifest_digest: bytes, view_digest: bytes | None, seed: int, epoch: int) -> None:
        view = NO_VIEW if view_digest is None else view_digest
        assert len(manifest_digest) == 32 and len(view) == 32, "digests are sha256"
        head = struct.pack("<q", PLAN_VERSION) + manifest_digest + view + struct.pack("<qq", seed, epoch)
        self._head = hashlib.sha256(head)

    def key(self, purpose: int, block: int = 0, stream: int = 0) -> int:
        """Returns an unsigned 64-bit key."""
        digest = self._head.copy()
        digest.update(struct.pack("<qqq", purpose, block, stream))
        return int.from_bytes(digest.digest()[:8], "little")

    def of_windows(self, blocks: Int64s, streams: Int64s) -> UInt64s:
        """Returns the WINDOW keys of (block, stream) pairs: uint64 [n]."""
        pairs = zip(blocks.tolist(), streams.tolist(), strict=True)
        return np.array([self.key(WINDOW, block, stream) for block, stream in pairs], np.uint64)


def derive_key(
    manifest_digest: bytes, view_digest: bytes | None, seed: int, epoch: int, purpose: int, block: int, stream: int
) -> int:
    """Returns one key of an epoch's order; see Keys."""
    return Keys(manifest_digest, view_digest, seed, epoch).key(purpose, block, stream)


def permute(items: Int64s, size: int, key: int | UInt64s) -> Int64s:
    """Returns the images of `items` (int64 [n]) under a keyed permutation of 0..size-1; `key` is one number or uint64
    [n].

    A Feistel network permutes the smallest set of 4^h numbers that holds 0..size-1 (Luby and Rackoff 1988). Numbers
    that land outside are permuted again until they are inside, which keeps it a permutation (cycle walking: Black and
    Rogaway 2002).
    """
    assert not len(items) or (items.min() >= 0 and items.max() < size), "items outside the permutation"
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    keys = np.uint64(key) if isinstance(key, int) else key
    numbers = _feistel(items.astype(np.uint64), half, keys)
    outside = np.flatnonzero(numbers >= size)
    while len(outside):
        again = _feistel(numbers[outside], half, keys[outside] if isinstance(keys, np.ndarray) else keys)
        numbers[outside] = again
        outside = outside[again >= size]
    return numbers.view(np.int64)


def _feistel(numbers: UInt64s, half: int, keys: UInt64s | np.uint64) -> UInt64s:
    """Runs ROUNDS rounds on 2 x `half` bits. Round r adds the top bits of a multiplied mix of the right half, key and
    r."""
    mask, width, shift = np.uint64((1 << half) - 1), np.uint64(half), np.uint64(64 - half)
    left, right = numbers >> width, numbers & mask
    for constant in ROUND_CONSTANTS:
        mixed = right ^ keys
        mixed ^= np.uint64(constant)
        mixed *= np.uint64(GOLDEN)
        mixed ^= mixed >> np.uint64(32)
        mixed *= np.uint64(ROOT_3)
        mixed >>= shift
        mixed ^= left
        left, right = right, mixed
    return (left << width) | right
