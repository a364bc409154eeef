"""Joins the processes of one attempt of a run, in a store that may still have what earlier attempts wrote.

torchrun keeps its store when it restarts processes, and torch 2.15 has the keys of all attempts in the same place: the
processes of a second attempt find the addresses of the first, and fail to connect. The number of the restart is no remedy,
because each machine counts its own. So the processes of an attempt agree on a name that no other attempt had, and put it
before their keys.
"""

import json
import time
import uuid
from collections.abc import Callable
from datetime import timedelta

from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from tagmill.pipeline import World
from tagmill.shards import TagmillError
from tagmill.training.parallel.key_store import KeyStore

_MOST_NAMED = 16
MOST_PAUSE = 0.5  # seconds between two looks


def joined_store(world: World, timeout: timedelta) -> PrefixStore:
    """Returns a store with keys of this attempt alone, for `init_process_group`. Raises TagmillError if processes are missing
    after `timeout`."""
    store, _, _ = next(rendezvous("env://", timeout=timeout))
    return PrefixStore(name_of_attempt(store, world.rank, world.size, timeout.total_seconds()), store)


def name_of_attempt(
    store: KeyStore,
    rank: int,
    size: int,
    timeout: float,
    pause: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> str:
    """Returns a name, the same on all `size` processes that call it now, and another one at every attempt. Raises TagmillError
    after `timeout` seconds, on rank 0 with the ranks that are missing.

    Each process leaves a text that only it knows; rank 0 publishes a name together with the texts that it found. A process
    takes the name if its own text is there: what an earlier attempt published has another. Rank 0 publishes until all have it.
    """
    own, name = uuid.uuid4().hex, uuid.uuid4().hex
    end, wait, shown = clock() + timeout, 0.01, dict[str, str]()
    store.set(f"hello-{rank}", own)
    while True:
        if rank == 0:
            texts = {str(each): _read(store, f"hello-{each}") for each in range(size)}
            if texts != shown:
                store.set("attempt", json.dumps([name, shown := texts]))
        published = _read(store, "attempt")
        found, known = json.loads(published) if published else ("", {})
        if known.get(str(rank)) == own:
            store.set(f"{found}-{rank}", "joined")
            if rank or store.check([f"{found}-{each}" for each in range(size)]):
                return str(found)
        if clock() >= end:
            raise _not_joined(store, name if rank == 0 else None, rank, size, timeout)
        pause(wait)
        wait = min(MOST_PAUSE, 1.5 * wait)


def _read(store: KeyStore, key: str) -> str:
    return store.get(key).decode() if store.check([key]) else ""


def _not_joined(store: KeyStore, name: str | None, rank: int, size: int, timeout: float) -> TagmillError:
    what = f"rank {rank} of {size} waited {timeout:,.0f} s for rank 0"
    if name is not None:
        missing = [str(each) for each in range(size) if not store.check([f"{name}-{each}"])]
        named = ", ".join(missing[:_MOST_NAMED]) + (", ..." if len(missing) > _MOST_NAMED else "")
        what = f"{len(missing)} of {size} processes did not join within {timeout:,.0f} s: ranks {named}"
    return TagmillError(
        what, "torch.distributed", "see what these processes and their machines say, or start the run again"
    )
