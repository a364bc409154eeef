"""A folder of this machine as a store: a put is a rename, a put-if-absent a link, and an exchange holds a lock."""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tagmill.shards.errors import StoreError
from tagmill.shards.storage import ranged_reads
from tagmill.shards.storage.listing import files_below
from tagmill.shards.storage.local_disk import (
    is_spool,
    locked,
    raise_unless_missing,
    remove_tree,
    sync_folder,
    write_synced,
)
from tagmill.shards.storage.ranged_reads import Ranges


@dataclass(frozen=True)
class LocalStore:
    """The files below `root`. The methods are those of `Store`, which has checked the names."""

    root: Path

    def size(self, name: str) -> int:
        with self._reading(name) as path:
            return path.stat().st_size

    def read(self, name: str) -> bytes:
        with self._reading(name) as path:
            return path.read_bytes()

    def read_ranges(self, name: str, ranges: Ranges) -> ranged_reads.RangesRead:
        with self._reading(name) as path:
            return ranged_reads.read(path, ranges)

    def open(self, name: str) -> BinaryIO:
        with self._reading(name) as path:
            return path.open("rb")

    def path_of(self, name: str) -> Path:
        return self.root / name

    def names(self, prefix: str) -> list[str]:
        with self._reading(prefix) as place:
            found = (
                Path(top, file) for top, _, files in os.walk(place, onerror=raise_unless_missing) for file in files
            )
            inside = [str(path.relative_to(self.root)) for path in found if path.is_file()]
        return sorted(name for name in inside if not is_spool(name))

    def listing(self, prefix: str) -> Iterator[tuple[str, int]]:
        stem = prefix.strip("/")
        with self._reading(prefix) as place:
            yield from ((f"{stem}/{name}" if stem else name, size) for name, size in files_below(place))

    def put(self, name: str, source: bytes | Path, *, give: bool) -> None:
        self._put(name, source, replace=True, give=give)

    def put_new(self, name: str, source: bytes | Path) -> bool:
        return self._put(name, source, replace=False)

    @contextmanager
    def locked_if(self, name: str, content: bytes) -> Iterator[bool]:
        """Yields whether the object has that content, and holds other exchanges off until the block ends."""
        with self._reading(name) as path, locked(path.parent):
            yield path.read_bytes() == content

    def delete(self, name: str) -> None:
        with self._reading(name) as path:
            path.unlink()

    def remove_folder(self, prefix: str, last: str | None) -> None:
        """Removes what is left of a folder: the remains of killed puts, the folders, and `last`."""
        if self.path_of(prefix).is_dir():
            remove_tree(self.path_of(prefix), last=self.path_of(last) if last else None)

    @contextmanager
    def _reading(self, name: str) -> Iterator[Path]:
        """Yields the path of an object. A path below a file does not exist; all other system errors are refusals."""
        path = self.path_of(name)
        try:
            yield path
        except (FileNotFoundError, NotADirectoryError) as error:
            raise FileNotFoundError(errno.ENOENT, "no such object", str(path)) from error
        except OSError as error:
            raise StoreError(f"no access: {error.strerror}", path, "fix its permissions or the disk") from error

    def _put(self, name: str, source: bytes | Path, *, replace: bool, give: bool = False) -> bool:
        """Spools the content beside its final name, complete and synced, then gives it the name in one step."""
        path = self.path_of(name)
        spool = path.with_name(f".{path.name}.{secrets.token_hex(8)}.spool")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                write_synced(spool, source, give=give)
                if replace:
                    spool.replace(path)
                else:
                    try:
                        os.link(spool, path)
                    except FileExistsError:
                        return False
                sync_folder(path.parent)
            finally:
                spool.unlink(missing_ok=True)
        except OSError as error:
            remedy = "choose another output, or fix its permissions or free space"
            raise StoreError(f"cannot write here: {error.strerror}", path, remedy) from error
        return True
