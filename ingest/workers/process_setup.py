"""Habits of processes that are ours alone: workers, and the `tagmill` command. No other process is made to have them."""

import ctypes
import os
import sys
from collections.abc import Callable
from importlib.abc import MetaPathFinder

# mallopt(3): how much free memory at the top of the heap is kept, and from which size on memory is got from the kernel apart.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEPT, _APART = 1 << 26, 1 << 25  # bytes


class _WithoutPandas(MetaPathFinder):
    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(f"{name} is left out of processes of tagmill's", name=name)


def leave_out_pandas() -> Callable[[], None]:
    """Arrow imports pandas where it is installed, a quarter of a second a process; only Spark has a use for it.

    What is returned takes it back.
    """
    finder = _WithoutPandas()
    sys.meta_path.insert(0, finder)
    return lambda: sys.meta_path.remove(finder)


def work_in_long_turns() -> None:
    """Whoever is woken waits for its turn: else each answer of the web would push a decoder off its core, and its caches."""
    if hasattr(os, "SCHED_BATCH") and os.sched_getscheduler(0) == os.SCHED_OTHER:
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def keep_memory() -> None:
    """glibc gives the memory of a body back and gets it anew for the next, page by page; told so, it keeps some."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:  # musl has none
        mallopt(_MMAP_THRESHOLD, _APART)
        mallopt(_TRIM_THRESHOLD, _KEPT)
