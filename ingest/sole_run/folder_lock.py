"""A lock of a folder that ends with the process that holds it, however it dies."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tagmill.shards.errors import CorpusError, StoreError


@contextmanager
def locked_alone(folder: Path, where: str) -> Iterator[None]:
    """Locks `folder`, which is made where it is missing, until the block ends; it may be deleted meanwhile.

    Raises CorpusError, about `where`, if another process holds the lock. Where a filesystem has no locks (some NFS)
    there is no protection.
    """
    descriptor = _locked(folder, where)
    try:
        yield
    finally:
        os.close(descriptor)


def _locked(folder: Path, where: str) -> int:
    """Returns the descriptor that holds the lock of the folder that has the name now."""
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(folder, os.O_RDONLY)
        except FileNotFoundError:  # a run that ends has just deleted it
            continue
        except OSError as error:
            remedy = "choose another output, or fix its permissions or free space"
            raise StoreError(f"cannot write here: {error.strerror}", folder, remedy) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            remedy = "wait until it ends, or stop it, and run again"
            raise CorpusError("another run is at work in this output", where, remedy) from error
        except OSError:  # no locks on this filesystem
            return descriptor
        if _is(descriptor, folder):
            return descriptor
        os.close(descriptor)


def _is(descriptor: int, folder: Path) -> bool:
    """Returns whether the name still belongs to the folder that was opened."""
    try:
        return os.path.samestat(os.fstat(descriptor), folder.stat())
    except FileNotFoundError:
        return False
