"""How long a GPU had nothing to do while a loop waited for a batch.

A loop on a GPU queues its work and goes on. If it then waits for a batch while the GPU is still busy, that wait costs
nothing: without the wait the GPU would be as busy.
"""

from collections.abc import Callable

import torch


class DeviceWait:
    """A wait on the current CUDA stream, between two events: the first is complete when the work that was queued before it
    is, the second as soon as it is queued after that. Between them the stream is idle."""

    def __init__(self) -> None:
        self._begin = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        self._end = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        self._stream = torch.cuda.current_stream()
        self._begin.record(self._stream)

    def end(self) -> None:
        """Ends the wait, on the stream on which it began."""
        self._end.record(self._stream)

    def idle_seconds(self) -> float | None:
        """Returns the seconds for which the stream was idle; None while it has not come so far. Does not wait."""
        done = self._end.query()  # type: ignore[no-untyped-call]
        return self._begin.elapsed_time(self._end) / 1000 if done else None


DeviceWaits = Callable[[], DeviceWait | None]


def device_wait() -> DeviceWait | None:
    """Begins a wait; None if this process has not used a GPU, or is recording a CUDA graph."""
    used = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    if not used or torch.cuda.is_current_stream_capturing():
        return None
    return DeviceWait()
