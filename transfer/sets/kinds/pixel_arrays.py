"""Reads arrays of pixels: .npz and .npy files without pickles, and tables of pixel numbers. Images become PNG bytes."""

import io
import math
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from tagmill.shards.errors import InputError
from tagmill.shards.terminal.safe_text import safe_text
from tagmill.transfer.sets.labelled_set import Example, LabelledSet, SetClass
from tagmill.transfer.sets.set_files import the_part
from tagmill.transfer.sets.stored_images import check_set, digest_of

_Pixels = npt.NDArray[np.uint8]
MOST_ARRAY_BYTES = 1 << 34  # of the images of a set, which are in memory
MOST_CLASSES = 1 << 20
_SCALES = (1, 16, 255)  # largest number of pixels that are no bytes: scikit-learn's digits end at 16
_GIVE = "give `images` [n, h, w] or [n, h, w, 3] of numbers, and `labels` [n] of places of classes"


@dataclass(frozen=True)
class ArraySet(LabelledSet):
    """Images that are rows of an array in memory."""

    pixels: _Pixels = field(compare=False, repr=False)  # [n, h, w] or [n, h, w, 3]

    def read(self, places: Sequence[int]) -> list[bytes | None]:
        """Returns the images as PNG files, without loss."""
        return [_png(self.pixels[place]) for place in places]


def _png(pixels: _Pixels) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()


def array_set(
    name: str,
    where: str,
    images: npt.NDArray[Any],
    labels: npt.NDArray[Any],
    *,
    classes: Sequence[SetClass] = (),
    groups: Sequence[str] = (),
) -> ArraySet:
    """Returns the set of `images` [n, h, w], [n, h, w, 1 or 3] or [n, 1 or 3, h, w] and `labels`: numbers of classes [n] or
    [n, 1], or 0 and 1 for each class [n, classes], which is a multi-label set. Keys are the numbers of rows.

    Without `classes` these are the numbers from 0 to the largest label. _Pixels of type uint8 are taken as they are; other
    numbers are scaled so that 1, 16 or 255, whichever is the first that is not exceeded, is white.
    Raises InputError for other shapes and numbers, and where `check_set` does.
    """
    pixels = _as_bytes(_upright(images, where), where)
    places, count = _labels_of(labels, len(pixels), where)
    kept = tuple(classes) or tuple(SetClass(str(place)) for place in range(count))
    if groups and len(groups) != len(pixels):
        raise InputError(f"{len(groups):,} groups of {len(pixels):,} images", where, "give a group for each image")
    width = max(6, len(str(len(pixels))))
    named = groups or [""] * len(pixels)
    examples = [Example(f"{row:0{width}d}", each, named[row]) for row, each in enumerate(places)]
    check_set(kept, examples, where)
    digest = digest_of(kept, examples, (f"{each.shape} {sha256(each.tobytes()).hexdigest()}" for each in pixels))
    return ArraySet(name, where, kept, examples, digest, pixels)


def _upright(images: npt.NDArray[Any], where: str) -> npt.NDArray[Any]:
    """Returns images with their colours last."""
    if images.ndim == 4 and images.shape[3] not in (1, 3) and images.shape[1] in (1, 3):
        images = images.transpose(0, 2, 3, 1)
    if images.ndim == 4 and images.shape[3] == 1:
        images = images[..., 0]
    if images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[3] != 3) or 0 in images.shape[1:]:
        raise InputError(f"an array of images of shape {images.shape}", where, _GIVE)
    return images


def _as_bytes(images: npt.NDArray[Any], where: str) -> _Pixels:
    if images.dtype == np.uint8:
        return np.ascontiguousarray(images)
    if images.dtype.kind not in "buif":
        raise InputError(f"pixels of type {images.dtype}", where, _GIVE)
    if not images.size:
        return images.astype(np.uint8)
    lowest, highest = float(images.min()), float(images.max())
    if not (math.isfinite(lowest) and math.isfinite(highest) and lowest >= 0 and highest <= _SCALES[-1]):
        what = f"pixels from {lowest:g} to {highest:g}"
        raise InputError(what, where, "give pixels from 0 to 255, or from 0 to 1; undo a normalisation")
    white = next(scale for scale in _SCALES if highest <= scale)
    return np.rint(images * (_SCALES[-1] / white)).astype(np.uint8)


def _labels_of(labels: npt.NDArray[Any], images: int, where: str) -> tuple[list[tuple[int, ...]], int]:
    """Returns the labels of each image, and the number of classes that they imply."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if len(labels.shape) not in (1, 2) or len(labels) != images:
        raise InputError(f"labels of shape {labels.shape} for {images:,} images", where, _GIVE)
    if labels.dtype.kind == "f" and not (np.isfinite(labels).all() and (labels == np.floor(labels)).all()):
        raise InputError("labels that are not whole numbers", where, _GIVE)
    if labels.dtype.kind not in "buif":
        raise InputError(f"labels of type {labels.dtype}", where, _GIVE)
    if labels.ndim == 2:
        if not np.isin(labels, (0, 1)).all():
            raise InputError("labels of several columns that are not 0 or 1", where, _GIVE)
        return [tuple(np.flatnonzero(row).tolist()) for row in labels], labels.shape[1]
    if len(labels) and not (labels.min() >= 0 and labels.max() < MOST_CLASSES):
        raise InputError(f"labels from {labels.min()} to {labels.max()}", where, "count classes from 0")
    places = labels.astype(np.int64)
    return [(label,) for label in places.tolist()], int(places.max(initial=-1)) + 1


def unpacked(data: bytes, most: int, where: str) -> bytes:
    """Returns data, unpacked where they are gzipped. Raises InputError for a broken file and for more than `most` bytes."""
    if not data.startswith(b"\x1f\x8b"):
        return data
    try:
        packed = zlib.decompressobj(31)
        found = packed.decompress(data, most)
    except zlib.error as error:
        raise InputError(f"no gzip file: {error}", where, "bring it again, or unpack it") from error
    if not packed.eof:
        what = f"more than {most:,} bytes when unpacked" if len(found) == most else "a gzip file that was cut"
        raise InputError(what, where, "divide it, or bring it again")
    return found


def npz_set(name: str, where: str, data: bytes, split: str | None) -> ArraySet:
    """Returns the set of an .npz file: `images` and `labels`, perhaps `groups` [n] and `classes` (names), or the same with a
    part in front: `train_images`, `val_labels` (as MedMNIST has them). Raises InputError for other arrays and pickles."""
    arrays = _npz_arrays(data, where)
    parts = sorted(each.removesuffix("_images") for each in arrays if each.endswith("_images"))
    front = "" if "images" in arrays and split is None else f"{the_part(split, parts, where)}_"
    missing = [each for each in (f"{front}images", f"{front}labels") if each not in arrays]
    if missing:
        has = safe_text(", ".join(sorted(arrays)), 80)
        raise InputError(f"no array {missing[0]!r}; it has {has}", where, _GIVE)
    return _named_set(name, where, arrays, front)


def _named_set(name: str, where: str, arrays: Mapping[str, npt.NDArray[Any]], front: str) -> ArraySet:
    names = [str(each) for each in arrays.get("classes", np.array([], np.str_)).ravel()]
    groups = [str(each) for each in arrays.get(f"{front}groups", np.array([], np.str_)).ravel()]
    images, labels = arrays[f"{front}images"], arrays[f"{front}labels"]
    return array_set(name, where, images, labels, classes=[*map(SetClass, names)], groups=groups)


def npy_set(name: str, where: str, images: bytes, labels: bytes) -> ArraySet:
    """Returns the set of two .npy files. Raises InputError as `array_set` does, and for pickles."""
    return array_set(name, where, npy_array(images, where), npy_array(labels, where))


def _npz_arrays(data: bytes, where: str) -> dict[str, npt.NDArray[Any]]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [each for each in archive.infolist() if each.filename.endswith(".npy")]
            total = sum(each.file_size for each in members)
            if total > MOST_ARRAY_BYTES:
                raise InputError(f"arrays of {total:,} bytes", where, f"at most {MOST_ARRAY_BYTES:,} are read")
            return {each.filename.removesuffix(".npy"): npy_array(archive.read(each), where) for each in members}
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, zlib.error) as error:
        raise InputError(f"no .npz file: {error}", where, _GIVE) from error


def npy_array(data: bytes, where: str) -> npt.NDArray[Any]:
    """Returns the array of a .npy file. Raises InputError for other bytes, pickles, and a header that promises more."""
    file = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"version {version}")
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = header(file)
        if dtype.hasobject:
            raise InputError("an array of Python objects, which only a pickle can hold", where, _GIVE)
        if math.prod(shape) * dtype.itemsize != len(data) - file.tell() or min(shape, default=1) < 0:
            raise ValueError(f"{len(data) - file.tell()} bytes for the shape {shape} of {dtype}")
        array = np.frombuffer(data, dtype, offset=file.tell())
        return array.reshape(shape, order="F" if fortran else "C")
    except ValueError as error:
        raise InputError(f"no .npy array: {safe_text(str(error), 120)}", where, _GIVE) from error


def number_table_set(name: str, where: str, text: str) -> ArraySet:
    """Returns the set of a table of numbers: a row for each image, of its label and its pixels, row by row of the image.

    The label is the column `label` where the first row has names; otherwise the first or last column, of which the other
    must be a pixel that never changes, as the corners of MNIST's digits are. Raises InputError for other tables.
    """
    first, _, rest = text.partition("\n")
    delimiter = next((each for each in ",;\t" if each in first), " ")
    names = [cell.strip().lower() for cell in first.split(delimiter)]
    rows = text if is_number_row(first) else rest
    if not rows.strip():
        raise InputError("a table without rows", where, _GIVE)
    try:  # delimiter None: any white space
        numbers = np.loadtxt(io.StringIO(rows), delimiter=delimiter.strip() or None, comments=None, ndmin=2)
    except ValueError as error:
        raise InputError(f"no table of numbers: {safe_text(str(error), 120)}", where, _GIVE) from error
    column = names.index("label") if "label" in names else _label_column(numbers, where)
    pixels = np.delete(numbers, column, axis=1)
    side, colours = _shape_of(pixels.shape[1], where)
    images = pixels.reshape(len(pixels), side, side, *([3] if colours == 3 else []))
    return array_set(name, where, images, numbers[:, column])


def is_number_row(line: str) -> bool:
    """Returns whether the cells of a line are numbers, at least five."""
    cells = line.replace(";", ",").replace("\t", ",").replace(" ", ",").strip(",\r\n").split(",")
    try:
        return len([float(cell) for cell in cells if cell]) >= 5
    except ValueError:
        return False


def _label_column(numbers: npt.NDArray[np.float64], where: str) -> int:
    varies = [bool((numbers[:, column] != numbers[0, column]).any()) for column in (0, -1)]
    if varies[0] == varies[1]:
        raise InputError(
            "a table of numbers in which the label is not known", where, "give a first row of names with `label`"
        )
    return 0 if varies[0] else numbers.shape[1] - 1


def _shape_of(pixels: int, where: str) -> tuple[int, int]:
    for colours in (1, 3):
        side = math.isqrt(pixels // colours)
        if side and side * side * colours == pixels:
            return side, colours
    raise InputError(f"rows of {pixels} pixels, which are no square image", where, "give the images as an .npz file")
