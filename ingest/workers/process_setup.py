"""Settings of tagmill's own processes, that is, workers and the `tagmill` command.

A program that imports tagmill keeps its own.
"""

import ctypes
import os
import sys
from collections.abc import Callable
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

# Parameters of mallopt(3).
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEPT_BYTES = 1 << 26  # free memory at the top of the heap that is not returned to the kernel
_MMAP_BYTES = 1 << 25  # blocks from this size on are mapped separately


class _WithoutPandas(MetaPathFinder):
    """Refuses to import pandas. `importlib.util.find_spec`, by which torch's compiler asks what is there, is no import."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        return ModuleSpec(name, _Refusal()) if name == "pandas" else None


class _Refusal(Loader):
    def create_module(self, spec: ModuleSpec) -> None:
        raise ModuleNotFoundError(f"{spec.name} is left out of tagmill's processes", name=spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Never called: there is no module."""


def leave_out_pandas() -> Callable[[], None]:
    """Keeps Arrow from importing pandas, which delays each process and which only Spark needs.

    Returns a function that undoes it.
    """
    finder = _WithoutPandas()
    sys.meta_path.insert(0, finder)
    return lambda: sys.meta_path.remove(finder)


def use_batch_scheduling() -> None:
    """Runs under SCHED_BATCH, so that network wake-ups do not preempt decoders and evict their caches."""
    if hasattr(os, "SCHED_BATCH") and os.sched_getscheduler(0) == os.SCHED_OTHER:
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def keep_memory() -> None:
    """Keeps glibc from returning the memory of each body to the kernel, and faulting it in again for the next, page by page."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:  # musl has no mallopt
        mallopt(_MMAP_THRESHOLD, _MMAP_BYTES)
        mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
