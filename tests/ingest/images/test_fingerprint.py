"""Fingerprints: golden values, the order of PDQ's words, and small distances between similar images."""

import hashlib

import numpy as np
import pdqhash
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.ingest.images.fingerprint import fingerprint, holdout_order


def blobs(seed: int) -> np.ndarray:
    rough = np.random.default_rng(seed).uniform(0, 255, (8, 8))
    return np.kron(rough, np.ones((8, 8))).astype(np.uint8)


def bits(words: tuple[int, ...]) -> int:
    return sum((word & (1 << 64) - 1) << 64 * (3 - i) for i, word in enumerate(words))


@pytest.mark.parametrize("seed", range(5))
def test_the_words_are_the_bits_of_pdq_in_order(seed: int) -> None:
    made = fingerprint(b"bytes", blobs(seed))
    reference, quality = pdqhash.compute(np.repeat(blobs(seed)[..., None], 3, axis=2))
    assert bits(made.pdq) == int("".join(str(int(bit)) for bit in reference), 2)
    assert made.pdq_quality == quality
    assert all(-(1 << 63) <= word < 1 << 63 for word in made.pdq)
    assert made.sha256 == hashlib.sha256(b"bytes").hexdigest()


def test_near_pictures_are_near_and_others_are_not() -> None:
    picture = blobs(1)
    noisy = np.clip(picture.astype(int) + np.random.default_rng(2).integers(-2, 3, picture.shape), 0, 255)
    mine, near, other = (bits(fingerprint(b"", p.astype(np.uint8)).pdq) for p in (picture, noisy, blobs(3)))
    assert (mine ^ near).bit_count() <= 40 < 80 < (mine ^ other).bit_count()


def test_an_empty_picture_has_no_quality() -> None:
    assert fingerprint(b"", np.full((64, 64), 9, np.uint8)).pdq_quality == 0


def test_golden_values() -> None:
    """Corpora hold these numbers: a change of them is a change of the format."""
    assert holdout_order("00" * 32, 0) == 1894259676329795079
    assert holdout_order("ff" * 32, -1) == -6704178357606566528
    words = (5694305992841368283, 2180602893483192441, -4238363311026048712, 7006595123929662046)
    assert (
        bits(fingerprint(b"", blobs(0)).pdq) ^ bits(words)
    ).bit_count() <= 2  # other processors round floats otherwise


@given(st.binary(min_size=32, max_size=32), st.integers(-(1 << 63), (1 << 63) - 1))
def test_the_holdout_order_depends_on_both_and_fits_into_64_bits(digest: bytes, seed: int) -> None:
    order = holdout_order(digest.hex(), seed)
    assert -(1 << 63) <= order < 1 << 63
    assert order != holdout_order(digest.hex(), seed ^ 1)
    assert order == holdout_order(digest.hex(), seed)
