"""The local folder in which a run works."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tagmill.shards.errors import ConfigError


@contextmanager
def spool_folder(spool: str | None) -> Iterator[Path]:
    """A scratch folder of this run on a local disk, gone afterwards."""
    try:
        if spool:
            Path(spool).mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(prefix="tagmill-", dir=spool, ignore_cleanup_errors=True)
    except OSError as error:
        where = spool or tempfile.gettempdir()
        raise ConfigError(f"cannot write here: {error.strerror}", where, "give another spool folder") from error
    with folder as path:
        yield Path(path)
