"""Carries out the runs of a plan, some at a time, each in a process with one thread, and skips those that are done."""

import os
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from tagmill.shards import Store, TagmillError
from tagmill.studies.runs.run_folder import read_result
from tagmill.studies.runs.run_result import RunResult
from tagmill.studies.runs.run_task import ERROR, RunTask

GRACE_SECONDS = 120.0  # for a step, a checkpoint and a batch of features
LOOK_SECONDS = 0.1
LOG = "log.txt"
"""What a run printed that ended with an error, in its folder."""
MOST_LOG = 1 << 20  # bytes of its end
Told = Callable[[RunTask, RunResult, bool], None]
"""Is given each run with its result, and whether it was there before."""


def processes_here(*, gpu: bool) -> int:
    """Returns how many runs this machine carries out at the same time: one for each core, or one on a GPU."""
    return 1 if gpu else len(os.sched_getaffinity(0))


class _Process:
    """A run that is being carried out."""

    def __init__(self, task: RunTask, logs: Path) -> None:
        self.task, self.log = task, logs / f"{task.run}.log"
        output: IO[bytes] = self.log.open("wb")
        single = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        with output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tagmill.studies.runs.run_process"],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **single},
                start_new_session=True,  # a Ctrl-C reaches this process only, which passes it on
            )
        assert self.process.stdin is not None
        self.process.stdin.write(f"{task.text()}\n".encode())
        self.process.stdin.flush()

    def stop(self) -> None:
        """Asks the run to end after its step."""
        if self.process.poll() is None:
            self.process.terminate()

    def wait(self, seconds: float) -> None:
        """Waits for the end of the run, and ends it where it takes longer."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def error(self) -> TagmillError:
        """Returns why the run ended without a result, and keeps what it printed in its folder."""
        printed = self.log.read_bytes()
        Store(self.task.folder).put(LOG, printed[-MOST_LOG:])
        lines = printed.decode(errors="replace").splitlines()
        said = next((line for line in reversed(lines) if line.strip()), "it printed nothing")
        what = said.removeprefix(ERROR) if said.startswith(ERROR) else f"status {self.process.returncode}: {said}"
        remedy = f"see {LOG} there, and run the same command again: finished runs are kept, and this one goes on"
        return TagmillError(f"a run of arm {self.task.arm} ended with an error: {what[:500]}", self.task.folder, remedy)


def all_results(tasks: Sequence[RunTask], processes: int, told: Told) -> list[RunResult]:
    """Returns the result of each run, in the order of the tasks; runs that have one are not repeated. A run whose training
    diverged is a result; another error ends the study, and the other runs with a checkpoint. So does any exception, such as
    that of a signal. Raises TagmillError."""
    found = dict[str, RunResult]()
    todo = deque[RunTask]()
    for task in tasks:
        done = read_result(Store(task.folder))
        if done is None:
            todo.append(task)
        else:
            found[task.run] = done
            told(task, done, True)
    with ExitStack() as stack:
        logs = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tagmill-", ignore_cleanup_errors=True)))
        working = list[_Process]()
        stack.callback(_end_all, working)
        while todo or working:
            while todo and len(working) < processes:
                working.append(_Process(todo.popleft(), logs))
            ended = [each for each in working if each.process.poll() is not None]
            for each in ended:
                working.remove(each)
                result = read_result(Store(each.task.folder))
                if result is None or each.process.returncode:
                    raise each.error()
                found[each.task.run] = result
                told(each.task, result, False)
            if not ended:
                time.sleep(LOOK_SECONDS)
    return [found[task.run] for task in tasks]


def _end_all(working: Sequence[_Process]) -> None:
    for each in working:
        each.stop()
    deadline = time.monotonic() + GRACE_SECONDS
    for each in working:
        each.wait(max(0.0, deadline - time.monotonic()))
