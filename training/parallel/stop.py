"""Ends a run between two steps on SIGINT or SIGTERM, on all processes after the same step."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

import torch
import torch.distributed as dist

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Within it the first signal is noted instead of ending the process; a second one has its usual effect.

    Several processes agree by a reduction of one number a step, on the CPU and in the background: its result is used one
    step later, so that no step waits for it.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        """Number of the signal that this process got."""
        self._before: dict[int, Any] = {}
        self._group: Any = dist.new_group(backend="gloo") if dist.is_initialized() else None
        self._flag = torch.zeros(1, dtype=torch.int32)
        self._work: Any = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # Python delivers signals to no other
            self._before = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()
        if self._work is not None and kind is None:
            self._work.wait()

    def agreed(self) -> bool:
        """Returns whether all processes end after this step. Every process calls it once a step."""
        if self._group is None:
            return self.signal is not None
        found = False
        if self._work is not None:
            self._work.wait()
            found = bool(self._flag.item())
        self._flag = torch.tensor([int(self.signal is not None)], dtype=torch.int32)
        self._work = dist.all_reduce(self._flag, dist.ReduceOp.MAX, group=self._group, async_op=True)
        return found

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signal = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
