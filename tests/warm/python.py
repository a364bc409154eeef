"""Processes that start fast: the program to put in the place of `sys.executable`, and processes that call a function.

For tests in which the start of a process is not what is tested: torch and timm take seconds of a processor to import, and
tests begin hundreds of processes.
"""

import atexit
import os
import pickle
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
CALL = """
import pickle, sys
sys.path.insert(0, sys.argv[2])
with open(sys.argv[1], "rb") as file:
    function, arguments = pickle.load(file)
function(*arguments)
"""


@cache
def warm_python() -> str:
    """Returns a program that takes the arguments of `python`: -u, -P, then -m, -c or a file. Its processes are forked from one
    server of this process, which has imported the trainer and the other commands, and ends with it."""
    folder = Path(tempfile.mkdtemp(prefix="warm"))
    socket, program = folder / "socket", folder / "python"
    words = [sys.executable, "-IS", str(HERE / "program.py"), str(socket)]  # -IS: without the folders of packages
    program.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
    program.chmod(0o755)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    command = [sys.executable, "-m", "tests.warm.server", str(socket)]
    server = subprocess.Popen(command, cwd=HERE.parent.parent, start_new_session=True, **pipes)  # type: ignore[call-overload]
    atexit.register(ended, server, folder)
    assert server.stdout.readline() == b"ready\n", "the server of warm processes did not start"
    return str(program)


def ended(server: subprocess.Popen[bytes], folder: Path) -> None:
    """Ends the server."""
    assert server.stdin is not None
    server.stdin.close()
    server.wait()
    shutil.rmtree(folder)


def called(
    file: Path, function: Callable[..., object], *arguments: Any, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Begins a process that calls a function of a module. `file` is where it finds both; it must not be there yet."""
    with file.open("xb") as stream:
        pickle.dump((function, arguments), stream)
    root = str(HERE.parent.parent)
    return subprocess.Popen([warm_python(), "-c", CALL, str(file), root], env=environment or dict(os.environ))
