"""Reads sets of class folders that are one folder further down: Caltech-101, Caltech-256 and EuroSAT."""

from dataclasses import replace
from functools import partial

from tagmill.transfer.sets.kinds.class_folders import class_folder_set
from tagmill.transfer.sets.layouts.layout import Layout
from tagmill.transfer.sets.set_files import SetFiles, the_part
from tagmill.transfer.sets.stored_images import StoredSet

_NO_CLASS = "BACKGROUND_Google"  # of Caltech-101: images of anything


def nested_set(folder: str, kind: str, files: SetFiles, split: str | None) -> StoredSet:
    """Returns the set of the class folders in `folder`, without images in folders of these, and without BACKGROUND_Google.
    The set has no parts."""
    if split is not None:
        the_part(split, [], files.store.url)
    inside = files.within(folder)
    kept = {
        name: size
        for name, size in inside.sizes.items()
        if name.count("/") == 1 and not name.startswith(f"{_NO_CLASS}/")
    }
    return class_folder_set(kind, replace(inside, sizes=kept))


def _layout(home: str, folder: str, *, only_folder: bool = False) -> Layout:
    return Layout((home,), (f"{folder}/",), partial(nested_set, folder), only_folder)


CALTECH_101 = _layout("caltech101", "101_ObjectCategories")
CALTECH_256 = _layout("caltech256", "256_ObjectCategories")
EUROSAT = _layout("eurosat", "2750", only_folder=True)
