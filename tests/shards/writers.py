"""Runs the store's tests in other processes: races for names, and kills during writes."""

import hashlib
import os
import random
import signal
import sys
import threading
import time
from dataclasses import replace
from unittest.mock import patch

from tagmill.shards.errors import OvertakenError
from tagmill.shards.manifest import Corpus, CorpusFile, commit
from tagmill.shards.storage.store import Store, is_local


def race(store: Store, names: list[str], mine: bytes, ready: threading.Barrier) -> list[str]:
    """Returns the names that this contender won; all wait for each other before every name, so that they truly race."""
    won = []
    for name in names:
        ready.wait(60)
        if store.put_new(name, mine):
            won.append(name)
    return won


def race_in_a_hurry(store: Store, names: list[str], mine: bytes, ready: threading.Barrier) -> list[str]:
    """The same with one start for all names and without waiting for the disk, which would spread the contenders in
    time."""
    ready.wait(60)
    with patch.object(os, "fsync", lambda fd: None):  # the process serves other races, too
        return [name for name in names if store.put_new(name, mine)]


def count_up(store: Store, times: int) -> bool:
    """Increments the number in `count` that many times, each as often as another process was faster."""
    while times:
        found = store.read("count")
        times -= store.exchange("count", found, str(int(found) + 1).encode())
    return True


def race_to_exchange(store: Store, name: str, rounds: int, mine: bytes, ready: threading.Barrier) -> list[bytes]:
    """Returns the contents with which this contender replaced the object `name`; in each round all have read the same."""
    won = []
    for number in range(rounds):
        ready.wait(60)
        found = store.read(name)
        ready.wait(60)
        new = b"%d by %s, after %s" % (number, mine, found.partition(b",")[0])
        if store.exchange(name, found, new):
            won.append(new)
    return won


def race_to_commit(store: Store, rounds: int, mine: int, ready: threading.Barrier) -> list[CorpusFile]:
    """Returns the generations of a corpus that this contender committed; in each round all change the same one."""
    won = []
    for number in range(rounds):
        ready.wait(60)
        now = Corpus.open(store.url).file
        ready.wait(60)
        new = replace(now, seed=10 * number + mine, lineage=[{"before": now.seed}])
        try:
            commit(store, new, over=now)
            won.append(new)
        except OvertakenError:
            pass
    return won


def sealed(seed: int, size: int) -> bytes:
    """Returns `size` bytes that end in their own sha256."""
    content = random.Random(seed).randbytes(size - 32)
    return content + hashlib.sha256(content).digest()


def is_whole(data: bytes) -> bool:
    return hashlib.sha256(data[:-32]).digest() == data[-32:]


def write_for_ever(store: Store, round_number: int, size: int, told: int) -> None:
    """Puts whole objects until killed; writes a byte to the descriptor `told` after the first."""
    contents = [sealed(round_number * 10 + i, size + i) for i in range(4)]
    turn = 0
    while True:
        store.put("object", contents[turn % 4])
        store.put_new(f"new/{round_number}-{turn}", contents[turn % 4])
        if turn == 0:
            os.write(told, b".")
        turn += 1


def be_killed(url: str, rounds: int, size: int, longest: float) -> None:
    """Lets children write into `url` and kills each after a random time; the object must be whole every time.

    Run as a program, not forked from the tests, because a child would lack their threads.
    """
    draw = random.Random(7)
    for round_number in range(rounds):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                write_for_ever(Store(url), round_number, size, writing)
            finally:
                os._exit(1)
        os.close(writing)
        if not os.read(reading, 1):  # one put is complete: the times below fall on the next ones
            raise RuntimeError("the writer ended by itself")
        end = time.monotonic() + draw.uniform(0, longest)
        while time.monotonic() < end:
            if not is_local(url):  # a client opened here would be inherited by the next writer's fork
                time.sleep(0.001)
            elif not is_whole(Store(url).read("object")):
                raise RuntimeError("a part of an object was read")
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(reading)


if __name__ == "__main__":
    be_killed(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
