"""Measures the processor seconds and memory of a process tree, from /proc. Uses only the standard library."""

import json
import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PROC = Path("/proc")
TICKS = os.sysconf("SC_CLK_TCK")
EVERY = 0.25  # seconds between two measurements of the memory


def parse_stat(text: str) -> tuple[int, float]:
    """Parses the parent of a process and its processor seconds so far, including those of its ended children.

    `text` is /proc/PID/stat, whose second field is a name in brackets that may contain blanks and brackets.
    """
    fields = text.rpartition(")")[2].split()
    parent, ticks = int(fields[1]), sum(int(field) for field in fields[11:15])
    return parent, ticks / TICKS


def parse_pss(text: str) -> int:
    """Parses bytes of memory, with shared pages divided by the number of processes; `text` is /proc/PID/smaps_rollup."""
    line = next((line for line in text.splitlines() if line.startswith("Pss:")), "Pss: 0 kB")
    return int(line.split()[1]) * 1024


def descendants(parents: dict[int, int], root: int) -> set[int]:
    """Returns `root` and everything below it."""
    found: set[int] = set()
    todo = [root]
    while todo:
        found.add(process := todo.pop())
        todo += [child for child, parent in parents.items() if parent == process and child not in found]
    return found


def tree(root: int) -> dict[int, float]:
    """Returns the process ids of a living tree, with their processor seconds."""
    stats = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit() and (text := _read(entry / "stat")):
            stats[int(entry.name)] = parse_stat(text)
    members = descendants({process: parent for process, (parent, _) in stats.items()}, root)
    return {process: stats[process][1] for process in members if process in stats}


def cpu_seconds(root: int) -> float:
    """Returns the processor seconds of a tree since its processes started."""
    return sum(tree(root).values())


def cpu_by_name(root: int, names: Sequence[str]) -> dict[str, float]:
    """Returns the processor seconds so far of the living processes below `root` with these names."""
    found = dict.fromkeys(names, 0.0)
    for process, seconds in tree(root).items():
        if (name := _read(PROC / str(process) / "comm").strip()) in found:
            found[name] += seconds
    return found


def pss_bytes(root: int) -> int:
    """Returns the memory of a tree now."""
    return sum(parse_pss(_read(PROC / str(process) / "smaps_rollup")) for process in tree(root))


def watched(command: list[str]) -> dict[str, Any]:
    """Runs a command; returns its seconds, the peak memory of its processes, and its output: a JSON object on standard
    output."""
    begun, peak = time.perf_counter(), 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            peak = max(peak, pss_bytes(process.pid))
            time.sleep(EVERY)
        said = process.stdout.read() if process.stdout else ""
    if process.returncode:
        raise SystemExit(f"{' '.join(command[:6])} ended with {process.returncode}")
    return {
        "seconds": time.perf_counter() - begun,
        "peak_memory_bytes": peak,
        **json.loads(said),
    }


def _read(path: Path) -> str:
    """Reads a file; empty if the process has ended meanwhile."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return ""
