"""The CUDA stream on which batches are made, beside the one that the trainer computes on."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from tagmill.pipeline.batch import Batch


class Lane:
    """A stream for the thread that makes batches; on a CPU there is none, and nothing is done."""

    def __init__(self, device: str) -> None:
        self._device = torch.device(device)
        self._stream: torch.cuda.Stream | None = None
        if self._device.type == "cuda":
            self._stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]

    @contextmanager
    def making(self) -> Iterator[None]:
        """What torch is asked inside runs on this stream, and has run when it ends. Only the calling thread waits, asleep: the
        trainer's kernels and the next batch's decoding go on meanwhile."""
        if self._stream is None:
            yield
            return
        with torch.cuda.device(self._device), torch.cuda.stream(self._stream):
            yield
            done = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
            done.record(self._stream)
        done.synchronize()

    def hand_over(self, batch: Batch) -> None:
        """Called by the trainer's thread: the memory of a batch that it drops is not used again before the work that its
        current stream has by then been given is done."""
        if self._stream is not None:
            stream = torch.cuda.current_stream(self._device)
            pieces = {tensor.untyped_storage().data_ptr(): tensor for tensor in batch.tensors() if tensor.is_cuda}
            for tensor in pieces.values():  # most tensors of a batch share one piece of memory
                tensor.record_stream(stream)
