"""Operations of a local folder as a store: content that is on disk before it gets its name, locks, and removal."""

import errno
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tagmill.shards.errors import TagmillError

_FULL = frozenset([errno.ENOSPC, errno.EDQUOT])


def write_synced(path: Path, source: bytes | Path, *, give: bool = False) -> None:
    """Writes a new file with the content of `source`, synced to disk. With `give` the file itself may be moved."""
    moved = give and isinstance(source, Path) and _moved(source, path)
    with path.open("rb+" if moved else "xb") as file:
        if isinstance(source, bytes):
            file.write(source)
        elif not moved:
            with source.open("rb") as content:
                shutil.copyfileobj(content, file, 1 << 22)
        file.flush()
        os.fsync(file.fileno())


def _moved(source: Path, path: Path) -> bool:
    """Returns whether a file could be moved; not to another disk."""
    try:
        source.rename(path)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        return False
    return True


def raise_unless_missing(error: OSError) -> None:
    """Raises the error of a walk, except for a folder that no longer exists."""
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error


def is_spool(name: str) -> bool:
    """Returns whether a file is one that a put has not yet given its name."""
    return re.search(r"(^|/)\.[^/]*\.spool$", name) is not None


def remove_tree(folder: Path, last: Path | None = None) -> None:
    """Removes a folder and its content; its file `last` only after everything else, except the folders above it.

    Missing files are no error: another process may be removing them.
    """
    around = last.parents if last else ()
    for inside, _, files in os.walk(folder, topdown=False):
        here = Path(inside)
        for name in files:
            if here / name != last:
                (here / name).unlink(missing_ok=True)
        if here not in around:
            with suppress(FileNotFoundError):
                here.rmdir()
    if last:
        last.unlink(missing_ok=True)
        remove_tree(folder)


def sync_folder(folder: Path) -> None:
    """Syncs the names in a folder to disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def full_disks(scratch: str | None) -> Iterator[None]:
    """Raises TagmillError with a remedy if a disk or quota is full while the block works in `scratch`."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        where, remedy = (
            scratch or tempfile.gettempdir(),
            "free some space or choose another spool; finished parts are kept",
        )
        raise TagmillError("the disk is full", where, remedy) from error


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Locks a folder against other callers of this function until the block ends or the process dies; leaves no file
    behind.

    On a filesystem without these locks (some NFS) there is no protection: one of two simultaneous changes of an object
    may be lost.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except InterruptedError:
            raise
        except OSError:
            pass
        yield
    finally:
        os.close(descriptor)
