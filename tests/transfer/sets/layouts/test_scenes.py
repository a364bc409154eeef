"""SUN397, beside torchvision's reader."""

from pathlib import Path

import pytest
from torchvision.datasets import SUN397

from tagmill.shards import InputError
from tagmill.transfer.sets.layouts.scenes import scene_set
from tagmill.transfer.sets.set_files import SetFiles
from tagmill.transfer.sets.stored_images import StoredSet
from tests.transfer.sets.layouts.beside_torchvision import names, ours, theirs, write_images
from tests.transfer.sets.made import write_files

CLASSES = "/a/abbey\n/a/apartment_building/outdoor\n/z/zen_garden\n/a/airport_terminal\n"
IMAGES = [
    "z/zen_garden/sun_b.jpg",
    "a/abbey/sun_c.jpg",
    "a/abbey/sun_a.jpg",
    "a/apartment_building/outdoor/sun_a.jpg",
    "a/airport_terminal/sun_d.jpg",
]


def opened(folder: Path, split: str | None = None) -> StoredSet:
    return scene_set("sun397", SetFiles.below(str(folder)), split)


def test_samples_are_those_of_torchvision(tmp_path: Path) -> None:
    folder = write_files(write_images(tmp_path / "SUN397", IMAGES), {"ClassName.txt": CLASSES.encode(), "README": b""})
    other = SUN397(str(tmp_path))
    found = opened(folder)
    assert sorted(ours(found)) == sorted(theirs(other))  # theirs are in the order of the disk
    assert names(found) == other.classes and [each.key for each in found.examples] == sorted(IMAGES)
    with pytest.raises(InputError, match=r"no part 'train' .*: the set has no parts"):
        opened(folder, "train")


@pytest.mark.parametrize("line", ["abbey", "/a/", "/a", "/1/abbey", "a/abbey", "//a/abbey"])
def test_other_lines_are_errors(tmp_path: Path, line: str) -> None:
    write_files(write_images(tmp_path, IMAGES), {"ClassName.txt": f"/a/abbey\n{line}\n".encode()})
    with pytest.raises(InputError, match=r"is no class \(.*ClassName\.txt, line 2\): lines are like /a/abbey"):
        opened(tmp_path)


def test_a_folder_that_is_no_class(tmp_path: Path) -> None:
    write_files(write_images(tmp_path, IMAGES), {"ClassName.txt": b"/a/abbey\n/z/zen_garden\n"})
    with pytest.raises(InputError, match=r"the class 'airport_terminal', which the set does not have \(.*sun_d\.jpg\)"):
        opened(tmp_path)
