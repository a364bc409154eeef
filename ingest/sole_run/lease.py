"""A lease of an output in a remote store: an object that its run renews, and that another run may take over once it is
no longer renewed.

Stores have no locks that end with a process. So a run names itself in RUN_FILE and renews it every BEAT_SECONDS. Another
run on the same machine sees whether that process is there still; on another machine it takes over if nothing was
renewed for SILENT_SECONDS by its own clock: clocks of machines need not agree.
"""

import json
import logging
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Self

from tagmill.ingest.layout import RUN_FILE
from tagmill.ingest.optional_objects import read_if_there
from tagmill.ingest.sole_run.processes import is_there, this_process
from tagmill.shards.errors import CorpusError, StoreError
from tagmill.shards.storage.store import Store

log = logging.getLogger(__name__)
_held_here = set[str]()  # tokens of the runs of this process that have not ended

BEAT_SECONDS = 20.0
SILENT_SECONDS = 90.0  # more than a renewal takes with the retries of a store
JOIN_SECONDS = 5.0
LOOK_SECONDS = 5.0  # between two looks at a lease that may be dead


@dataclass(frozen=True)
class Lease:
    """Who holds an output; the content of RUN_FILE."""

    token: str  # of the run
    host: str
    process: dict[str, str]  # `this_process`
    since: str  # for people
    beats: int = 0  # how often it was renewed

    @classmethod
    def parse(cls, data: bytes) -> Self | None:
        """Returns None for an object that is no lease."""
        try:
            return cls(**json.loads(data))
        except (ValueError, TypeError):
            return None

    def data(self) -> bytes:
        return json.dumps(asdict(self)).encode()


@contextmanager
def leased(
    store: Store, beat_seconds: float = BEAT_SECONDS, wait: Callable[[float], None] = time.sleep
) -> Iterator[Callable[[], None]]:
    """Holds the lease of an output until the block ends; yields a function that raises CorpusError once it is lost.

    Raises CorpusError where another run holds it. `wait` sleeps between two looks at a lease that may be dead.
    """
    since = datetime.now(UTC).isoformat(timespec="seconds")
    mine = Lease(secrets.token_hex(8), socket.gethostname(), this_process(), since)
    held = _Held(store, _taken(store, mine, wait))
    _held_here.add(mine.token)
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(beat_seconds):
            held.renew()

    thread = threading.Thread(target=renew, name="tagmill-lease", daemon=True)
    thread.start()
    try:
        yield held.check
    finally:
        ended.set()
        _held_here.discard(mine.token)
        thread.join(JOIN_SECONDS)  # not longer, if the store does not answer
        with suppress(StoreError):  # the next run finds out
            held.release()


class _Held:
    """The lease of this run. `renew` is called by one thread, and the rest by another."""

    def __init__(self, store: Store, lease: Lease) -> None:
        self._store, self._lease, self._lost = store, lease, False

    def renew(self) -> None:
        """Renews it, unless it is lost or the run has deleted it with its parts. A store that fails is asked again at
        the next beat."""
        following = replace(self._lease, beats=self._lease.beats + 1)
        try:
            if self._lost:
                return
            if self._store.exchange(RUN_FILE, self._lease.data(), following.data()):
                self._lease = following
            else:
                self._lost = True
        except FileNotFoundError:
            return
        except StoreError as error:
            log.warning("the lease of the output was not renewed: %s", error)

    def check(self) -> None:
        if self._lost:
            what = "another run has taken this output over, because this one did not answer for a while"
            raise CorpusError(what, self._store.url, "let the other run end; nothing of this one was committed")

    def release(self) -> None:
        if not self._lost and read_if_there(self._store, RUN_FILE) == self._lease.data():
            self._store.delete(RUN_FILE)


def _taken(store: Store, mine: Lease, wait: Callable[[float], None]) -> Lease:
    """Takes the lease. Raises CorpusError where a run that lives has it."""
    while not store.put_new(RUN_FILE, mine.data()):
        if (found := read_if_there(store, RUN_FILE)) is None:
            continue  # released just now
        other = Lease.parse(found)
        lives = other is not None and _lives(other)
        if lives:
            raise _occupied(store, other)
        if other is not None and lives is None:
            _watch(store, found, other, wait)
        try:
            if store.exchange(RUN_FILE, found, mine.data()):
                return mine
        except FileNotFoundError:
            continue
        raise _occupied(store, other)
    return mine


def _lives(lease: Lease) -> bool | None:
    """Returns whether the run of a lease has not ended, None if this machine does not know. One of this process may have
    ended without giving its lease back, because its store had failed."""
    if lease.process and lease.process == this_process():
        return lease.token in _held_here
    return is_there(lease.process)


def _watch(store: Store, found: bytes, other: Lease, wait: Callable[[float], None]) -> None:
    """Returns once a lease was released or seems dead. Raises CorpusError as soon as it is renewed."""
    log.warning(
        "a run on %s, of %s, has not ended in %s: waiting up to %.0f s for a sign of it",
        *(other.host, other.since, store.url, SILENT_SECONDS),
    )
    for _ in range(round(SILENT_SECONDS / LOOK_SECONDS)):
        wait(LOOK_SECONDS)
        if (now := read_if_there(store, RUN_FILE)) is None:
            return
        if now != found:
            raise _occupied(store, other)


def _occupied(store: Store, other: Lease | None) -> CorpusError:
    who = f", on {other.host} since {other.since}" if other else ""
    return CorpusError(
        f"another run is at work in this output{who}", store.url, "wait until it ends, or stop it, and run again"
    )
