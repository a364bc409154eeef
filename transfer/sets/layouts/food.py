"""Reads Food-101: lists of images for each class as JSON, else as text."""

import json
from collections.abc import Iterator

from tagmill.shards.errors import InputError
from tagmill.shards.terminal.safe_text import safe_text
from tagmill.transfer.sets.layouts.layout import Layout, chosen_parts, part_name
from tagmill.transfer.sets.layouts.listed_images import (
    BRING,
    ListedImage,
    file_url,
    list_lines,
    list_text,
    listed_set,
)
from tagmill.transfer.sets.set_files import SetFiles
from tagmill.transfer.sets.stored_images import StoredSet

_CLASSES = "meta/classes.txt"
_LISTS = {part: (f"meta/{part}.json", f"meta/{part}.txt") for part in ("train", "test")}


def food_set(kind: str, files: SetFiles, split: str | None) -> StoredSet:
    """Returns a part of Food-101, train or test. Classes are those of `classes.txt`, else of all lists, sorted; the order is
    that of the list."""
    lists = {part: names[0] for part, found in _LISTS.items() if (names := [n for n in found if n in files.sizes])}
    parts = chosen_parts(split, [*lists], files.store.url)
    rows = {part: [*_rows(files, name)] for part, name in lists.items()}
    if _CLASSES in files.sizes:
        classes = {name for name, _ in list_lines(files, _CLASSES)}
    else:
        classes = {row.class_name for each in rows.values() for row in each}
    return listed_set(part_name(kind, parts), files, sorted(classes), [row for part in parts for row in rows[part]])


def _rows(files: SetFiles, name: str) -> Iterator[ListedImage]:
    if name.endswith(".json"):
        yield from _json_rows(files, name)
        return
    for line, where in list_lines(files, name):
        yield ListedImage(f"images/{line}.jpg", line.partition("/")[0], where)


def _json_rows(files: SetFiles, name: str) -> Iterator[ListedImage]:
    where = file_url(files, name)
    try:
        content = json.loads(list_text(files, name))
    except (ValueError, RecursionError) as error:
        raise InputError(f"not JSON: {str(error)[:120] or type(error).__name__}", where, BRING) from error
    if not isinstance(content, dict):
        raise InputError("not a JSON object of classes", where, BRING)
    for label, images in content.items():
        if not isinstance(images, list):
            raise InputError(f"no list of images of {safe_text(label, 40)!r}", where, BRING)
        for number, image in enumerate(images, 1):
            here = f"{where}, image {number} of {safe_text(label, 40)!r}"
            if not isinstance(image, str):
                raise InputError("an image whose name is no text", here, BRING)
            yield ListedImage(f"images/{image}.jpg", label, here)


FOOD = Layout(("food-101",), tuple(name for names in _LISTS.values() for name in names), food_set)
