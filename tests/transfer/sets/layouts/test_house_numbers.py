"""SVHN, beside torchvision's reader."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torchvision.datasets import SVHN, svhn

from tagmill.shards import InputError
from tagmill.transfer.sets.kinds.pixel_arrays import ArraySet
from tagmill.transfer.sets.layouts.house_numbers import house_number_set
from tagmill.transfer.sets.set_files import SetFiles
from tests.transfer.sets.layouts.beside_torchvision import names, ours, theirs
from tests.transfer.sets.made import write_files
from tests.transfer.sets.matlab.made_mat import mat

PIXELS = np.random.default_rng(0).integers(0, 256, (32, 32, 3, 6), np.uint8)
LABELS = np.array([[1], [10], [9], [10], [2], [5]], np.uint8)


def opened(folder: Path, split: str | None) -> ArraySet:
    return house_number_set("svhn", SetFiles.below(str(folder)), split)


@pytest.mark.parametrize("split", ["train", "test", "extra"])
def test_samples_are_those_of_torchvision(tmp_path: Path, split: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(svhn, "check_integrity", lambda *_: True)  # of the published files, by their MD5
    write_files(tmp_path, {f"{split}_32x32.mat": mat(True, X=PIXELS, y=LABELS)})
    found = opened(tmp_path, split)
    assert ours(found) == theirs(SVHN(str(tmp_path), split)) and names(found) == [str(digit) for digit in range(10)]
    assert found.name == f"svhn-{split}" and found.digest == opened(tmp_path, None).digest


@pytest.mark.parametrize(
    ("pixels", "labels", "message"),
    [
        (PIXELS, LABELS - 1, r"the label 0, of 1 to 10 \(.*train_32x32\.mat, row 1 of y\)"),
        (PIXELS, LABELS + 1, r"the label 11, of 1 to 10 \(.*row 2 of y\)"),
        (PIXELS, LABELS[:5], r"labels of shape \(5,\) for 6 images"),
        (PIXELS[:, :, :1], LABELS, r"X of type uint8 and shape \(32, 32, 1, 6\) \(.*\): it is \[32, 32, 3, n\]"),
        (PIXELS.astype(float), LABELS, "X of type float64"),
        (PIXELS, LABELS.astype(float) + 0.5, "y that are not whole numbers"),
    ],
)
def test_other_arrays_are_errors(tmp_path: Path, pixels: Any, labels: Any, message: str) -> None:
    write_files(tmp_path, {"train_32x32.mat": mat(X=pixels, y=labels)})
    with pytest.raises(InputError, match=message):
        opened(tmp_path, "train")
