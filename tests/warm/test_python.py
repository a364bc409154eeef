"""Tests that a warm process is one of its own, and ends as a process of `python` would."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.warm.python import called, warm_python

FACTS = """
import os, sys
print(sys.argv[1:], os.getcwd(), os.environ["GIVEN"], "OTHER" in os.environ, sys.stdin.read(), __name__, sys.path[0])
print(os.getpid(), "torch" in sys.modules, file=sys.stderr)
"""


@pytest.mark.parametrize("manner", ["code", "file", "module"])
def test_it_has_arguments_folder_environment_and_streams_of_its_own(tmp_path: Path, manner: str) -> None:
    (tmp_path / "facts.py").write_text(FACTS)
    words = {"code": ["-c", FACTS], "file": ["facts.py"], "module": ["-m", "facts"]}[manner]
    given = {"env": {"PATH": os.environ["PATH"], "GIVEN": "yes"}, "cwd": tmp_path, "input": "typed"}
    found = [
        subprocess.run([python, *words, "one", "two words"], capture_output=True, text=True, **given)  # type: ignore[call-overload]
        for python in (sys.executable, warm_python())
    ]
    assert found[0].stdout == found[1].stdout and "typed" in found[1].stdout
    assert found[0].stderr.endswith(" False\n") and found[1].stderr.endswith(" True\n")


ENDS = {
    "a status": "import sys; sys.exit(3)",
    "an error": "raise ValueError('wrong')",
    "a signal": "import os; os.kill(os.getpid(), 9)",
    "an interrupt": "import atexit, signal; atexit.register(print, 'at its exit'); signal.raise_signal(signal.SIGINT)",
    "its end": "import atexit; atexit.register(print, 'at its exit')",
}


@pytest.mark.parametrize("kind", ENDS)
def test_it_ends_as_python_does(kind: str) -> None:
    words = ["-c", ENDS[kind]]
    cold, warm = (
        subprocess.run([each, *words], capture_output=True, text=True) for each in (sys.executable, warm_python())
    )
    assert (cold.returncode, cold.stdout) == (warm.returncode, warm.stdout)
    assert cold.stderr.splitlines()[-1:] == warm.stderr.splitlines()[-1:]


WAITS = """
import signal, sys, time
try:
    print("waits", flush=True)
    while True:
        time.sleep(0.01)
except KeyboardInterrupt:
    sys.exit(7)
"""


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 7), (signal.SIGTERM, -signal.SIGTERM)])
def test_signals_reach_it(number: signal.Signals, status: int) -> None:
    with subprocess.Popen([warm_python(), "-u", "-c", WAITS], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"waits\n"
        process.send_signal(number)
        assert process.wait(100) == status


def test_it_does_not_outlive_the_program() -> None:
    with subprocess.Popen([warm_python(), "-c", WAITS], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"waits\n"
        process.kill()
        assert process.stdout.read() == b""  # its end of the pipe is closed


def writes(file: Path, text: str) -> None:
    file.write_text(text)


def test_a_function_is_called_in_it(tmp_path: Path) -> None:
    assert called(tmp_path / "call", writes, tmp_path / "made", "text").wait(100) == 0
    assert (tmp_path / "made").read_text() == "text"
