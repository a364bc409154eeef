"""The local scratch folder of a run."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tagmill.shards.errors import ConfigError
from tagmill.shards.storage.store import local_path


@contextmanager
def spool_folder(spool: str | None) -> Iterator[Path]:
    """Creates a scratch folder of this run on a local disk, and deletes it afterwards.

    It is created inside `spool`, a path or file:// URL, or where the system keeps temporary files. Raises ConfigError where it
    cannot be created.
    """
    if spool is not None and not spool.strip():
        raise ConfigError("an empty name", "spool", "give a local folder; often a shell variable is not set")
    parent = None if spool is None else local_path(spool)
    try:
        if parent is not None:
            parent.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(prefix="tagmill-", dir=parent, ignore_cleanup_errors=True)
    except OSError as error:
        where = parent or tempfile.gettempdir()
        raise ConfigError(f"cannot write here: {error.strerror}", where, "give another spool folder") from error
    with folder as path:
        yield Path(path)
