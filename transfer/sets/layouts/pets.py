"""Reads Oxford-IIIT Pet: lists of images with the number of their breed."""

from collections.abc import Mapping
from typing import NamedTuple

from tagmill.shards.errors import InputError
from tagmill.shards.terminal.safe_text import safe_text
from tagmill.transfer.sets.layouts.layout import Layout, chosen_parts, part_name
from tagmill.transfer.sets.layouts.listed_images import (
    BRING,
    ListedImage,
    cells_of,
    list_lines,
    listed_set,
    number_from_one,
)
from tagmill.transfer.sets.set_files import SetFiles
from tagmill.transfer.sets.stored_images import StoredSet

_LISTS = {part: f"annotations/{part}.txt" for part in ("trainval", "test")}


class _Row(NamedTuple):
    """A line of a list."""

    image: str  # such as Abyssinian_100
    number: int  # of the breed, from 1
    where: str

    @property
    def breed(self) -> str:
        return " ".join(word.title() for word in self.image.rpartition("_")[0].split("_"))


def pet_set(kind: str, files: SetFiles, split: str | None) -> StoredSet:
    """Returns a part of the set, trainval or test. Classes are the breeds by their number, with the names that torchvision
    makes of those of the images; the order is that of the list. Raises InputError for a number with two breeds, and for
    numbers of which one has no image."""
    lists = {part: name for part, name in _LISTS.items() if name in files.sizes}
    parts = chosen_parts(split, [*lists], files.store.url)
    rows = {part: _rows(files, name) for part, name in lists.items()}
    classes = _breeds(rows, files.store.url)
    chosen = [
        ListedImage(f"images/{row.image}.jpg", classes[row.number - 1], row.where)
        for part in parts
        for row in rows[part]
    ]
    return listed_set(part_name(kind, parts), files, classes, chosen)


def _rows(files: SetFiles, name: str) -> list[_Row]:
    found = list[_Row]()
    for line, where in list_lines(files, name):
        image, number, *_ = cells_of(line, 4, where, "image, class, species and breed")
        found.append(_Row(image, number_from_one(number, where), where))
    return found


def _breeds(rows: Mapping[str, list[_Row]], where: str) -> list[str]:
    names = dict[int, str]()
    for each in rows.values():
        for row in each:
            if (named := names.setdefault(row.number, row.breed)) != row.breed or not named:
                what = f"the image {safe_text(row.image, 80)!r} in class {row.number}, {safe_text(named, 40)!r}"
                raise InputError(what, row.where, f"names of images are BREED_NUMBER; {BRING}")
    if len(names) != max(names, default=0):
        missing = next(number for number in range(1, max(names)) if number not in names)
        raise InputError(f"no image of class {missing} of {max(names)}", where, "give whole lists")
    return [names[number] for number in sorted(names)]


PETS = Layout(("oxford-iiit-pet",), tuple(_LISTS.values()), pet_set)
