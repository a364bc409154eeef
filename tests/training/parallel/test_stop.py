"""Tests that a signal ends a run between two steps, on all processes after the same step."""

import os
import signal

import pytest

from tagmill.training.parallel.stop import StopRequest


def test_the_first_signal_is_noted_and_the_second_has_its_usual_effect() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), StopRequest() as stop:
        assert not stop.agreed()
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.agreed() and stop.signal == signal.SIGINT
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_handlers_are_as_before_afterwards() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with StopRequest():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before
