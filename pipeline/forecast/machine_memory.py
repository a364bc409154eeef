"""The memory of this machine."""

import os
from pathlib import Path

LIMIT = Path("/sys/fs/cgroup/memory.max")  # of a container


def machine_memory(limit: Path = LIMIT) -> int:
    """Returns the bytes of memory that processes here may use: of the machine, or of the container where that is less; 0 where
    they are not known."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError):
        return 0
    try:
        return min(total, int(limit.read_text()))
    except (OSError, ValueError):  # no container, or one without a limit ("max")
        return total
