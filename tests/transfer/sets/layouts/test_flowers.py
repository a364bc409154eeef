"""Flowers-102, beside torchvision's reader."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torchvision.datasets import Flowers102, flowers102

from tagmill.shards import InputError
from tagmill.transfer.sets.layouts.flowers import flower_set
from tagmill.transfer.sets.set_files import SetFiles
from tagmill.transfer.sets.stored_images import StoredSet
from tests.transfer.sets.layouts.beside_torchvision import names, ours, theirs, write_images
from tests.transfer.sets.made import write_files
from tests.transfer.sets.matlab.made_mat import mat

LABELS = [77, 1, 102, 3, 1, 50, 77]
PARTS = {"trnid": [7, 2], "valid": [4, 6], "tstid": [1, 3, 5]}


def written(folder: Path, labels: Any = LABELS, **parts: Any) -> Path:
    files = {
        "imagelabels.mat": mat(True, labels=np.array(labels, np.float64)),
        "setid.mat": mat(False, **{name: np.array(each, np.uint16) for name, each in (PARTS | parts).items()}),
    }
    return write_files(folder, files)


def opened(folder: Path, split: str | None) -> StoredSet:
    return flower_set("flowers-102", SetFiles.below(str(folder)), split)


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_samples_are_those_of_torchvision(tmp_path: Path, split: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flowers102, "check_integrity", lambda *_: True)  # of the published files, by their MD5
    folder = written(write_images(tmp_path / "flowers-102", [f"jpg/image_{n:05d}.jpg" for n in range(1, 8)]))
    other = Flowers102(str(tmp_path), split)
    found = opened(folder, split)
    assert ours(found) == [(pixels, int(label)) for pixels, label in theirs(other)]
    assert names(found) == other.classes


def test_two_parts_as_one_and_images_that_are_not_there(tmp_path: Path) -> None:
    found = opened(written(tmp_path), "train+val")
    assert [each.key for each in found.examples] == [f"jpg/image_{n:05d}.jpg" for n in (7, 2, 4, 6)]
    assert found.read([0, 1, 2, 3]) == [None] * 4
    with pytest.raises(InputError, match="several parts: train, val, test"):
        opened(tmp_path, None)


@pytest.mark.parametrize(
    ("labels", "trnid", "message"),
    [
        ([1, 103], [1], r"the class 103, of 1 to 102 \(.*imagelabels\.mat, row 2\)"),
        ([1, 0], [1], "the class 0, of 1 to 102"),
        ([1.5], [1], r"labels that are not whole numbers \(.*imagelabels\.mat\)"),
        ([[1, 2], [3, 4]], [1], r"labels of type float64 and shape \(2, 2\)"),
        ([1, 2], [1, 3], r"the image 3, of 1 to 2 \(.*setid\.mat, row 2 of trnid\)"),
        ([1, 2], [0], r"the image 0, of 1 to 2 \(.*setid\.mat, row 1 of trnid\)"),
        ([1, 2], [2, 2], r"the image 'jpg/image_00002\.jpg' again"),
    ],
)
def test_other_numbers_are_errors(tmp_path: Path, labels: Any, trnid: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        opened(written(tmp_path, labels, trnid=trnid), "train")


def test_a_file_that_is_missing_or_has_other_variables(tmp_path: Path) -> None:
    folder = write_files(tmp_path, {"setid.mat": mat(x=1.0), "imagelabels.mat": mat(labels=[1])})
    with pytest.raises(InputError, match=r"not one variable 'trnid'; it has x \(.*setid\.mat\)"):
        opened(folder, "train")
    (folder / "imagelabels.mat").unlink()
    with pytest.raises(InputError, match=r"no such file \(.*imagelabels\.mat\)"):
        opened(folder, "train")
