"""Draws for samples: a function of seed, purpose, the sample's key and one more number, and of nothing else.

So they are the same on every machine, in any order and for any division of the work, and one draw never moves another.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from tagmill.shards.arrays import Bools, Floats, Int64s, UInt64s

Keys = npt.NDArray[np.uint8]

# Purposes: draws of one never meet draws of another. A number that was used once is never given to something else.
SUBSET: Final = 0  # whether a sample is in a subset
REPLACE: Final = 1  # whether a label is replaced by noise
REPLACEMENT: Final = 2  # the label that it becomes

# SplitMix64, G. L. Steele Jr., D. Lea and C. H. Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014,
# section 3, with the constants of the published generator (Stafford's "Mix13").
GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
FIRST: Final = np.uint64(0xBF58476D1CE4E5B9)
SECOND: Final = np.uint64(0x94D049BB133111EB)
LOW: Final = np.uint64(0xFFFFFFFF)
HALF: Final = np.uint64(32)


def keys_of(texts: Sequence[str]) -> Keys:
    """Keys [n, 16] of their hex digits."""
    return np.frombuffer(bytes.fromhex("".join(texts)), np.uint8).reshape(-1, 16)


def words(seed: int, purpose: int, keys: Keys, extra: Int64s | int = 0) -> UInt64s:
    """Uniform 64-bit words [n] for `keys` [n, 16]; `extra` is one number, or each key's own ([n]). Seed and extra count
    modulo 2^64.

    Seed, purpose, the two little-endian words of a key, and extra are taken up one after the other, each by
    x -> mix(x ^ word). Not for secrets.
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
    """Numbers [n] in [0, 1), multiples of 2^-53: the upper bits of `words`."""
    return (words(seed, purpose, keys, extra) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def draw_below(drawn: UInt64s, bounds: Int64s) -> Int64s:
    """From words [n] whole numbers in [0, bound), exactly floor(word x bound / 2^64); `bounds` [n] are at least 1.

    No number's probability is off by more than 2^-64. The product of 128 bits is made of halves of 32.
    """
    bound = bounds.astype(np.uint64)
    high, low = drawn >> HALF, drawn & LOW
    bound_high, bound_low = bound >> HALF, bound & LOW
    middle = high * bound_low + (low * bound_low >> HALF)
    other = low * bound_high + (middle & LOW)
    product: UInt64s = high * bound_high + (middle >> HALF) + (other >> HALF)
    return product.astype(np.int64)


def in_subset(seed: int, keys: Keys, share: float) -> Bools:
    """Which of the samples [n] are in a subset of about `share` (above 0, at most 1) of all. A seed's subsets are
    nested: a smaller share is inside a larger one."""
    return np.asarray(uniform(seed, SUBSET, keys) < share)


def _mix(state: UInt64s) -> UInt64s:
    """SplitMix64's step and finaliser. The step comes first because the finaliser alone keeps 0."""
    state = state + GOLDEN
    state ^= state >> np.uint64(30)
    state *= FIRST
    state ^= state >> np.uint64(27)
    state *= SECOND
    state ^= state >> np.uint64(31)
    return state
