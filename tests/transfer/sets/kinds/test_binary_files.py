"""Sets in the binary files of their makers, beside torchvision's readers."""

import gzip
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import MNIST, STL10

from tagmill.shards import InputError
from tagmill.transfer.sets.kinds.binary_files import binary_set, is_binary, refuse_pickles
from tagmill.transfer.sets.labelled_set import LabelledSet
from tagmill.transfer.sets.set_files import SetFiles
from tests.transfer.sets.made import write_files

RANDOM = np.random.default_rng(0)


def idx(array: np.ndarray[Any, Any]) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


def opened(folder: Path, split: str | None) -> LabelledSet:
    files = SetFiles.below(str(folder))
    assert is_binary(files)
    return binary_set("made", files, split)


def images_of(found: LabelledSet) -> list[Any]:
    return [np.asarray(Image.open(io.BytesIO(data or b""))).tolist() for data in found.read(range(len(found)))]


def mnist() -> dict[str, bytes]:
    files = dict[str, bytes]()
    for front, count in (("train", 7), ("t10k", 4)):
        images = RANDOM.integers(0, 256, (count, 28, 28), np.uint8)
        files[f"MNIST/raw/{front}-images-idx3-ubyte"] = idx(images)
        files[f"MNIST/raw/{front}-labels-idx1-ubyte"] = idx(np.arange(count, dtype=np.uint8))
    return files


@pytest.mark.parametrize("packed", [False, True])
def test_idx_files_are_those_of_torchvision(tmp_path: Path, packed: bool) -> None:
    files = mnist()
    write_files(tmp_path / "theirs", files)
    ours = {f"{name}.gz": gzip.compress(data) for name, data in files.items()} if packed else files
    folder = write_files(tmp_path / "ours", ours)
    for split in ("train", "test"):
        theirs = MNIST(tmp_path / "theirs", train=split == "train")
        found = opened(folder, split)
        assert [each.labels[0] for each in found.examples] == theirs.targets.tolist()
        assert images_of(found) == theirs.data.tolist()
    with pytest.raises(InputError, match="several parts: test, train"):
        opened(folder, None)


def test_stl_files_are_those_of_torchvision(tmp_path: Path) -> None:
    files = {"stl10_binary/class_names.txt": "\n".join("abcdefghij").encode()}
    for part in ("train", "test"):
        files[f"stl10_binary/{part}_X.bin"] = RANDOM.integers(0, 256, (3, 3, 96, 96), np.uint8).tobytes()
        files[f"stl10_binary/{part}_y.bin"] = bytes([1, 10, 3])
    write_files(tmp_path, files)
    theirs = STL10.__new__(STL10)  # its constructor wants the published files by their MD5
    theirs.root, theirs.base_folder = str(tmp_path), "stl10_binary"
    images, labels = theirs._STL10__loadfile("test_X.bin", "test_y.bin")
    found = opened(tmp_path, "test")
    assert [each.labels[0] for each in found.examples] == labels.tolist()
    assert images_of(found) == np.transpose(images, (0, 2, 3, 1)).tolist()
    assert found.classes[9].name == "j"


@pytest.mark.parametrize("hundred", [False, True])
def test_cifars_binary_version(tmp_path: Path, hundred: bool) -> None:
    images = RANDOM.integers(0, 256, (4, 3, 32, 32), np.uint8)
    labels = np.array([[9, 0], [3, 1], [7, 1], [9, 0]], np.uint8)
    records = np.concatenate([labels if hundred else labels[:, 1:], images.reshape(4, -1)], axis=1).tobytes()
    half = len(records) // 2
    files = {"c/train.bin": records, "c/test.bin": records[:half], "c/fine_label_names.txt": b"apple\nelk\n"}
    if not hundred:
        files = {"c/data_batch_1.bin": records[:half], "c/data_batch_2.bin": records[half:]}
        files |= {"c/test_batch.bin": records[:half], "c/batches.meta.txt": b"apple\nelk\n\n"}
    folder = write_files(tmp_path, files)
    found = opened(folder, "train")
    assert [each.labels[0] for each in found.examples] == [0, 1, 1, 0]
    assert [each.name for each in found.classes] == ["apple", "elk"]
    assert images_of(found) == images.transpose(0, 2, 3, 1).tolist()
    assert len(opened(folder, "test")) == 2


@pytest.mark.parametrize("name", ["cifar-10-batches-py/data_batch_1", "x/test_batch", "a.pkl", "b/model.pth"])
def test_pickles_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="Python pickles, such as"):
        refuse_pickles(SetFiles.below(str(write_files(tmp_path, {name: b""}))))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"train-images-idx3-ubyte": idx(np.zeros((2, 3, 3), np.uint8))[:-1]}, "17 bytes for the shape"),
        ({"train-images-idx3-ubyte": b"\0\0\x08\x03"}, "no idx file of bytes with 3 dimensions"),
        ({"train-images-idx3-ubyte": idx(np.zeros((2, 3), np.uint8))}, "no idx file of bytes with 3 dimensions"),
        ({"train-images-idx3-ubyte": idx(np.zeros((2, 3, 3), np.uint8))}, "no such file"),
        ({"train.bin": bytes(3074 * 2 + 1)}, "no whole records of 3,074"),
        ({"train_X.bin": bytes(27648), "train_y.bin": b"\0"}, "the label 0"),
        ({"train_X.bin": bytes(27648)}, "no such file"),
    ],
)
def test_files_that_were_cut_are_errors(tmp_path: Path, files: dict[str, bytes], message: str) -> None:
    with pytest.raises(InputError, match=message):
        opened(write_files(tmp_path, files), None)


def test_other_files_are_no_binary_set(tmp_path: Path) -> None:
    files = SetFiles.below(str(write_files(tmp_path, {"a.bin": b"", "images": b""})))
    assert not is_binary(files)
    with pytest.raises(InputError, match="no binary files"):
        binary_set("made", files, None)
