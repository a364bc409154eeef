"""Ends a process at a signal with one line, where there is nothing to save. Imports nothing that takes time."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)
LINE = "tagmill train: stopped; the same command continues from its last checkpoint, or starts again if there is none\n"


def end_at_signals() -> dict[int, Any]:
    """From now on SIGINT and SIGTERM end this process at once, with status 128 + signal and one line, on the process with rank
    0; the others end by the signal, in silence. Returns the handlers before. A signal that is ignored stays so, as SIGINT in
    a job that a script starts in the background."""
    first = os.environ.get("RANK", "0") == "0"
    before: dict[int, Any] = {number: signal.getsignal(number) for number in SIGNALS}
    before = {number: handler for number, handler in before.items() if handler is not signal.SIG_IGN}
    for number in before:
        signal.signal(number, _end if first else signal.SIG_DFL)
    return before


@contextmanager
def ended_at_signals() -> Iterator[None]:
    """Within it, `end_at_signals`."""
    before = end_at_signals()
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def tell(text: str) -> None:
    """Writes to standard error, also while this process is writing there."""
    with suppress(OSError):  # its reader is gone
        os.write(2, text.encode())


def _end(number: int, frame: FrameType | None) -> None:
    # Nothing is unwound: whatever the process is in may wait for others, or turn the exception into one of its own.
    tell(LINE)
    os._exit(128 + number)
