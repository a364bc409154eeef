"""Images that a list names, with the class of each, and the lines of such a list."""

import io
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from tagmill.shards.errors import InputError
from tagmill.shards.terminal.safe_text import safe_text
from tagmill.transfer.sets.labelled_set import Example, SetClass
from tagmill.transfer.sets.set_files import SetFiles, is_below, read_bounded
from tagmill.transfer.sets.stored_images import StoredImage, StoredSet, check_text_name, stored_set

MOST_LISTED_BYTES = 1 << 25  # of a list, a hundred times the largest of these sets
BRING = "bring the file again"


class ListedImage(NamedTuple):
    """An image that a list names."""

    path: str  # below the folder of the set
    class_name: str
    where: str  # file and line, for messages
    group: str = ""


def listed_set(name: str, files: SetFiles, classes: Sequence[str], rows: Iterable[ListedImage]) -> StoredSet:
    """Returns the set of the images of lists, in their order; keys are the paths. An image that is not there is read as None.

    Raises InputError for a path that leaves the folder of the set, one that was named before, a class that is none of
    `classes`, a name that is not UTF-8, and where `check_set` does.
    """
    places = {check_text_name(each, files.store.url): (place,) for place, each in enumerate(classes)}
    seen = dict[str, str]()
    found = list[tuple[Example, StoredImage]]()
    for row in rows:
        if not is_below(row.path):
            what = f"a path that is not below the folder of the set, {safe_text(row.path, 80)!r}"
            raise InputError(what, row.where, BRING)
        if check_text_name(row.path, row.where) in seen:
            remedy = f"it is also in {seen[row.path]}; {BRING}"
            raise InputError(f"the image {safe_text(row.path, 80)!r} again", row.where, remedy)
        seen[row.path] = row.where
        if row.class_name not in places:
            raise InputError(
                f"the class {safe_text(row.class_name, 80)!r}, which the set does not have", row.where, BRING
            )
        example = Example(row.path, places[row.class_name], row.group)
        found.append((example, StoredImage(row.path, files.sizes.get(row.path))))
    return stored_set(name, files.store, [SetClass(each) for each in classes], found)


def list_lines(files: SetFiles, name: str) -> Iterator[tuple[str, str]]:
    """Yields each line of a list that is not empty, and where it is. Raises InputError for a file that is not there, that is
    too large, or that is not UTF-8."""
    for number, line in enumerate(io.StringIO(list_text(files, name), newline=None), 1):
        if text := line.strip():
            yield text, f"{file_url(files, name)}, line {number}"


def list_text(files: SetFiles, name: str) -> str:
    """Returns the text of a list. Raises InputError as `list_lines` does."""
    try:
        return list_bytes(files, name).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        what = f"text that is not UTF-8 at byte {error.start:,}"
        raise InputError(what, file_url(files, name), "convert the file to UTF-8") from error


def list_bytes(files: SetFiles, name: str, most: int = MOST_LISTED_BYTES) -> bytes:
    """Returns the bytes of a file of the set; a link is not followed. Raises InputError for one that is not there, and one of
    more than `most` bytes."""
    if name not in files.sizes:
        raise InputError("no such file", file_url(files, name), "give a folder with all files of the set")
    return read_bounded(files.store, name, most)


def file_url(files: SetFiles, name: str) -> str:
    """Returns the address of a file of the set, for messages."""
    return f"{files.store.url.rstrip('/')}/{name}"


def cells_of(line: str, count: int, where: str, form: str, *, most: int = -1) -> list[str]:
    """Returns the cells of a line, between blanks; `most` divisions are made. Raises InputError for another number of them."""
    cells = line.split(None, most)
    if len(cells) != count:
        raise InputError(f"{len(cells)} cells, {safe_text(line, 80)!r}", where, f"lines are {form}; {BRING}")
    return cells


def number_from_one(cell: str, where: str) -> int:
    """Returns the number of a cell. Raises InputError for text that is no whole number from 1 to 99,999."""
    if not (cell.isascii() and cell.isdecimal() and len(cell) <= 5 and int(cell)):
        raise InputError(
            f"{safe_text(cell, 40)!r} is no number of a class", where, f"classes are counted from 1; {BRING}"
        )
    return int(cell)
