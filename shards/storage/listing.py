"""Lists the objects below a folder or bucket prefix page by page: memory does not grow with the number of objects."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tagmill.shards.storage.local_disk import is_spool, raise_unless_missing


@dataclass(frozen=True, slots=True)
class Page:
    """Part of the content of a folder: (path, bytes) of objects, and subfolders that are listed separately."""

    objects: list[tuple[str, int]]
    folders: list[str]
    next: Any = None  # token of the next page; None: this was the last


def files_below(folder: Path) -> Iterator[tuple[str, int]]:
    """Yields (path below `folder`, bytes) of its regular files, in no order. Symbolic links are not followed and do not
    count as files.

    Files and folders that disappear during the walk are skipped.
    """
    todo = [""]
    while todo:
        inside = todo.pop()
        try:
            with os.scandir(folder / inside) as entries:
                for entry in entries:
                    name = f"{inside}/{entry.name}" if inside else entry.name
                    try:
                        if entry.is_dir(follow_symlinks=False):
                            todo.append(name)
                        elif entry.is_file(follow_symlinks=False) and not is_spool(name):
                            yield name, entry.stat(follow_symlinks=False).st_size
                    except OSError as error:
                        raise_unless_missing(error)
        except OSError as error:
            raise_unless_missing(error)


def objects_below(folder: str, ask: Callable[[str, Any], Page]) -> Iterator[tuple[str, int]]:
    """Yields (path, bytes) of the objects below `folder`, which ends with a slash; `ask` returns a page of a folder."""
    todo = [folder]
    while todo:
        inside, after = todo.pop(), None
        while True:
            page = ask(inside, after)
            yield from page.objects
            todo += page.folders
            after = page.next
            if after is None:
                break
