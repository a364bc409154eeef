"""Has lines of the log appear above the progress of a terminal."""

import logging
import sys
from typing import TextIO


class StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to what `sys.stderr` is at the time: while progress is drawn, Rich puts a stream there whose lines appear
    above the drawing. A handler that kept the stream of its beginning would tear it."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, stream: TextIO) -> None:
        del stream
