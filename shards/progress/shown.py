"""Chooses how a command shows its progress: drawn on a terminal, as plain lines off it, or not at all."""

import sys

from rich.console import Console

from tagmill.shards.progress.log_lines import LogProgress
from tagmill.shards.progress.screen import ScreenProgress


def progress_shown() -> ScreenProgress | LogProgress:
    """Returns a progress that draws on standard error where that is a terminal that can, and else writes plain lines there.

    A variable of the environment that asks for colours off a terminal changes nothing: a log has no control characters.
    """
    console = Console(stderr=True)
    if sys.stderr.isatty() and console.is_terminal and not console.is_dumb_terminal:
        return ScreenProgress(console)
    return LogProgress()
