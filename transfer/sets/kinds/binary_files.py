"""Reads sets in the binary files of their makers: MNIST's idx, CIFAR's and STL-10's. Python pickles are refused."""

import math
import re
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from tagmill.shards.errors import InputError
from tagmill.shards.terminal.safe_text import safe_text
from tagmill.transfer.sets.kinds.pixel_arrays import MOST_ARRAY_BYTES, ArraySet, array_set, unpacked
from tagmill.transfer.sets.labelled_set import SetClass
from tagmill.transfer.sets.set_files import SetFiles, read_bounded, the_part

_Bytes = npt.NDArray[np.uint8]
_IDX = re.compile(r"(?:.*/)?([^/]+)-images[-.]idx3-ubyte(?:\.gz)?")
_CIFAR = re.compile(r"(?:.*/)?(?:data_batch_[1-5]|test_batch|train|test)\.bin")
_STL = re.compile(r"(?:.*/)?(train|test)_X\.bin")
_PICKLES = re.compile(r"(?:.*/)?(?:data_batch_[1-5]|test_batch|batches\.meta)|.*\.(?:pkl|pickle|pt|pth)")
_SIDE, _STL_SIDE = 32, 96  # pixels


def is_binary(files: SetFiles) -> bool:
    """Returns whether there are files of one of these formats."""
    return any(kind.fullmatch(name) for name in files.sizes for kind in (_IDX, _CIFAR, _STL))


def refuse_pickles(files: SetFiles) -> None:
    """Raises InputError for a set that only a pickle could read."""
    found = [name for name in files.sizes if _PICKLES.fullmatch(name)]
    if found:
        what = f"Python pickles, such as {safe_text(found[0], 60)}, which can run any program"
        raise InputError(what, files.store.url, "give the binary version of the set, or images in folders")


def binary_set(name: str, files: SetFiles, split: str | None) -> ArraySet:
    """Returns a part of a set, train or test (of idx files: what precedes `-images`, t10k being test; of EMNIST, for example,
    `emnist-letters-train`). Raises InputError for files that are missing, cut or of another format."""
    for kind, read in ((_IDX, _idx_set), (_STL, _stl_set), (_CIFAR, _cifar_set)):
        if found := sorted(each for each in files.sizes if kind.fullmatch(each)):
            return read(name, files, found, split)
    raise InputError("no binary files of MNIST, CIFAR or STL-10", files.store.url, "give the folder that has them")


def _idx_set(name: str, files: SetFiles, found: list[str], split: str | None) -> ArraySet:
    by_part = dict[str, str]()
    for each in found:  # sorted: a file that is not packed precedes one that is
        match = _IDX.fullmatch(each)
        if match is not None:
            by_part.setdefault(re.sub("^t10k$", "test", match[1]), each)
    images = by_part[the_part(split, sorted(by_part), files.store.url)]
    labels = re.sub(r"-images([-.])idx3", r"-labels\1idx1", images)
    return array_set(name, files.store.url, _idx(files, images, 3), _idx(files, labels, 1))


def _idx(files: SetFiles, name: str, dimensions: int) -> _Bytes:
    """Returns the array of an idx file of bytes, as https://yann.lecun.com/exdb/mnist describes it."""
    where = f"{files.store.url}/{name}"
    data = unpacked(read_bounded(files.store, name, MOST_ARRAY_BYTES), MOST_ARRAY_BYTES, where)
    head = 4 + 4 * dimensions
    if data[:4] != bytes([0, 0, 8, dimensions]) or len(data) < head:
        raise InputError(f"no idx file of bytes with {dimensions} dimensions", where, "bring it again")
    shape = tuple(np.frombuffer(data, ">u4", dimensions, 4).tolist())
    if math.prod(shape) != len(data) - head:
        raise InputError(f"{len(data) - head:,} bytes for the shape {shape}", where, "it was cut: bring it again")
    return np.frombuffer(data, np.uint8, offset=head).reshape(shape)


def _cifar_set(name: str, files: SetFiles, found: list[str], split: str | None) -> ArraySet:
    is_test = {each: each.rpartition("/")[2].startswith("test") for each in found}
    parts = sorted({"test" if test else "train" for test in is_test.values()})
    meant = the_part(split, parts, files.store.url)
    chosen = [each for each in found if is_test[each] == (meant == "test")]
    ten = chosen[0].rpartition("/")[2].endswith(("_batch.bin", *(f"_batch_{number}.bin" for number in range(1, 6))))
    numbers = 1 if ten else 2  # CIFAR-100 has a coarse label before the fine one
    rows = np.concatenate([_records(files, each, numbers + 3 * _SIDE * _SIDE) for each in chosen])
    images = rows[:, numbers:].reshape(-1, 3, _SIDE, _SIDE)
    classes = [*_names(files, "batches.meta.txt" if ten else "fine_label_names.txt")]
    return array_set(name, files.store.url, images, rows[:, numbers - 1], classes=classes)


def _stl_set(name: str, files: SetFiles, found: list[str], split: str | None) -> ArraySet:
    by_part = {match[1]: each for each in found if (match := _STL.fullmatch(each)) is not None}
    images = by_part[the_part(split, sorted(by_part), files.store.url)]
    rows = _records(files, images, 3 * _STL_SIDE * _STL_SIDE).reshape(-1, 3, _STL_SIDE, _STL_SIDE)
    labels = _records(files, images.replace("_X.bin", "_y.bin"), 1)
    if (labels == 0).any():
        raise InputError("the label 0", files.store.url, "labels of STL-10 are counted from 1: bring the file again")
    # Columns come first in the file.
    return array_set(
        name, files.store.url, rows.transpose(0, 3, 2, 1), labels - 1, classes=[*_names(files, "class_names.txt")]
    )


def _records(files: SetFiles, name: str, size: int) -> _Bytes:
    data = read_bounded(files.store, name, MOST_ARRAY_BYTES)
    if not data or len(data) % size:
        what = f"{len(data):,} bytes, which are no whole records of {size:,}"
        raise InputError(what, f"{files.store.url}/{name}", "it was cut: bring it again")
    return np.frombuffer(data, np.uint8).reshape(-1, size)


def _names(files: SetFiles, name: str) -> Iterator[SetClass]:
    """Yields the classes that a file of names beside the data lists; none without it."""
    path = next((each for each in files.sizes if each.rpartition("/")[2] == name), None)
    if path is not None:
        text = read_bounded(files.store, path, 1 << 20).decode("utf-8", "replace")
        yield from (SetClass(line.strip()) for line in text.splitlines() if line.strip())
