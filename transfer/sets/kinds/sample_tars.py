"""Reads WebDataset tars: an image and a label (`.cls`, `.cls.txt`, `.json` or `.npy`) per sample.

Members are found by our tar reader, which passes over images and never reads a member into memory that is too long; the
webdataset library groups them. Its `.decode()` unpickles and its openers run shells, so neither is called: it sees names.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tagmill.ingest.sources.stored.tar import Member, TarMembers, key_and_suffix
from tagmill.shards.errors import ConfigError, InputError
from tagmill.shards.terminal.safe_text import safe_text
from tagmill.transfer.sets.kinds.class_folders import classes_of_folders
from tagmill.transfer.sets.kinds.image_table import in_order_of_names
from tagmill.transfer.sets.kinds.pixel_arrays import MOST_CLASSES, npy_array
from tagmill.transfer.sets.labelled_set import Example, SetClass
from tagmill.transfer.sets.set_files import SetFiles, read_bounded
from tagmill.transfer.sets.stored_images import StoredImage, StoredSet, check_text_name, log, stored_set

_IMAGES = (
    "jpg",
    "jpeg",
    "png",
    "webp",
    "gif",
    "bmp",
    "tif",
    "tiff",
    "avif",
)  # the first that a sample has is its image
_LABELS = ("cls", "cls.txt", "json", "npy")  # likewise its label
_FIELDS = ("cls", "label", "labels", "class", "classes")  # of a .json
_CLASS_NAMES = "classnames.txt"
_MOST_NAMES_BYTES = 1 << 26
_REMEDY = "write the place of the class, counted from 0, into .cls"
_Label = int | str


@dataclass(frozen=True, slots=True)
class _Sample:
    """A sample of a tar that has an image."""

    key: str
    labels: tuple[_Label, ...]
    image: StoredImage
    where: str  # of its label


def sample_tar_set(name: str, files: SetFiles, tars: list[str], classes: tuple[str, ...]) -> StoredSet:
    """Returns the set of the samples of `tars`, in their order. A key is the name of the tar and webdataset's key.

    Labels are places of `classes`; without these, of the numbers from 0 to the largest, or names, which are sorted. Samples
    without an image are left out, and their number is logged; those without a label are unlabelled. Raises InputError for
    a broken or compressed tar, labels that are no number, and where `check_set` does.
    """
    samples = [sample for tar in tars for sample in _samples(files, tar)]
    given = {label for sample in samples for label in sample.labels}
    numbers = {label for label in given if isinstance(label, int)}
    if numbers and len(numbers) < len(given):
        raise InputError("labels of which some are numbers and some names", files.store.url, _REMEDY)
    if not numbers:
        names = in_order_of_names(classes or {str(label) for label in given})
        places: dict[_Label, int] = {each: place for place, each in enumerate(names)}
    else:
        names = [*(classes or map(str, range(max(numbers) + 1)))]
        places = {place: place for place in range(len(names))}
    found = [(Example(each.key, _places(each, places), ""), each.image) for each in samples]
    kept = [*map(SetClass, names)] if numbers else classes_of_folders(names)
    return stored_set(name, files.store, kept, found)


def _places(sample: _Sample, places: dict[_Label, int]) -> tuple[int, ...]:
    for label in sample.labels:
        if label not in places:
            what = f"label {safe_text(repr(label), 60)}, which is none of {len(places):,} classes"
            raise InputError(what, sample.where, f"mend it, or {_CLASS_NAMES}")
    return tuple(sorted({places[label] for label in sample.labels}))


def tars_of(files: SetFiles) -> list[str]:
    """Returns the tars at the top, numbers in their order. Raises InputError for a number of them that differs from
    `nshards.txt`, which CLIP_benchmark's sets have."""
    names = [name for name in files.top if name.endswith(".tar")]
    names.sort(
        key=lambda name: [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]
    )
    if "nshards.txt" in files.top:
        said = read_bounded(files.store, "nshards.txt", 1024).decode("ascii", "replace").strip()
        if said != str(len(names)):
            what = f"{len(names)} tars, {safe_text(said, 20)} by nshards.txt"
            raise InputError(what, files.store.url, "bring the others, or mend nshards.txt")
    return names


def class_names(files: SetFiles) -> tuple[str, ...]:
    """Returns the lines of `classnames.txt` at the top; empty without one. Raises InputError for text that is not UTF-8."""
    if _CLASS_NAMES not in files.sizes:
        return ()
    data, where = read_bounded(files.store, _CLASS_NAMES, _MOST_NAMES_BYTES), f"{files.store.url}/{_CLASS_NAMES}"
    try:
        return tuple(line.strip() for line in data.decode().splitlines() if line.strip())
    except UnicodeDecodeError as error:
        raise InputError(f"text that is not UTF-8 at byte {error.start:,}", where, "convert it to UTF-8") from error


def _samples(files: SetFiles, tar: str) -> Iterator[_Sample]:
    try:
        from webdataset.tariterators import group_by_keys
    except ImportError as error:
        raise ConfigError("webdataset is not installed", tar, "pip install tagmill[transfer]") from error
    without = 0
    where = f"{files.store.url.rstrip('/')}/{tar}"
    try:
        for group in group_by_keys({"fname": each.name, "data": each, "__url__": tar} for each in _members(files, tar)):
            image = next((group[suffix] for suffix in _IMAGES if suffix in group), None)
            if image is None:
                without += 1
                continue
            key = check_text_name(f"{tar}/{group['__key__']}", where)
            suffix = next((suffix for suffix in _LABELS if suffix in group), None)
            inside = f"{where}/{safe_text(key)}"
            labels = () if suffix is None else _labels(suffix, group[suffix].data, inside)
            yield _Sample(key, labels, StoredImage(tar, image.size, image.offset), inside)
    except ValueError as error:  # webdataset's, of two members of one name
        raise InputError(safe_text(str(error.args[0]), 160), where, "name each member once") from error
    if without:
        log.warning("%s: %s samples without an image are left out", where, f"{without:,}")


def _members(files: SetFiles, tar: str) -> Iterator[Member]:
    """Yields the members of samples, with the bytes of labels. Raises InputError for one that cannot be read."""

    def wanted(name: str) -> bool:
        found = key_and_suffix(name)
        return found is not None and found[1] in _LABELS

    where = f"{files.store.url.rstrip('/')}/{tar}"
    with files.store.open(tar) as file:
        for member in TarMembers(file, files.sizes[tar], where, wanted):
            found = key_and_suffix(member.name)
            wrong = member.wrong or ("the tar ends before it does" if member.cut else None)
            if wrong and (member.cut or found is None or found[1] in (*_IMAGES, *_LABELS)):
                raise InputError(f"the member {safe_text(member.name, 80)!r}: {wrong}", where, "make the tar again")
            if found is not None:
                yield member


def _labels(suffix: str, data: bytes | None, where: str) -> tuple[_Label, ...]:
    """Returns the labels in the bytes of a member."""
    if suffix == "npy":
        flags = npy_array(data or b"", where)
        if flags.ndim != 1 or not np.isin(flags, (0, 1)).all():
            raise InputError(f"labels of shape {flags.shape} that are not 0 or 1 for each class", where, _REMEDY)
        return tuple(np.flatnonzero(flags).tolist())
    try:
        text = (data or b"").decode()
        found: Any = json.loads(text) if suffix == "json" else [*map(_number, text.split())]
    except (ValueError, RecursionError) as error:
        raise InputError(f"no label: {safe_text(str(error), 120)}", where, _REMEDY) from error
    if isinstance(found, dict):
        found = next((found[each] for each in _FIELDS if found.get(each) is not None), [])
    labels = found if isinstance(found, list) else [found]
    if suffix != "json" and not labels:
        raise InputError("an empty label", where, _REMEDY)
    for label in labels:
        if (
            isinstance(label, bool)
            or not isinstance(label, int | str)
            or (isinstance(label, int) and not 0 <= label < MOST_CLASSES)
        ):
            raise InputError(f"the label {safe_text(repr(label), 60)}", where, _REMEDY)
    return tuple(labels)


def _number(text: str) -> int:
    if not re.fullmatch("[0-9]{1,9}", text):
        raise ValueError(f"{safe_text(text, 60)!r} is no number")
    return int(text)
