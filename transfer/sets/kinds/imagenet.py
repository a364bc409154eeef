"""ImageNet's validation sets: with its own labels, ReaL's, and those of V2, A, R and Sketch, by the lists that timm ships."""

import importlib.util
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from tagmill.ingest.labels.wordnet.imagenet import imagenet
from tagmill.shards.errors import ConfigError, InputError
from tagmill.shards.terminal.safe_text import safe_text
from tagmill.transfer.sets.kinds.class_folders import classes_of_folders, folder_examples
from tagmill.transfer.sets.labelled_set import Example
from tagmill.transfer.sets.set_files import SetFiles
from tagmill.transfer.sets.stored_images import StoredImage, StoredSet, is_image_name, stored_set

SYNSETS = {
    "imagenet": "imagenet",
    "imagenet-sketch": "imagenet",
    "imagenet-a": "imagenet_a",
    "imagenet-r": "imagenet_r",
}
"""Sets whose class folders are named by synset ids, and the front of timm's files of these."""
_VALIDATION = "ILSVRC2012_val_"


@cache
def _timm_lines(name: str) -> tuple[str, ...]:
    return tuple(_timm_file(name).read_text("ascii").split("\n"))


def _timm_file(name: str) -> Path:
    """Returns the path of a file of timm's data. Raises ConfigError without timm; does not import it."""
    found = importlib.util.find_spec("timm")
    folders = found.submodule_search_locations if found is not None else None
    path = Path(folders[0], "data", "_info", name) if folders else None
    if path is None or not path.is_file():
        raise ConfigError("timm's list of ImageNet's classes is missing", name, "pip install tagmill[transfer]")
    return path


def imagenet_synsets(kind: str = "imagenet") -> tuple[str, ...]:
    """Returns the synset ids of a set of SYNSETS, in the order of its classes; the 1,000 of ImageNet-1k are in the order of the
    outputs of networks trained on it."""
    if SYNSETS[kind] == "imagenet":
        return imagenet("in1k")
    return tuple(line for line in _timm_lines(f"{SYNSETS[kind]}_synsets.txt") if line)


def imagenet_outputs(kind: str) -> tuple[int, ...]:
    """Returns which of the 1,000 outputs each class of a set of SYNSETS is, in the order of its classes: networks are judged on
    A and R by these outputs alone."""
    if SYNSETS[kind] == "imagenet":
        return tuple(range(len(imagenet_synsets())))
    return tuple(int(line) for line in _timm_lines(f"{SYNSETS[kind]}_indices.txt") if line)


def synset_folder_set(name: str, kind: str, files: SetFiles) -> StoredSet:
    """Returns ImageNet, Sketch, A or R, whose folders are named by synset ids. Classes are those of timm's list, also where a
    folder is missing. Raises InputError for a folder that is none of them."""
    synsets = imagenet_synsets(kind)
    _refuse_others(files, synsets, f"a synset of {kind}")
    return stored_set(name, files.store, classes_of_folders(synsets), folder_examples(files, synsets))


def v2_set(name: str, files: SetFiles) -> StoredSet:
    """Returns ImageNetV2, whose folders are named 0 to 999, the places of the classes. Raises InputError for others."""
    synsets = imagenet_synsets()
    folders = [*map(str, range(len(synsets)))]
    _refuse_others(files, folders, "a number from 0 to 999")
    return stored_set(name, files.store, classes_of_folders(synsets), folder_examples(files, folders))


def real_set(name: str, files: SetFiles) -> StoredSet:
    """Returns ImageNet's validation images, in folders or not, with the labels of "Are we done with ImageNet?" (2006.07159):
    several for some images, none for others. Keys are the names of the files, and the order is theirs.

    Raises InputError for images of other names.
    """
    labels = real_labels()
    found = list[tuple[Example, StoredImage]]()
    for path, size in files.sizes.items():
        if not is_image_name(path):
            continue
        key = path.rpartition("/")[2]
        digits = key.removeprefix(_VALIDATION).partition(".")[0]
        number = int(digits) if digits.isascii() and digits.isdecimal() and len(digits) <= 8 else 0
        if not key.startswith(_VALIDATION) or not 1 <= number <= len(labels):
            what = f"{safe_text(path, 80)!r} is no validation image of ImageNet"
            raise InputError(what, files.store.url, f"give the folder of {_VALIDATION}00000001.JPEG to 00050000.JPEG")
        found.append((Example(key, labels[number - 1]), StoredImage(path, size)))
    found.sort(key=lambda each: each[0].key)
    return stored_set(name, files.store, classes_of_folders(imagenet_synsets()), found)


@cache
def real_labels() -> tuple[tuple[int, ...], ...]:
    """Returns ReaL's labels of the 50,000 validation images, by number of the image: places among ImageNet's classes."""
    found: list[Any] = json.loads(_timm_file("imagenet_real_labels.json").read_bytes())
    return tuple(tuple(sorted(labels)) for labels in found)


def _refuse_others(files: SetFiles, folders: Sequence[str], meant: str) -> None:
    known = set(folders)
    if other := next((folder for folder in files.folders if folder not in known), None):
        what = f"the folder {safe_text(other, 60)!r} is not {meant}"
        raise InputError(what, files.store.url, "give the folder that has the class folders, or its kind as folder:")
