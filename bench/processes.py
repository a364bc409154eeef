"""What a tree of processes took of a machine: processor seconds and memory, from /proc. Standard library alone."""

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

PROC = Path("/proc")
TICKS = os.sysconf("SC_CLK_TCK")
EVERY = 0.25  # seconds between two looks at the memory


def parse_stat(text: str) -> tuple[int, float]:
    """The parent of a process and its processor seconds so far, those of its ended children among them.

    `text` is /proc/PID/stat, whose second field is a name in brackets that may hold blanks and brackets.
    """
    fields = text.rpartition(")")[2].split()
    parent, ticks = int(fields[1]), sum(int(field) for field in fields[11:15])
    return parent, ticks / TICKS


def parse_pss(text: str) -> int:
    """Bytes of memory, shared pages divided by those who share them; `text` is /proc/PID/smaps_rollup."""
    line = next((line for line in text.splitlines() if line.startswith("Pss:")), "Pss: 0 kB")
    return int(line.split()[1]) * 1024


def descendants(parents: dict[int, int], root: int) -> set[int]:
    """`root` and everything below it."""
    found: set[int] = set()
    todo = [root]
    while todo:
        found.add(process := todo.pop())
        todo += [child for child, parent in parents.items() if parent == process and child not in found]
    return found


def tree(root: int) -> dict[int, float]:
    """Process ids of a tree that lives, with their processor seconds."""
    stats = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit() and (text := _read(entry / "stat")):
            stats[int(entry.name)] = parse_stat(text)
    members = descendants({process: parent for process, (parent, _) in stats.items()}, root)
    return {process: stats[process][1] for process in members if process in stats}


def cpu_seconds(root: int) -> float:
    """Of a tree, since its processes started."""
    return sum(tree(root).values())


def pss_bytes(root: int) -> int:
    """Memory of a tree now."""
    return sum(parse_pss(_read(PROC / str(process) / "smaps_rollup")) for process in tree(root))


def watched(command: list[str]) -> dict[str, Any]:
    """Seconds of a command, the peak memory of its processes, and what it says: a JSON object on standard output."""
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
    """Empty where the process has ended meanwhile."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return ""
