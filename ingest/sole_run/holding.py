"""Holds an output for one run: by a lock of its folder, or by a lease in a remote store.

What two runs of the same flags leave is the same, but the first to end deletes what the other still reads.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tagmill.ingest.layout import RUN_FILE
from tagmill.ingest.sole_run.folder_lock import locked_alone
from tagmill.ingest.sole_run.lease import leased
from tagmill.shards.storage.store import Store


@contextmanager
def sole_run(store: Store) -> Iterator[Callable[[], None]]:
    """Holds the output `store` until the block ends or the process dies.

    Yields a function that raises CorpusError where another run has taken the output over meanwhile, because this one
    seemed dead. Raises CorpusError where another run holds it.
    """
    if store.root is None:
        with leased(store) as check:
            yield check
    else:
        with locked_alone((store.root / RUN_FILE).parent, store.url):
            yield lambda: None
