"""The sets of a task of VTAB, by the lists of images that people have."""

from typing import Literal

import numpy as np
import numpy.typing as npt

from tagmill.shards import InputError, Store
from tagmill.shards.terminal.safe_text import safe_text
from tagmill.transfer.features.feature_table import FeatureTable
from tagmill.transfer.sets.labelled_set import Example, LabelledSet, SetClass
from tagmill.transfer.sets.set_files import SetFiles, is_below
from tagmill.transfer.sets.stored_images import StoredImage, stored_set
from tagmill.transfer.vtab.vtab_tasks import VTAB_TASKS, VtabTask

VtabPart = Literal["train", "val", "trainval", "test"]
LISTS: dict[VtabPart, str] = {
    "train": "train800.txt",
    "val": "val200.txt",
    "trainval": "train800val200.txt",
    "test": "test.txt",
}
MOST_LIST_BYTES = 64 << 20
_REMEDY = "each line is the path of an image below the task's folder, a space, and the number of its class"


def tasks_below(url: str) -> tuple[VtabTask, ...]:
    """Returns the tasks that have a folder below a path or URL, in VTAB's order. Raises InputError where none has."""
    folders = set(SetFiles.below(url).folders)
    found = tuple(task for task in VTAB_TASKS if task.folder in folders)
    if not found:
        names = ", ".join(task.folder for task in VTAB_TASKS[:3])
        raise InputError("no task of VTAB here", Store(url).url, f"give the folder that has {names}, ... as folders")
    return found


def has_lists(url: str, task: VtabTask) -> bool:
    """Returns whether the folder of a task has the lists of training and test images."""
    store = Store(url).within(task.folder)
    return all(store.exists(LISTS[part]) for part in ("trainval", "test"))


def open_task(url: str, task: VtabTask, part: VtabPart) -> LabelledSet:
    """Opens a part of a task: the images that `URL/TASK/train800.txt`, `val200.txt`, `train800val200.txt` or `test.txt` lists,
    in that order; paths are the keys. A file that is listed and does not exist is read as None. A path that the list has
    twice is one example where both have one class. Raises InputError for a missing list, and lines of another form."""
    files = SetFiles.below(url).within(task.folder)
    where = f"{files.store.url.rstrip('/')}/{LISTS[part]}"
    size = files.sizes.get(LISTS[part])
    if size is None or size > MOST_LIST_BYTES:
        raise InputError(
            "no list of images" if size is None else f"a list of {size:,} bytes", where, "give VTAB's lists"
        )
    labels = parse_list(files.store.read(LISTS[part]), task, where)
    found = [(Example(path, (label,)), StoredImage(path, files.sizes.get(path))) for path, label in labels.items()]
    classes = [SetClass(str(place)) for place in range(task.classes)]
    return stored_set(f"vtab-1k {task.folder} {part}", files.store, classes, found)


def rows_of(table: FeatureTable, part: LabelledSet) -> npt.NDArray[np.bool_]:
    """Returns which rows of a table have an image of a part, [n]: the rows of `val` in the features of `trainval` are those to
    hold out where a probe chooses its settings."""
    return np.isin(table.keys, [example.key for example in part.examples])


def parse_list(data: bytes, task: VtabTask, where: str) -> dict[str, int]:
    """Returns the class of each path of a list, in its order. Raises InputError for lines of another form, paths that leave
    the folder, classes that the task does not have, and a path with two classes."""
    try:
        lines = data.decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise InputError("a list that is not UTF-8", where, _REMEDY) from error
    found = dict[str, int]()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        path, _, label = line.rstrip().rpartition(" ")
        path = path.strip().removeprefix("./")
        place = f"{where}, line {number}"
        if not path or not label.isdecimal() or not label.isascii() or len(label) > 9:
            raise InputError(f"'{safe_text(line, 80)}' is no path and class", place, _REMEDY)
        if not is_below(path):
            raise InputError(f"a path that leaves the folder, '{safe_text(path, 80)}'", place, _REMEDY)
        if int(label) >= task.classes:
            raise InputError(
                f"class {label}, where {task.folder} has {task.classes}", place, "classes are counted from 0"
            )
        if found.setdefault(path, int(label)) != int(label):
            raise InputError(f"two classes of '{safe_text(path, 80)}'", place, _REMEDY)
    return found
