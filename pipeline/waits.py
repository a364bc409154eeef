"""Keeps what the next batch waits for, to name it when the batch is late."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

CHUNK, READING, DECODING, DELIVERY = "chunk", "reading", "decoding", "delivery"
LATE_SECONDS = 1.0  # a batch is late if it has waited that long


class Waits:
    """The waits in progress, at most one of each kind: for a chunk while batches are assembled, and of the decoding thread
    for reading, for its own work, and for a trainer that takes a batch. Any thread may ask for them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._waits: dict[str, tuple[float, Callable[[], str]]] = {}

    def begin(self, kind: str, describe: Callable[[], str] = str) -> None:
        """Begins a wait. `describe` says what is waited for, and is called only if that is asked for."""
        self._waits[kind] = self._clock(), describe

    def end(self, kind: str) -> None:
        """Ends a wait, if there is one."""
        self._waits.pop(kind, None)

    @contextmanager
    def on(self, kind: str, describe: Callable[[], str] = str) -> Iterator[None]:
        """A wait as long as the `with` block."""
        self.begin(kind, describe)
        try:
            yield
        finally:
            self.end(kind)

    def late(self) -> str:
        """Returns what the next batch has been waiting for and how long, for example 'the next batch has waited 31.2 s for
        reading: shards/000012.tar of s3://photos, 30.9 s'; empty if it is not late."""
        waits, now = dict(self._waits), self._clock()
        for kind, words in (
            (DECODING, "the next batch has been decoded for {}"),
            (READING, "the next batch has waited {} for reading"),
            (DELIVERY, "a batch has waited {} for the trainer"),
        ):
            if kind not in waits:
                continue
            begun, describe = waits[kind]
            if now - begun < LATE_SECONDS:
                return ""
            about = describe()
            if kind == READING and CHUNK in waits:
                since, describe = waits[CHUNK]
                about = f"{describe()}, {_text(now - since)}"
            return words.format(_text(now - begun)) + (f": {about}" if about else "")
        return ""


def _text(seconds: float) -> str:
    return f"{seconds:,.1f} s"
