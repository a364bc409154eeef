"""Stanford Cars, beside torchvision's reader."""

from pathlib import Path
from typing import Any

import pytest
from torchvision.datasets import StanfordCars

from tagmill.shards import InputError
from tagmill.transfer.sets.layouts.cars import car_set
from tagmill.transfer.sets.set_files import SetFiles
from tagmill.transfer.sets.stored_images import StoredSet
from tests.transfer.sets.layouts.beside_torchvision import names, ours, theirs, write_images
from tests.transfer.sets.made import write_files
from tests.transfer.sets.matlab.made_mat import cells, mat, records

CLASSES = ["Volvo 240 Sedan 1993", "Acura RL Sedan 2012", "Ram C/V Cargo Van Minivan 2012"]
TRAIN = {"class": [2, 3, 2, 1], "fname": [f"0000{number}.jpg" for number in (1, 2, 4, 3)]}
TEST = {"class": [1, 2], "fname": ["00002.jpg", "00001.jpg"]}


def rows(columns: dict[str, list[Any]]) -> Any:
    return records(bbox_x1=[39] * len(columns["class"]), **columns)


def written(folder: Path, train: Any = TRAIN, classes: Any = CLASSES) -> Path:
    files = {
        "devkit/cars_meta.mat": mat(True, class_names=cells(*classes)),
        "devkit/cars_train_annos.mat": mat(True, annotations=train if not isinstance(train, dict) else rows(train)),
        "cars_test_annos_withlabels.mat": mat(annotations=rows(TEST)),
        "devkit/cars_test_annos.mat": b"without labels",
    }
    return write_files(folder, files)


def opened(folder: Path, split: str | None) -> StoredSet:
    return car_set("stanford-cars", SetFiles.below(str(folder)), split)


@pytest.mark.parametrize("split", ["train", "test"])
def test_samples_are_those_of_torchvision(tmp_path: Path, split: str) -> None:
    images = [*(f"cars_train/{name}" for name in TRAIN["fname"]), *(f"cars_test/{name}" for name in TEST["fname"])]
    folder = written(write_images(tmp_path / "stanford_cars", map(str, images)))
    other = StanfordCars(str(tmp_path), split)
    found = opened(folder, split)
    assert ours(found) == theirs(other) and names(found) == other.classes == CLASSES


def test_parts_are_those_whose_list_is_there(tmp_path: Path) -> None:
    folder = written(tmp_path)
    with pytest.raises(InputError, match="several parts: train, test"):
        opened(folder, None)
    (folder / "cars_test_annos_withlabels.mat").unlink()
    assert opened(folder, None).name == "stanford-cars-train"
    with pytest.raises(InputError, match="no part 'test'"):
        opened(folder, "test")


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ({"class": [1, 4], "fname": ["1.jpg", "2.jpg"]}, r"the class 4, of 1 to 3 \(.*cars_train_annos\.mat, row 2\)"),
        ({"class": [0, 1], "fname": ["1.jpg", "2.jpg"]}, "the class 0, of 1 to 3"),
        ({"class": ["a", 1], "fname": ["1.jpg", "2.jpg"]}, r"class of type <U1.*row 1"),
        ({"class": [[1, 2], 1], "fname": ["1.jpg", "2.jpg"]}, r"no number as class \(.*row 1\)"),
        ({"class": [1, 1], "fname": ["1.jpg", 7]}, r"no text as fname \(.*row 2\)"),
        (
            {"class": [1, 1], "fname": ["1.jpg", "../../2.jpg"]},
            r"not below .*'cars_train/\.\./\.\./2\.jpg' \(.*row 2\)",
        ),
        ({"class": [1, 1], "fname": ["1.jpg", "1.jpg"]}, r"again \(.*row 2\): it is also in .*row 1"),
        ({"class": [1, 1], "name": ["1.jpg", "1.jpg"]}, "no structure with the field 'fname'"),
        ([1.0, 2.0], "no structure with the field 'fname'"),
    ],
)
def test_other_annotations_are_errors(tmp_path: Path, train: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        opened(written(tmp_path, train), "train")


def test_other_names_of_classes_are_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no text as class_names \(.*cars_meta\.mat, row 2\)"):
        opened(written(tmp_path / "a", classes=["x", 1.0]), "train")
    with pytest.raises(InputError, match="two classes of one name, 'x'"):
        opened(written(tmp_path / "b", classes=["x", "x", "y"]), "train")
