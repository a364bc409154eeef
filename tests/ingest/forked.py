"""Runs that a test kills: real processes in a session of their own, forked from one that has imported the libraries already.

A new interpreter takes over a CPU second for the imports of an ingest, and the server that its workers are forked from takes
as much again. What is forked has one thread, no open store and no engine, as a new one. It does not wait for the disk.
"""

import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import BinaryIO

from tagmill.ingest.labels.synsets import WordNet
from tagmill.ingest.similarity.lsh import default_tables, draw_lsh_tables
from tests.warm.decoders import fork_decoders
from tests.warm.disk import leave_out_synchronising
from tests.warm.workers import fork_the_server_of_workers

PRELOADED = (
    "tagmill.ingest.run",
    "tagmill.ingest.pack.write_shards",
    "tagmill.ingest.views.count",
    "tagmill.ingest.engines.duckdb",
    "tagmill.ingest.takedown.takedown_command",
)
MOST_BYTES = 1 << 17  # of an order: arguments and environment
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Ended:
    """As `subprocess.CompletedProcess`."""

    returncode: int
    stdout: str
    stderr: str


@dataclass
class Running:
    """A run that has begun. `stdout` ends when it and its workers have ended."""

    pid: int  # of the leader of its session
    stdout: BinaryIO
    _stderr: BinaryIO
    _server: socket.socket

    def kill(self) -> None:
        """Kills it with its workers and decoders, where it has not ended."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def ends_within(self, seconds: float | None) -> bool:
        """Whether all of a run that prints nothing more has ended, after so many seconds at the latest."""
        ready, _, _ = select.select([self.stdout], [], [], seconds)
        return bool(ready)

    def wait(self) -> Ended:
        """Returns when it and its workers have ended."""
        told = self.stdout.read()
        status = int(self._server.recv(64))
        self._stderr.seek(0)
        words = self._stderr.read()
        self.stdout.close()
        self._stderr.close()
        return Ended(status, told.decode(), words.decode(errors="replace"))


class ForkedRuns:
    """Begins runs, one at a time. A target is `module:function`; its arguments are strings."""

    def __init__(self, server: socket.socket) -> None:
        self._server = server

    def start(self, target: str, *arguments: str, folder: Path, **variables: str) -> Running:
        """Begins `target(*arguments)` in `folder`; `variables` are added to this process's environment."""
        order = {"target": target, "arguments": arguments, "folder": str(folder)}
        packed = json.dumps({**order, "environment": {**os.environ, **variables}}).encode()
        assert len(packed) <= MOST_BYTES
        read, write = os.pipe()
        stderr = (folder / "stderr.txt").open("w+b")
        socket.send_fds(self._server, [packed], [write, stderr.fileno()])
        os.close(write)
        return Running(int(self._server.recv(64)), os.fdopen(read, "rb"), stderr, self._server)

    def run(self, target: str, *arguments: str, folder: Path, **variables: str) -> Ended:
        """As `start`; returns when it has ended."""
        return self.start(target, *arguments, folder=folder, **variables).wait()


@contextmanager
def forked_runs() -> Iterator[ForkedRuns]:
    """Starts the process that runs are forked from."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, "-m", "tests.ingest.forked"]
    with ours, subprocess.Popen(command, stdin=theirs.fileno(), cwd=ROOT, env=dict(os.environ)) as server:
        theirs.close()
        try:
            yield ForkedRuns(ours)
        finally:
            ours.close()
            assert server.wait() == 0


def _serve(orders: socket.socket) -> None:
    """Forks a process for each order; returns in that process when its work is done, and here after the last order."""
    while True:
        packed, files, _, _ = socket.recv_fds(orders, MOST_BYTES, 2)
        if not packed:
            return
        pid = os.fork()
        if not pid:
            orders.close()
            _follow(json.loads(packed), *files)
            return
        for file in files:
            os.close(file)
        orders.send(b"%d" % pid)
        _, status = os.waitpid(pid, 0)
        orders.send(b"%d" % os.waitstatus_to_exitcode(status))


def _follow(order: "dict[str, object]", stdout: int, stderr: int) -> None:
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    for place, file in enumerate((nothing, stdout, stderr)):
        os.dup2(file, place)
        os.close(file)
    os.chdir(str(order["folder"]))
    os.environ.clear()
    environment, arguments = order["environment"], order["arguments"]
    assert isinstance(environment, dict) and isinstance(arguments, list)
    os.environ.update(environment)
    fork_the_server_of_workers()
    module, _, name = str(order["target"]).partition(":")
    getattr(import_module(module), name)(*arguments)


if __name__ == "__main__":
    for preloaded in PRELOADED:
        import_module(preloaded)
    fork_decoders()
    leave_out_synchronising()
    WordNet.load()
    draw_lsh_tables(8, default_tables(8, 0), 0).predicted()  # those of a small list
    _serve(socket.socket(fileno=os.dup(0)))
