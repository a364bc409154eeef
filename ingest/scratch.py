"""The local folder in which a run works."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tagmill.shards.errors import ConfigError
from tagmill.shards.storage.store import local_path


@contextmanager
def spool_folder(spool: str | None) -> Iterator[Path]:
    """A scratch folder of this run on a local disk, gone afterwards: inside `spool`, a path or file:// URL, or where the system
    keeps temporary files. Raises ConfigError where it cannot be made."""
    if spool is not None and not spool.strip():
        raise ConfigError("an empty name", "spool", "give a local folder; often it is a variable not set")
    place = None if spool is None else local_path(spool)
    try:
        if place is not None:
            place.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(prefix="tagmill-", dir=place, ignore_cleanup_errors=True)
    except OSError as error:
        where = place or tempfile.gettempdir()
        raise ConfigError(f"cannot write here: {error.strerror}", where, "give another spool folder") from error
    with folder as path:
        yield Path(path)
