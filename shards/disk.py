"""How a local folder serves as a store: reads at a place, and content that is on the disk before it has its name."""

import os
import re
import shutil
from pathlib import Path


def read_at(descriptor: int, start: int, stop: int) -> bytes:
    """Bytes [start, stop) of a file, fewer where it ends before. One system call gives at most 2 GiB."""
    data = os.pread(descriptor, stop - start, start)
    if 0 < len(data) < stop - start:
        return data + read_at(descriptor, start + len(data), stop)
    return data


def write_synced(path: Path, source: bytes | Path) -> None:
    """A new file with the content of `source`, on the disk when this returns."""
    with path.open("xb") as file:
        if isinstance(source, bytes):
            file.write(source)
        else:
            with source.open("rb") as content:
                shutil.copyfileobj(content, file, 1 << 22)
        file.flush()
        os.fsync(file.fileno())


def unless_gone(error: OSError) -> None:
    """Raises what a walk met, but for a folder that is no longer there."""
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error


def is_spool(name: str) -> bool:
    """Whether a file is one that a put has not yet given its name."""
    return re.search(r"(^|/)\.[^/]*\.spool$", name) is not None


def sync_folder(folder: Path) -> None:
    """The names in a folder, on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
