"""A Python that has imported what takes seconds, and forks a process for each command line that it is sent.

A process is what `python` would be: arguments, folder, environment, streams, exit status and handlers of signals are its own.
It has imported more than it asked for, so a missing import is not found by it, its libraries read no variable when they
were loaded, and it does not wait for the disk. `program.py` beside this file is what sends the command lines.
"""

import atexit
import gc
import importlib
import io
import json
import os
import runpy
import select
import signal
import socket
import sys
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pyarrow

from tagmill.training.metrics.flops import training_flops
from tagmill.training.model.build import check_model
from tests.pipeline.corpora import NUM_LABELS
from tests.training.runs import VIT
from tests.warm.decoders import fork_decoders
from tests.warm.disk import leave_out_synchronising
from tests.warm.workers import fork_the_server_of_workers

PRELOADED = (
    *("tagmill.cli", "tagmill.train", "tagmill.predict.predict_command", "timm.models"),
    *("tagmill.ingest.run", "tagmill.ingest.pack.write_shards", "tagmill.ingest.views.count"),
    *("tagmill.ingest.engines.duckdb", "tyro._backends", "tyro.constructors"),
    *("tagmill.studies.chain.chain_command", "tagmill.studies.runs.one_run", "tagmill.studies.scores.score_command"),
    *("tagmill.transfer.command.transfer_command", "tagmill.transfer.vtab.vtab_command"),
)
LENGTH = 8
"""Bytes of the length that precedes a command line."""


class Job(NamedTuple):
    """A command line in a process that was forked for it."""

    arguments: list[str]
    folder: str
    environment: dict[str, str]
    streams: list[int]


def main(place: str) -> None:
    """Serves until the standard input ends."""
    for name in PRELOADED:
        importlib.import_module(name)
    fork_decoders()
    leave_out_synchronising()
    pyarrow.array([None])  # with which it imports pandas where that is installed: a second
    check_model(VIT)  # which the tests train most: torch's meta device takes long for the first network
    training_flops(VIT, NUM_LABELS)
    gc.collect()
    gc.freeze()  # what is here is never collected in a forked process, which would copy its pages
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(place)
        listener.listen(64)
        os.write(1, b"ready\n")
        job = serve(listener)
    leave(0 if job is None else status_of(job))


def serve(listener: socket.socket) -> Job | None:
    """Returns in each forked process, with its job, and with None when the standard input ends."""
    ended, woken = os.pipe()
    for pipe_end in (ended, woken):
        os.set_blocking(pipe_end, False)
    signal.set_wakeup_fd(woken)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    running: dict[int, socket.socket] = {}
    poll = select.poll()
    for number in (0, ended, listener.fileno()):
        poll.register(number, select.POLLIN)
    while True:
        for number, _ in poll.poll():
            if number == listener.fileno():
                link, _ = listener.accept()
                job = received(link)
                if job is None:
                    link.close()
                    continue
                process = os.fork()
                if not process:
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    os.setsid()
                    close([ended, woken, *(other.detach() for other in running.values())])
                    link.sendall(b"%d\n" % os.getpid())
                    link.recv(1)  # the program passes signals on from now
                    link.close()
                    return job
                close(job.streams)
                running[process] = link
                poll.register(link.fileno(), 0)  # its end only
            elif number == ended:
                with suppress(BlockingIOError):
                    os.read(ended, 4096)
                reap(running, poll)
            elif number == 0:
                end(running)
                return None
            else:
                end([process for process, link in running.items() if link.fileno() == number])
                poll.modify(number, 0)
                poll.unregister(number)


def received(link: socket.socket) -> Job | None:
    """Reads a command line with its streams; None where the program was killed before it had sent it."""
    with suppress(ConnectionError):
        size, streams, *_ = socket.recv_fds(link, LENGTH, 3)
        rest, parts = int.from_bytes(size, "big"), []
        while rest and (part := link.recv(rest)):
            parts.append(part)
            rest -= len(part)
        if parts and not rest:
            return Job(*json.loads(b"".join(parts)), streams)
        close(streams)
    return None


def reap(running: dict[int, socket.socket], poll: Any) -> None:
    """Tells each program whose process has ended how it ended."""
    while running:
        process, status = os.waitpid(-1, os.WNOHANG)
        if not process:
            return
        link = running.pop(process)
        with suppress(KeyError):
            poll.unregister(link.fileno())
        with suppress(OSError):  # the program was killed
            link.sendall(b"%d\n" % status)
        link.close()


def end(processes: Iterable[int]) -> None:
    """Kills processes with those that they began."""
    for process in processes:
        for kill in (os.killpg, os.kill):
            with suppress(ProcessLookupError):
                kill(process, signal.SIGKILL)


def close(numbers: Iterable[int]) -> None:
    for number in numbers:
        os.close(number)


def status_of(job: Job) -> int:
    """Runs a job to its end, says what it fails by, and returns its status: for a KeyboardInterrupt that of the signal."""
    try:
        become(job)
    except SystemExit as ending:
        if ending.code is not None and not isinstance(ending.code, int):
            print(ending.code, file=sys.stderr)
            return 1
        return (ending.code or 0) & 0xFF
    except BaseException as error:  # noqa: BLE001
        sys.excepthook(type(error), error, error.__traceback__)
        return -signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1
    return 0


def leave(status: int) -> None:
    """Ends this process as `python` does, by a signal where the status is negative, but for taking its libraries apart,
    which takes longer than most jobs."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    if status < 0:
        signal.signal(-status, signal.SIG_DFL)
        signal.raise_signal(-status)
    os._exit(status)


def become(job: Job) -> None:
    """Runs the command line in this process, as `python` would."""
    for number, stream in enumerate(job.streams):
        os.dup2(stream, number)
    close(job.streams)
    os.environ.clear()
    os.environ.update(job.environment)
    os.chdir(job.folder)
    flags, words = [], list(job.arguments)
    while words and words[0] in ("-u", "-P"):
        flags.append(words.pop(0))
    at_once = "-u" in flags or bool(os.environ.get("PYTHONUNBUFFERED"))
    given, *written = io.FileIO(0, closefd=False), *(io.FileIO(number, "w", closefd=False) for number in (1, 2))
    out, errors = (io.BufferedWriter(stream) for stream in written)
    sys.stdin = io.TextIOWrapper(io.BufferedReader(given))
    sys.stdout = io.TextIOWrapper(out, line_buffering=os.isatty(1), write_through=at_once)
    sys.stderr = io.TextIOWrapper(errors, line_buffering=True, errors="backslashreplace")
    if threads := os.environ.get("OMP_NUM_THREADS"):
        sys.modules["torch"].set_num_threads(int(threads))
    sys.path[0:1] = []  # the repository, from which the server was started
    fork_the_server_of_workers()
    execute(words, with_folder="-P" not in flags)


def execute(words: list[str], with_folder: bool) -> None:
    """Runs `-m MODULE`, `-c CODE` or a file as the main module."""
    kind, *rest = words
    folder = {"-m": str(Path.cwd()), "-c": ""}.get(kind) if kind.startswith("-") else str(Path(kind).resolve().parent)
    assert folder is not None, f"{kind}: the options are -u, -P, -m and -c"
    if with_folder:
        sys.path.insert(0, folder)
    if kind == "-m":
        sys.argv = rest
        sys.modules.pop(rest[0], None)
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
        return
    main = ModuleType("__main__")
    text = rest.pop(0) if kind == "-c" else Path(kind).read_text()
    if kind != "-c":
        main.__file__ = kind
    sys.argv, sys.modules["__main__"] = [kind, *rest], main
    exec(compile(text, "<string>" if kind == "-c" else kind, "exec"), main.__dict__)


if __name__ == "__main__":
    main(sys.argv[1])
