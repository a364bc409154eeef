"""Garbage collection after the same steps on all processes, so that none waits for the collections of others."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

EVERY = 50  # steps


@contextmanager
def garbage_at_intervals() -> Iterator[None]:
    """Within it Python collects garbage in `collect_garbage` only, and not among what was there before. By itself it would
    collect at another moment on each process, while all others wait, and search all modules and the corpus's index."""
    automatic = gc.isenabled()
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        if automatic:
            gc.enable()


def collect_garbage(step: int) -> None:
    """Collects after every 50th step."""
    if step % EVERY == 0:
        gc.collect()
