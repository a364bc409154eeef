"""Tests the stream on which batches are made: its synchronisation, with a fake of CUDA's streams."""

from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
import torch

from tagmill.pipeline.batch import Batch
from tagmill.pipeline.decode.cuda_stream import SideStream


def batch() -> Batch:
    images = torch.zeros(2, 3, 4, 4, dtype=torch.uint8)
    nobody = np.empty(0, np.int32)
    return Batch.of(images, [nobody] * 2, np.ones(2, np.bool_), 2, np.zeros((2, 16), np.uint8), np.arange(2))


def test_on_a_cpu_it_does_nothing() -> None:
    lane = SideStream("cpu")
    with lane.work():
        made = batch()
    lane.hand_over(made)


def test_a_batch_is_complete_before_it_is_passed_on_and_the_trainers_stream_is_recorded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[Any] = []

    class Event:
        def __init__(self, blocking: bool) -> None:
            assert blocking  # else the waiting thread uses a whole core

        def record(self, stream: str) -> None:
            told.append(("record", stream))

        def synchronize(self) -> None:
            told.append("waited")

    class OnGpu(torch.Tensor):
        is_cuda = True  # type: ignore[assignment]

        def record_stream(self, stream: str) -> None:  # type: ignore[override]
            told.append(("used by", stream))

    monkeypatch.setattr(torch.cuda, "Stream", lambda device: f"side stream of {device}")
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: nullcontext(told.append(("on", stream))))
    monkeypatch.setattr(torch.cuda, "device", lambda device: nullcontext())
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: f"trainer's stream of {device}")
    monkeypatch.setattr(torch.cuda, "Event", Event)
    lane, made = SideStream("cuda:1"), batch()
    with lane.work():
        told.append("made")
    assert told == [("on", "side stream of cuda:1"), "made", ("record", "side stream of cuda:1"), "waited"]
    told.clear()
    # as `carried` leaves a batch: images, and all other tensors in one storage
    pieces = [torch.zeros(1), *torch.zeros(5).split(1)]
    monkeypatch.setattr(Batch, "tensors", lambda self: [piece.as_subclass(OnGpu) for piece in pieces])
    lane.hand_over(made)
    assert told == [("used by", "trainer's stream of cuda:1")] * 2
