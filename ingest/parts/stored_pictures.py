"""Copies images out of Parquet inputs into the store, one after the other, where parts read single ones."""

import secrets
from pathlib import Path
from typing import BinaryIO

from tagmill.ingest.layout import image_copies_file
from tagmill.shards.storage.store import Store


class StoredPictures:
    """See `Pictures`. Copies of the same rows have the same name and bytes: a repeated one does no harm."""

    def __init__(self, store: Store, folder: Path) -> None:
        """`folder` is a local scratch folder, which holds one copy at a time."""
        self._store = store
        self._path = folder / f"pictures-{secrets.token_hex(8)}.bin"
        self._file: BinaryIO | None = None
        self._name, self._size = "", 0

    def begin(self, ordinal: int, row: int) -> None:
        if self._file is not None:
            self._file.close()
        self._name, self._size = image_copies_file(ordinal, row), 0
        self._file = self._path.open("wb")

    def add(self, picture: bytes) -> int:
        assert self._file is not None, "begun"
        start = self._size
        self._file.write(picture)
        self._size += len(picture)
        return start

    def end(self) -> tuple[str, int]:
        assert self._file is not None, "begun"
        self._file.close()
        self._file = None
        self._store.put(self._name, self._path, give=True)
        return f"{self._store.url.rstrip('/')}/{self._name}", self._size
