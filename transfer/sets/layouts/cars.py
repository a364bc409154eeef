"""Reads Stanford Cars: images, their classes and the names of these are in `.mat` files."""

from collections.abc import Iterator
from typing import Any

import numpy.typing as npt

from tagmill.shards.errors import InputError
from tagmill.transfer.sets.layouts.layout import Layout, chosen_parts, part_name
from tagmill.transfer.sets.layouts.listed_images import (
    BRING,
    MOST_LISTED_BYTES,
    ListedImage,
    file_url,
    list_bytes,
    listed_set,
)
from tagmill.transfer.sets.matlab.mat_file import field_of, mat_variables, numbers, texts
from tagmill.transfer.sets.set_files import SetFiles
from tagmill.transfer.sets.stored_images import StoredSet

_NAMES = "devkit/cars_meta.mat"
_LISTS = {
    "train": ("cars_train", "devkit/cars_train_annos.mat"),
    "test": ("cars_test", "cars_test_annos_withlabels.mat"),
}


def car_set(kind: str, files: SetFiles, split: str | None) -> StoredSet:
    """Returns a part of the set: train or test. The list of the test images is the one with labels."""
    parts = chosen_parts(split, [part for part, (_, name) in _LISTS.items() if name in files.sizes], files.store.url)
    classes = texts(_variable(files, _NAMES, "class_names"), "class_names", file_url(files, _NAMES))
    rows = [row for part in parts for row in _rows(files, *_LISTS[part], classes)]
    return listed_set(part_name(kind, parts), files, classes, rows)


def _variable(files: SetFiles, name: str, variable: str) -> npt.NDArray[Any]:
    return mat_variables(list_bytes(files, name), (variable,), MOST_LISTED_BYTES, file_url(files, name))[variable]


def _rows(files: SetFiles, folder: str, name: str, classes: list[str]) -> Iterator[ListedImage]:
    where, found = file_url(files, name), _variable(files, name, "annotations")
    images = texts(field_of(found, "fname", where), "fname", where)
    labels = numbers(field_of(found, "class", where), "class", where)
    for row, (image, label) in enumerate(zip(images, labels, strict=True), 1):
        if not 1 <= label <= len(classes):
            raise InputError(f"the class {label}, of 1 to {len(classes)}", f"{where}, row {row}", BRING)
        yield ListedImage(f"{folder}/{image}", classes[label - 1], f"{where}, row {row}")


CARS = Layout(("stanford_cars",), (*(name for _, name in _LISTS.values()), _NAMES), car_set)
