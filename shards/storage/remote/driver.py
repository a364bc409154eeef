"""The interface of the drivers of remote stores.

A driver makes one try and raises Python's own errors: FileNotFoundError, FileExistsError and PermissionError for
failures that another try cannot fix, and any other OSError for those it may. `remote_store` is the only caller.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol

from tagmill.shards.storage.listing import Page


class Driver(Protocol):
    """One bucket or filesystem. `path` is inside it. `hedged`: whether a late read may be requested twice at a time.
    `bulk`: objects that one `delete_many` may name."""

    hedged: ClassVar[bool]

    @property
    def bulk(self) -> int: ...
    def size(self, path: str) -> int: ...
    def read(self, path: str) -> bytes: ...
    def read_range(self, path: str, start: int, stop: int) -> tuple[bytes | memoryview, int | None]:
        """Reads bytes [start, stop), fewer only if the object ends before `stop`; returns them and the object's length,
        if the answer contains it."""

    def page(self, folder: str, after: Any) -> Page:
        """Returns one page of the objects below `folder`, which ends with a slash; `after` is the token of the previous
        page."""

    def folder(self, folder: str) -> Page:
        """Returns the objects and subfolders of `folder`, which ends with a slash, without what is below subfolders."""

    def put(self, path: str, source: bytes | Path) -> None: ...
    def create(self, path: str, data: bytes, mark: str) -> None:
        """Makes one put-if-absent. Raises FileExistsError."""

    def is_made_by(self, path: str, data: bytes, mark: str, tries: int) -> bool:
        """Returns whether the object that made `create` or `exchange` fail was written by an earlier try whose answer
        was lost."""

    def exchange(self, path: str, old: bytes, new: bytes, mark: str) -> None:
        """Makes one conditional put over `old`. Raises FileExistsError if the object differs."""

    def delete(self, path: str) -> None: ...
    def delete_many(self, paths: Sequence[str]) -> None:
        """Removes at most `bulk` objects; missing ones are no error."""

    def renew(self) -> bool | None:
        """Returns whether a refused request may be repeated, because there are new keys now; None if there never are."""
