"""Runs services of other programs for tests: on free ports of loopback, in a folder of their own, and not longer than
the tests."""

import ctypes
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

PATIENCE = 60.0  # seconds for each step of a start; about one if the machine is idle
DIES_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)


def free_ports(count: int) -> list[int]:
    with ExitStack() as sockets:
        bound = [sockets.enter_context(closing(socket.socket())) for _ in range(count)]
        for each in bound:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in bound]


@contextmanager
def daemon(folder: Path, command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a program in `folder` until the end of the block; its output goes to `output_of` there."""
    with output_of(folder, command).open("wb") as out:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, preexec_fn=_die_with_parent, cwd=folder
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def output_of(folder: Path, command: list[str]) -> Path:
    return folder / f"{Path(command[0]).name}.out"


def wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} opened no port, its status is {process.poll()}")


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(DIES_WITH_PARENT, signal.SIGKILL)
