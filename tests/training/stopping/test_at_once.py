"""Tests that a signal to which nothing is to be saved ends a process with one line."""

import os
import signal
import subprocess
import sys

import pytest

from tagmill.training.stopping.at_once import LINE, SIGNALS, ended_at_signals

IMPORTING = """
import os, runpy, signal, sys

class Signals:
    def find_spec(self, name, *given):
        if name == "torch":
            os.kill(os.getpid(), signal.{name})

signal.signal(signal.SIGINT, signal.{before})
sys.meta_path.insert(0, Signals())
runpy.run_module("tagmill.train", run_name="__main__", alter_sys=True)
"""


def ended(name: str, rank: str = "0", before: str = "default_int_handler") -> subprocess.CompletedProcess[str]:
    """Runs `python -m tagmill.train --help`, with a signal when it imports torch."""
    words = [sys.executable, "-c", IMPORTING.format(name=name, before=before), "--help"]
    return subprocess.run(words, env={**os.environ, "RANK": rank}, capture_output=True, text=True, timeout=100)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_during_the_imports_is_one_line_and_its_status(number: signal.Signals) -> None:
    done = ended(number.name)
    assert (done.returncode, done.stderr, done.stdout) == (128 + number, LINE, "")


def test_one_process_of_several_says_it() -> None:
    done = ended("SIGINT", rank="1")
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")


def test_handlers_are_as_before_and_an_ignored_signal_stays_ignored() -> None:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with ended_at_signals():
            os.kill(os.getpid(), signal.SIGINT)
            assert signal.getsignal(signal.SIGTERM) is not before[signal.SIGTERM]
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) is before[signal.SIGTERM]
    finally:
        signal.signal(signal.SIGINT, before[signal.SIGINT])
