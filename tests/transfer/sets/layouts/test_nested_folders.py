"""Caltech-101, Caltech-256 and EuroSAT, beside torchvision's readers."""

from pathlib import Path

import pytest
from torchvision.datasets import Caltech101, Caltech256, EuroSAT

from tagmill.shards import InputError
from tagmill.transfer.sets.layouts.all_layouts import layout_set
from tagmill.transfer.sets.layouts.nested_folders import nested_set
from tagmill.transfer.sets.set_files import SetFiles
from tests.transfer.sets.layouts.beside_torchvision import names, ours, theirs, write_images
from tests.transfer.sets.made import write_files


def test_caltech_101_is_that_of_torchvision(tmp_path: Path) -> None:
    classes = ["airplanes", "Faces", "Faces_easy", "BACKGROUND_Google"]
    images = [f"101_ObjectCategories/{name}/image_{number:04d}.jpg" for name in classes for number in (1, 2, 3)]
    write_images(tmp_path / "caltech101", images)
    write_files(tmp_path / "caltech101", {"Annotations/Faces_2/annotation_0001.mat": b""})
    other = Caltech101(str(tmp_path))
    found = layout_set("caltech-101", SetFiles.below(str(tmp_path)), None)
    assert ours(found) == theirs(other) and names(found) == other.categories == ["Faces", "Faces_easy", "airplanes"]
    assert found.name == "caltech-101"


def test_caltech_256_is_that_of_torchvision(tmp_path: Path) -> None:
    images = [
        f"256_ObjectCategories/{name}/{name[:3]}_000{n}.jpg" for name in ("002.spider", "001.dog") for n in (1, 2)
    ]
    folder = write_images(tmp_path / "caltech256", images)
    # The published archive has these two beside its images.
    write_images(
        folder, ["256_ObjectCategories/001.dog/greg/vision309/1.jpg", "256_ObjectCategories/002.spider/RENAME2"]
    )
    other = Caltech256(str(tmp_path))
    found = layout_set("caltech-256", SetFiles.below(str(tmp_path)), None)
    assert ours(found) == theirs(other) and names(found) == other.categories


def test_eurosat_is_that_of_torchvision(tmp_path: Path) -> None:
    write_images(
        tmp_path / "eurosat" / "2750", [f"{name}/{name}_{n}.jpg" for name in ("River", "Forest") for n in (2, 10)]
    )
    other = EuroSAT(str(tmp_path))
    found = layout_set("eurosat", SetFiles.below(str(tmp_path)), None)
    assert ours(found) == theirs(other) and names(found) == other.classes


def test_a_class_folder_of_the_same_name_is_no_layout(tmp_path: Path) -> None:
    files = SetFiles.below(str(write_images(tmp_path, ["2749/1.jpg", "2750/1.jpg"])))
    with pytest.raises(InputError, match="no files of eurosat"):
        layout_set("eurosat", files, None)


def test_there_are_no_parts(tmp_path: Path) -> None:
    files = SetFiles.below(str(write_images(tmp_path, ["2750/a/1.jpg", "2750/b/1.jpg"])))
    with pytest.raises(InputError, match=r"no part 'train' .*: the set has no parts"):
        nested_set("2750", "eurosat", files, "train")
