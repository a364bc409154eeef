"""A study of a few steps of a small network, and its process that is to be killed."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

from tagmill.studies.command.study_command import study
from tagmill.studies.command.study_options import StudyOptions

RECIPE = """
model = "test_resnet"
size = 32
batch_size = 8
steps = 3
lr = 0.05
streams = 2
chunk = 4
log_every = 1
checkpoint_every = 1
ema = 16
device = "cpu"
backend = "cpu"
"""


def options_of(folder: Path, output: str, **more: object) -> StudyOptions:
    """Returns the flags of a study of losses, whose corpus and recipe are in `folder`."""
    values: dict[str, object] = {"name": "loss", "seeds": 1, "processes": 1, **more}
    places = {"corpus": str(folder / "corpus"), "recipe": str(folder / "small.toml"), "output": str(folder / output)}
    return StudyOptions(**{**places, **values})  # type: ignore[arg-type]


def killed_by(number: int, folder: Path, output: str, pattern: str, python: str) -> None:
    """Makes the study in a process that gets a signal as soon as a file of `pattern` is in its folder."""
    sys.executable = python
    signal.signal(signal.SIGTERM, _raise)

    def watch() -> None:
        while not any((folder / output).glob(pattern)):
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    threading.Thread(target=watch, daemon=True).start()
    study(options_of(folder, output))


def _raise(number: int, frame: object) -> None:
    raise SystemExit(128 + number)
