"""Reads SVHN: images and labels of cropped digits in `.mat` files."""

import numpy as np

from tagmill.shards.errors import InputError
from tagmill.transfer.sets.kinds.pixel_arrays import MOST_ARRAY_BYTES, ArraySet, array_set
from tagmill.transfer.sets.labelled_set import SetClass
from tagmill.transfer.sets.layouts.layout import Layout, part_name
from tagmill.transfer.sets.layouts.listed_images import BRING, file_url, list_bytes
from tagmill.transfer.sets.matlab.mat_file import mat_variables, whole_numbers
from tagmill.transfer.sets.set_files import SetFiles, the_part

_FILES = {part: f"{part}_32x32.mat" for part in ("train", "test", "extra")}
_DIGITS = [SetClass(str(digit)) for digit in range(10)]


def house_number_set(kind: str, files: SetFiles, split: str | None) -> ArraySet:
    """Returns a part of the set: train, test or extra. The file has 10 as the label of the digit 0, whose class is 0. Its
    images are in memory, at the opening several times.

    Raises InputError for another shape than [height, width, 3, n], and for labels that are not 1 to 10.
    """
    part = the_part(split, [each for each, name in _FILES.items() if name in files.sizes], files.store.url)
    where = file_url(files, _FILES[part])
    found = mat_variables(list_bytes(files, _FILES[part], MOST_ARRAY_BYTES), ("X", "y"), MOST_ARRAY_BYTES, where)
    images, labels = found["X"], whole_numbers(found["y"], "y", where)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[2] != 3:
        raise InputError(f"X of type {images.dtype} and shape {images.shape}", where, f"it is [32, 32, 3, n]; {BRING}")
    if len(labels) and not (labels.min() >= 1 and labels.max() <= len(_DIGITS)):
        row = int(np.flatnonzero((labels < 1) | (labels > len(_DIGITS)))[0])
        raise InputError(f"the label {labels[row]}, of 1 to 10", f"{where}, row {row + 1} of y", BRING)
    pixels = np.ascontiguousarray(images.transpose(3, 0, 1, 2))
    return array_set(part_name(kind, [part]), where, pixels, labels % len(_DIGITS), classes=_DIGITS)


HOUSE_NUMBERS = Layout(("svhn",), tuple(_FILES.values()), house_number_set)
