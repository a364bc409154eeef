"""Oxford-IIIT Pet, beside torchvision's reader."""

from pathlib import Path

import pytest
from torchvision.datasets import OxfordIIITPet

from tagmill.shards import InputError
from tagmill.transfer.sets.layouts.pets import pet_set
from tagmill.transfer.sets.set_files import SetFiles
from tagmill.transfer.sets.stored_images import StoredSet
from tests.transfer.sets.layouts.beside_torchvision import names, ours, theirs, write_images
from tests.transfer.sets.made import write_files

TRAINVAL = "Abyssinian_10 1 1 1\namerican_bulldog_3 2 2 1\nAbyssinian_11 1 1 1\nBengal_7 3 1 2\n"
TEST = "Bengal_8 3 1 2\namerican_bulldog_30 2 2 1\nAbyssinian_1 1 1 1\n"


def opened(folder: Path, split: str | None) -> StoredSet:
    return pet_set("oxford-iiit-pet", SetFiles.below(str(folder)), split)


def written(folder: Path, trainval: str, test: str = TEST) -> Path:
    return write_files(folder, {"annotations/trainval.txt": trainval.encode(), "annotations/test.txt": test.encode()})


@pytest.mark.parametrize("split", ["trainval", "test"])
def test_samples_are_those_of_torchvision(tmp_path: Path, split: str) -> None:
    folder = written(tmp_path / "oxford-iiit-pet", TRAINVAL)
    write_images(folder, [f"images/{line.split()[0]}.jpg" for line in (TRAINVAL + TEST).splitlines()])
    other = OxfordIIITPet(str(tmp_path), split)
    found = opened(folder, split)
    assert ours(found) == theirs(other)
    assert names(found) == other.classes == ["Abyssinian", "American Bulldog", "Bengal"]


def test_a_class_of_the_other_list_keeps_its_place(tmp_path: Path) -> None:
    found = opened(written(tmp_path, "Bengal_7 3 1 2\n"), "trainval")
    assert names(found)[2] == "Bengal" and found.examples[0].labels == (2,)
    assert found.read([0]) == [None]


@pytest.mark.parametrize(
    ("trainval", "message"),
    [
        ("Bengal_7 3 1\n", r"3 cells, 'Bengal_7 3 1' \(.*trainval\.txt, line 1\): lines are image, class, species"),
        ("\nBengal_7 0 1 1\n", r"'0' is no number of a class \(.*trainval\.txt, line 2\)"),
        ("Bengal_7 -1 1 1\n", "no number of a class"),
        ("Bengal_7 ³ 1 1\n", "no number of a class"),
        ("Bengal_7 100000 1 1\n", "no number of a class"),
        ("Bengal_7 1 1 1\nAbyssinian_1 1 1 1\n", r"the image 'Abyssinian_1' in class 1, 'Bengal' \(.*line 2\)"),
        ("noname 1 1 1\n", "the image 'noname' in class 1"),
        ("Persian_7 5 1 1\n", "no image of class 4 of 5"),
        ("../../x_1 4 1 1\n", r"not below the folder of the set, 'images/\.\./\.\./x_1\.jpg'"),
    ],
)
def test_other_lines_are_errors(tmp_path: Path, trainval: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        opened(written(tmp_path, trainval), "trainval")
