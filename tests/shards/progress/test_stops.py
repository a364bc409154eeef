"""SIGTERM stops a command as Ctrl-C does."""

import os
import signal
import threading

import pytest

from tagmill.shards.progress.stops import Terminated, sigterm_stops


def test_the_first_sigterm_is_raised_and_a_second_one_has_its_usual_effect() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)  # another test's workers may have left a handler
    try:
        with sigterm_stops(), pytest.raises(Terminated):
            os.kill(os.getpid(), signal.SIGTERM)
            threading.Event().wait(60)  # the handler runs here at the latest
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)


def test_another_handler_is_kept_and_so_is_a_thread() -> None:
    own = lambda number, frame: None  # noqa: E731
    before = signal.signal(signal.SIGTERM, own)
    try:
        with sigterm_stops():
            assert signal.getsignal(signal.SIGTERM) is own
    finally:
        signal.signal(signal.SIGTERM, before)
    entered = []

    def enter() -> None:
        with sigterm_stops():
            entered.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert entered == [before]
