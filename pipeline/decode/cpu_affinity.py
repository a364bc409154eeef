"""Which cores of a machine a rank's threads get."""

import os
from collections.abc import Mapping
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def cores_per_rank(environment: Mapping[str, str] = os.environ) -> int:
    """How many threads are worth starting: this process's share of the cores, or of the processor time that its control group
    may take (a container's limit) where that is less. Ranks on the machine are LOCAL_WORLD_SIZE, set by torchrun."""
    ranks = _number(environment.get("LOCAL_WORLD_SIZE"), 1)
    cores, quota = len(rank_cores(environment)), quota_cores()
    # A container's limit is for all of its ranks; a process that was given cores of its own shares it all the same.
    return max(1, cores if quota is None else min(cores, int(quota / max(1, ranks))))


def rank_cores(environment: Mapping[str, str] = os.environ) -> set[int]:
    """The cores of this rank: an equal part of those that the process may use, neighbours together, by LOCAL_RANK. All of them
    where somebody (numactl, a scheduler) has already given each rank cores of its own."""
    ranks = max(1, _number(environment.get("LOCAL_WORLD_SIZE"), 1))
    allowed = sorted(os.sched_getaffinity(0))
    if ranks == 1 or len(allowed) * ranks <= (os.cpu_count() or 1):
        return set(allowed)
    share, rank = max(1, len(allowed) // ranks), _number(environment.get("LOCAL_RANK"), 0)
    first = rank * share % len(allowed)
    return set(allowed[first : first + share])


def pin(cores: set[int]) -> None:
    """Keeps the calling thread, and those that it will start, on some cores. (On Linux this is of a thread, not a process.)"""
    os.sched_setaffinity(0, cores)


def quota_cores(root: Path = CGROUP) -> float | None:
    """Cores' worth of time that the control group may take; None without a limit. Versions 2 and 1 of Linux's interface."""
    text = _read(root / "cpu.max") or f"{_read(root / 'cpu/cpu.cfs_quota_us')} {_read(root / 'cpu/cpu.cfs_period_us')}"
    quota, _, period = text.strip().partition(" ")
    if not (quota.isdecimal() and period.strip().isdecimal()) or not int(period):
        return None  # 'max', -1, or nothing is said
    return int(quota) / int(period)


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _number(text: str | None, default: int) -> int:
    return int(text) if text and text.isdecimal() else default
