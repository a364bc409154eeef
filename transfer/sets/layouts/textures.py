"""Reads the Describable Textures Dataset, DTD: lists of its ten partitions."""

from collections.abc import Iterator

from tagmill.shards.errors import InputError
from tagmill.shards.terminal.safe_text import safe_text
from tagmill.transfer.sets.layouts.layout import Layout, chosen_parts, part_name
from tagmill.transfer.sets.layouts.listed_images import BRING, ListedImage, list_lines, listed_set
from tagmill.transfer.sets.set_files import SetFiles
from tagmill.transfer.sets.stored_images import StoredSet

_PARTS = ("train", "val", "test")
_LISTS = {
    f"{part}{'' if partition == 1 else partition}": f"labels/{part}{partition}.txt"
    for partition in range(1, 11)
    for part in _PARTS
}


def texture_set(kind: str, files: SetFiles, split: str | None) -> StoredSet:
    """Returns a part of DTD: train, val or test of the first partition, or train2 to test10 of another. Classes are those of
    all lists, sorted; the order is that of the list."""
    lists = {part: name for part, name in _LISTS.items() if name in files.sizes}
    named = split if split is None else _without_one(split)
    parts = chosen_parts(named, [*lists], files.store.url)
    rows = {part: [*_rows(files, name)] for part, name in lists.items()}
    classes = sorted({row.class_name for each in rows.values() for row in each})
    return listed_set(part_name(kind, parts), files, classes, [row for part in parts for row in rows[part]])


def _without_one(split: str) -> str:
    """Returns a split in which partition 1 has no number, as in torchvision's default."""
    return "+".join(part[:-1] if part in {f"{each}1" for each in _PARTS} else part for part in split.split("+"))


def _rows(files: SetFiles, name: str) -> Iterator[ListedImage]:
    for line, where in list_lines(files, name):
        label, slash, rest = line.partition("/")
        if not (label and slash and rest) or "/" in rest:
            raise InputError(f"{safe_text(line, 80)!r} is no path", where, f"lines are CLASS/IMAGE.jpg; {BRING}")
        yield ListedImage(f"images/{line}", label, where)


TEXTURES = Layout(("dtd/dtd", "dtd"), tuple(_LISTS.values()), texture_set)
