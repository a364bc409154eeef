"""FGVC-Aircraft, beside torchvision's reader."""

from pathlib import Path

import pytest
from torchvision.datasets import FGVCAircraft

from tagmill.shards import InputError
from tagmill.transfer.sets.layouts.aircraft import aircraft_set
from tagmill.transfer.sets.set_files import SetFiles
from tagmill.transfer.sets.stored_images import StoredSet
from tests.transfer.sets.layouts.beside_torchvision import names, ours, theirs, write_images
from tests.transfer.sets.made import write_files

# Classes have blanks, and are not sorted.
LEVELS = {
    "variant": ("variants", ["707-320", "Cessna 172", "A300B4"]),
    "family": ("families", ["Cessna 172", "A300", "Boeing 707"]),
    "manufacturer": ("manufacturers", ["Cessna", "Boeing"]),
}
PARTS = {"train": [1, 2, 3], "val": [4, 5], "trainval": [5, 1, 2, 3, 4], "test": [6, 7]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files = dict[str, bytes]()
    for level, (name, classes) in LEVELS.items():
        files[f"data/{name}.txt"] = "".join(f"{each}\n" for each in classes).encode()
        for part, images in PARTS.items():
            lines = [f"{number:07d} {classes[number % len(classes)]}\r\n" for number in images]
            files[f"data/images_{level}_{part}.txt"] = "".join(lines).encode()
    made = tmp_path / "fgvc-aircraft-2013b"
    write_images(made, [f"data/images/{number:07d}.jpg" for number in range(1, 8)])
    return write_files(made, files)


def opened(folder: Path, level: str, split: str | None) -> StoredSet:
    return aircraft_set(level, "fgvc-aircraft", SetFiles.below(str(folder)), split)


@pytest.mark.parametrize("level", [*LEVELS])
@pytest.mark.parametrize("split", [*PARTS])
def test_samples_are_those_of_torchvision(folder: Path, level: str, split: str) -> None:
    other = FGVCAircraft(str(folder.parent), split, level)
    found = opened(folder, level, split)
    assert ours(found) == theirs(other) and names(found) == other.classes == LEVELS[level][1]


def test_other_lines_are_errors(folder: Path) -> None:
    (folder / "data" / "images_variant_val.txt").write_text("0000004 707-320\n0000005\n")
    with pytest.raises(InputError, match=r"1 cells, '0000005' \(.*images_variant_val\.txt, line 2\)"):
        opened(folder, "variant", "val")
    (folder / "data" / "images_variant_val.txt").write_text("0000004 Boeing 747\n")
    with pytest.raises(InputError, match=r"the class 'Boeing 747', which the set does not have \(.*line 1\)"):
        opened(folder, "variant", "val")
    (folder / "data" / "variants.txt").unlink()
    with pytest.raises(InputError, match=r"no such file \(.*data/variants\.txt\)"):
        opened(folder, "variant", "train")
    with pytest.raises(InputError, match="several parts: train, val, trainval, test"):
        opened(folder, "variant", None)
