"""Finds out whether a process that was noted somewhere is still there. proc(5)."""

import os
from pathlib import Path

BOOT = Path("/proc/sys/kernel/random/boot_id")
NAMESPACE = Path("/proc/self/ns/pid")  # containers of one machine number their processes apart
START = 19  # of the fields of /proc/PID/stat after the name: when it began, in ticks since the boot


def this_process() -> dict[str, str]:
    """Returns what identifies this process among those of all machines; empty without /proc."""
    pid = os.getpid()
    try:
        return {"machine": _machine(), "pid": str(pid), "begun": begun_of(pid)}
    except OSError:
        return {}


def is_there(process: dict[str, str]) -> bool | None:
    """Returns whether a process, as `this_process` named it, has not ended; None where this machine does not know."""
    try:
        if not process or process.get("machine") != _machine():
            return None
        return begun_of(int(process["pid"])) == process["begun"]
    except FileNotFoundError:  # /proc/PID
        return False
    except (OSError, KeyError, ValueError):
        return None


def _machine() -> str:
    try:
        return f"{BOOT.read_text().strip()} {NAMESPACE.readlink()}"
    except FileNotFoundError as error:
        raise OSError("no /proc here") from error


def begun_of(pid: int) -> str:
    """Returns when a process began, in ticks since the boot. Raises FileNotFoundError where no process has this number,
    or it is a zombie's."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    if fields[0] == "Z":
        raise FileNotFoundError(pid)
    return fields[START]
