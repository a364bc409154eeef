"""Fingerprints of images: sha256 of the source bytes, PDQ of the pixels, and the order in which images are held out."""

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pdqhash


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Identifies an image exactly (sha256) and approximately (PDQ, a 256-bit perceptual hash)."""

    sha256: str  # 64 hex digits
    pdq: tuple[int, int, int, int]  # four signed 64-bit words, the most significant first
    pdq_quality: int  # 0 to 100; low for images without detail


def fingerprint(body: bytes, thumbnail: npt.NDArray[np.uint8]) -> Fingerprint:
    """Returns the fingerprint of source bytes and of the uint8 luma thumbnail [height, width] that they decode to."""
    return Fingerprint(hashlib.sha256(body).hexdigest(), *pdq_of(thumbnail))


def pdq_of(thumbnail: npt.NDArray[np.uint8]) -> tuple[tuple[int, int, int, int], int]:
    """Returns the PDQ hash and its quality, as in `Fingerprint`, of a uint8 luma thumbnail [height, width]."""
    luma = np.ascontiguousarray(np.broadcast_to(thumbnail[..., None], (*thumbnail.shape, 3)))
    bits, quality = pdqhash.compute(luma)
    words = np.packbits(bits.astype(np.uint8)).view(">i8")
    first, second, third, fourth = (int(word) for word in words)
    return (first, second, third, fourth), int(quality)


def holdout_order(sha256: str, seed: int) -> int:
    """Returns a signed 64-bit sort key, a function of seed and source bytes only; the smallest keys are held out."""
    text = seed.to_bytes(8, "little", signed=True) + b"holdout" + bytes.fromhex(sha256)
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big", signed=True)
