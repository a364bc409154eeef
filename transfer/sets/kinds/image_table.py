"""Reads a table of images: CSV or TSV rows of path, label, and perhaps group and split."""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass

from tagmill.shards.errors import InputError
from tagmill.shards.terminal.safe_text import safe_text
from tagmill.transfer.sets.kinds.class_folders import classes_of_folders
from tagmill.transfer.sets.labelled_set import Example
from tagmill.transfer.sets.set_files import SetFiles, is_below, the_part
from tagmill.transfer.sets.stored_images import StoredImage, StoredSet, is_image_name, stored_set

_COLUMNS = {
    "path": ("path", "file", "filename", "file_name", "filepath", "image", "image_path"),
    "label": ("label", "class", "target", "category", "label_name", "class_name"),
    "labels": ("labels",),
    "group": ("group", "subject"),
    "split": ("split", "part", "set", "subset"),
}
_DELIMITERS = ",\t;|"
_BETWEEN_LABELS = "|"
"""Between the labels of a cell of the column `labels`, which makes a multi-label set."""
_FIRST_CHARACTERS = 1 << 16
_REMEDY = "give rows of path,label or path,label,group, or a first row with the names of these columns"


@dataclass(frozen=True, slots=True)
class _Row:
    """A row of a table of images."""

    path: str
    labels: tuple[str, ...]
    group: str
    split: str


def image_table_set(name: str, files: SetFiles, table: str, text: str, split: str | None) -> StoredSet:
    """Returns the set that `text`, the content of the file `table`, lists. Paths are below the folder of the table, and are the
    keys; the order is that of the rows. A file that does not exist is read as None.

    Classes are sorted by name, as numbers where all are. Without a first row of names the columns are path, label and group.
    Raises InputError for rows that are not of this form, paths that leave the folder, and a split that no row has.
    """
    where = f"{files.store.url.rstrip('/')}/{table}"
    rows = _of_split(_rows(text, where), split, where)
    names = in_order_of_names({label for row in rows for label in row.labels})
    places = {label: place for place, label in enumerate(names)}
    found = [
        (
            Example(row.path, tuple(sorted({places[label] for label in row.labels})), row.group),
            StoredImage(row.path, files.sizes.get(row.path)),
        )
        for row in rows
    ]
    return stored_set(name, files.store, classes_of_folders(names), found)


def in_order_of_names(names: Iterable[str]) -> list[str]:
    """Returns names in order: as numbers where all are, else as text."""
    found = sorted(names)
    return sorted(found, key=int) if all(name.isascii() and name.isdecimal() for name in found) else found


def delimiter_of(line: str) -> str:
    """Returns the delimiter of a table by the start of its first line: the one that divides it into most cells."""
    line = line[:_FIRST_CHARACTERS]
    return max(_DELIMITERS, key=lambda delimiter: len(next(csv.reader([line], delimiter=delimiter), [])))


def _rows(text: str, where: str) -> list[_Row]:
    reader = csv.reader(io.StringIO(text), delimiter=delimiter_of(text.partition("\n")[0]), strict=True)
    rows, columns = list[_Row](), dict[str, int]()
    try:
        for cells in reader:
            if not any(cells):
                continue
            if not columns:
                columns = _columns(cells, where)
                if not is_image_name(_below(cells[columns["path"]])):  # a first row of names
                    continue
            rows.append(_row(cells, columns, f"{where}, line {reader.line_num}"))
    except csv.Error as error:
        raise InputError(f"no table: {error}", f"{where}, line {reader.line_num}", _REMEDY) from error
    return rows


def _columns(cells: list[str], where: str) -> dict[str, int]:
    """Returns the place of each column of _COLUMNS, by the names of the first row or, if it has none, in order."""
    if is_image_name(_below(cells[0])) and 2 <= len(cells) <= 3:
        return dict(zip(("path", "label", "group"), range(len(cells))))
    words = [cell.strip().lower() for cell in cells]
    found = {
        column: next(place for place, word in enumerate(words) if word in names)
        for column, names in _COLUMNS.items()
        if set(words) & set(names)
    }
    if "path" not in found or not {"label", "labels"} & found.keys():
        shown = safe_text(", ".join(cells), 80)
        raise InputError(f"no columns of path and label in the first row, {shown!r}", where, _REMEDY)
    return found


def _below(path: str) -> str:
    return path.strip().removeprefix("./")


def _row(cells: list[str], columns: dict[str, int], where: str) -> _Row:
    if len(cells) <= max(columns.values()):
        raise InputError(f"a row of {len(cells)} cells", where, _REMEDY)
    found = {column: cells[place].strip() for column, place in columns.items()}
    path = _below(found["path"])
    if not is_below(path):
        what = f"a path that is not below the folder of the table, {safe_text(path, 80)!r}"
        raise InputError(what, where, "put the table into a folder above the images, with paths relative to it")
    if "labels" in found:
        labels = tuple(label for each in found["labels"].split(_BETWEEN_LABELS) if (label := each.strip()))
    else:
        labels = (found["label"],) if found["label"] else ()
    return _Row(path, labels, found.get("group", ""), found.get("split", ""))


def _of_split(rows: list[_Row], split: str | None, where: str) -> list[_Row]:
    parts = sorted({row.split for row in rows if row.split})
    if not parts and split is None:
        return rows
    meant = the_part(split, parts, where)
    return [row for row in rows if row.split == meant]
