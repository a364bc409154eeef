"""Which way a command shows its progress."""

import io
import os
import pty
import sys
from typing import TextIO

import pytest

from tagmill.shards.progress.log_lines import LogProgress
from tagmill.shards.progress.screen import ScreenProgress
from tagmill.shards.progress.shown import progress_shown

COLOURS = {"FORCE_COLOR": "1", "TTY_COMPATIBLE": "1"}


@pytest.mark.parametrize(
    ("terminal", "variables", "shown"),
    [
        (True, {"TERM": "xterm"}, ScreenProgress),
        (True, {"TERM": "dumb"}, LogProgress),
        (False, {"TERM": "xterm"}, LogProgress),
        (False, {"TERM": "xterm", **COLOURS}, LogProgress),
    ],
)
def test_a_terminal_is_drawn_on_and_a_log_is_not(
    terminal: bool, variables: dict[str, str], shown: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (*COLOURS, "TTY_INTERACTIVE", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as screen:
        stderr: TextIO = screen if terminal else io.StringIO()
        monkeypatch.setattr(sys, "stderr", stderr)
        assert type(progress_shown()) is shown
    os.close(ours)
