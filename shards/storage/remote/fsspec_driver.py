"""The driver of every scheme that obstore does not serve, over an fsspec filesystem."""

import errno
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tagmill.shards.storage.error_verdicts import PERMANENT
from tagmill.shards.storage.listing import Page


@dataclass(frozen=True)
class FsspecDriver:
    """One filesystem. Its library makes its own connections and renews its own keys."""

    fs: Any
    hedged: ClassVar[bool] = False
    bulk: ClassVar[int] = 100

    def size(self, path: str) -> int:
        return int(self.fs.info(path)["size"])

    def read(self, path: str) -> bytes:
        return bytes(self.fs.cat_file(path))

    def read_range(self, path: str, start: int, stop: int) -> tuple[bytes, None]:
        """For a range that begins after the end some stores raise an error, others return nothing."""
        try:
            data = bytes(self.fs.cat_file(path, start=start, end=stop))
        except PERMANENT:
            raise
        except OSError:
            if self.size(path) > start:
                raise
            return b"", None
        if len(data) != stop - start and (len(data) > stop - start or self.size(path) >= stop):
            raise OSError(f"{len(data)} of {stop - start} bytes arrived")
        return data, None

    def page(self, folder: str, after: Any) -> Page:
        """Returns the whole content of `folder`: fsspec has no listing in pages."""
        return self.folder(folder)

    def folder(self, folder: str) -> Page:
        found = [each for each in self.fs.ls(folder.rstrip("/"), detail=True) if each["name"].startswith(folder)]
        objects = [(each["name"], int(each["size"])) for each in found if each["type"] == "file"]
        folders = [each["name"].rstrip("/") + "/" for each in found if each["type"] == "directory"]
        return Page([each for each in objects if not each[0].endswith("/")], folders)

    def put(self, path: str, source: bytes | Path) -> None:
        if isinstance(source, bytes):
            self.fs.pipe_file(path, source)
        else:
            self.fs.put_file(str(source), path)

    def create(self, path: str, data: bytes, mark: str) -> None:
        self.fs.pipe_file(path, data, mode="create")

    def is_made_by(self, path: str, data: bytes, mark: str, tries: int) -> bool:
        return tries > 1 and self.read(path) == data

    def exchange(self, path: str, old: bytes, new: bytes, mark: str) -> None:
        if self.read(path) != old:
            raise FileExistsError(errno.EEXIST, "changed", path)
        self.put(path, new)

    def delete(self, path: str) -> None:
        self.fs.rm_file(path)

    def delete_many(self, paths: Sequence[str]) -> None:
        for path in paths:
            with suppress(FileNotFoundError):
                self.fs.rm_file(path)

    def renew(self) -> None:
        """The library renews its keys itself."""
