"""Fingerprints: sha256 of the bytes that came, PDQ of the picture, and the order in which pictures are held out."""

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pdqhash


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What tells pictures apart: exactly (sha256) and nearly (PDQ, Facebook's 256-bit perceptual hash)."""

    sha256: str  # 64 hex digits
    pdq: tuple[int, int, int, int]  # four signed 64-bit words, the most significant first
    pdq_quality: int  # 0 to 100; low where there is little to see


def fingerprint(body: bytes, thumbnail: npt.NDArray[np.uint8]) -> Fingerprint:
    """Of the source bytes, and of a uint8 luma thumbnail [height, width] of the picture that they give."""
    return Fingerprint(hashlib.sha256(body).hexdigest(), *pdq_of(thumbnail))


def pdq_of(thumbnail: npt.NDArray[np.uint8]) -> tuple[tuple[int, int, int, int], int]:
    """PDQ and its quality, as `Fingerprint` has them."""
    luma = np.ascontiguousarray(np.broadcast_to(thumbnail[..., None], (*thumbnail.shape, 3)))
    bits, quality = pdqhash.compute(luma)
    words = np.packbits(bits.astype(np.uint8)).view(">i8")
    first, second, third, fourth = (int(word) for word in words)
    return (first, second, third, fourth), int(quality)


def holdout_order(sha256: str, seed: int) -> int:
    """A signed 64-bit number by which pictures are held out, the smallest first: a function of seed and bytes alone."""
    text = seed.to_bytes(8, "little", signed=True) + b"holdout" + bytes.fromhex(sha256)
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big", signed=True)
