"""Reads Flowers-102: the numbers of images of each part, and their labels, are in `.mat` files."""

from collections.abc import Iterator

from tagmill.shards.errors import InputError
from tagmill.transfer.sets.layouts.flower_names import FLOWERS
from tagmill.transfer.sets.layouts.layout import Layout, chosen_parts, part_name
from tagmill.transfer.sets.layouts.listed_images import (
    BRING,
    MOST_LISTED_BYTES,
    ListedImage,
    file_url,
    list_bytes,
    listed_set,
)
from tagmill.transfer.sets.matlab.mat_file import mat_variables, whole_numbers
from tagmill.transfer.sets.set_files import SetFiles
from tagmill.transfer.sets.stored_images import StoredSet

_PARTS = {"train": "trnid", "val": "valid", "test": "tstid"}
_PART_FILE, _LABEL_FILE = "setid.mat", "imagelabels.mat"


def flower_set(kind: str, files: SetFiles, split: str | None) -> StoredSet:
    """Returns a part of the set: train, val or test. Classes have the names that torchvision gives them."""
    parts = chosen_parts(split, [*_PARTS], files.store.url)
    rows = [row for part in parts for row in _rows(files, _PARTS[part], _labels(files))]
    return listed_set(part_name(kind, parts), files, FLOWERS, rows)


def _labels(files: SetFiles) -> list[int]:
    where = file_url(files, _LABEL_FILE)
    data = list_bytes(files, _LABEL_FILE)
    labels = whole_numbers(
        mat_variables(data, ("labels",), MOST_LISTED_BYTES, where)["labels"], "labels", where
    ).tolist()
    for row, label in enumerate(labels, 1):
        if not 1 <= label <= len(FLOWERS):
            raise InputError(f"the class {label}, of 1 to {len(FLOWERS)}", f"{where}, row {row}", BRING)
    return [*map(int, labels)]


def _rows(files: SetFiles, variable: str, labels: list[int]) -> Iterator[ListedImage]:
    where = file_url(files, _PART_FILE)
    data = list_bytes(files, _PART_FILE)
    found = mat_variables(data, (variable,), MOST_LISTED_BYTES, where)[variable]
    for row, image in enumerate(whole_numbers(found, variable, where).tolist(), 1):
        here = f"{where}, row {row} of {variable}"
        if not 1 <= image <= len(labels):
            raise InputError(f"the image {image}, of 1 to {len(labels):,}", here, BRING)
        yield ListedImage(f"jpg/image_{image:05d}.jpg", FLOWERS[labels[image - 1] - 1], here)


FLOWERS_102 = Layout(("flowers-102",), (_PART_FILE, _LABEL_FILE), flower_set)
