"""Keyed random numbers: a pure function of seed, purpose, the sample's key and one more number.

So they are the same on every machine, in any order and for any division of the work, and one draw never shifts another.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from tagmill.shards.arrays import Bools, Floats, Int64s, UInt64s

Keys = npt.NDArray[np.uint8]

# Purposes have independent random streams. A number that was used once is never reused.
SUBSET: Final = 0  # whether a sample is in a subset
REPLACE: Final = 1  # whether a label is replaced by noise
REPLACEMENT: Final = 2  # the label that replaces it
SELECT: Final = 3  # which images of a class are selected

# SplitMix64, G. L. Steele Jr., D. Lea and C. H. Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014,
# section 3, with the constants of the published generator (Stafford's "Mix13").
GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
FIRST: Final = np.uint64(0xBF58476D1CE4E5B9)
SECOND: Final = np.uint64(0x94D049BB133111EB)
LOW: Final = np.uint64(0xFFFFFFFF)
HALF: Final = np.uint64(32)


def keys_of(texts: Sequence[str]) -> Keys:
    """Decodes hex keys to bytes, [n, 16]."""
    return np.frombuffer(bytes.fromhex("".join(texts)), np.uint8).reshape(-1, 16)


def words(seed: int, purpose: int, keys: Keys, extra: Int64s | int = 0) -> UInt64s:
    """Returns uniform 64-bit words [n] for `keys` [n, 16]; `extra` is one number, or one per key ([n]).

    Seed, purpose, the two little-endian words of a key, and extra are absorbed one after the other by x -> mix(x ^
    word); seed and extra count modulo 2^64. Not for secrets.
    """
    halves = np.ascontiguousarray(keys).view("<u8").astype(np.uint64, copy=False)
    state = _mix(np.array([seed & 0xFFFFFFFFFFFFFFFF], np.uint64))
    state = _mix(state ^ np.uint64(purpose))
    for half in (halves[:, 0], halves[:, 1]):
        state = _mix(state ^ half)
    if isinstance(extra, int):
        return _mix(state ^ np.uint64(extra & 0xFFFFFFFFFFFFFFFF))
    return _mix(state ^ extra.astype(np.int64, copy=False).view(np.uint64))


def uniform(seed: int, purpose: int, keys: Keys, extra: Int64s | int = 0) -> Floats:
    """Returns numbers [n] in [0, 1), multiples of 2^-53: the upper bits of `words`."""
    return (words(seed, purpose, keys, extra) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def draw_below(drawn: UInt64s, bounds: Int64s) -> Int64s:
    """Maps words [n] to integers in [0, bound), exactly floor(word x bound / 2^64); `bounds` [n] are at least 1.

    No integer's probability is off by more than 2^-64. The 128-bit product is computed from 32-bit halves.
    """
    bound = bounds.astype(np.uint64)
    high, low = drawn >> HALF, drawn & LOW
    bound_high, bound_low = bound >> HALF, bound & LOW
    middle = high * bound_low + (low * bound_low >> HALF)
    other = low * bound_high + (middle & LOW)
    product: UInt64s = high * bound_high + (middle >> HALF) + (other >> HALF)
    return product.astype(np.int64)


def in_subset(seed: int, keys: Keys, share: float) -> Bools:
    """Returns which samples [n] are in a subset of about `share` (above 0, at most 1) of all.

    Subsets of one seed are nested: a smaller share is inside a larger one.
    """
    return np.asarray(uniform(seed, SUBSET, keys) < share)


def _mix(state: UInt64s) -> UInt64s:
    """Applies SplitMix64's step and finaliser. The step comes first because the finaliser alone maps 0 to 0."""
    state = state + GOLDEN
    state ^= state >> np.uint64(30)
    state *= FIRST
    state ^= state >> np.uint64(27)
    state *= SECOND
    state ^= state >> np.uint64(31)
    return state
