"""The files of a set: their names and sizes below a folder of any store, listed once."""

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

from tagmill.shards.errors import InputError
from tagmill.shards.storage.store import Store, is_local, local_path
from tagmill.shards.terminal.safe_text import safe_text
from tagmill.transfer.sets.stored_images import check_text_name, log

PARTS = ("train", "training", "val", "valid", "validation", "test", "testing", "dev", "holdout", "extra")
"""Names of folders and files that say which part of a set they hold."""


@dataclass(frozen=True)
class SetFiles:
    """Files below a folder, sorted by name. Symbolic links are not followed."""

    store: Store
    sizes: dict[str, int]

    @classmethod
    def below(cls, url: str) -> Self:
        """Lists a folder or bucket prefix. Raises InputError for a name that is not UTF-8, and one that is empty."""
        store = Store(url)
        sizes = dict(sorted((check_text_name(name, store.url), size) for name, size in store.listing()))
        if store.root is not None and (links := _num_links(store.root)):
            log.warning("%s: %s symbolic links are left out", store.url, f"{links:,}")
        if not sizes:
            raise InputError("no files here", store.url, "give a folder or prefix with a set; links are not followed")
        return cls(store, sizes)

    def within(self, folder: str) -> Self:
        """Returns the files below a folder of this one."""
        start = f"{folder}/"
        inside = {name[len(start) :]: size for name, size in self.sizes.items() if name.startswith(start)}
        return type(self)(self.store.within(folder), inside)

    @cached_property
    def folders(self) -> tuple[str, ...]:
        """Names of the folders at the top, sorted; those of file managers and those that begin with a dot are left out."""
        names = {name.partition("/")[0] for name in self.sizes if "/" in name}
        return tuple(sorted(name for name in names if not name.startswith((".", "__MACOSX"))))

    @cached_property
    def in_order(self) -> list[str]:
        """Names of all files, sorted."""
        return sorted(self.sizes)

    @cached_property
    def top(self) -> tuple[str, ...]:
        """Names of the files at the top, sorted."""
        return tuple(name for name in self.sizes if "/" not in name)

    def part(self, split: str | None) -> tuple[Self, str | None]:
        """Returns the files of a part of the set, and its name: the folder `split`, or the only one that is named as parts are,
        or, where there is none, all files and None. Raises InputError for a part that does not exist, and where there are
        several and none is named."""
        parts = [name for name in self.folders if name.lower() in PARTS]
        if split is None and (not parts or len(parts) < len(self.folders)):
            return self, None
        meant = the_part(split, [*self.folders] if split in self.folders else parts, self.store.url)
        return self.within(meant), meant


def _num_links(root: Path) -> int:
    """Returns how many symbolic links are below a folder."""
    links, todo = 0, [root]
    while todo:
        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(todo.pop()) as entries:
            for entry in entries:
                links += entry.is_symlink()
                if entry.is_dir(follow_symlinks=False):
                    todo.append(Path(entry.path))
    return links


def the_part(split: str | None, parts: list[str], where: str) -> str:
    """Returns the part that is meant: `split`, or the only one. Raises InputError."""
    if split is None:
        if len(parts) != 1:
            what = "a set without parts" if not parts else f"a set of several parts: {_listed(parts)}"
            raise InputError(what, where, "name one as the split" if parts else "give another kind of set")
        return parts[0]
    if split not in parts:
        remedy = f"there are: {_listed(parts)}" if parts else "the set has no parts"
        raise InputError(f"no part {safe_text(split, 60)!r}", where, remedy)
    return split


def _listed(parts: list[str]) -> str:
    return safe_text(", ".join(parts[:20]) + (", ..." if len(parts) > 20 else ""))


def folder_and_name(url: str) -> tuple[str, str]:
    """Splits the path or URL of a file into its folder and its name."""
    whole = str(local_path(url)) if is_local(url) else url
    folder, _, name = whole.rpartition("/")
    return folder or "/", name


def set_name(url: str, split: str | None) -> str:
    """Returns the name of a set: the last part of its path, without the suffixes of a file, and the part of the set."""
    _, name = folder_and_name(url.rstrip("/"))
    stem = re.sub(r"(?:\.(?:csv|tsv|txt|npz|npy|tar|gz))+$", "", name) or name
    return f"{stem}-{split}" if split else stem


def read_bounded(store: Store, name: str, most: int) -> bytes:
    """Reads a file of a set. Raises InputError for one that does not exist or has more than `most` bytes."""
    where = f"{store.url.rstrip('/')}/{name}"
    try:
        size = store.size(name)
        if size > most:
            raise InputError(f"a file of {size:,} bytes", where, f"at most {most:,} are read; divide the set")
        return store.read(name)
    except FileNotFoundError as error:
        raise InputError("no such file", where, "give the path or URL of a set") from error


def is_below(path: str) -> bool:
    """Returns whether a path that a list names can only be one below the folder of the list."""
    return bool(path) and not (path.startswith("/") or ".." in path.split("/") or "\0" in path or "://" in path)
