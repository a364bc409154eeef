"""The CUDA stream on which batches are made, separate from the trainer's."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from tagmill.pipeline.batch import Batch


class SideStream:
    """A CUDA stream for the thread that makes batches; does nothing on a CPU."""

    def __init__(self, device: str) -> None:
        self._device = torch.device(device)
        self._stream: torch.cuda.Stream | None = None
        if self._device.type == "cuda":
            self._stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]

    @contextmanager
    def work(self) -> Iterator[None]:
        """Runs torch operations of the `with` block on this stream and waits until they are complete. Only the calling
        thread waits, asleep: the trainer's kernels and the next batch's decoding continue."""
        if self._stream is None:
            yield
            return
        with torch.cuda.device(self._device), torch.cuda.stream(self._stream):
            try:
                yield
            finally:  # after an error too: a copy that goes on reads host memory that is about to be reused
                done = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
                done.record(self._stream)
                done.synchronize()

    def hand_over(self, batch: Batch) -> None:
        """Passes a batch to the trainer; called by the trainer's thread. The batch's memory is not reused before the
        work that is queued on the trainer's current stream when it drops the batch is complete."""
        if self._stream is not None:
            stream = torch.cuda.current_stream(self._device)
            storages = {tensor.untyped_storage().data_ptr(): tensor for tensor in batch.tensors() if tensor.is_cuda}
            for tensor in storages.values():  # most tensors of a batch share one storage
                tensor.record_stream(stream)
