"""Has SIGTERM stop a command as Ctrl-C does, so that it ends in order and says how to go on."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Terminated(KeyboardInterrupt):  # a request, as its base is, and no error
    """SIGTERM was received."""


@contextmanager
def sigterm_stops() -> Iterator[None]:
    """Raises Terminated in the main thread at the first SIGTERM; a second one ends the process at once, as without this.

    Does nothing off the main thread, and where another handler is set already.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _stop(number: int, frame: FrameType | None) -> None:
    del frame
    signal.signal(number, signal.SIG_DFL)
    raise Terminated
