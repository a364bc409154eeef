"""Ends a run between two steps on SIGINT or SIGTERM, on all processes after the same step."""

import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

import torch
import torch.distributed as dist

from tagmill.training.stopping.at_once import SIGNALS, tell

AGAIN = 3.0
"""Seconds in which the same signal comes twice: from Slurm, which gives it to every process of a job, and from torchrun,
which passes it on."""


class StopRequest:
    """Within it the first signal is noted instead of ending the process; a second one has its usual effect. Under torchrun
    the second is another one, or the same `AGAIN` seconds later.

    Several processes agree by a reduction of one number a step, on the CPU and in the background: its result is used one
    step later, so that no step waits for it.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.signal: int | None = None
        """Number of the signal that this process got."""
        self._before: dict[int, Any] = {}
        self._clock, self._noted = clock, 0.0
        self._again = AGAIN if "TORCHELASTIC_RUN_ID" in os.environ else 0.0
        self._group: Any = dist.new_group(backend="gloo") if dist.is_initialized() else None
        self._flag = torch.zeros(1, dtype=torch.int32)
        self._work: Any = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # Python delivers signals to no other
            heard = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
            self._before = {number: signal.signal(number, self._note) for number in heard}
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
        if self.signal is None:
            self.signal, self._noted = number, self._clock()
            if os.environ.get("RANK", "0") == "0":
                tell("stopping   after this step, with a checkpoint; a second signal ends the run at once\n")
        elif number != self.signal or self._clock() - self._noted >= self._again:
            self._restore()
            signal.raise_signal(number)

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
