"""Reads FGVC-Aircraft: lists of images with their variant, family or manufacturer."""

from collections.abc import Iterator
from functools import partial

from tagmill.transfer.sets.layouts.layout import Layout, chosen_parts, part_name
from tagmill.transfer.sets.layouts.listed_images import ListedImage, cells_of, list_lines, listed_set
from tagmill.transfer.sets.set_files import SetFiles
from tagmill.transfer.sets.stored_images import StoredSet

_CLASSES = {"variant": "data/variants.txt", "family": "data/families.txt", "manufacturer": "data/manufacturers.txt"}
_PARTS = ("train", "val", "trainval", "test")


def aircraft_set(level: str, kind: str, files: SetFiles, split: str | None) -> StoredSet:
    """Returns a part of the set, train, val, trainval or test. Classes are those of a level (variant, family, manufacturer) in
    the order of its file; the order is that of the list."""
    lists = {part: f"data/images_{level}_{part}.txt" for part in _PARTS}
    parts = chosen_parts(split, [part for part, name in lists.items() if name in files.sizes], files.store.url)
    classes = [name for name, _ in list_lines(files, _CLASSES[level])]
    rows = [row for part in parts for row in _rows(files, lists[part])]
    return listed_set(part_name(kind, parts), files, classes, rows)


def _rows(files: SetFiles, name: str) -> Iterator[ListedImage]:
    for line, where in list_lines(files, name):
        image, label = cells_of(line, 2, where, "image and class", most=1)
        yield ListedImage(f"data/images/{image}.jpg", label, where)


AIRCRAFT = {
    level: Layout(("fgvc-aircraft-2013b",), (name,), partial(aircraft_set, level)) for level, name in _CLASSES.items()
}
"""The layout with the classes of each level."""
