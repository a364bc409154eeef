"""The process of one run: `python -m tagmill.studies.runs.run_process`, with the task as a line on standard input.

Standard input stays open as long as the study's process is there. At its end this process ends too, at once, so that no run
goes on alone beside the one that the same command begins again.
"""

from tagmill.training.stopping.at_once import end_at_signals, tell

if __name__ == "__main__":  # before the imports, which take seconds
    end_at_signals()

import os
import sys
import threading

import torch

from tagmill.shards import TagmillError
from tagmill.studies.runs.one_run import carry_out
from tagmill.studies.runs.run_task import ERROR, RunTask


def _end_with_the_study() -> None:
    while os.read(0, 1 << 16):
        pass
    os._exit(1)


def main() -> int:
    """Carries out the task on standard input. Returns the exit status: 0, 1 for an error, 128 + signal for a stop."""
    line = bytearray()
    while not line.endswith(b"\n") and (
        part := os.read(0, 1 << 16)
    ):  # not sys.stdin, whose buffer a thread would share
        line += part
    threading.Thread(target=_end_with_the_study, daemon=True).start()
    task = RunTask.parse(line.decode())
    torch.set_num_threads(1)
    try:
        stopped = carry_out(task)
    except TagmillError as error:
        tell(f"{ERROR}{error}\n")
        return 1
    return 0 if stopped is None else 128 + stopped


if __name__ == "__main__":
    sys.exit(main())
