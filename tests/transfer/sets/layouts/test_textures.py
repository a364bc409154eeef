"""DTD, beside torchvision's reader."""

from pathlib import Path

import pytest
from torchvision.datasets import DTD

from tagmill.shards import InputError
from tagmill.transfer.sets.layouts.textures import texture_set
from tagmill.transfer.sets.set_files import SetFiles
from tagmill.transfer.sets.stored_images import StoredSet
from tests.transfer.sets.layouts.beside_torchvision import names, ours, theirs, write_images
from tests.transfer.sets.made import write_files

IMAGES = [f"{label}/{label}_{number}.jpg" for label in ("dotted", "woven", "banded") for number in range(3)]


def lists(partition: int) -> dict[str, bytes]:
    """Each image is in one part, another in each partition; every part has all classes."""
    parts = {"train": partition % 3, "val": (partition + 1) % 3, "test": (partition + 2) % 3}
    return {
        f"labels/{part}{partition}.txt": "".join(f"{name}\n" for name in IMAGES[start::3]).encode()
        for part, start in parts.items()
    }


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "dtd" / "dtd"
    write_images(folder, [f"images/{name}" for name in IMAGES])
    write_files(folder, lists(1) | lists(2) | lists(10) | {"labels/labels_joint_anno.txt": b"x"})
    return tmp_path


def opened(root: Path, split: str | None) -> StoredSet:
    return texture_set("dtd", SetFiles.below(str(root / "dtd" / "dtd")), split)


@pytest.mark.parametrize(
    ("split", "part", "partition"),
    [("train", "train", 1), ("val1", "val", 1), ("test", "test", 1), ("train2", "train", 2), ("test10", "test", 10)],
)
def test_samples_are_those_of_torchvision(root: Path, split: str, part: str, partition: int) -> None:
    other = DTD(str(root), part, partition)
    found = opened(root, split)
    assert ours(found) == theirs(other) and names(found) == other.classes


def test_parts_by_their_names(root: Path) -> None:
    both = opened(root, "train1+val")
    assert both.name == "dtd-train+val" and len(both) == 6
    assert opened(root, "test1").name == "dtd-test"
    with pytest.raises(InputError, match="several parts: train, val, test, train2"):
        opened(root, None)
    with pytest.raises(InputError, match="no part 'train3'"):
        opened(root, "train3")


@pytest.mark.parametrize("line", ["dotted", "a/b/c.jpg", "/x.jpg", "a/"])
def test_other_lines_are_errors(tmp_path: Path, line: str) -> None:
    write_files(tmp_path / "dtd" / "dtd", {"labels/train1.txt": f"a/1.jpg\n{line}\n".encode()})
    with pytest.raises(InputError, match=r"is no path \(.*train1\.txt, line 2\): lines are CLASS/IMAGE.jpg"):
        opened(tmp_path, "train")


def test_a_class_that_leaves_the_folder(tmp_path: Path) -> None:
    write_files(tmp_path / "dtd" / "dtd", {"labels/train1.txt": b"a/1.jpg\n../x.jpg\n"})
    with pytest.raises(InputError, match=r"not below the folder of the set, 'images/\.\./x\.jpg' \(.*line 2\)"):
        opened(tmp_path, "train")
