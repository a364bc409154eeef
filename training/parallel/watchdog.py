"""Ends a run of which a process hangs, and names that process.

Every process writes where it is to the store of the rendezvous, at intervals, from a thread of its own. While it makes no
progress it reads what the others wrote. When the limit is over, one of them writes who is behind; all read that, and end.
Without this, all others wait for as long as a collective may take, and then each reports a collective of its own.
"""

import faulthandler
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from datetime import timedelta
from types import TracebackType
from typing import NoReturn, Self

import torch.distributed as dist
from torch.distributed.distributed_c10d import _get_default_store

from tagmill.training.parallel.behind import FIRST, Beat, Verdict, judge
from tagmill.training.parallel.key_store import KeyStore
from tagmill.training.parallel.progress import END, Position, Progress

STATUS = 75  # of the processes that end: EX_TEMPFAIL of sysexits.h, "try again"
STDERR = 2  # whatever sys.stderr is now
MOST_INTERVAL = 5.0  # seconds between two beats
BEATS = 20  # at least, within the limit
SILENT = 4  # beats that are missing: the process does not run
UNREACHABLE = (dist.DistError, RuntimeError)  # of a store whose process has ended: torchrun, or rank 0
REMEDY = "torchrun --max-restarts continues it from its last checkpoint"


def group_timeout(limit: float) -> timedelta:
    """Returns how long a collective may take: so long that the watchdog, which can name a process, is earlier."""
    return timedelta(seconds=2 * FIRST * limit)


def watched(limit: float, stack: ExitStack, command: str = "tagmill train") -> Progress:
    """Returns the progress of this process, for it to keep. Several processes watch each other until `stack` ends.
    `command`: what a line about one that hangs begins with."""
    progress = Progress()
    if dist.is_initialized():
        # A connection of its own: the process group's may be held by a thread that waits for a key.
        store = _get_default_store().clone()
        stack.enter_context(Watchdog(store, dist.get_rank(), dist.get_world_size(), progress, limit, command=command))
    return progress


def end_process(status: int) -> NoReturn:
    """Ends the process at once, whatever its other threads wait for."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


class Watchdog:
    """Within it, this process says where it is, and ends with `STATUS` if a process of the run hangs."""

    def __init__(
        self,
        store: KeyStore,
        rank: int,
        size: int,
        progress: Progress,
        limit: float,
        clock: Callable[[], float] = time.monotonic,
        end: Callable[[int], None] = end_process,
        command: str = "tagmill train",
    ) -> None:
        self._store, self._rank, self._size = store, rank, size
        self._progress, self._limit, self._clock, self._end = progress, limit, clock, end
        self._command = command
        self.interval = min(MOST_INTERVAL, limit / BEATS)
        self._number = 0
        self._last = self._ran_since = clock()
        self._seen: dict[int, tuple[int, float]] = {}  # of each rank: the number of its last beat, and when it was new
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="tagmill-watchdog", daemon=True)

    def __enter__(self) -> Self:
        self._beat()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(2 * self.interval)
        faulthandler.cancel_dump_traceback_later()
        if kind is None:
            self._progress.at("ended", END.step)
            with suppress(*UNREACHABLE):
                self._beat()

    def turn(self) -> None:
        """Says where this process is, and does what is to be done: nothing, a judgement, or the end."""
        now = self._clock()
        if now - self._last > SILENT * self.interval:
            self._ran_since = now  # this process was stopped, perhaps all were: that time counts for none
        self._last = now
        self._beat()
        if self._store.check(["verdict"]):
            self._finish(Verdict.of(self._store.get("verdict")))
            return
        place, seconds = self._read()
        limit = self._limit * (1 if self._progress.begun else FIRST)
        if place == END or seconds < limit / 2:
            self._seen = {}
        # Rank 0 is the first to judge, where it runs; of the others one does.
        elif (
            (found := self._look()) and seconds >= limit + (2 * self.interval if self._rank else 0) and self._is_first()
        ):
            sys.stderr.write(f"{self._command}: {found.line}. The run ends; {REMEDY}\n")
            self._store.set("verdict", found.text())

    def _watch(self) -> None:
        while not self._stop.wait(self.interval):
            # Not a thread of Python: it works while an extension holds the GIL, or while the store does not answer.
            faulthandler.dump_traceback_later(self._limit * FIRST, exit=True, file=STDERR)
            try:
                self.turn()
            except UNREACHABLE:
                break
        faulthandler.cancel_dump_traceback_later()

    def _beat(self) -> None:
        place, seconds = self._read()
        self._number += 1
        own = int(os.environ.get("LOCAL_RANK", "0"))
        beat = Beat(
            self._rank, socket.gethostname(), own, os.getpid(), self._number, place, seconds, self._progress.begun
        )
        self._store.set(self._key(self._rank), beat.text())

    def _read(self) -> tuple[Position, float]:
        place, seconds = self._progress.read()
        return place, min(seconds, self._clock() - self._ran_since)

    def _look(self) -> Verdict | None:
        keys = [self._key(rank) for rank in range(self._size)]
        if not self._store.check(keys):
            return None  # a process that has not begun: the time limit of joining is for it
        beats, now = [Beat.of(text) for text in self._store.multi_get(keys)], self._clock()
        for beat in beats:
            number, _ = self._seen.get(beat.rank, (None, 0.0))
            if number != beat.number:
                self._seen[beat.rank] = (beat.number, now)
        unchanged = {rank: now - since for rank, (_, since) in self._seen.items()}
        return judge(beats, unchanged, self._limit, SILENT * self.interval)

    def _finish(self, verdict: Verdict) -> None:
        """Ends this process. Those that are named first, with their stacks: torchrun ends all when one has ended."""
        if self._rank in verdict.ranks:
            sys.stderr.write(f"rank {self._rank}, where it hangs:\n")
            sys.stderr.flush()
            faulthandler.dump_traceback(STDERR, all_threads=True)
        else:
            self._stop.wait(2 * self.interval)
        self._end(STATUS)

    def _is_first(self) -> bool:
        return self._store.add("judged", 1) == 1

    @staticmethod
    def _key(rank: int) -> str:
        return f"beat-{rank}"
