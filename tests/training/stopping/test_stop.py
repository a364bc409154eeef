"""Tests that a signal ends a run between two steps, on all processes after the same step."""

import os
import signal
from collections.abc import Iterator

import pytest

from tagmill.training.stopping.stop import AGAIN, StopRequest


@pytest.fixture(autouse=True)
def usual_effect() -> Iterator[None]:
    """Of SIGINT, which is ignored where a script starts the tests in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_the_first_signal_is_noted_and_the_second_has_its_usual_effect(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt), StopRequest() as stop:
        assert not stop.agreed()
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.agreed() and stop.signal == signal.SIGINT
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    said = capfd.readouterr().err
    assert said.count("\n") == 1 and "with a checkpoint" in said


def test_under_torchrun_a_signal_that_is_passed_on_too_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "some")
    now = [100.0]
    with pytest.raises(KeyboardInterrupt), StopRequest(clock=lambda: now[0]) as stop:
        os.kill(os.getpid(), signal.SIGINT)
        now[0] += AGAIN - 1
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.signal == signal.SIGINT
        now[0] += 1
        os.kill(os.getpid(), signal.SIGINT)


def test_under_torchrun_another_signal_is_a_second_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a second Ctrl-C torchrun sends SIGTERM."""
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "some")
    with pytest.raises(KeyboardInterrupt), StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.signal == signal.SIGTERM
        os.kill(os.getpid(), signal.SIGINT)


def test_one_process_of_several_says_that_it_stops(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RANK", "1")
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
    assert stop.signal == signal.SIGTERM and capfd.readouterr().err == ""


def test_handlers_are_as_before_afterwards_and_an_ignored_signal_stays_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    before = signal.getsignal(signal.SIGTERM)
    with StopRequest() as stop:
        assert signal.getsignal(signal.SIGTERM) is not before
        os.kill(os.getpid(), signal.SIGINT)
        assert not stop.agreed()
    assert signal.getsignal(signal.SIGTERM) is before and signal.getsignal(signal.SIGINT) is signal.SIG_IGN
