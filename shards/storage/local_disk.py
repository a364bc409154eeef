"""How a local folder serves as a store: content that is on the disk before it has its name, locks, and removal."""

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
    """A new file with the content of `source`, on the disk when this returns. With `give` it may be that file itself."""
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
    """Whether a file could be moved; not to another disk."""
    try:
        source.rename(path)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        return False
    return True


def unless_gone(error: OSError) -> None:
    """Raises what a walk met, but for a folder that is no longer there."""
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error


def is_spool(name: str) -> bool:
    """Whether a file is one that a put has not yet given its name."""
    return re.search(r"(^|/)\.[^/]*\.spool$", name) is not None


def remove_tree(folder: Path, last: Path | None = None) -> None:
    """Removes a folder and what is in it; the file `last` of it once there is nothing else, but for the folders that it is in.

    What is gone already is no error: another may be at it.
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
    """The names in a folder, on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def full_disks(scratch: str | None) -> Iterator[None]:
    """Turns a disk or quota that is full, met while something works in `scratch`, into a TagmillError with a way out."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        where, remedy = scratch or tempfile.gettempdir(), "make room or give another spool; what is finished stays"
        raise TagmillError("there is no room left on the disk", where, remedy) from error


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Alone in a folder among those who ask for it so, until the block ends or the process dies; nothing lies there meanwhile.

    A filesystem that has no such locks (some NFS) gives none: then who changes the same object at the same moment may be lost.
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
