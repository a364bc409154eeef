"""Tests waits on a CUDA stream: on a machine without a GPU there are none, and on one they are the time of an idle stream."""

import pytest
import torch

from tagmill.pipeline.headroom.device_idle import DeviceWait, device_wait


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_without_a_gpu_there_are_no_waits() -> None:
    assert device_wait() is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_stream_that_is_busy_is_not_idle() -> None:
    """A wait behind a queued kernel: the host waits, the stream does not."""
    torch.cuda.init()
    begin = torch.cuda.Event(enable_timing=True)
    begin.record()
    torch.cuda._sleep(100_000_000)
    wait = DeviceWait()
    wait.end()
    torch.cuda.synchronize()
    idle, kernel = wait.idle_seconds(), begin.elapsed_time(wait._begin) / 1000
    assert idle is not None and idle < kernel / 10
