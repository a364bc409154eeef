"""A published layout of files: where it may begin below a folder, and by what it is recognised."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tagmill.transfer.sets.labelled_set import LabelledSet
from tagmill.transfer.sets.set_files import SetFiles, the_part

JOINS = "+"
"""Between the names of parts that are read as one, such as train+val."""


@dataclass(frozen=True)
class Layout:
    """A layout of files, and what reads it."""

    homes: tuple[str, ...]  # folders in which torchvision puts it, below the root that it was given
    marks: tuple[str, ...]  # files, and folders with a slash at the end, of which one is there
    read: Callable[[str, SetFiles, str | None], LabelledSet]  # of its name, its files, and a part of the set
    only_folder: bool = False  # whether a marked folder must be the only one

    def begins(self, files: SetFiles) -> SetFiles | None:
        """Returns the files of the set: all, or those below one of its homes; None where it is not there."""
        for home in ("", *self.homes):
            if any(_has(files, f"{home}/{mark}".lstrip("/")) for mark in self.marks):
                found = files.within(home) if home else files
                if not self.only_folder or len(found.folders) == 1:
                    return found
        return None


def _has(files: SetFiles, mark: str) -> bool:
    if not mark.endswith("/"):
        return mark in files.sizes
    names = files.in_order
    place = bisect_left(names, mark)
    return place < len(names) and names[place].startswith(mark)


def chosen_parts(split: str | None, parts: Sequence[str], where: str) -> list[str]:
    """Returns the parts that a split names, several with a `+` between them, or the only one. Raises InputError."""
    if split is None:
        return [the_part(None, [*parts], where)]
    return [the_part(each, [*parts], where) for each in dict.fromkeys(split.split(JOINS))]


def part_name(kind: str, parts: Sequence[str]) -> str:
    """Returns the name of a set: that of its layout, and of its parts."""
    return "-".join([kind, *([JOINS.join(parts)] if parts else [])])
