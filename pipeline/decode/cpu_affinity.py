"""Finds the cores of a machine that a rank's threads may use, and pins threads to them."""

import os
from collections.abc import Mapping
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def cores_per_rank(environment: Mapping[str, str] = os.environ, budget: int | None = None) -> int:
    """Returns the number of threads worth starting: this process's share of the cores, or of the CPU quota of its
    control group (a container's limit) if that is less, and at most `budget`. LOCAL_WORLD_SIZE, which torchrun sets, is
    the number of ranks on the machine."""
    ranks = _number(environment.get("LOCAL_WORLD_SIZE"), 1)
    cores, quota = len(rank_cores(environment, budget)), quota_cores()
    # A container's limit covers all of its ranks; a process with cores of its own shares it all the same.
    return max(1, cores if quota is None else min(cores, int(quota / max(1, ranks))))


def rank_cores(environment: Mapping[str, str] = os.environ, budget: int | None = None) -> set[int]:
    """Returns the cores of this rank: an equal part of those that the process may use, adjacent ones together, by
    LOCAL_RANK; all of them if numactl or a scheduler has already assigned cores to each rank. With a `budget`, only the
    first ones of that part, at most so many."""
    ranks = max(1, _number(environment.get("LOCAL_WORLD_SIZE"), 1))
    allowed = sorted(os.sched_getaffinity(0))
    if ranks == 1 or len(allowed) * ranks <= (os.cpu_count() or 1):
        return set(allowed[:budget])
    share, rank = max(1, len(allowed) // ranks), _number(environment.get("LOCAL_RANK"), 0)
    first = rank * share % len(allowed)
    return set(allowed[first : first + share][:budget])


def pin(cores: set[int]) -> None:
    """Pins the calling thread, and threads that it will start, to some cores. (On Linux the affinity belongs to a
    thread, not a process.)"""
    os.sched_setaffinity(0, cores)


def quota_cores(root: Path = CGROUP) -> float | None:
    """Returns the CPU quota of the control group in cores; None without a limit. Reads versions 2 and 1 of Linux's
    interface."""
    text = _read(root / "cpu.max") or f"{_read(root / 'cpu/cpu.cfs_quota_us')} {_read(root / 'cpu/cpu.cfs_period_us')}"
    quota, _, period = text.strip().partition(" ")
    if not (quota.isdecimal() and period.strip().isdecimal()) or not int(period):
        return None  # 'max', -1 or no entry
    return int(quota) / int(period)


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _number(text: str | None, default: int) -> int:
    return int(text) if text and text.isdecimal() else default
